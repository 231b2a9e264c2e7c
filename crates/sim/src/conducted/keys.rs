//! Every key of a simulated fleet, made from its seed, and signing with them. Here only may one process hold all of them.

use ed25519_dalek::{Signer as _, SigningKey};
use tidegate_control::command::{OnlineKey, OnlineSigner, Refusal};
use tidegate_domain::digest::Digest;
use tidegate_trust::keys::{PublicKey, SignatureBytes};
use tidegate_trust::signed::{Body, RecordError, Unverified};
use tidegate_trust::tuf::{Role, Signers, TufKey, Unsigned};

use super::NotSet;

/// The keys of a fleet.
pub(super) struct Keys {
    pub(super) root: SigningKey,
    pub(super) targets: SigningKey,
    pub(super) publisher: SigningKey,
    pub(super) order: SigningKey,
    pub(super) enrolment: SigningKey,
    pub(super) token: SigningKey,
    gate: SigningKey,
    snapshot: SigningKey,
    timestamp: SigningKey,
}

/// A key of this name in the fleet of this seed.
pub(super) fn key(seed: u64, name: &str) -> SigningKey {
    SigningKey::from_bytes(Digest::of(format!("{seed}/{name}").as_bytes()).as_bytes())
}

impl Keys {
    pub(super) fn new(seed: u64) -> Keys {
        let key = |name| key(seed, name);
        Keys {
            root: key("root"),
            targets: key("targets"),
            publisher: key("publisher"),
            order: key("order"),
            enrolment: key("enrolment"),
            token: key("token"),
            gate: key("gate"),
            snapshot: key("snapshot"),
            timestamp: key("timestamp"),
        }
    }

    fn online(&self, key: OnlineKey) -> &SigningKey {
        match key {
            OnlineKey::Gate => &self.gate,
            OnlineKey::Snapshot => &self.snapshot,
            OnlineKey::Timestamp => &self.timestamp,
        }
    }

    /// The only signer of an online role.
    pub(super) fn signers_of(&self, key: OnlineKey) -> Result<Signers, NotSet> {
        signers(self.online(key))
    }
}

impl OnlineSigner for Keys {
    fn public_key(&self, key: OnlineKey) -> PublicKey {
        public(self.online(key))
    }

    fn sign(&self, key: OnlineKey, bytes: &[u8]) -> Result<SignatureBytes, Refusal> {
        Ok(SignatureBytes::from_bytes(self.online(key).sign(bytes).to_bytes()))
    }
}

/// The public half.
#[allow(clippy::expect_used)]
pub(super) fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_bytes(key.verifying_key().to_bytes()).expect("what a signing key derives is a public key")
}

/// A record with this body, signed by these keys.
pub(super) fn signed<T: Body>(body: &T, keys: &[&SigningKey]) -> Result<Unverified<T>, RecordError> {
    let add = |record: Unverified<T>, key: &&SigningKey| {
        let signature = SignatureBytes::from_bytes(key.sign(record.bytes_to_sign()).to_bytes());
        record.with_signature(&public(key), signature)
    };
    Ok(keys.iter().fold(Unverified::draft(body)?, add))
}

/// A TUF file, signed by this key.
pub(super) fn metadata<R: Role>(role: R, key: &SigningKey) -> Result<Vec<u8>, NotSet> {
    let mut file = Unsigned::new(role).map_err(NotSet::of)?;
    let signature = key.sign(file.bytes_to_sign()).to_bytes();
    let by = TufKey::from_bytes(key.verifying_key().to_bytes()).map_err(NotSet::of)?;
    file.add_signature(&by, &signature).map_err(NotSet::of)?;
    Ok(file.to_bytes())
}

/// This key alone.
pub(super) fn signers(key: &SigningKey) -> Result<Signers, NotSet> {
    Ok(Signers::single(TufKey::from_bytes(key.verifying_key().to_bytes()).map_err(NotSet::of)?))
}
