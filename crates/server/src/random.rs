//! The server's only source of chance.

use tidegate_domain::digest::Digest;

use crate::problem::Refused;

/// 32 random bytes.
///
/// # Errors
/// When the operating system gives none.
pub(crate) fn bytes() -> Result<[u8; 32], Refused> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| Refused::unavailable("no_randomness", e.to_string()))?;
    Ok(bytes)
}

/// A bearer token: 64 hexadecimal digits.
///
/// # Errors
/// When the operating system gives no randomness.
pub(crate) fn token() -> Result<String, Refused> {
    Ok(hex::encode(bytes()?))
}

/// A rank seed.
///
/// # Errors
/// When the operating system gives no randomness.
pub(crate) fn seed() -> Result<Digest, Refused> {
    Ok(Digest::from_bytes(bytes()?))
}
