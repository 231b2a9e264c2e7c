//! Public keys, what each may sign, and for how long: the key list that root signs.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tidegate_domain::time::WallTime;

/// An Ed25519 public key. Written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PublicKey([u8; 32]);

/// An Ed25519 signature. Written as 128 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SignatureBytes([u8; 64]);

/// The name of a key: SHA-256 of the 32 public bytes, 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct KeyId(Box<str>);

/// A text that is not a key, a key id or a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not {what}: expected {digits} lower-case hexadecimal digits{rule}")]
pub struct KeyTextError {
    what: &'static str,
    digits: usize,
    rule: &'static str,
}

/// What a key may sign. A key is refused for everything that is not listed with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Policies and orders: a person's key.
    Order,
    /// Permits, addenda, go, fleet-proven records and halts: the server's key.
    Gate,
    /// Enrolment tokens.
    Enrolment,
    /// Halts only: any operator's key.
    Halt,
    /// Beside an order key's signature, what no single person decides: that a halted release goes on.
    Approve,
}

/// One key of the key list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedKey {
    /// The key.
    pub public_key: PublicKey,
    /// Who holds it, for people.
    pub holder: String,
    /// What it may sign.
    pub scopes: BTreeSet<Scope>,
    /// From when on.
    pub not_before_ms: WallTime,
    /// Until when. A key past its life is refused by every device, whoever presents it.
    pub not_after_ms: WallTime,
}

impl PublicKey {
    /// Takes 32 bytes and checks that they are a point of the curve that may be used (no weak key).
    ///
    /// # Errors
    /// When the bytes are no usable key.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<PublicKey, KeyTextError> {
        match VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() => Ok(PublicKey(bytes)),
            Ok(_) | Err(_) => Err(KeyTextError {
                what: "an Ed25519 public key",
                digits: 64,
                rule: " that are a point of large order",
            }),
        }
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key's name.
    pub fn id(&self) -> KeyId {
        KeyId(hex::encode(Sha256::digest(self.0)).into())
    }

    /// Whether `signature` is this key's signature over `bytes`, by the strict rules (RFC 8032 with no malleable form).
    pub fn verifies(&self, bytes: &[u8], signature: &SignatureBytes) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        VerifyingKey::from_bytes(&self.0).is_ok_and(|key| key.verify_strict(bytes, &signature).is_ok())
    }
}

impl ListedKey {
    /// Whether the key may sign `scope` at the instant `at`.
    pub fn may_sign(&self, scope: Scope, at: WallTime) -> bool {
        self.scopes.contains(&scope) && self.not_before_ms <= at && at < self.not_after_ms
    }
}

impl SignatureBytes {
    /// Takes the 64 bytes of a signature.
    pub const fn from_bytes(bytes: [u8; 64]) -> SignatureBytes {
        SignatureBytes(bytes)
    }

    /// The 64 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl KeyId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

fn from_hex<const N: usize>(text: &str, what: &'static str) -> Result<[u8; N], KeyTextError> {
    let refuse = || KeyTextError { what, digits: N * 2, rule: "" };
    let mut bytes = [0; N];
    if text.len() != N * 2 || text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(refuse());
    }
    hex::decode_to_slice(text, &mut bytes).map_err(|_| refuse())?;
    Ok(bytes)
}

macro_rules! hex_text {
    ($type:ident, $parse:expr, $write:expr) => {
        impl FromStr for $type {
            type Err = KeyTextError;

            fn from_str(text: &str) -> Result<$type, KeyTextError> {
                $parse(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = KeyTextError;

            fn try_from(text: String) -> Result<$type, KeyTextError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.to_string()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&$write(self))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&$write(self))
            }
        }
    };
}

hex_text!(
    PublicKey,
    |text| from_hex::<32>(text, "an Ed25519 public key").and_then(PublicKey::from_bytes),
    |key: &PublicKey| hex::encode(key.0)
);
hex_text!(
    SignatureBytes,
    |text| from_hex::<64>(text, "an Ed25519 signature").map(SignatureBytes),
    |signature: &SignatureBytes| hex::encode(signature.0)
);
hex_text!(KeyId, |text: &str| from_hex::<32>(text, "a key id").map(|_| KeyId(text.into())), |id: &KeyId| id
    .0
    .to_string());
