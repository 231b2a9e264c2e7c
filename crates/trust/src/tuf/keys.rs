//! Public keys as TUF writes them, and the set of keys of which a threshold must sign.
//! A set never holds the same key material twice and never has a threshold that it cannot reach. No private key is ever here.

use std::collections::BTreeMap;
use std::fmt;

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// The most keys that one role may have.
pub(crate) const KEYS_PER_ROLE_MAX: usize = 64;

/// A key's id: SHA-256 of the canonical JSON of its TUF key object. Written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 32]);

impl KeyId {
    /// Takes 64 lower-case hexadecimal digits; anything else is `None`.
    pub fn parse(text: &str) -> Option<KeyId> {
        lower_hex(text).map(KeyId)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// An Ed25519 public key that is a real one: a point on the curve, not one of small order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TufKey([u8; 32]);

/// Bytes that are no usable Ed25519 public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a usable Ed25519 public key: 32 bytes of a point on the curve, not of small order, are right", hex::encode(self.0))]
pub struct KeyError(pub [u8; 32]);

impl TufKey {
    /// Checks the 32 bytes of a public key.
    ///
    /// # Errors
    /// When they are no point of the curve, or one of small order (for which anybody can sign).
    pub fn from_bytes(bytes: [u8; 32]) -> Result<TufKey, KeyError> {
        match VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() => Ok(TufKey(bytes)),
            Ok(_) | Err(_) => Err(KeyError(bytes)),
        }
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key's id.
    pub fn id(&self) -> KeyId {
        // The canonical JSON of the key object; its values are hexadecimal digits and fixed words, so nothing needs escaping.
        let object =
            format!(r#"{{"keytype":"ed25519","keyval":{{"public":"{}"}},"scheme":"ed25519"}}"#, hex::encode(self.0));
        KeyId(Sha256::digest(object.as_bytes()).into())
    }

    /// Whether this key made this signature (strict Ed25519) over these bytes.
    pub fn made(&self, signature: &[u8; 64], message: &[u8]) -> bool {
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
    }
}

impl fmt::Debug for TufKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TufKey({})", hex::encode(self.0))
    }
}

/// Who may sign for a role, and how many of them must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signers {
    keys: BTreeMap<KeyId, TufKey>,
    threshold: u32,
}

/// A set of keys and a threshold that make no sense together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignersError {
    /// One key counted as two would make the threshold a lie.
    #[error("key {0} is listed twice: list every key once")]
    RepeatedKey(KeyId),
    /// A threshold of nothing, or one that nobody can reach.
    #[error("threshold {threshold} with {keys} keys: 1 to {keys} is right, and at least one key")]
    Threshold {
        /// The threshold asked for.
        threshold: u32,
        /// How many distinct keys there are.
        keys: usize,
    },
    /// More keys than a role may have.
    #[error("more than {KEYS_PER_ROLE_MAX} keys for one role: at most {KEYS_PER_ROLE_MAX} are right")]
    TooManyKeys,
}

impl Signers {
    /// These keys, of which `threshold` must sign.
    ///
    /// # Errors
    /// When a key is listed twice, when there are too many, or when the threshold is 0 or above the number of keys.
    pub fn new(keys: impl IntoIterator<Item = TufKey>, threshold: u32) -> Result<Signers, SignersError> {
        let mut distinct = BTreeMap::new();
        for key in keys {
            if distinct.insert(key.id(), key).is_some() {
                return Err(SignersError::RepeatedKey(key.id()));
            }
            if distinct.len() > KEYS_PER_ROLE_MAX {
                return Err(SignersError::TooManyKeys);
            }
        }
        let reachable = usize::try_from(threshold).is_ok_and(|needed| (1..=distinct.len()).contains(&needed));
        if !reachable {
            return Err(SignersError::Threshold { threshold, keys: distinct.len() });
        }
        Ok(Signers { keys: distinct, threshold })
    }

    /// One key that signs alone.
    pub fn single(key: TufKey) -> Signers {
        Signers { keys: BTreeMap::from([(key.id(), key)]), threshold: 1 }
    }

    /// The keys, in the order of their ids.
    pub fn keys(&self) -> impl Iterator<Item = (&KeyId, &TufKey)> {
        self.keys.iter()
    }

    /// The key with this id.
    pub fn key(&self, id: &KeyId) -> Option<&TufKey> {
        self.keys.get(id)
    }

    /// How many distinct keys must sign.
    pub fn threshold(&self) -> u32 {
        self.threshold
    }
}

/// Exactly `N` bytes from lower-case hexadecimal digits.
pub(crate) fn lower_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0_u8; N];
    let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    (lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key(seed: u8) -> TufKey {
        TufKey::from_bytes(ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes()).unwrap()
    }

    #[test]
    fn a_key_id_is_that_of_the_reference_implementation() {
        let object: sigstore_tuf::Key = serde_json::from_value(serde_json::json!({
            "keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": hex::encode(key(1).as_bytes())}
        }))
        .unwrap();
        super::super::provider::install();
        assert_eq!(object.key_id().unwrap(), key(1).id().to_string());
    }

    #[test]
    fn a_key_that_anybody_can_sign_for_is_refused() {
        let mut identity = [0_u8; 32];
        identity[0] = 1;
        assert_eq!(TufKey::from_bytes(identity), Err(KeyError(identity)));
    }

    #[test]
    fn a_threshold_that_means_nothing_is_refused() {
        assert_eq!(Signers::new([key(1)], 0), Err(SignersError::Threshold { threshold: 0, keys: 1 }));
        assert_eq!(Signers::new([key(1)], 2), Err(SignersError::Threshold { threshold: 2, keys: 1 }));
        assert_eq!(Signers::new([], 1), Err(SignersError::Threshold { threshold: 1, keys: 0 }));
        assert_eq!(Signers::new([key(1), key(1)], 2), Err(SignersError::RepeatedKey(key(1).id())));
        assert!(Signers::new([key(1), key(2)], 2).is_ok());
    }
}
