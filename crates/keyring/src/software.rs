//! A key held in this process's memory while it is in use.
//! The seed is wiped when the key is dropped; it is never printed and never leaves this crate.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use crate::signer::{SignError, Signer};

/// The private half of an Ed25519 key: 32 bytes, wiped on drop.
pub(crate) type Seed = Zeroizing<[u8; 32]>;

/// An Ed25519 key in memory. Its `Debug` shows the key id only.
pub struct SoftwareKey {
    signing_key: SigningKey,
}

impl SoftwareKey {
    pub(crate) fn from_seed(seed: &Seed) -> Self {
        Self { signing_key: SigningKey::from_bytes(seed) }
    }
}

impl Signer for SoftwareKey {
    fn public_key(&self) -> [u8; 32] {
        self.signing_key.verifying_key().to_bytes()
    }

    fn sign(&self, bytes: &[u8]) -> Result<[u8; 64], SignError> {
        Ok(self.signing_key.sign(bytes).to_bytes())
    }
}

impl fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareKey").field("key_id", &self.key_id()).finish_non_exhaustive()
    }
}

/// A fresh seed from the operating system's random source.
pub(crate) fn fresh_seed() -> Result<Seed, getrandom::Error> {
    let mut seed = Seed::new([0; 32]);
    getrandom::fill(seed.as_mut_slice())?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ed25519_dalek::{Signature, VerifyingKey};

    use super::*;

    #[test]
    fn a_signature_verifies_strictly_and_only_for_its_bytes() {
        let key = SoftwareKey::from_seed(&fresh_seed().unwrap());
        let signature = Signature::from_bytes(&key.sign(b"tide").unwrap());
        let public_key = VerifyingKey::from_bytes(&key.public_key()).unwrap();
        public_key.verify_strict(b"tide", &signature).unwrap();
        assert!(public_key.verify_strict(b"ebb", &signature).is_err());
    }

    #[test]
    fn rfc_8032_test_1_gives_the_published_key_and_signature() {
        let mut seed = Seed::new([0; 32]);
        hex::decode_to_slice("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", seed.as_mut_slice())
            .unwrap();
        let key = SoftwareKey::from_seed(&seed);
        assert_eq!(hex::encode(key.public_key()), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(
            hex::encode(key.sign(b"").unwrap()),
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        );
    }

    #[test]
    fn debug_output_does_not_hold_the_seed() {
        let seed = fresh_seed().unwrap();
        let shown = format!("{:?}", SoftwareKey::from_seed(&seed));
        assert!(!shown.contains(&hex::encode(seed.as_slice())));
        assert!(!shown.contains(&format!("{:?}", seed.as_slice())));
    }
}
