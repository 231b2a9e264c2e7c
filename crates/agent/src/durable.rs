//! Small files that are whole or not there: written beside, flushed, renamed, folder flushed. Read within a bound.
//! Never looks at what stands in them beyond JSON.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_domain::observation::RefusalReason;

use crate::{drill, os};

/// The most bytes of any file that is read here.
pub(crate) const BYTES_MAX: u64 = 8 << 20;

/// A file that could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}", path.display())]
pub(crate) struct DiskError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl DiskError {
    /// Says what was being done to which path.
    pub(crate) fn new(doing: &'static str, path: &Path, source: io::Error) -> DiskError {
        DiskError { doing, path: path.to_owned(), source }
    }

    /// What a device reports, where the storage itself refuses.
    pub(crate) fn refusal(&self) -> Option<RefusalReason> {
        match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(RefusalReason::DiskFull),
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Some(RefusalReason::ReadOnly),
            _ => None,
        }
    }
}

/// Makes a folder and those above it.
pub(crate) fn make_dir(path: &Path) -> Result<(), DiskError> {
    fs::create_dir_all(path).map_err(|e| DiskError::new("make the folder", path, e))
}

/// Replaces a file. After `Ok` it is on disk; after any error or kill the old one or the new one is there, whole.
pub(crate) fn write(path: &Path, bytes: &[u8], point: &str) -> Result<(), DiskError> {
    replace(path, bytes, false)?;
    drill::reached(point);
    Ok(())
}

/// The same for a file that only its owner may read.
pub(crate) fn write_private(path: &Path, bytes: &[u8], point: &str) -> Result<(), DiskError> {
    replace(path, bytes, true)?;
    drill::reached(point);
    Ok(())
}

fn replace(path: &Path, bytes: &[u8], private: bool) -> Result<(), DiskError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let written = File::create(&beside).and_then(|mut file| {
        if private {
            os::set_private(&file)?;
        }
        file.write_all(bytes)?;
        file.sync_all()
    });
    let placed = written.and_then(|()| fs::rename(&beside, path));
    let synced = placed.and_then(|()| path.parent().map_or(Ok(()), os::sync_dir));
    synced.map_err(|e| {
        // What is left of it would only take room.
        let _ = fs::remove_file(&beside);
        DiskError::new("write", path, e)
    })
}

/// Removes a file; one that is not there is as good as removed.
pub(crate) fn remove(path: &Path) -> Result<(), DiskError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(DiskError::new("remove", path, e)),
        _ => path.parent().map_or(Ok(()), os::sync_dir).map_err(|e| DiskError::new("flush the folder of", path, e)),
    }
}

/// Reads a file; none where it is not there.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, DiskError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(DiskError::new("read", path, e)),
    };
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| DiskError::new("read", path, e))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(DiskError::new("read", path, io::Error::other("larger than any such file may be")));
    }
    Ok(Some(bytes))
}

/// Replaces a JSON file.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T, point: &str) -> Result<(), DiskError> {
    write(path, &json_bytes(path, value)?, point)
}

/// The same for a file that only its owner may read.
pub(crate) fn write_private_json<T: Serialize>(path: &Path, value: &T, point: &str) -> Result<(), DiskError> {
    write_private(path, &json_bytes(path, value)?, point)
}

fn json_bytes<T: Serialize>(path: &Path, value: &T) -> Result<Vec<u8>, DiskError> {
    serde_json::to_vec_pretty(value).map_err(|e| DiskError::new("write", path, e.into()))
}

/// Reads a JSON file; none where it is not there.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, DiskError> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|e| DiskError::new("read", path, e.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        assert!(read(&path).unwrap().is_none());
        for text in ["one", "two"] {
            write(&path, text.as_bytes(), "").unwrap();
            assert_eq!(read(&path).unwrap().unwrap(), text.as_bytes());
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        remove(&path).unwrap();
        remove(&path).unwrap();
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_the_file() {
        let error = write(Path::new("/nonexistent-folder/x"), b"", "").unwrap_err();
        assert!(error.to_string().contains("/nonexistent-folder/x"), "{error}");
    }
}
