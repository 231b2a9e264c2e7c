//! What people write after `--key`: the path of a key file, or a `pkcs11:` URI.
//! The URI follows RFC 7512 with the attributes `module-path`, `token`, `object`, `pin-source` and one
//! of ours, `pin-env`. Left out: `pin-value` (a PIN on a command line is read by every user of the
//! host) and the attributes that describe a token by maker or serial number, which are refused.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use secrecy::SecretString;

use crate::credential::{Credential, CredentialError};
use crate::file::{KeyFile, KeyFileError, UnlockError};
use crate::pkcs11::Pkcs11Key;
use crate::pkcs11_module::{Pkcs11Address, Pkcs11Error};
use crate::sealing::{SealKind, Secret};
use crate::secret_source::{self, SecretSource, SecretSourceError};
use crate::signer::Signer;

const SCHEME: &str = "pkcs11:";
const MAX_REFERENCE_BYTES: usize = 4096;
const ATTRIBUTES: [&str; 5] = ["module-path", "token", "object", "pin-source", "pin-env"];

/// Which key is meant, and how a token's PIN is found. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyReference {
    /// A key file.
    File(PathBuf),
    /// A key on a token.
    Pkcs11 {
        /// Where it is.
        address: Pkcs11Address,
        /// Where its PIN is.
        pin: PinSource,
    },
}

/// Where a token's PIN is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinSource {
    /// In the environment variable of this name (`pin-env`).
    Environment(String),
    /// In this file, which (on Unix) its owner alone may read (`pin-source`).
    File(PathBuf),
    /// Where the caller of [`KeyReference::open`] says; the URI names neither.
    Caller,
}

/// Why a text is no key reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a key: {problem}; right is the path of a key file, or pkcs11:module-path=/PATH/MODULE.so;token=LABEL;object=LABEL with ;pin-env=VARIABLE or ;pin-source=/PATH where the PIN is"
)]
pub struct ReferenceError {
    problem: String,
}

impl ReferenceError {
    /// A stable word for interfaces and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        "key_reference"
    }
}

/// Why a referenced key was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The key file was not read.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The key file was not unlocked.
    #[error(transparent)]
    Unlock(#[from] UnlockError),
    /// The credential was not read.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The token was not opened.
    #[error(transparent)]
    Pkcs11(#[from] Pkcs11Error),
    /// There is no passphrase or PIN.
    #[error(transparent)]
    Secret(#[from] SecretSourceError),
}

impl OpenError {
    /// A stable word for interfaces and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::KeyFile(e) => e.kind(),
            Self::Unlock(e) => e.kind(),
            Self::Credential(e) => e.kind(),
            Self::Pkcs11(e) => e.kind(),
            Self::Secret(e) => e.kind(),
        }
    }
}

impl KeyReference {
    /// Opens the key. `source` gives a key file's passphrase or credential, and a token's PIN where
    /// the reference does not say where that is. A person is asked only if the key needs asking.
    ///
    /// # Errors
    /// [`OpenError`]: it says what, where and what would be right.
    pub fn open(&self, source: &SecretSource<'_>) -> Result<Box<dyn Signer>, OpenError> {
        match self {
            Self::File(path) => {
                let file = KeyFile::read(path)?;
                let secret = secret_for(&file, source)?;
                Ok(Box::new(file.unlock(&secret)?))
            }
            Self::Pkcs11 { address, pin } => {
                let pin = pin_for(address, pin, source)?;
                Ok(Box::new(Pkcs11Key::open(address.clone(), pin)?))
            }
        }
    }
}

fn secret_for(file: &KeyFile, source: &SecretSource<'_>) -> Result<Secret, OpenError> {
    if let SecretSource::Credential(path) = source {
        return Ok(Secret::Credential(Credential::read(path)?));
    }
    if file.sealed_by() == SealKind::Credential {
        // Said before a person types a passphrase that cannot help.
        return Err(UnlockError::WrongKind {
            path: file.path().to_owned(),
            sealed_by: SealKind::Credential,
            given: SealKind::Passphrase,
        }
        .into());
    }
    let what = format!("passphrase for {}", file.path().display());
    Ok(Secret::Passphrase(source.text(&what)?))
}

fn pin_for(
    address: &Pkcs11Address,
    pin: &PinSource,
    source: &SecretSource<'_>,
) -> Result<SecretString, SecretSourceError> {
    let what = format!("PIN for {address}");
    match pin {
        PinSource::Environment(name) => secret_source::from_environment(name, &what),
        PinSource::File(path) => secret_source::from_file(path, &what),
        PinSource::Caller => source.text(&what),
    }
}

impl FromStr for KeyReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(wrong("it is empty"));
        }
        if text.len() > MAX_REFERENCE_BYTES {
            return Err(wrong(format!("it is longer than {MAX_REFERENCE_BYTES} bytes")));
        }
        if text.contains('\0') {
            return Err(wrong("it contains a NUL character"));
        }
        match text.split_at_checked(SCHEME.len()) {
            Some((scheme, attributes)) if scheme.eq_ignore_ascii_case(SCHEME) => parse_uri(attributes),
            _ => Ok(Self::File(PathBuf::from(text))),
        }
    }
}

/// `a=b;c=d?e=f&g=h`: RFC 7512 puts some attributes after the question mark; both places are read.
fn parse_uri(text: &str) -> Result<KeyReference, ReferenceError> {
    let mut values: [Option<String>; ATTRIBUTES.len()] = Default::default();
    for (index, pair) in text.split([';', '?', '&']).enumerate() {
        // Values are not repeated in errors: somebody may have written a PIN.
        let (name, value) =
            pair.split_once('=').ok_or_else(|| wrong(format!("attribute {} is not NAME=VALUE", index + 1)))?;
        if name == "pin-value" {
            return Err(wrong("pin-value would show the PIN to every user of this host"));
        }
        let known = ATTRIBUTES.iter().zip(&mut values).find(|(known, _)| **known == name);
        let Some((_, place)) = known else {
            let shown: String = name.chars().take(40).collect();
            return Err(wrong(format!("attribute {shown:?} is not known; known are {}", ATTRIBUTES.join(", "))));
        };
        if place.replace(decode(name, value)?).is_some() {
            return Err(wrong(format!("{name} is given twice")));
        }
    }
    let [module_path, token, object, pin_source, pin_env] = values;
    let required = |value: Option<String>, name: &str| value.ok_or_else(|| wrong(format!("{name} is missing")));
    let address = Pkcs11Address {
        module_path: required(module_path, "module-path")?.into(),
        token_label: required(token, "token")?,
        key_label: required(object, "object")?,
    };
    let pin = match (pin_env, pin_source) {
        (None, None) => PinSource::Caller,
        (Some(name), None) => PinSource::Environment(name),
        (None, Some(place)) => PinSource::File(pin_path(&place)?),
        (Some(_), Some(_)) => return Err(wrong("both pin-env and pin-source are given")),
    };
    Ok(KeyReference::Pkcs11 { address, pin })
}

/// RFC 7512 writes `file:/path`, or `file:///path`; a bare path means the same.
fn pin_path(place: &str) -> Result<PathBuf, ReferenceError> {
    let path = place.strip_prefix("file:").unwrap_or(place);
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.starts_with('|') {
        return Err(wrong("pin-source must be the path of a file"));
    }
    Ok(PathBuf::from(path))
}

fn decode(name: &str, value: &str) -> Result<String, ReferenceError> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut parts = value.split('%');
    decoded.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let byte = part
            .get(..2)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .ok_or_else(|| wrong(format!("{name} has a % without two hexadecimal digits")))?;
        decoded.push(byte);
        decoded.extend_from_slice(part.get(2..).unwrap_or_default().as_bytes());
    }
    let text = String::from_utf8(decoded).map_err(|_| wrong(format!("{name} is not UTF-8")))?;
    if text.is_empty() {
        return Err(wrong(format!("{name} is empty")));
    }
    if text.contains('\0') {
        return Err(wrong(format!("{name} contains a NUL character")));
    }
    Ok(text)
}

fn wrong(problem: impl Into<String>) -> ReferenceError {
    ReferenceError { problem: problem.into() }
}

impl fmt::Display for KeyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "key file {}", path.display()),
            Self::Pkcs11 { address, .. } => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::private_file;
    use crate::sealing::{Seal, WorkFactor};

    fn token(pin: PinSource) -> KeyReference {
        KeyReference::Pkcs11 {
            address: Pkcs11Address {
                module_path: "/lib/m.so".into(),
                token_label: "two words".into(),
                key_label: "gate;1".into(),
            },
            pin,
        }
    }

    #[test]
    fn a_path_is_a_file_and_a_uri_is_a_token() {
        let path = "keys/alice.key".parse::<KeyReference>().unwrap();
        assert_eq!(path, KeyReference::File("keys/alice.key".into()));
        let base = "pkcs11:module-path=/lib/m.so;token=two%20words;object=gate%3b1";
        for (tail, pin) in [
            ("", PinSource::Caller),
            (";pin-env=GATE_PIN", PinSource::Environment("GATE_PIN".into())),
            ("?pin-source=/run/pin", PinSource::File("/run/pin".into())),
            ("?pin-source=file:/run/pin", PinSource::File("/run/pin".into())),
            (";pin-source=file:///run/pin", PinSource::File("/run/pin".into())),
        ] {
            assert_eq!(format!("{base}{tail}").parse(), Ok(token(pin)));
        }
        let rfc_7512 = "PKCS11:token=two%20words;object=gate%3B1?module-path=/lib/m.so&pin-env=P";
        assert_eq!(rfc_7512.parse(), Ok(token(PinSource::Environment("P".into()))));
    }

    #[test]
    fn a_wrong_reference_names_what_is_wrong_and_repeats_no_pin() {
        let long = "x".repeat(4097);
        for (text, problem) in [
            ("", "empty"),
            ("a\0b", "NUL"),
            (&long, "longer than 4096"),
            ("pkcs11:", "attribute 1 is not"),
            ("pkcs11:token=t;object=o", "module-path is missing"),
            ("pkcs11:module-path=/m;object=o", "token is missing"),
            ("pkcs11:module-path=/m;token=t", "object is missing"),
            ("pkcs11:module-path=/m;token=;object=o", "token is empty"),
            ("pkcs11:token=t;token=u", "token is given twice"),
            ("pkcs11:token=%zz", "two hexadecimal"),
            ("pkcs11:token=%+1", "two hexadecimal"),
            ("pkcs11:token=a%4", "two hexadecimal"),
            ("pkcs11:token=%ff", "not UTF-8"),
            ("pkcs11:token=%00", "NUL"),
            ("pkcs11:serial=1", "\"serial\" is not known"),
            ("pkcs11:module-path=/m;token=t;object=o;pin-env=A;pin-source=/b", "both"),
            ("pkcs11:module-path=/m;token=t;object=o?pin-source=|sh", "path of a file"),
            ("pkcs11:token=t?pin-value=98765", "pin-value would show"),
            ("pkcs11:token=t?98765", "attribute 2 is not"),
        ] {
            let error = text.parse::<KeyReference>().unwrap_err();
            assert!(error.to_string().contains(problem), "{text:.50}: {error}");
            assert!(!format!("{error} {error:?}").contains("98765"));
        }
    }

    #[test]
    fn a_key_file_opens_from_a_variable_a_file_a_credential_or_a_person() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        private_file::create_new(&at("passphrase"), b"five random words\n").unwrap();
        let seal = Seal::Passphrase { passphrase: "five random words".into(), work_factor: WorkFactor::MIN };
        let alice = KeyFile::create(directory.path(), "alice", "publisher", &seal).unwrap();
        let reference: KeyReference = alice.path().to_str().unwrap().parse().unwrap();
        let opened = reference.open(&SecretSource::File(at("passphrase"))).unwrap();
        assert_eq!(opened.key_id(), alice.key_id());
        let ask = |_: &str| Ok(SecretString::from("five random words"));
        assert_eq!(reference.open(&SecretSource::Ask(&ask)).unwrap().key_id(), alice.key_id());

        let credential = Credential::create(&at("credential")).unwrap();
        let seal = Seal::Credential(credential.recipient());
        let gate = KeyFile::create(directory.path(), "gate", "gate", &seal).unwrap();
        let gate_reference = KeyReference::File(gate.path().to_owned());
        let by_credential = SecretSource::Credential(at("credential"));
        assert_eq!(gate_reference.open(&by_credential).unwrap().key_id(), gate.key_id());

        let kind = |outcome: Result<Box<dyn Signer>, OpenError>| outcome.err().unwrap().kind();
        assert_eq!(kind(reference.open(&by_credential)), "wrong_kind_of_secret");
        let never = |_: &str| unreachable!("nobody is asked for what cannot help");
        assert_eq!(kind(gate_reference.open(&SecretSource::Ask(&never))), "wrong_kind_of_secret");
        fs::remove_file(alice.path()).unwrap();
        assert_eq!(kind(reference.open(&by_credential)), "not_found");
    }

    #[test]
    fn a_module_that_is_not_there_or_not_a_module_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let garbage = directory.path().join("garbage.so");
        fs::write(&garbage, b"not a library").unwrap();
        let ask = |_: &str| Ok(SecretString::from("1234"));
        for path in ["m.so", "/nonexistent/m.so", "/", garbage.to_str().unwrap()] {
            let uri = format!("pkcs11:module-path={path};token=t;object=o");
            let reference = uri.parse::<KeyReference>().unwrap();
            let error = reference.open(&SecretSource::Ask(&ask)).err().unwrap();
            assert_eq!(error.kind(), "module_path");
            assert!(error.to_string().contains(path), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_reference_or_an_error_and_never_a_panic(text in ".{0,200}") {
            let _ = text.parse::<KeyReference>();
            let _ = format!("pkcs11:{text}").parse::<KeyReference>();
            let _ = format!("pkcs11:module-path=/m;token={text};object=o").parse::<KeyReference>();
        }
    }
}
