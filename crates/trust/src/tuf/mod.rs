//! The Update Framework (spec 1.0.34) for releases: what a repository says, who must sign it, and what a device believes.
//!
//! Release `V` of package `P` is the target `P/V.json`, listed by the delegated role `P`. Root and targets are signed
//! offline by a threshold, snapshot and timestamp online. Everything here takes bytes and time and gives a verdict: it
//! never reads a file, a socket or a clock, and never holds a private key (signing is "here are the bytes, bring the signature").
//! Left out on purpose: mirrors, hash-bin delegations, delegations below a package, keys other than Ed25519, target `custom` data.

pub mod acceptance;
pub mod client;
mod expiry;
mod form;
mod keys;
mod names;
pub mod online;
mod provider;
pub mod repository;
mod signing;

pub use expiry::{Expiry, ExpiryError};
pub use form::FormError;
pub use keys::{KeyError, KeyId, Signers, SignersError, TufKey};
pub use names::{RoleName, RoleNameError, TargetPath, TargetPathError};
pub use signing::{Role, Signature, SignatureError, ThresholdError, Unsigned, Unverified, Verified, verify_threshold};
