//! Files that only their owner may read: made whole or not at all, never overwritten, read within a
//! bound. On Unix they have mode 0600. Elsewhere the directory's access rules guard them.
//! Never looks at what the bytes mean.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Why a private file was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// A file of that name is there; keys and credentials are never overwritten.
    #[error("{path} exists already and is never overwritten; choose another name or move it away")]
    AlreadyExists {
        /// The file.
        path: PathBuf,
    },
    /// No file of that name.
    #[error("there is no file {path}")]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// The directory to write into is not there.
    #[error("there is no directory {directory} to write into; create it first, readable by its owner only")]
    NoDirectory {
        /// The directory.
        directory: PathBuf,
    },
    /// A directory, socket, pipe or device.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// More bytes than such a file ever has.
    #[error("{path} is larger than the {limit_bytes} bytes that such a file can have")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        limit_bytes: u64,
    },
    /// Others than the owner may read or change it.
    #[error(
        "{path} has mode {mode:04o}, so others than its owner can reach the secret in it; right is 0600: chmod 600 {path}"
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The operating system refused.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl PrivateFileError {
    /// A stable word for interfaces and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AlreadyExists { .. } => "already_exists",
            Self::NotFound { .. } => "not_found",
            Self::NoDirectory { .. } => "no_directory",
            Self::NotAFile { .. } => "not_a_file",
            Self::TooLarge { .. } => "too_large",
            Self::TooOpen { .. } => "too_open",
            Self::Io { .. } => "io",
        }
    }

    fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }
}

/// Who may be able to read a file for it to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// The file holds an open secret: on Unix any right for group or others is refused.
    OwnerOnly,
    /// What the file holds is sealed, so anybody may read it.
    #[cfg(any(feature = "people", test))]
    Anybody,
}

/// Writes `bytes` to a new file at `path`, mode 0600 on Unix.
///
/// After `Ok` the file is whole and on disk, its directory entry included. After any error, or a
/// kill at any instant, `path` either does not exist or holds all of `bytes`; a kill can leave a
/// file `.NAME.<random>.tmp` beside it (also 0600), which may be deleted. Of two callers at once
/// exactly one wins: the last step is a hard link, which fails where a rename would overwrite.
pub(crate) fn create_new(path: &Path, bytes: &[u8]) -> Result<(), PrivateFileError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Some(file_name) = path.file_name() else {
        return Err(PrivateFileError::NotAFile { path: path.to_owned() });
    };
    let mut suffix = [0; 8];
    getrandom::fill(&mut suffix).map_err(|e| PrivateFileError::io("draw a random name beside", path, e.into()))?;
    let temporary = directory.join(format!(".{}.{}.tmp", file_name.to_string_lossy(), hex::encode(suffix)));
    let placed = write_durably(&temporary, bytes)
        .map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => PrivateFileError::NoDirectory { directory: directory.to_owned() },
            _ => PrivateFileError::io("write", &temporary, e),
        })
        .and_then(|()| {
            fs::hard_link(&temporary, path).map_err(|e| match e.kind() {
                io::ErrorKind::AlreadyExists => PrivateFileError::AlreadyExists { path: path.to_owned() },
                _ => PrivateFileError::io("put in place (this needs a file system with hard links)", path, e),
            })
        });
    // Its name is random, so nobody else's file can be meant. If this fails, the outcome above still stands.
    let _ = fs::remove_file(&temporary);
    placed?;
    sync_directory(directory).map_err(|e| PrivateFileError::io("write to disk", directory, e))
}

/// Reads at most `limit_bytes` from a regular file; the bytes are wiped on drop.
pub(crate) fn read(path: &Path, limit_bytes: u64, readers: Readers) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
    let reading = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => PrivateFileError::NotFound { path: path.to_owned() },
        _ => PrivateFileError::io("read", path, e),
    };
    // Asked before opening, because opening a pipe would wait for a writer.
    if !fs::metadata(path).map_err(reading)?.is_file() {
        return Err(PrivateFileError::NotAFile { path: path.to_owned() });
    }
    let file = File::open(path).map_err(reading)?;
    // Asked again of the open file: this is the one whose bytes are used.
    let metadata = file.metadata().map_err(reading)?;
    if !metadata.is_file() {
        return Err(PrivateFileError::NotAFile { path: path.to_owned() });
    }
    if readers == Readers::OwnerOnly {
        refuse_open_mode(path, &metadata)?;
    }
    let too_large = || PrivateFileError::TooLarge { path: path.to_owned(), limit_bytes };
    if metadata.len() > limit_bytes {
        return Err(too_large());
    }
    // Room for everything at once: a buffer that grows would leave unwiped copies behind.
    let room = usize::try_from(limit_bytes).map_err(|_| too_large())?.saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(reading)?;
    if bytes.len() >= room {
        return Err(too_large());
    }
    Ok(bytes)
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Directories cannot be opened as files here; the file itself was flushed.
#[cfg(not(unix))]
fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn refuse_open_mode(path: &Path, metadata: &fs::Metadata) -> Result<(), PrivateFileError> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(PrivateFileError::TooOpen { path: path.to_owned(), mode }) }
}

/// There are no mode bits here; the directory's access rules decide.
#[cfg(not(unix))]
fn refuse_open_mode(_path: &Path, _metadata: &fs::Metadata) -> Result<(), PrivateFileError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        create_new(&path, b"secret").unwrap();
        assert_eq!(read(&path, 6, Readers::OwnerOnly).unwrap().as_slice(), b"secret");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_existing_file_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        create_new(&path, b"first").unwrap();
        assert_eq!(create_new(&path, b"second").unwrap_err().kind(), "already_exists");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn of_many_creators_at_once_exactly_one_wins_and_its_bytes_stand() {
        let directory = tempfile::tempdir().unwrap();
        for round in 0..50 {
            let path = directory.path().join(format!("x{round}"));
            let barrier = Barrier::new(2);
            let attempt = |byte: u8| {
                barrier.wait();
                create_new(&path, &[byte; 512]).map(|()| byte)
            };
            let (one, two) = std::thread::scope(|scope| {
                let one = scope.spawn(|| attempt(1));
                let two = scope.spawn(|| attempt(2));
                (one.join().unwrap(), two.join().unwrap())
            });
            let (winner, loser) = match (one, two) {
                (Ok(winner), Err(loser)) | (Err(loser), Ok(winner)) => (winner, loser),
                other => unreachable!("one must win: {other:?}"),
            };
            assert_eq!(loser.kind(), "already_exists");
            assert_eq!(fs::read(&path).unwrap(), [winner; 512]);
        }
    }

    #[test]
    fn a_leftover_of_a_killed_creator_does_not_stand_in_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        fs::write(directory.path().join(".x.0011223344556677.tmp"), b"half").unwrap();
        create_new(&path, b"whole").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn a_missing_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = create_new(&directory.path().join("no/x"), b"").unwrap_err();
        assert_eq!(error.kind(), "no_directory");
        assert!(error.to_string().contains("/no "));
    }

    #[test]
    fn oversize_and_irregular_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        create_new(&path, b"seven..").unwrap();
        assert_eq!(read(&path, 6, Readers::OwnerOnly).unwrap_err().kind(), "too_large");
        assert_eq!(read(directory.path(), 6, Readers::Anybody).unwrap_err().kind(), "not_a_file");
        let missing = directory.path().join("y");
        assert_eq!(read(&missing, 6, Readers::Anybody).unwrap_err().kind(), "not_found");
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_is_0600_and_any_wider_mode_is_refused_with_the_right_one_named() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        create_new(&path, b"s").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = read(&path, 9, Readers::OwnerOnly).unwrap_err();
            assert_eq!(error.kind(), "too_open");
            assert!(error.to_string().contains(&format!("{mode:04o}")));
            assert!(error.to_string().contains("chmod 600"));
            read(&path, 9, Readers::Anybody).unwrap();
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        read(&path, 9, Readers::OwnerOnly).unwrap();
    }
}
