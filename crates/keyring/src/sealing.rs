//! Sealing a key's bytes with age: by a passphrase (scrypt) or to a credential (X25519).
//! Knows nothing of what the bytes are; never shows a passphrase or what a wrong one gave.

use std::fmt;
use std::io::{self, BufRead, Read, Write};
use std::iter;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{DecryptError, Decryptor, Encryptor};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::credential::{Credential, CredentialRecipient};

const ARMOR_START: &str = "-----BEGIN AGE ENCRYPTED FILE-----";

/// How a new key file is locked. `Debug` shows no passphrase.
#[derive(Debug)]
pub enum Seal {
    /// By a passphrase that a person types; for offline keys.
    Passphrase {
        /// At least [`Seal::MIN_PASSPHRASE_CHARS`] characters.
        passphrase: SecretString,
        /// How dear one guess is.
        work_factor: WorkFactor,
    },
    /// To a credential; for keys that a server opens unattended.
    Credential(CredentialRecipient),
}

impl Seal {
    /// The shortest passphrase that a key is sealed by, in characters.
    pub const MIN_PASSPHRASE_CHARS: usize = 12;

    /// By `passphrase`, at the default work factor.
    #[must_use]
    pub fn passphrase(passphrase: SecretString) -> Self {
        Self::Passphrase { passphrase, work_factor: WorkFactor::default() }
    }

    /// Characters in the passphrase, if there is one.
    pub(crate) fn passphrase_chars(&self) -> Option<usize> {
        match self {
            Self::Passphrase { passphrase, .. } => Some(passphrase.expose_secret().chars().count()),
            Self::Credential(_) => None,
        }
    }
}

/// What opens a key file. `Debug` shows no secret.
#[derive(Debug)]
pub enum Secret {
    /// For a file sealed by a passphrase.
    Passphrase(SecretString),
    /// For a file sealed to a credential.
    Credential(Credential),
}

impl Secret {
    pub(crate) fn kind(&self) -> SealKind {
        match self {
            Self::Passphrase(_) => SealKind::Passphrase,
            Self::Credential(_) => SealKind::Credential,
        }
    }
}

/// Which kind of secret opens a key file. `Display` says it in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealKind {
    /// A passphrase.
    Passphrase,
    /// A credential file.
    Credential,
}

impl fmt::Display for SealKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passphrase => "passphrase",
            Self::Credential => "credential",
        })
    }
}

/// The cost of one passphrase guess: scrypt with N = 2^`log_n`, r = 8, p = 1, which takes
/// 2^(`log_n` - 10) MiB of memory. The default, 18, is 256 MiB and about a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkFactor(u8);

impl WorkFactor {
    /// 16 MiB: for hosts with little memory, and only with a long random passphrase.
    pub const MIN: Self = Self(14);
    /// 1 GiB. Files that ask for more are not opened: they would only exhaust the host.
    pub const MAX: Self = Self(20);

    /// A factor between [`WorkFactor::MIN`] and [`WorkFactor::MAX`]; `None` outside.
    #[must_use]
    pub fn new(log_n: u8) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&log_n).then_some(Self(log_n))
    }

    /// The binary logarithm of scrypt's N.
    #[must_use]
    pub fn log_n(self) -> u8 {
        self.0
    }
}

impl Default for WorkFactor {
    fn default() -> Self {
        Self(18)
    }
}

/// Why sealed bytes were not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnsealError {
    WrongSecret,
    ExcessiveWork { log_n: u8 },
    Damaged,
}

/// Seals `plaintext`; the result is armored text.
///
/// The age library keeps its own copy of the plaintext while it writes, and does not wipe that one.
pub(crate) fn seal(plaintext: &[u8], seal: &Seal) -> io::Result<String> {
    let passphrase_recipient;
    let recipient: &dyn age::Recipient = match seal {
        Seal::Passphrase { passphrase, work_factor } => {
            let mut recipient = age::scrypt::Recipient::new(passphrase.clone());
            recipient.set_work_factor(work_factor.log_n());
            passphrase_recipient = recipient;
            &passphrase_recipient
        }
        Seal::Credential(recipient) => recipient.recipient(),
    };
    let encryptor = Encryptor::with_recipients(iter::once(recipient)).map_err(io::Error::other)?;
    let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
    let mut writer = encryptor.wrap_output(armor)?;
    writer.write_all(plaintext)?;
    let armored = writer.finish()?.finish()?;
    String::from_utf8(armored).map_err(io::Error::other)
}

/// What kind of secret opens `sealed`; `None` if it is not armored age text.
pub(crate) fn seal_kind(sealed: &str) -> Option<SealKind> {
    let decryptor = decryptor(sealed).ok()?;
    Some(if decryptor.is_scrypt() { SealKind::Passphrase } else { SealKind::Credential })
}

/// Opens `sealed`, which must hold exactly `N` bytes. `secret` is of the kind that
/// [`seal_kind`] named; another kind reads as a wrong secret.
pub(crate) fn unseal<const N: usize>(sealed: &str, secret: &Secret) -> Result<Zeroizing<[u8; N]>, UnsealError> {
    let decryptor = decryptor(sealed)?;
    let passphrase_identity;
    let identity: &dyn age::Identity = match secret {
        Secret::Passphrase(passphrase) => {
            let mut identity = age::scrypt::Identity::new(passphrase.clone());
            identity.set_max_work_factor(WorkFactor::MAX.log_n());
            passphrase_identity = identity;
            &passphrase_identity
        }
        Secret::Credential(credential) => credential.identity(),
    };
    let mut reader = decryptor.decrypt(iter::once(identity)).map_err(unseal_error)?;
    let mut plaintext = Zeroizing::new([0; N]);
    reader.read_exact(plaintext.as_mut_slice()).map_err(|_| UnsealError::Damaged)?;
    // Reading on to the end also checks the last chunk's tag.
    match reader.read(&mut [0; 1]) {
        Ok(0) => Ok(plaintext),
        _ => Err(UnsealError::Damaged),
    }
}

fn decryptor(sealed: &str) -> Result<Decryptor<impl BufRead>, UnsealError> {
    if !sealed.starts_with(ARMOR_START) {
        return Err(UnsealError::Damaged);
    }
    Decryptor::new_buffered(ArmoredReader::new(sealed.as_bytes())).map_err(unseal_error)
}

/// The age error's own text is not used: it guesses at causes, and computes with unchecked numbers.
fn unseal_error(error: DecryptError) -> UnsealError {
    match error {
        DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            UnsealError::WrongSecret
        }
        DecryptError::ExcessiveWork { required, .. } => UnsealError::ExcessiveWork { log_n: required },
        _ => UnsealError::Damaged,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn by_passphrase(text: &str) -> Seal {
        Seal::Passphrase { passphrase: text.into(), work_factor: WorkFactor::MIN }
    }

    #[test]
    fn what_a_passphrase_sealed_only_that_passphrase_opens() {
        let sealed = seal(&[7; 40], &by_passphrase("correct horse")).unwrap();
        assert_eq!(seal_kind(&sealed), Some(SealKind::Passphrase));
        let right = Secret::Passphrase("correct horse".into());
        assert_eq!(*unseal::<40>(&sealed, &right).unwrap(), [7; 40]);
        let wrong = Secret::Passphrase("correct horsf".into());
        assert_eq!(unseal::<40>(&sealed, &wrong).unwrap_err(), UnsealError::WrongSecret);
    }

    #[test]
    fn sealed_bytes_of_another_length_are_damage() {
        let sealed = seal(&[7; 40], &by_passphrase("correct horse")).unwrap();
        let right = Secret::Passphrase("correct horse".into());
        assert_eq!(unseal::<39>(&sealed, &right).unwrap_err(), UnsealError::Damaged);
        assert_eq!(unseal::<41>(&sealed, &right).unwrap_err(), UnsealError::Damaged);
    }

    #[test]
    fn an_absurd_work_factor_is_refused_before_any_work() {
        for log_n in [21, 40, 63, 64, 255] {
            let header = format!(
                "age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA {log_n}\n{}\n--- {}\n",
                "A".repeat(43),
                "A".repeat(43)
            );
            let mut file = header.into_bytes();
            file.extend_from_slice(&[0; 16 + 56]);
            let mut armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).unwrap();
            armor.write_all(&file).unwrap();
            let sealed = String::from_utf8(armor.finish().unwrap()).unwrap();
            assert_eq!(seal_kind(&sealed), Some(SealKind::Passphrase));
            let secret = Secret::Passphrase("correct horse".into());
            assert_eq!(unseal::<40>(&sealed, &secret).unwrap_err(), UnsealError::ExcessiveWork { log_n });
        }
    }

    #[test]
    fn work_factors_outside_the_bounds_cannot_be_made() {
        assert_eq!(WorkFactor::new(13), None);
        assert_eq!(WorkFactor::new(21), None);
        assert_eq!(WorkFactor::new(18), Some(WorkFactor::default()));
    }

    #[test]
    fn debug_output_does_not_hold_the_passphrase() {
        let shown = format!("{:?} {:?}", by_passphrase("correct horse"), Secret::Passphrase("correct horse".into()));
        assert!(!shown.contains("correct horse"), "{shown}");
    }
}
