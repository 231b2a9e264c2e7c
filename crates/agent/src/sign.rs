//! Signs the device's own records. Holds no key: it borrows one.

use tidegate_keyring::Signer;
use tidegate_trust::keys::{PublicKey, SignatureBytes};
use tidegate_trust::signed::{Body, RecordError, Unverified};

/// A record that this key could not sign.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SigningError {
    /// The body has no canonical form.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The key did not sign.
    #[error(transparent)]
    Key(#[from] tidegate_keyring::SignError),
    /// The key is no usable Ed25519 key.
    #[error(transparent)]
    PublicKey(#[from] tidegate_trust::keys::KeyTextError),
}

/// The key's public half, as records name it.
pub(crate) fn public_key(signer: &dyn Signer) -> Result<PublicKey, SigningError> {
    Ok(PublicKey::from_bytes(signer.public_key())?)
}

/// Makes a record of a body and signs it.
pub(crate) fn sign<T: Body>(body: &T, signer: &dyn Signer) -> Result<Unverified<T>, SigningError> {
    sign_also(Unverified::draft(body)?, signer)
}

/// Adds a signature.
pub(crate) fn sign_also<T: Body>(record: Unverified<T>, signer: &dyn Signer) -> Result<Unverified<T>, SigningError> {
    let sig = SignatureBytes::from_bytes(signer.sign(record.bytes_to_sign())?);
    Ok(record.with_signature(&public_key(signer)?, sig))
}
