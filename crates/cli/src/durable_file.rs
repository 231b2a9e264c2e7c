//! Files that are whole or not there: written beside their place, flushed, then put in place. Mode 0600 where they hold a secret.
//! Reads are bounded. Never looks at what the bytes mean.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Its owner alone (mode 0600 on Unix).
    Owner,
    /// Whoever the folder lets in.
    Anybody,
}

/// Writes a file that must not be there yet.
///
/// # Errors
/// When it is there, or cannot be written; nothing is left then.
pub(crate) fn create(path: &Path, bytes: &[u8], readers: Readers) -> Result<()> {
    let temporary = write_beside(path, bytes, readers)?;
    // A hard link fails where a rename would overwrite.
    let placed = fs::hard_link(&temporary, path);
    let _ = fs::remove_file(&temporary);
    match placed {
        Ok(()) => sync_folder(path),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} exists already and is not overwritten; choose another name or move it away", path.display())
        }
        Err(e) => Err(e).with_context(|| format!("cannot write {}", path.display())),
    }
}

/// Writes a file in place of what may be there.
///
/// # Errors
/// When it cannot be written; what was there stays then.
pub(crate) fn replace(path: &Path, bytes: &[u8], readers: Readers) -> Result<()> {
    let temporary = write_beside(path, bytes, readers)?;
    if let Err(e) = fs::rename(&temporary, path) {
        let _ = fs::remove_file(&temporary);
        return Err(e).with_context(|| format!("cannot write {}", path.display()));
    }
    sync_folder(path)
}

/// Reads a file of at most `bytes_max` bytes.
///
/// # Errors
/// When it is not there, no regular file, longer, or cannot be read.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let shown = path.display();
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {shown}"))?;
    if !metadata.is_file() {
        bail!("{shown} is not a regular file");
    }
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).with_context(|| format!("cannot read {shown}"))?;
    if bytes.len() as u64 > bytes_max {
        bail!("{shown} is longer than {bytes_max} bytes, the most that such a file may have");
    }
    Ok(bytes)
}

/// Reads a text file of at most `bytes_max` bytes.
///
/// # Errors
/// As [`read`], or when it is not UTF-8.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> Result<String> {
    String::from_utf8(read(path, bytes_max)?).with_context(|| format!("{} is not UTF-8 text", path.display()))
}

/// Makes a folder that only its owner may enter (mode 0700 on Unix), and those above it.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn create_private_folder(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).with_context(|| format!("cannot make the folder {}", path.display()))
}

/// Refuses a file with a secret that others than its owner may read.
///
/// # Errors
/// Says how to mend it.
#[cfg(unix)]
pub(crate) fn refuse_open_mode(path: &Path) -> Result<()> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
    if mode & 0o077 != 0 {
        bail!(
            "{0} has mode {mode:04o}, so others can read the token in it; right is 0600: chmod 600 {0}",
            path.display()
        );
    }
    Ok(())
}

/// There are no mode bits here; the folder's access rules decide.
#[cfg(not(unix))]
pub(crate) fn refuse_open_mode(_path: &Path) -> Result<()> {
    Ok(())
}

fn write_beside(path: &Path, bytes: &[u8], readers: Readers) -> Result<PathBuf> {
    let name = path.file_name().with_context(|| format!("{} names no file", path.display()))?;
    let mut suffix = [0; 8];
    getrandom::fill(&mut suffix).map_err(|e| anyhow::anyhow!("no randomness from the operating system: {e}"))?;
    let temporary = folder_of(path).join(format!(".{}.{}.tmp", name.to_string_lossy(), hex::encode(suffix)));
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if readers == Readers::Owner {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        let mut file = options.open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    if let Err(e) = write() {
        let _ = fs::remove_file(&temporary);
        return Err(e).with_context(|| format!("cannot write {}", path.display()));
    }
    Ok(temporary)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("cannot write {} to disk", folder.display()))
}

/// Folders cannot be opened as files here; the file itself was flushed.
#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_never_overwritten_by_create() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        create(&path, b"first", Readers::Owner).unwrap();
        let error = create(&path, b"second", Readers::Owner).unwrap_err();
        assert!(error.to_string().contains("exists already"), "{error}");
        assert_eq!(read(&path, 10).unwrap(), b"first");
        replace(&path, b"third", Readers::Owner).unwrap();
        assert_eq!(read(&path, 10).unwrap(), b"third");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(read(&path, 4).is_err());
        refuse_open_mode(&path).unwrap();
    }
}
