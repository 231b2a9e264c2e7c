//! Credential files: the secret that unlocks a server's online keys with nobody at the terminal, so
//! that a killed server comes back alone. A credential is an age X25519 identity in a 0600 file.
//! It signs nothing itself and is never printed; who can read the file can use the keys sealed to it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::private_file::{self, PrivateFileError, Readers};

const MAX_CREDENTIAL_BYTES: u64 = 4096;
const IDENTITY_PREFIX: &str = "AGE-SECRET-KEY-1";

/// The secret half: unlocks every key file sealed to its [`Credential::recipient`]. Wiped on drop;
/// `Debug` shows the recipient only.
pub struct Credential {
    identity: age::x25519::Identity,
}

impl Credential {
    /// Makes a credential and writes it to a new file at `path`: mode 0600, atomically, never over
    /// an existing file. The file has the form that the `age` tools read.
    ///
    /// # Errors
    /// [`CredentialError::File`] when the file exists or cannot be written.
    pub fn create(path: &Path) -> Result<Self, CredentialError> {
        let identity = age::x25519::Identity::generate();
        let secret = identity.to_string();
        let parts = [
            "# A Tidegate credential: it unlocks the key files sealed to the recipient below, unattended.\n\
             # Keep it on the one host that needs it, readable by that service alone (mode 0600).\n\
             # recipient: ",
            &identity.to_public().to_string(),
            "\n",
            secret.expose_secret(),
            "\n",
        ];
        // Sized before it is filled: a buffer that grows would leave unwiped copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
        for part in parts {
            text.extend_from_slice(part.as_bytes());
        }
        private_file::create_new(path, &text)?;
        Ok(Self { identity })
    }

    /// Reads a credential file: comment lines that start with `#`, and one line with the identity.
    ///
    /// # Errors
    /// [`CredentialError::File`] when it is missing, oversize, or (on Unix) open to group or others;
    /// [`CredentialError::Malformed`] when it holds anything but one identity.
    pub fn read(path: &Path) -> Result<Self, CredentialError> {
        let bytes = private_file::read(path, MAX_CREDENTIAL_BYTES, Readers::OwnerOnly)?;
        let malformed = |problem| CredentialError::Malformed { path: path.to_owned(), problem };
        let text = str::from_utf8(&bytes).map_err(|_| malformed("it is not text"))?;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let line = lines.next().ok_or_else(|| malformed("it holds no identity"))?;
        if lines.next().is_some() {
            return Err(malformed("it holds more than one line that is not a comment"));
        }
        if !line.starts_with(IDENTITY_PREFIX) {
            return Err(malformed("its line is not an identity"));
        }
        // The parser's own words are fixed strings; they cannot hold the secret.
        let identity = age::x25519::Identity::from_str(line).map_err(malformed)?;
        Ok(Self { identity })
    }

    /// The public half, to which key files are sealed.
    #[must_use]
    pub fn recipient(&self) -> CredentialRecipient {
        CredentialRecipient { recipient: self.identity.to_public() }
    }

    pub(crate) fn identity(&self) -> &age::x25519::Identity {
        &self.identity
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("recipient", &self.recipient().to_string()).finish_non_exhaustive()
    }
}

/// The public half of a credential (`age1...`): whoever has it can seal keys, not unlock them.
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialRecipient {
    recipient: age::x25519::Recipient,
}

impl CredentialRecipient {
    pub(crate) fn recipient(&self) -> &age::x25519::Recipient {
        &self.recipient
    }
}

impl FromStr for CredentialRecipient {
    type Err = CredentialError;

    fn from_str(text: &str) -> Result<Self, CredentialError> {
        // Somebody who passes the secret half by mistake must not see it repeated in a log.
        age::x25519::Recipient::from_str(text)
            .map(|recipient| Self { recipient })
            .map_err(|problem| CredentialError::Recipient { problem })
    }
}

impl fmt::Display for CredentialRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.recipient.fmt(f)
    }
}

impl fmt::Debug for CredentialRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CredentialRecipient({self})")
    }
}

/// Why a credential was not made, read or understood.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file was not written or read.
    #[error("credential: {0}")]
    File(#[from] PrivateFileError),
    /// The file is no credential.
    #[error(
        "{path} is not a credential file: {problem}; right is one line `AGE-SECRET-KEY-1...` and comments that start with `#`"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; never its content.
        problem: &'static str,
    },
    /// The text is no recipient.
    #[error(
        "not a credential's recipient: {problem}; right is the `age1...` text from the credential file's `# recipient:` line"
    )]
    Recipient {
        /// What is wrong with it; never the text itself.
        problem: &'static str,
    },
}

impl CredentialError {
    /// A stable word for interfaces and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File(e) => e.kind(),
            Self::Malformed { .. } => "malformed_credential",
            Self::Recipient { .. } => "malformed_recipient",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_credential_comes_back_from_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credential");
        let made = Credential::create(&path).unwrap();
        let read = Credential::read(&path).unwrap();
        assert_eq!(made.recipient(), read.recipient());
        let text = made.recipient().to_string();
        assert!(fs::read_to_string(&path).unwrap().contains(&text));
        assert_eq!(text.parse::<CredentialRecipient>().unwrap(), made.recipient());
        assert_eq!(Credential::create(&path).unwrap_err().kind(), "already_exists");
    }

    #[cfg(unix)]
    #[test]
    fn a_credential_that_others_can_read_is_refused_and_told_what_is_right() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credential");
        Credential::create(&path).unwrap();
        for mode in [0o640, 0o604, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = Credential::read(&path).unwrap_err();
            assert_eq!(error.kind(), "too_open");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn debug_and_errors_do_not_hold_the_secret() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credential");
        let credential = Credential::create(&path).unwrap();
        let secret = credential.identity().to_string();
        let secret = secret.expose_secret();
        let mut shown = format!("{credential:?} {:?}", credential.recipient());
        let mistake = secret.parse::<CredentialRecipient>().unwrap_err();
        shown.push_str(&format!("{mistake} {mistake:?}"));
        for (index, content) in
            [format!("{secret}x"), format!("x{secret}"), format!("{secret}\n{secret}")].iter().enumerate()
        {
            let path = directory.path().join(format!("damaged{index}"));
            private_file::create_new(&path, content.as_bytes()).unwrap();
            let error = Credential::read(&path).unwrap_err();
            assert_eq!(error.kind(), "malformed_credential");
            shown.push_str(&format!("{error} {error:?}"));
        }
        assert!(!shown.contains(secret));
        assert!(!shown.contains(&secret[IDENTITY_PREFIX.len()..40]));
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("credential");
            private_file::create_new(&path, &bytes).unwrap();
            prop_assert!(Credential::read(&path).is_err());
        }
    }
}
