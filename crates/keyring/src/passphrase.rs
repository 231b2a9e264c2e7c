//! The passphrase by which new keys are sealed, from the same places as the one that opens them.
//! Never takes one from the command line, and never one that is short enough to be guessed.

use secrecy::{ExposeSecret, SecretString};

use crate::file::KeyFileError;
use crate::reference::OpenError;
use crate::sealing::Seal;
use crate::secret_source::SecretSource;

impl SecretSource<'_> {
    /// Gets a passphrase to seal new keys by; `what` says which, as in `passphrase for the new offline keys`.
    ///
    /// # Errors
    /// When there is none, or it is shorter than [`Seal::MIN_PASSPHRASE_CHARS`].
    pub fn new_passphrase(&self, what: &str) -> Result<SecretString, OpenError> {
        let passphrase = self.text(what)?;
        let chars = passphrase.expose_secret().chars().count();
        if chars < Seal::MIN_PASSPHRASE_CHARS {
            return Err(KeyFileError::ShortPassphrase { chars }.into());
        }
        Ok(passphrase)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_passphrase_that_could_be_guessed_seals_nothing() {
        let short = |_: &str| Ok(SecretString::from("tide"));
        let error = SecretSource::Ask(&short).new_passphrase("passphrase").unwrap_err();
        assert!(error.to_string().contains("4 characters"), "{error}");
        let long = |_: &str| Ok(SecretString::from("correct horse battery"));
        assert!(SecretSource::Ask(&long).new_passphrase("passphrase").is_ok());
    }
}
