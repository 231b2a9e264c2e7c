//! Key files: `NAME.key`, a small JSON document that says openly what the key is (name, purpose,
//! public key) and holds its private half sealed. What it says openly is bound to what is sealed:
//! a relabelled file does not unlock. Never writes a private key unsealed, never overwrites a file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::private_file::{self, PrivateFileError, Readers};
use crate::sealing::{self, Seal, SealKind, Secret, UnsealError, WorkFactor};
use crate::signer::{Signer, key_id};
use crate::software::{Seed, SoftwareKey, fresh_seed};

const FORMAT: u32 = 1;
const MAX_KEY_FILE_BYTES: u64 = 16 * 1024;
const MAX_LABEL_BYTES: usize = 64;
/// Sealed: 32 bytes seed, then the 32 bytes of [`header_digest`].
const SEALED_BYTES: usize = 64;
const HEADER_CONTEXT: &[u8] = b"tidegate/key-file/v1";

/// A key whose private half is sealed. Holds nothing secret; `Debug` leaves the sealed text out.
pub struct KeyFile {
    path: PathBuf,
    name: String,
    purpose: String,
    public_key: [u8; 32],
    sealed_by: SealKind,
    sealed: String,
}

/// The file as it lies on disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    name: String,
    purpose: String,
    public_key: String,
    sealed: String,
}

/// Read first, so that a later format is named as such and not as an unknown field.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

impl KeyFile {
    /// Makes a new key and writes `directory/NAME.key`: whole or not at all, mode 0600 on Unix.
    ///
    /// `name` and `purpose` (which role the key is for: `publisher`, `gate`, ...) are 1 to 64 of
    /// lower-case ASCII letters, digits, `-`, `_` and `.`, the first a letter or digit.
    ///
    /// # Errors
    /// [`KeyFileError`]; nothing is written then. `AlreadyExists` inside [`KeyFileError::File`] when
    /// there is a file of that name.
    pub fn create(directory: &Path, name: &str, purpose: &str, seal: &Seal) -> Result<Self, KeyFileError> {
        check_label("name", name)?;
        check_label("purpose", purpose)?;
        if let Some(chars) = seal.passphrase_chars()
            && chars < Seal::MIN_PASSPHRASE_CHARS
        {
            return Err(KeyFileError::ShortPassphrase { chars });
        }
        let path = directory.join(format!("{name}.key"));
        if path.symlink_metadata().is_ok() {
            // Said before a second of scrypt; the atomic creation below is what decides.
            return Err(PrivateFileError::AlreadyExists { path }.into());
        }
        let seed = fresh_seed().map_err(KeyFileError::Random)?;
        let public_key = SoftwareKey::from_seed(&seed).public_key();
        let mut plaintext = Zeroizing::new([0; SEALED_BYTES]);
        let (first, second) = plaintext.split_at_mut(seed.len());
        first.copy_from_slice(seed.as_slice());
        second.copy_from_slice(&header_digest(name, purpose, &public_key));
        let sealed = sealing::seal(plaintext.as_slice(), seal).map_err(KeyFileError::Seal)?;
        let document = Document {
            format: FORMAT,
            name: name.to_owned(),
            purpose: purpose.to_owned(),
            public_key: hex::encode(public_key),
            sealed,
        };
        let mut text = serde_json::to_vec_pretty(&document).map_err(|e| KeyFileError::Seal(io::Error::other(e)))?;
        text.push(b'\n');
        private_file::create_new(&path, &text)?;
        Self::parse(&path, &text)
    }

    /// Reads a key file without unlocking it. Anybody may be able to read it: it is sealed.
    ///
    /// # Errors
    /// [`KeyFileError::File`] when it is missing or oversize (16 KiB);
    /// [`KeyFileError::Malformed`] or [`KeyFileError::Format`] when it is no key file of format 1.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let bytes = private_file::read(path, MAX_KEY_FILE_BYTES, Readers::Anybody)?;
        Self::parse(path, &bytes)
    }

    /// Unlocks the private half.
    ///
    /// # Errors
    /// [`UnlockError`]: the wrong kind of secret, a wrong secret, or a file that was damaged or relabelled.
    pub fn unlock(&self, secret: &Secret) -> Result<SoftwareKey, UnlockError> {
        let path = || self.path.clone();
        if secret.kind() != self.sealed_by {
            return Err(UnlockError::WrongKind { path: path(), sealed_by: self.sealed_by, given: secret.kind() });
        }
        let plaintext = sealing::unseal::<SEALED_BYTES>(&self.sealed, secret).map_err(|e| match e {
            UnsealError::WrongSecret => UnlockError::WrongSecret { path: path(), sealed_by: self.sealed_by },
            UnsealError::ExcessiveWork { log_n } => UnlockError::ExcessiveWork { path: path(), log_n },
            UnsealError::Damaged => UnlockError::Damaged { path: path() },
        })?;
        let (sealed_seed, sealed_digest) = plaintext.split_at(SEALED_BYTES / 2);
        let mut seed = Seed::new([0; 32]);
        seed.copy_from_slice(sealed_seed);
        let key = SoftwareKey::from_seed(&seed);
        let digest = header_digest(&self.name, &self.purpose, &self.public_key);
        if key.public_key() != self.public_key || sealed_digest != digest {
            return Err(UnlockError::Relabelled { path: path() });
        }
        Ok(key)
    }

    /// Where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key's name, as written in the file; true only once it unlocked.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The role that the key was made for, as written in the file; true only once it unlocked.
    #[must_use]
    pub fn purpose(&self) -> &str {
        &self.purpose
    }

    /// The public half, as written in the file; true only once it unlocked.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.public_key
    }

    /// Lower-case hex SHA-256 of [`KeyFile::public_key`].
    #[must_use]
    pub fn key_id(&self) -> String {
        key_id(&self.public_key)
    }

    /// Which kind of secret unlocks it.
    #[must_use]
    pub fn sealed_by(&self) -> SealKind {
        self.sealed_by
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, KeyFileError> {
        let malformed = |problem: String| KeyFileError::Malformed { path: path.to_owned(), problem };
        let FormatOnly { format } = serde_json::from_slice(bytes).map_err(|e| malformed(json_problem(&e)))?;
        if format != FORMAT {
            return Err(KeyFileError::Format { path: path.to_owned(), found: format });
        }
        let document: Document = serde_json::from_slice(bytes).map_err(|e| malformed(json_problem(&e)))?;
        for (field, value) in [("name", &document.name), ("purpose", &document.purpose)] {
            check_label(field, value).map_err(|e| malformed(e.to_string()))?;
        }
        let public_key = parse_public_key(&document.public_key).ok_or_else(|| {
            malformed("public_key must be an Ed25519 public key as 64 lower-case hex characters".into())
        })?;
        let sealed_by = sealing::seal_kind(&document.sealed)
            .ok_or_else(|| malformed("sealed must be an armored age file".into()))?;
        Ok(Self {
            path: path.to_owned(),
            name: document.name,
            purpose: document.purpose,
            public_key,
            sealed_by,
            sealed: document.sealed,
        })
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile")
            .field("path", &self.path)
            .field("name", &self.name)
            .field("purpose", &self.purpose)
            .field("key_id", &self.key_id())
            .field("sealed_by", &self.sealed_by)
            .finish_non_exhaustive()
    }
}

/// The parser's words, without values from the file: somebody may name the wrong file.
fn json_problem(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => {
            "the fields must be exactly format (a number), name, purpose, public_key and sealed (texts)"
        }
        _ => "it is not JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

fn parse_public_key(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    let key = VerifyingKey::from_bytes(&bytes).ok()?;
    (!key.is_weak() && hex::encode(bytes) == text).then_some(bytes)
}

fn check_label(field: &'static str, value: &str) -> Result<(), KeyFileError> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    let starts_well = value.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if starts_well && value.len() <= MAX_LABEL_BYTES && value.bytes().all(allowed) {
        return Ok(());
    }
    let shown: String = value.chars().take(MAX_LABEL_BYTES).collect();
    Err(KeyFileError::Label { field, value: shown })
}

/// Binds what the file says openly to what is sealed. Labels hold no NUL, so the parts are unambiguous.
fn header_digest(name: &str, purpose: &str, public_key: &[u8; 32]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in [HEADER_CONTEXT, name.as_bytes(), purpose.as_bytes()] {
        hasher.update(part);
        hasher.update([0]);
    }
    hasher.update(public_key);
    hasher.finalize().into()
}

/// Why a key file was not made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file was not written or read.
    #[error("key file: {0}")]
    File(#[from] PrivateFileError),
    /// A name or purpose that is not allowed.
    #[error(
        "{field} {value:?} is not allowed; right is 1 to 64 of a-z, 0-9, '-', '_' and '.', the first a letter or digit"
    )]
    Label {
        /// `name` or `purpose`.
        field: &'static str,
        /// What was given, cut to 64 characters.
        value: String,
    },
    /// The passphrase could be guessed.
    #[error("the passphrase has {chars} characters; right is at least {min}, better five random words", min = Seal::MIN_PASSPHRASE_CHARS)]
    ShortPassphrase {
        /// Its length in characters.
        chars: usize,
    },
    /// The file is no key file.
    #[error("{path} is not a Tidegate key file: {problem}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The file was made by another version.
    #[error("{path} is a key file of format {found}; this version reads format {FORMAT}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The format it names.
        found: u32,
    },
    /// The operating system's random source failed.
    #[error("cannot make a key: no randomness from the operating system: {0}")]
    Random(getrandom::Error),
    /// The key could not be sealed.
    #[error("cannot seal the key: {0}")]
    Seal(io::Error),
}

impl KeyFileError {
    /// A stable word for interfaces and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File(e) => e.kind(),
            Self::Label { .. } => "label",
            Self::ShortPassphrase { .. } => "short_passphrase",
            Self::Malformed { .. } => "malformed_key_file",
            Self::Format { .. } => "key_file_format",
            Self::Random(_) => "no_randomness",
            Self::Seal(_) => "seal",
        }
    }
}

/// Why a key file was not unlocked.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    /// A passphrase for a file sealed to a credential, or the other way round.
    #[error("{path} is sealed by a {sealed_by}, and a {given} was given; give its {sealed_by}")]
    WrongKind {
        /// The key file.
        path: PathBuf,
        /// What would unlock it.
        sealed_by: SealKind,
        /// What was given.
        given: SealKind,
    },
    /// The right kind, but not the one.
    #[error("the {sealed_by} given does not unlock {path}")]
    WrongSecret {
        /// The key file.
        path: PathBuf,
        /// What would unlock it.
        sealed_by: SealKind,
    },
    /// The file asks for more scrypt work than any that Tidegate made.
    #[error("{path} asks for scrypt work factor {log_n}, which would exhaust this host; the greatest allowed is {max}", max = WorkFactor::MAX.log_n())]
    ExcessiveWork {
        /// The key file.
        path: PathBuf,
        /// The binary logarithm of scrypt's N that it asks for.
        log_n: u8,
    },
    /// The sealed part was cut or changed.
    #[error("the sealed part of {path} is damaged; restore the file from a backup")]
    Damaged {
        /// The key file.
        path: PathBuf,
    },
    /// Name, purpose or public key were changed after the key was sealed.
    #[error(
        "the name, purpose or public key written in {path} is not what was sealed with the key: somebody changed the file; restore it from a backup"
    )]
    Relabelled {
        /// The key file.
        path: PathBuf,
    },
}

impl UnlockError {
    /// A stable word for interfaces and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::WrongKind { .. } => "wrong_kind_of_secret",
            Self::WrongSecret { .. } => "wrong_secret",
            Self::ExcessiveWork { .. } => "excessive_work",
            Self::Damaged { .. } => "damaged",
            Self::Relabelled { .. } => "relabelled",
        }
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
