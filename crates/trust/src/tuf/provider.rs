//! The cryptography that the TUF verification core uses: strict Ed25519 and SHA-2, pure Rust, nothing else.
//! It makes no keys and signs nothing. The core finds it through a process-wide slot, which holds no state.

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::Digest as _;
use sigstore_crypto::{CryptoProvider, Error, HashContext, Result, SigningScheme, install_default_provider};
use sigstore_types::HashAlgorithm;

static STRICT_ED25519: StrictEd25519 = StrictEd25519;

/// Makes the core use this provider. Calling it again changes nothing.
pub(crate) fn install() {
    // An error means that the slot is filled already, by an earlier call of this function.
    let _ = install_default_provider(&STRICT_ED25519);
}

#[derive(Debug)]
struct StrictEd25519;

struct Hashing<D>(D);

impl<D: sha2::Digest + Send> HashContext for Hashing<D> {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize(self: Box<Self>) -> Vec<u8> {
        self.0.finalize().to_vec()
    }
}

impl CryptoProvider for StrictEd25519 {
    fn hash(&self, algorithm: HashAlgorithm) -> Result<Box<dyn HashContext>> {
        Ok(match algorithm {
            HashAlgorithm::Sha2256 => Box::new(Hashing(sha2::Sha256::new())),
            HashAlgorithm::Sha2384 => Box::new(Hashing(sha2::Sha384::new())),
            HashAlgorithm::Sha2512 => Box::new(Hashing(sha2::Sha512::new())),
            other => return Err(Error::UnsupportedAlgorithm(format!("{other:?}"))),
        })
    }

    fn verify_raw(&self, scheme: SigningScheme, key: &[u8], data: &[u8], signature: &[u8]) -> Result<()> {
        let refuse = || Error::Verification("ed25519 signature invalid".into());
        if scheme != SigningScheme::Ed25519 {
            return Err(Error::UnsupportedAlgorithm(scheme.name().into()));
        }
        let key: &[u8; 32] = key.try_into().map_err(|_| refuse())?;
        let key = VerifyingKey::from_bytes(key).map_err(|_| refuse())?;
        let signature = Signature::from_slice(signature).map_err(|_| refuse())?;
        key.verify_strict(data, &signature).map_err(|_| refuse())
    }

    fn verify_prehashed(&self, scheme: SigningScheme, _: &[u8], _: &[u8], _: &[u8]) -> Result<()> {
        Err(Error::UnsupportedAlgorithm(scheme.name().into()))
    }
}
