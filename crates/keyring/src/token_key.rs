//! The key of an enrolment token: made by whoever signs the token, its secret half travels with the token to the devices.
//!
//! It can do one thing only: sign enrolment records under that one token, so it lies open in a 0600 file until the token
//! expires. It is never printed, and `Debug` shows the key id only.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::signer::{SignError, Signer};
use crate::software::{Seed, SoftwareKey, fresh_seed};

/// The key of an enrolment token, ready to sign.
pub struct TokenKey {
    seed: Seed,
    key: SoftwareKey,
}

/// Why there is no token key.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// The text is not the secret half of a key. It is never repeated.
    #[error("not an enrolment token's secret key: right is 64 lower-case hexadecimal digits, as in the token file")]
    Malformed,
    /// The operating system's random source failed.
    #[error("cannot make a token key: no randomness from the operating system: {0}")]
    Random(getrandom::Error),
}

impl TokenKeyError {
    /// A stable word for interfaces and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed_token_key",
            Self::Random(_) => "no_randomness",
        }
    }
}

impl TokenKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`TokenKeyError::Random`].
    pub fn generate() -> Result<Self, TokenKeyError> {
        Ok(Self::from_seed(fresh_seed().map_err(TokenKeyError::Random)?))
    }

    /// The key whose secret half a token file holds.
    ///
    /// # Errors
    /// [`TokenKeyError::Malformed`] for anything but 64 lower-case hexadecimal digits.
    pub fn from_hex(secret: &SecretString) -> Result<Self, TokenKeyError> {
        let text = secret.expose_secret();
        let mut seed = Seed::new([0; 32]);
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(TokenKeyError::Malformed);
        }
        hex::decode_to_slice(text, seed.as_mut_slice()).map_err(|_| TokenKeyError::Malformed)?;
        Ok(Self::from_seed(seed))
    }

    /// The secret half for the token file: 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn secret_hex(&self) -> SecretString {
        let text = Zeroizing::new(hex::encode(self.seed.as_slice()));
        SecretString::from(text.as_str())
    }

    fn from_seed(seed: Seed) -> Self {
        let key = SoftwareKey::from_seed(&seed);
        Self { seed, key }
    }
}

impl Signer for TokenKey {
    fn public_key(&self) -> [u8; 32] {
        self.key.public_key()
    }

    fn sign(&self, bytes: &[u8]) -> Result<[u8; 64], SignError> {
        self.key.sign(bytes)
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey").field("key_id", &self.key_id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_key_that_a_token_file_holds_is_the_key_that_was_made() {
        let made = TokenKey::generate().unwrap();
        let read = TokenKey::from_hex(&made.secret_hex()).unwrap();
        assert_eq!(made.public_key(), read.public_key());
        assert_eq!(made.sign(b"enrolment").unwrap(), read.sign(b"enrolment").unwrap());
        assert!(!format!("{made:?}").contains(made.secret_hex().expose_secret()));
    }

    #[test]
    fn text_that_is_no_key_is_refused_without_repeating_it() {
        for text in ["", "00", &"zz".repeat(32), &"AB".repeat(32), &"00".repeat(33)] {
            let error = TokenKey::from_hex(&SecretString::from(text)).unwrap_err();
            assert_eq!(error.kind(), "malformed_token_key");
            assert!(text.is_empty() || !error.to_string().contains(text));
        }
    }
}
