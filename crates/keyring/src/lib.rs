//! The only crate that touches private keys: it makes them, keeps them and signs with them.
//!
//! Keys are Ed25519. A person's or a server's key is a [`KeyFile`] sealed by a passphrase or to a
//! [`Credential`], or lies on a PKCS#11 token ([`Pkcs11Key`]); a device's own key is a plain file
//! (module [`device_key`]). Public keys go in and out as 32 bytes, signatures as 64.
//! It never decides what may be signed, never verifies for others and never talks to a network.

mod credential;
pub mod device_key;
mod file;
mod passphrase;
mod pkcs11;
mod pkcs11_module;
mod private_file;
mod reference;
mod sealing;
mod secret_source;
mod signer;
mod software;
mod token_key;

pub use credential::{Credential, CredentialError, CredentialRecipient};
pub use file::{KeyFile, KeyFileError, UnlockError};
pub use pkcs11::Pkcs11Key;
pub use pkcs11_module::{Pkcs11Address, Pkcs11Error};
pub use private_file::PrivateFileError;
pub use reference::{KeyReference, OpenError, PinSource, ReferenceError};
pub use sealing::{Seal, SealKind, Secret, WorkFactor};
pub use secret_source::{SecretSource, SecretSourceError};
pub use signer::{SignError, Signer, key_id};
pub use software::SoftwareKey;
pub use token_key::{TokenKey, TokenKeyError};
