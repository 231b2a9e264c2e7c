//! Puts a key's signature under a record or a metadata file.
//! Never decides whether it should be signed; whoever calls has shown that to a person or made it itself.

use anyhow::Result;
use tidegate_keyring::Signer;
use tidegate_trust::keys::{PublicKey, SignatureBytes};
use tidegate_trust::signed::{Body, Unverified};
use tidegate_trust::tuf::{Role, TufKey, Unsigned};

/// A record with this body, signed.
///
/// # Errors
/// When the body has no canonical form or the key does not sign.
pub(crate) fn signed_record<T: Body>(body: &T, signers: &[&dyn Signer]) -> Result<Unverified<T>> {
    signers.iter().try_fold(Unverified::draft(body)?, |record, signer| sign_record(record, *signer))
}

/// The record with one more signature.
///
/// # Errors
/// When the key does not sign.
pub(crate) fn sign_record<T: Body>(record: Unverified<T>, signer: &dyn Signer) -> Result<Unverified<T>> {
    let key = PublicKey::from_bytes(signer.public_key())?;
    let signature = signer.sign(record.bytes_to_sign())?;
    Ok(record.with_signature(&key, SignatureBytes::from_bytes(signature)))
}

/// Adds a key's signature to a metadata file.
///
/// # Errors
/// When the key does not sign.
pub(crate) fn sign_metadata<R: Role>(file: &mut Unsigned<R>, signer: &dyn Signer) -> Result<()> {
    let key = TufKey::from_bytes(signer.public_key())?;
    let signature = signer.sign(file.bytes_to_sign())?;
    file.add_signature(&key, &signature)?;
    Ok(())
}
