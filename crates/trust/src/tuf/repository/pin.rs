//! How one metadata file fixes another: its version, length and digest, all three, always.
//! A file that only matches in part is never taken.

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::package::WrittenHashes;
use crate::tuf::form::FormError;
use crate::tuf::signing::{Role, Verified, version_in};

/// The version, length and digest of a metadata file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// The file's version.
    pub version: u64,
    /// The file's length in bytes.
    pub length: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u64,
    length: u64,
    hashes: WrittenHashes,
}

impl Pin {
    /// The pin of this file.
    pub fn of<R: Role>(file: &Verified<R>) -> Pin {
        Pin {
            version: file.role().version(),
            length: file.bytes().len() as u64,
            sha256: Sha256::digest(file.bytes()).into(),
        }
    }

    pub(super) fn write(&self) -> Value {
        json!({"version": self.version, "length": self.length, "hashes": {"sha256": hex::encode(self.sha256)}})
    }

    pub(super) fn read(place: &str, value: Value) -> Result<Pin, FormError> {
        let written: Written = serde_json::from_value(value).map_err(|error| FormError::json("signed.meta", error))?;
        Ok(Pin {
            version: version_in(&format!("{place}.version"), Some(&written.version.into()))?,
            length: written.length,
            sha256: written.hashes.read(place)?,
        })
    }
}
