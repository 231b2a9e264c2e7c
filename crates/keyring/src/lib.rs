//! The only crate that touches private keys: it makes them, keeps them and signs with them.
//!
//! Keys are Ed25519. A device's own key is a plain file (module [`device_key`]). With the feature `people`, which a device is built without, a
//! person's or a server's key is a [`KeyFile`] sealed by a passphrase or to a [`Credential`], or lies on a PKCS#11 token ([`Pkcs11Key`]).
//! Public keys go in and out as 32 bytes, signatures as 64.
//! It never decides what may be signed, never verifies for others and never talks to a network.

#[cfg(feature = "people")]
mod credential;
pub mod device_key;
#[cfg(feature = "people")]
mod file;
#[cfg(feature = "people")]
mod passphrase;
#[cfg(feature = "people")]
mod pkcs11;
#[cfg(feature = "people")]
mod pkcs11_module;
mod private_file;
#[cfg(feature = "people")]
mod reference;
#[cfg(feature = "people")]
mod sealing;
#[cfg(feature = "people")]
mod secret_source;
mod signer;
mod software;
mod token_key;

#[cfg(feature = "people")]
pub use credential::{Credential, CredentialError, CredentialRecipient};
#[cfg(feature = "people")]
pub use file::{KeyFile, KeyFileError, UnlockError};
#[cfg(feature = "people")]
pub use pkcs11::Pkcs11Key;
#[cfg(feature = "people")]
pub use pkcs11_module::{Pkcs11Address, Pkcs11Error};
pub use private_file::PrivateFileError;
#[cfg(feature = "people")]
pub use reference::{KeyReference, OpenError, PinSource, ReferenceError};
#[cfg(feature = "people")]
pub use sealing::{Seal, SealKind, Secret, WorkFactor};
#[cfg(feature = "people")]
pub use secret_source::{SecretSource, SecretSourceError};
pub use signer::{SignError, Signer, key_id};
pub use software::SoftwareKey;
pub use token_key::{TokenKey, TokenKeyError};
