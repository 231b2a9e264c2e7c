//! The only crate that touches private keys.
