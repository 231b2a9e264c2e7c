//! The secret half of an enrolment token's key: 64 hexadecimal digits that travel with the token to the devices.
//! It is no identity of its own: it lets somebody enrol as often as the token says, and no more.

use std::fmt;

use zeroize::Zeroizing;

use crate::signer::Signer;
use crate::software::{Seed, SoftwareKey, fresh_seed};

/// A text that is not the secret half of a token's key. Does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token's secret: expected 64 lower-case hexadecimal digits")]
pub struct TokenSecretError;

/// The secret half, and the key that it is.
pub struct TokenSecret {
    text: Zeroizing<String>,
    key: SoftwareKey,
}

impl TokenSecret {
    /// Makes a new one.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub fn fresh() -> Result<TokenSecret, getrandom::Error> {
        let seed = fresh_seed()?;
        Ok(TokenSecret { text: Zeroizing::new(hex::encode(seed.as_slice())), key: SoftwareKey::from_seed(&seed) })
    }

    /// Reads one.
    ///
    /// # Errors
    /// When the text is anything but 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<TokenSecret, TokenSecretError> {
        let mut seed = Seed::new([0; 32]);
        let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
        if !lower || hex::decode_to_slice(text, seed.as_mut_slice()).is_err() {
            return Err(TokenSecretError);
        }
        Ok(TokenSecret { text: Zeroizing::new(text.to_owned()), key: SoftwareKey::from_seed(&seed) })
    }

    /// The text to hand out together with the token.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The key, to sign an enrolment record with.
    pub fn key(&self) -> &dyn Signer {
        &self.key
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSecret").field("key", &self.key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_survives_the_trip_through_text_and_is_not_printed() {
        let secret = TokenSecret::fresh().unwrap();
        let again = TokenSecret::parse(secret.text()).unwrap();
        assert_eq!(secret.key().public_key(), again.key().public_key());
        assert!(!format!("{secret:?}").contains(secret.text()));
        assert!(TokenSecret::parse("00").is_err());
        assert!(TokenSecret::parse(&"AB".repeat(32)).is_err());
    }
}
