//! The device's own key: made on the device, never leaves it.
//!
//! It lies unencrypted in a 0600 file, because a device has nobody to type a passphrase and any
//! secret to unlock it would lie beside it. What guards it is the operating system's file protection
//! (an encrypted disk, a service account of its own); a device with a secure element uses a PKCS#11
//! token instead. A damaged key file is an error, never replaced: a new key would be another device.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::private_file::{self, PrivateFileError, Readers};
use crate::signer::Signer;
use crate::software::{Seed, SoftwareKey, fresh_seed};

/// First line of the file, so that a person and a dump scanner can tell what it is.
const HEADER: &[u8] = b"tidegate-device-key-1\n";
/// Header, 32 bytes seed, 32 bytes public key (which shows damage).
const FILE_BYTES: usize = HEADER.len() + 64;

/// Reads the device's key at `path`, or makes it there if there is none. Callers at once, also in
/// different processes, get the same key.
///
/// # Errors
/// [`DeviceKeyError`]; an existing file that cannot be used is left as it is.
pub fn load_or_create(path: &Path) -> Result<SoftwareKey, DeviceKeyError> {
    match load(path) {
        Err(DeviceKeyError::File(PrivateFileError::NotFound { .. })) => {}
        loaded => return loaded,
    }
    let seed = fresh_seed().map_err(DeviceKeyError::Random)?;
    let key = SoftwareKey::from_seed(&seed);
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES));
    bytes.extend_from_slice(HEADER);
    bytes.extend_from_slice(seed.as_slice());
    bytes.extend_from_slice(&key.public_key());
    match private_file::create_new(path, &bytes) {
        Ok(()) => Ok(key),
        Err(PrivateFileError::AlreadyExists { .. }) => load(path),
        Err(e) => Err(e.into()),
    }
}

/// Reads the device's key at `path`.
///
/// # Errors
/// [`DeviceKeyError::File`] when it is missing, oversize, or (on Unix) open to group or others;
/// [`DeviceKeyError::Damaged`] when its bytes are not those of a device key.
pub fn load(path: &Path) -> Result<SoftwareKey, DeviceKeyError> {
    let bytes = private_file::read(path, FILE_BYTES as u64, Readers::OwnerOnly)?;
    let damaged = || DeviceKeyError::Damaged { path: path.to_owned() };
    let body = bytes.strip_prefix(HEADER).ok_or_else(damaged)?;
    let (stored_seed, public_key) = body.split_first_chunk::<32>().ok_or_else(damaged)?;
    let mut seed = Seed::new([0; 32]);
    seed.copy_from_slice(stored_seed);
    let key = SoftwareKey::from_seed(&seed);
    if key.public_key().as_slice() == public_key { Ok(key) } else { Err(damaged()) }
}

/// Why there is no device key.
#[derive(Debug, thiserror::Error)]
pub enum DeviceKeyError {
    /// The file was not written or read.
    #[error("device key: {0}")]
    File(#[from] PrivateFileError),
    /// The bytes are not those of a device key, or its seed and public key do not belong together.
    #[error(
        "{path} is not an undamaged device key; restore it from a backup, or move it away and enrol the device anew"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The operating system's random source failed.
    #[error("cannot make a device key: no randomness from the operating system: {0}")]
    Random(getrandom::Error),
}

impl DeviceKeyError {
    /// A stable word for interfaces and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File(e) => e.kind(),
            Self::Damaged { .. } => "damaged",
            Self::Random(_) => "no_randomness",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::sync::Barrier;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_same_key_comes_back_and_signs_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("device.key");
        let first = load_or_create(&path).unwrap();
        let again = load_or_create(&path).unwrap();
        assert_eq!(first.public_key(), again.public_key());
        assert_eq!(first.sign(b"x").unwrap(), again.sign(b"x").unwrap());
        assert_eq!(fs::metadata(&path).unwrap().len(), FILE_BYTES as u64);
    }

    #[test]
    fn two_starts_at_once_get_one_key() {
        let directory = tempfile::tempdir().unwrap();
        for round in 0..50 {
            let path = directory.path().join(format!("device{round}.key"));
            let barrier = Barrier::new(2);
            let start = || {
                barrier.wait();
                load_or_create(&path).unwrap().public_key()
            };
            let (one, two) = std::thread::scope(|scope| {
                let one = scope.spawn(start);
                let two = scope.spawn(start);
                (one.join().unwrap(), two.join().unwrap())
            });
            assert_eq!(one, two);
        }
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_refused_and_the_file_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("device.key");
        load_or_create(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        let flipped = (0..whole.len()).map(|index| {
            let mut bytes = whole.clone();
            bytes[index] ^= 1;
            bytes
        });
        let truncated = (0..whole.len()).map(|length| whole[..length].to_vec());
        for bytes in flipped.chain(truncated) {
            fs::write(&path, &bytes).unwrap();
            let error = load_or_create(&path).unwrap_err();
            assert_eq!(error.kind(), "damaged");
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_device_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("device.key");
        load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(load_or_create(&path).unwrap_err().kind(), "too_open");
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("device.key");
            private_file::create_new(&path, &bytes).unwrap();
            prop_assert!(load_or_create(&path).is_err());
        }
    }
}
