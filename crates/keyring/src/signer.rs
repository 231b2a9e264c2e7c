//! What every key can do, wherever it lies: name itself and sign.
//! Never gives out the private half.

use sha2::{Digest, Sha256};

/// An Ed25519 key that can sign. The private half stays behind it.
pub trait Signer: Send + Sync {
    /// The public half: the 32 bytes of RFC 8032.
    fn public_key(&self) -> [u8; 32];

    /// The key's name in records: lower-case hex SHA-256 of [`Signer::public_key`], 64 characters.
    fn key_id(&self) -> String {
        key_id(&self.public_key())
    }

    /// Signs exactly `bytes` (pure Ed25519, no prehash, no context); 64 bytes as in RFC 8032.
    ///
    /// # Errors
    /// Software keys do not fail; a key on a token fails when the token is gone, refuses, or gives
    /// back something that its public key does not verify.
    fn sign(&self, bytes: &[u8]) -> Result<[u8; 64], SignError>;
}

/// The name of a public key in records: lower-case hex SHA-256 of its 32 bytes, 64 characters.
#[must_use]
pub fn key_id(public_key: &[u8; 32]) -> String {
    hex::encode(Sha256::digest(public_key))
}

/// Why a key did not sign.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The token could not be reached or refused; `reason` is what its module said.
    #[error("key `{key}` on token `{token}` did not sign: {reason}")]
    Token {
        /// The token's label.
        token: String,
        /// The key's label on it.
        key: String,
        /// The module's own words.
        reason: String,
    },
    /// The token answered with bytes that its public key does not verify. Nothing is passed on:
    /// the token is broken, or its private and public objects belong to different keys.
    #[error(
        "key `{key}` on token `{token}` returned {length} bytes that are not a signature of its \
         public key; a token must answer CKM_EDDSA with the 64 bytes of an Ed25519 signature"
    )]
    WrongSignature {
        /// The token's label.
        token: String,
        /// The key's label on it.
        key: String,
        /// How many bytes came back.
        length: usize,
    },
}

impl SignError {
    /// A stable word for interfaces and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Token { .. } => "token",
            Self::WrongSignature { .. } => "wrong_signature",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_is_the_sha256_of_the_public_key_in_lower_hex() {
        assert_eq!(key_id(&[0; 32]), "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925");
    }
}
