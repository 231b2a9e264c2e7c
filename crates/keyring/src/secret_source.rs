//! Where a passphrase or PIN comes from: an environment variable, a file, a credential, or a person.
//! Never takes one from the command line, where every user of the host could read it.

use std::path::{Path, PathBuf};
use std::{env, fmt, io};

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::private_file::{self, PrivateFileError, Readers};

/// The longest passphrase or PIN, in bytes.
const MAX_SECRET_BYTES: usize = 1024;

/// Where to get what opens a key.
pub enum SecretSource<'a> {
    /// The environment variable of this name.
    Environment(String),
    /// The one line of this file, which (on Unix) its owner alone may read.
    File(PathBuf),
    /// The credential file at this path; opens key files that are sealed to it, and no tokens.
    Credential(PathBuf),
    /// Asks a person. The argument says for what, as in `passphrase for gate.key`.
    Ask(&'a (dyn Fn(&str) -> io::Result<SecretString> + 'a)),
}

impl fmt::Debug for SecretSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => f.debug_tuple("Environment").field(name).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Credential(path) => f.debug_tuple("Credential").field(path).finish(),
            Self::Ask(_) => f.write_str("Ask"),
        }
    }
}

/// Why there is no passphrase or PIN.
#[derive(Debug, thiserror::Error)]
pub enum SecretSourceError {
    /// The variable is not set.
    #[error("the environment variable {name} should hold the {what}, and is not set")]
    NotSet {
        /// The variable.
        name: String,
        /// What was looked for.
        what: String,
    },
    /// The file was not read.
    #[error("the {what} should be in a file: {source}")]
    File {
        /// What was looked for.
        what: String,
        /// Why not.
        source: PrivateFileError,
    },
    /// Empty, longer than 1024 bytes, more than one line, or not UTF-8.
    #[error("the {what} from {place} {problem}; right is one line of 1 to {MAX_SECRET_BYTES} bytes of UTF-8 text")]
    Unusable {
        /// What was looked for.
        what: String,
        /// Where it was found.
        place: String,
        /// What is wrong with it; never the text itself.
        problem: &'static str,
    },
    /// The person could not be asked.
    #[error("cannot ask for the {what}: {source}")]
    Ask {
        /// What was looked for.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// A credential cannot stand for text.
    #[error("a credential was given where the {what} is needed; give it by environment variable or file")]
    CredentialGiven {
        /// What was looked for.
        what: String,
    },
}

impl SecretSourceError {
    /// A stable word for interfaces and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotSet { .. } => "secret_not_set",
            Self::File { source, .. } => source.kind(),
            Self::Unusable { .. } => "secret_unusable",
            Self::Ask { .. } => "secret_not_asked",
            Self::CredentialGiven { .. } => "credential_given",
        }
    }
}

impl SecretSource<'_> {
    /// Gets the passphrase or PIN; `what` says which, for errors and for the person.
    pub(crate) fn text(&self, what: &str) -> Result<SecretString, SecretSourceError> {
        match self {
            Self::Environment(name) => from_environment(name, what),
            Self::File(path) => from_file(path, what),
            Self::Credential(_) => Err(SecretSourceError::CredentialGiven { what: what.to_owned() }),
            Self::Ask(ask) => {
                let text = ask(what).map_err(|source| SecretSourceError::Ask { what: what.to_owned(), source })?;
                check(text, what, "the terminal")
            }
        }
    }
}

pub(crate) fn from_environment(name: &str, what: &str) -> Result<SecretString, SecretSourceError> {
    let place = || format!("the environment variable {name}");
    // `env::var_os` panics on no name that it is given; one that cannot be set is simply not set.
    let value =
        env::var_os(name).ok_or_else(|| SecretSourceError::NotSet { name: name.to_owned(), what: what.to_owned() })?;
    let bytes = Zeroizing::new(value.into_encoded_bytes());
    check(text_of(&bytes, what, &place())?, what, &place())
}

pub(crate) fn from_file(path: &Path, what: &str) -> Result<SecretString, SecretSourceError> {
    let place = path.display().to_string();
    // Two more bytes for the line's end.
    let bytes = private_file::read(path, MAX_SECRET_BYTES as u64 + 2, Readers::OwnerOnly)
        .map_err(|source| SecretSourceError::File { what: what.to_owned(), source })?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    check(text_of(line, what, &place)?, what, &place)
}

fn text_of(bytes: &[u8], what: &str, place: &str) -> Result<SecretString, SecretSourceError> {
    let text = str::from_utf8(bytes).map_err(|_| unusable(what, place, "is not UTF-8"))?;
    Ok(SecretString::from(text))
}

fn check(secret: SecretString, what: &str, place: &str) -> Result<SecretString, SecretSourceError> {
    let text = secret.expose_secret();
    if text.is_empty() {
        return Err(unusable(what, place, "is empty"));
    }
    if text.len() > MAX_SECRET_BYTES {
        return Err(unusable(what, place, "is too long"));
    }
    if text.contains(['\n', '\r', '\0']) {
        return Err(unusable(what, place, "is more than one line"));
    }
    Ok(secret)
}

fn unusable(what: &str, place: &str, problem: &'static str) -> SecretSourceError {
    SecretSourceError::Unusable { what: what.to_owned(), place: place.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_gives_its_one_line_and_refuses_anything_else() {
        let directory = tempfile::tempdir().unwrap();
        let cases: [(&[u8], Option<&str>); 9] = [
            (b"open sesame", Some("open sesame")),
            (b"open sesame\n", Some("open sesame")),
            (b"open sesame\r\n", Some("open sesame")),
            (b" open sesame ", Some(" open sesame ")),
            (b"", None),
            (b"\n", None),
            (b"two\nlines\n", None),
            (b"\xff\xfe", None),
            (&[b'x'; 1025], None),
        ];
        for (index, (bytes, expected)) in cases.into_iter().enumerate() {
            let path = directory.path().join(index.to_string());
            private_file::create_new(&path, bytes).unwrap();
            let found = SecretSource::File(path).text("passphrase");
            match expected {
                Some(text) => assert_eq!(found.unwrap().expose_secret(), text),
                None => assert_eq!(found.unwrap_err().kind(), "secret_unusable"),
            }
        }
    }

    #[test]
    fn a_variable_gives_its_text() {
        // Set by cargo for every test.
        let source = SecretSource::Environment("CARGO_PKG_NAME".to_owned());
        assert_eq!(source.text("PIN").unwrap().expose_secret(), "tidegate-keyring");
    }

    #[test]
    fn a_person_is_told_what_for() {
        let ask = |what: &str| {
            assert_eq!(what, "passphrase for gate.key");
            Ok(SecretString::from("typed"))
        };
        let found = SecretSource::Ask(&ask).text("passphrase for gate.key").unwrap();
        assert_eq!(found.expose_secret(), "typed");
        let refuse = |_: &str| Err(io::Error::other("no terminal"));
        let error = SecretSource::Ask(&refuse).text("PIN").unwrap_err();
        assert!(error.to_string().contains("no terminal"));
    }

    #[test]
    fn a_missing_variable_or_file_is_named() {
        for name in ["TIDEGATE_TEST_NOT_SET", "", "a=b", "a\0b"] {
            let source = SecretSource::Environment(name.to_owned());
            assert_eq!(source.text("PIN").unwrap_err().kind(), "secret_not_set");
        }
        let error = SecretSource::File("/nonexistent/pin".into()).text("PIN").unwrap_err();
        assert!(error.to_string().contains("/nonexistent/pin"), "{error}");
        let error = SecretSource::Credential("c".into()).text("PIN").unwrap_err();
        assert_eq!(error.kind(), "credential_given");
    }
}
