//! Ed25519 keys on a PKCS#11 token (a smart card, an HSM, a TPM behind its module): generated there,
//! used there, never extractable. The token's vendor module is loaded at run time and runs inside
//! this process, so only a module named by an absolute path is loaded. Signs with CKM_EDDSA only,
//! and checks each signature against the public key before it passes it on.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use cryptoki::error::{Error as ModuleError, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use ed25519_dalek::{Signature, VerifyingKey};
use secrecy::SecretString;

use crate::pkcs11_module::{self, Access, Pkcs11Address, Pkcs11Error, module_error};
use crate::signer::{SignError, Signer};

/// The curve's object identifier 1.3.101.112 in DER.
const ED25519_OID: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
/// The curve's name `edwards25519` as a DER PrintableString, which older tokens want.
const ED25519_NAME: &[u8] = b"\x13\x0cedwards25519";
const PIN_REFUSED: &str = "the token came back and refused the PIN, which is not given again lest the \
                           token lock itself; right is to start anew with the new PIN";
/// DER's OCTET STRING of 32 bytes, in which a token wraps a public key.
const OCTET_STRING_32: &[u8] = &[0x04, 0x20];

/// A key on a token, logged in and ready to sign. `Debug` shows no PIN.
pub struct Pkcs11Key {
    address: Pkcs11Address,
    /// Kept (and wiped on drop), so that a token that was away for a moment is opened again unattended.
    pin: SecretString,
    public_key: VerifyingKey,
    /// One session signs one thing at a time.
    state: Mutex<State>,
}

enum State {
    Open(Opened),
    /// The session is gone; the next signature opens another.
    Lost,
    /// The token came back and refused the PIN. It is not given again: each try would bring the
    /// token closer to locking itself.
    PinRefused,
}

struct Opened {
    session: Session,
    private_key: ObjectHandle,
}

impl Pkcs11Key {
    /// Logs in to the token and finds the key.
    ///
    /// PKCS#11 logs in a whole process at once: while another key of the same token is open here,
    /// a wrong `pin` is not noticed.
    ///
    /// # Errors
    /// [`Pkcs11Error`].
    pub fn open(address: Pkcs11Address, pin: SecretString) -> Result<Self, Pkcs11Error> {
        let (opened, public_key) = open_key(&address, &pin)?;
        Ok(Self { address, pin, public_key, state: Mutex::new(State::Open(opened)) })
    }

    /// Makes a key pair on the token, private half not extractable, and opens it.
    ///
    /// # Errors
    /// [`Pkcs11Error::AlreadyExists`] when the token holds a key of that label; else as [`Pkcs11Key::open`].
    pub fn generate(address: Pkcs11Address, pin: SecretString) -> Result<Self, Pkcs11Error> {
        let session = pkcs11_module::log_in(&address, &pin, Access::ReadWrite)?;
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
            if !find(&session, &address, class)?.is_empty() {
                return Err(Pkcs11Error::AlreadyExists { address });
            }
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(Pkcs11Error::Random)?;
        // Tokens know the curve by one of two names; those that want the other refuse at once.
        generate_pair(&session, &address, &id, ED25519_OID)
            .or_else(|_| generate_pair(&session, &address, &id, ED25519_NAME))
            .map_err(|e| module_error(&address, "generate an Ed25519 key pair on", &e))?;
        drop(session);
        Self::open(address, pin)
    }

    /// Where the key is.
    #[must_use]
    pub fn address(&self) -> &Pkcs11Address {
        &self.address
    }

    /// Signs on the session at hand; opens a new one and tries once more if that was lost.
    fn raw_signature(&self, bytes: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Open(opened) => match opened.sign(bytes) {
                Ok(signature) => return Ok(signature),
                Err(e) if session_is_lost(&e) => {}
                Err(e) => return Err(self.sign_error(e.to_string())),
            },
            State::Lost => {}
            State::PinRefused => return Err(self.sign_error(PIN_REFUSED.to_owned())),
        }
        // Dropped before another is opened: a module may give out the same handle again, and
        // dropping late would then close the new session.
        *state = State::Lost;
        let opened = match self.reopen() {
            Ok(opened) => opened,
            Err(e) => {
                if matches!(e, Pkcs11Error::WrongPin { .. } | Pkcs11Error::PinLocked { .. }) {
                    *state = State::PinRefused;
                }
                return Err(self.sign_error(e.to_string()));
            }
        };
        let signature = opened.sign(bytes).map_err(|e| self.sign_error(e.to_string()))?;
        *state = State::Open(opened);
        Ok(signature)
    }

    fn reopen(&self) -> Result<Opened, Pkcs11Error> {
        let (opened, public_key) = open_key(&self.address, &self.pin)?;
        if public_key == self.public_key {
            Ok(opened)
        } else {
            Err(Pkcs11Error::Replaced { address: self.address.clone() })
        }
    }

    fn sign_error(&self, reason: String) -> SignError {
        SignError::Token { token: self.address.token_label.clone(), key: self.address.key_label.clone(), reason }
    }
}

impl Signer for Pkcs11Key {
    fn public_key(&self) -> [u8; 32] {
        self.public_key.to_bytes()
    }

    fn sign(&self, bytes: &[u8]) -> Result<[u8; 64], SignError> {
        let raw = self.raw_signature(bytes)?;
        <[u8; 64]>::try_from(raw.as_slice())
            .ok()
            .filter(|signature| {
                let signature = Signature::from_bytes(signature);
                self.public_key.verify_strict(bytes, &signature).is_ok()
            })
            .ok_or_else(|| SignError::WrongSignature {
                token: self.address.token_label.clone(),
                key: self.address.key_label.clone(),
                length: raw.len(),
            })
    }
}

impl fmt::Debug for Pkcs11Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Key")
            .field("address", &self.address)
            .field("key_id", &self.key_id())
            .finish_non_exhaustive()
    }
}

impl Opened {
    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, ModuleError> {
        let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure));
        self.session.sign(&mechanism, self.private_key, bytes)
    }
}

fn session_is_lost(error: &ModuleError) -> bool {
    matches!(
        error,
        ModuleError::Pkcs11(
            RvError::SessionClosed
                | RvError::SessionHandleInvalid
                | RvError::KeyHandleInvalid
                | RvError::UserNotLoggedIn
                | RvError::TokenNotPresent
                | RvError::DeviceRemoved
                | RvError::DeviceError
                | RvError::CryptokiNotInitialized,
            _
        )
    )
}

fn open_key(address: &Pkcs11Address, pin: &SecretString) -> Result<(Opened, VerifyingKey), Pkcs11Error> {
    let session = pkcs11_module::log_in(address, pin, Access::ReadOnly)?;
    let private_key = find_one(&session, address, ObjectClass::PRIVATE_KEY)?;
    let public_object = find_one(&session, address, ObjectClass::PUBLIC_KEY)?;
    let public_key = read_public_key(&session, address, public_object)?;
    Ok((Opened { session, private_key }, public_key))
}

fn generate_pair(
    session: &Session,
    address: &Pkcs11Address,
    id: &[u8],
    curve: &[u8],
) -> Result<(ObjectHandle, ObjectHandle), ModuleError> {
    let label = || Attribute::Label(address.key_label.as_bytes().to_vec());
    let public_template = [
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::EcParams(curve.to_vec()),
        Attribute::Id(id.to_vec()),
        label(),
    ];
    let private_template = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Id(id.to_vec()),
        label(),
    ];
    session.generate_key_pair(&Mechanism::EccEdwardsKeyPairGen, &public_template, &private_template)
}

fn find(session: &Session, address: &Pkcs11Address, class: ObjectClass) -> Result<Vec<ObjectHandle>, Pkcs11Error> {
    let template = [Attribute::Class(class), Attribute::Label(address.key_label.as_bytes().to_vec())];
    session.find_objects(&template).map_err(|e| module_error(address, "look for a key on", &e))
}

fn find_one(session: &Session, address: &Pkcs11Address, class: ObjectClass) -> Result<ObjectHandle, Pkcs11Error> {
    let found = find(session, address, class)?;
    let half = if class == ObjectClass::PRIVATE_KEY { "private" } else { "public" };
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Pkcs11Error::NoKey { address: address.clone(), half }),
        many => Err(Pkcs11Error::ManyKeys { address: address.clone(), half, count: many.len() }),
    }
}

fn read_public_key(
    session: &Session,
    address: &Pkcs11Address,
    object: ObjectHandle,
) -> Result<VerifyingKey, Pkcs11Error> {
    let wanted = [AttributeType::KeyType, AttributeType::EcPoint];
    let attributes =
        session.get_attributes(object, &wanted).map_err(|e| module_error(address, "read a public key from", &e))?;
    let not_ed25519 = |problem| Pkcs11Error::NotEd25519 { address: address.clone(), problem };
    let mut point = None;
    for attribute in attributes {
        match attribute {
            Attribute::KeyType(key_type) if key_type != KeyType::EC_EDWARDS => {
                return Err(not_ed25519("its key type is not CKK_EC_EDWARDS"));
            }
            Attribute::EcPoint(bytes) => point = Some(bytes),
            _ => {}
        }
    }
    let point = point.ok_or_else(|| not_ed25519("it has no CKA_EC_POINT"))?;
    let public_key = public_key_of_point(&point)
        .ok_or_else(|| not_ed25519("its CKA_EC_POINT is not the 32 bytes of an Ed25519 public key"))?;
    VerifyingKey::from_bytes(&public_key)
        .ok()
        .filter(|key| !key.is_weak())
        .ok_or_else(|| not_ed25519("its CKA_EC_POINT is no point that can verify signatures"))
}

/// Tokens give the 32 bytes wrapped in a DER OCTET STRING (34 bytes), some bare.
fn public_key_of_point(point: &[u8]) -> Option<[u8; 32]> {
    <[u8; 32]>::try_from(point)
        .or_else(|_| <[u8; 32]>::try_from(point.strip_prefix(OCTET_STRING_32).unwrap_or_default()))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_bare_or_as_a_der_octet_string_and_not_otherwise() {
        let key = [9; 32];
        assert_eq!(public_key_of_point(&key), Some(key));
        assert_eq!(public_key_of_point(&[OCTET_STRING_32, &key].concat()), Some(key));
        for wrong in [
            vec![],
            key[1..].to_vec(),
            [&[0x04, 0x21], key.as_slice()].concat(),
            [&[0x03, 0x20], key.as_slice()].concat(),
            [OCTET_STRING_32, &key, &[0]].concat(),
        ] {
            assert_eq!(public_key_of_point(&wrong), None);
        }
    }
}
