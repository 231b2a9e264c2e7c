//! One metadata file on its way: `Unsigned` (to be signed), `Unverified` (read from outside), `Verified` (signed by a threshold).
//! Only `Verified` is ever built upon. Signatures cover the canonical JSON of the `signed` object.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value, json};
use sigstore_tuf::canonical_json::to_canonical_bytes;

use super::expiry::Expiry;
use super::form::FormError;
use super::keys::{KeyId, Signers, TufKey, lower_hex};

/// The version of the TUF specification that this repository writes.
const SPEC_VERSION: &str = "1.0.34";
/// The greatest version number of any file: what every JSON reader can hold exactly.
pub(crate) const VERSION_MAX: u64 = (1 << 53) - 1;
/// The most signatures that one file may carry (old and new root keys together).
const SIGNATURES_MAX: usize = 128;

/// The content of a metadata file. Implemented by the five roles of [`super::repository`] and by nothing else.
pub trait Role: Sized + Clone + fmt::Debug + PartialEq + Sealed {
    /// The word in `_type`.
    const TYPE: &'static str;
    /// The greatest length of a file of this role.
    const BYTES_MAX: usize;

    /// The file's version; 1 is the first.
    fn version(&self) -> u64 {
        self.header().version
    }

    /// When the file stops counting.
    fn expires(&self) -> Expiry {
        self.header().expires
    }
}

/// What only this crate can give a role.
pub trait Sealed {
    /// What all roles share.
    fn header(&self) -> &Header;
    /// The role's own fields, as JSON.
    fn body(&self) -> Map<String, Value>;
    /// The role back from its own fields.
    ///
    /// # Errors
    /// When a field is unknown, missing or wrong.
    fn from_body(header: Header, body: Map<String, Value>) -> Result<Self, FormError>
    where
        Self: Sized;
}

/// What all roles share. `ext` is kept as read: later versions may add to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    pub(crate) version: u64,
    pub(crate) expires: Expiry,
    ext: Map<String, Value>,
}

impl Header {
    pub(crate) fn new(version: u64, expires: Expiry) -> Header {
        Header { version, expires, ext: Map::new() }
    }

    /// The same, `ext` included, for another version.
    pub(crate) fn at(&self, version: u64, expires: Expiry) -> Header {
        Header { version, expires, ext: self.ext.clone() }
    }

    fn take(fields: &mut Map<String, Value>, role_type: &'static str) -> Result<Header, FormError> {
        let mut text = |name: &'static str| match fields.remove(name) {
            Some(Value::String(text)) => Ok(text),
            other => Err(FormError::field(format!("signed.{name}"), shown(other.as_ref()), "a text")),
        };
        let (found_type, spec_version, expires) = (text("_type")?, text("spec_version")?, text("expires")?);
        if found_type != role_type {
            return Err(FormError::field("signed._type", found_type, role_type));
        }
        if spec_version != SPEC_VERSION {
            return Err(FormError::field("signed.spec_version", spec_version, SPEC_VERSION));
        }
        let expires = Expiry::parse(&expires).map_err(|error| FormError::json("signed.expires", error))?;
        let version = version_in("signed.version", fields.remove("version").as_ref())?;
        let ext = match fields.remove("ext") {
            None => Map::new(),
            Some(Value::Object(ext)) => ext,
            Some(_) => return Err(FormError::field("signed.ext", "another type", "an object")),
        };
        Ok(Header { version, expires, ext })
    }

    fn put(&self, fields: &mut Map<String, Value>, role_type: &'static str) {
        fields.insert("_type".into(), role_type.into());
        fields.insert("spec_version".into(), SPEC_VERSION.into());
        fields.insert("version".into(), self.version.into());
        fields.insert("expires".into(), self.expires.to_string().into());
        if !self.ext.is_empty() {
            fields.insert("ext".into(), Value::Object(self.ext.clone()));
        }
    }
}

/// A version number: 1 to [`VERSION_MAX`].
pub(crate) fn version_in(place: &str, value: Option<&Value>) -> Result<u64, FormError> {
    value
        .and_then(Value::as_u64)
        .filter(|version| (1..=VERSION_MAX).contains(version))
        .ok_or_else(|| FormError::field(place, shown(value), "a whole number from 1 to 2^53 - 1"))
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".into(), Value::to_string)
}

fn signed_value<R: Role>(role: &R) -> Value {
    let mut fields = role.body();
    role.header().put(&mut fields, R::TYPE);
    Value::Object(fields)
}

fn canonical(value: &Value) -> Result<Vec<u8>, FormError> {
    to_canonical_bytes(value).map_err(|error| FormError::json("signed", error))
}

/// One signature: the key's id and the 64 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// Whose it claims to be.
    pub key_id: KeyId,
    /// The Ed25519 signature.
    pub bytes: [u8; 64],
}

/// Too few keys of a role have signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{found} valid signatures of the role's keys: {needed} distinct keys must sign")]
pub struct ThresholdError {
    /// How many distinct keys have signed.
    pub found: u32,
    /// How many must.
    pub needed: u32,
}

/// Checks that a threshold of distinct keys has signed these bytes. Signatures of other keys are passed over.
///
/// # Errors
/// When fewer than the threshold have signed.
pub fn verify_threshold(signed: &[u8], signatures: &[Signature], signers: &Signers) -> Result<(), ThresholdError> {
    let mut made = BTreeMap::new();
    for signature in signatures {
        if let Some(key) = signers.key(&signature.key_id)
            && key.made(&signature.bytes, signed)
        {
            made.insert(key.as_bytes(), ());
        }
    }
    let found = u32::try_from(made.len()).unwrap_or(u32::MAX);
    if found >= signers.threshold() { Ok(()) } else { Err(ThresholdError { found, needed: signers.threshold() }) }
}

/// A signature that cannot be attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not a signature of that key over these bytes.
    #[error("the signature is not one of key {0} over these bytes: sign exactly what `bytes_to_sign` gives")]
    Wrong(KeyId),
    /// More signatures than a file may carry.
    #[error("more than {SIGNATURES_MAX} signatures")]
    TooMany,
}

/// A file that is being signed: its content and the signatures so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Unsigned<R> {
    role: R,
    signed: Vec<u8>,
    signatures: BTreeMap<KeyId, [u8; 64]>,
}

impl<R: Role> Unsigned<R> {
    /// Fixes the content: from here on it can only be signed.
    ///
    /// # Errors
    /// When the content is too large for a file of its role.
    pub fn new(role: R) -> Result<Unsigned<R>, FormError> {
        let signed = canonical(&signed_value(&role))?;
        let unsigned = Unsigned { role, signed, signatures: BTreeMap::new() };
        // Refused here and not after everybody has signed: leaves room for every signature.
        let bytes = unsigned.signed.len() + SIGNATURES_MAX * 256;
        if bytes > R::BYTES_MAX {
            return Err(FormError::TooLarge { bytes, bytes_max: R::BYTES_MAX });
        }
        Ok(unsigned)
    }

    /// The content.
    pub fn role(&self) -> &R {
        &self.role
    }

    /// What every signer signs: the canonical JSON of the content.
    pub fn bytes_to_sign(&self) -> &[u8] {
        &self.signed
    }

    /// Attaches a key's signature; a second one of the same key takes the place of the first.
    ///
    /// # Errors
    /// When it is no signature of that key over [`Self::bytes_to_sign`], or when there are too many.
    pub fn add_signature(&mut self, key: &TufKey, signature: &[u8; 64]) -> Result<(), SignatureError> {
        if !key.made(signature, &self.signed) {
            return Err(SignatureError::Wrong(key.id()));
        }
        if self.signatures.len() >= SIGNATURES_MAX && !self.signatures.contains_key(&key.id()) {
            return Err(SignatureError::TooMany);
        }
        self.signatures.insert(key.id(), *signature);
        Ok(())
    }

    /// The keys that have signed so far.
    pub fn signed_by(&self) -> impl Iterator<Item = &KeyId> {
        self.signatures.keys()
    }

    /// The file with the signatures so far; also how a half-signed file travels to the next signer.
    pub fn to_bytes(&self) -> Vec<u8> {
        let signatures: Vec<Value> = self
            .signatures
            .iter()
            .map(|(id, bytes)| json!({"keyid": id.to_string(), "sig": hex::encode(bytes)}))
            .collect();
        json!({"signatures": signatures, "signed": signed_value(&self.role)}).to_string().into_bytes()
    }

    /// The finished file, once these signers' threshold is met.
    ///
    /// # Errors
    /// When too few of them have signed.
    pub fn finish(self, signers: &Signers) -> Result<Verified<R>, ThresholdError> {
        let bytes = self.to_bytes();
        let signatures = self.signatures.iter().map(|(id, bytes)| Signature { key_id: *id, bytes: *bytes }).collect();
        Unverified { role: self.role, signed: self.signed, signatures, bytes }.verify(signers)
    }
}

/// A file from outside: of the right form, but signed by nobody that we know of yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Unverified<R> {
    role: R,
    signed: Vec<u8>,
    signatures: Vec<Signature>,
    bytes: Vec<u8>,
}

impl<R: Role> Unverified<R> {
    /// Reads a file's form, strictly.
    ///
    /// # Errors
    /// When it is too large, no such JSON, has unknown fields, repeats a key, or has an impossible threshold.
    pub fn parse(bytes: &[u8]) -> Result<Unverified<R>, FormError> {
        if bytes.len() > R::BYTES_MAX {
            return Err(FormError::TooLarge { bytes: bytes.len(), bytes_max: R::BYTES_MAX });
        }
        let mut file: BTreeMap<String, Value> =
            serde_json::from_slice(bytes).map_err(|error| FormError::json("file", error))?;
        let (signed, signatures) = (file.remove("signed"), file.remove("signatures"));
        if let Some(name) = file.keys().next() {
            return Err(FormError::field("file", format!("the field {name:?}"), "only `signed` and `signatures`"));
        }
        let signatures = signatures_in(signatures.as_ref())?;
        let Some(value @ Value::Object(_)) = signed else {
            return Err(FormError::field("signed", shown(signed.as_ref()), "an object"));
        };
        let signed = canonical(&value)?;
        let Value::Object(mut fields) = value else { return Err(FormError::Unusual) };
        let header = Header::take(&mut fields, R::TYPE)?;
        let role = R::from_body(header, fields)?;
        if canonical(&signed_value(&role))? != signed {
            return Err(FormError::Unusual);
        }
        Ok(Unverified { role, signed, signatures, bytes: bytes.to_vec() })
    }

    /// The content, which nobody has vouched for.
    pub fn role(&self) -> &R {
        &self.role
    }

    /// The canonical bytes that the signatures cover.
    pub fn signed_bytes(&self) -> &[u8] {
        &self.signed
    }

    /// The signatures that it carries, right or wrong.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The file as verified, if these signers' threshold has signed it.
    ///
    /// # Errors
    /// When too few of them have.
    pub fn verify(self, signers: &Signers) -> Result<Verified<R>, ThresholdError> {
        verify_threshold(&self.signed, &self.signatures, signers)?;
        Ok(Verified(self))
    }

    /// The same content to be signed on, with those of its signatures that these keys really made.
    ///
    /// # Errors
    /// When the content is too large to be signed further.
    pub fn sign_on<'k>(&self, keys: impl IntoIterator<Item = &'k TufKey>) -> Result<Unsigned<R>, FormError> {
        let mut unsigned = Unsigned::new(self.role.clone())?;
        for key in keys {
            for signature in self.signatures.iter().filter(|signature| signature.key_id == key.id()) {
                if key.made(&signature.bytes, &self.signed) {
                    unsigned.signatures.insert(signature.key_id, signature.bytes);
                }
            }
        }
        Ok(unsigned)
    }
}

/// A file that a threshold of its role's signers has signed.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified<R>(Unverified<R>);

impl<R: Role> Verified<R> {
    /// The content.
    pub fn role(&self) -> &R {
        &self.0.role
    }

    /// The file, byte for byte.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The canonical bytes that the signatures cover.
    pub fn signed_bytes(&self) -> &[u8] {
        &self.0.signed
    }

    /// Checks the same file against other signers, for example after their keys changed.
    ///
    /// # Errors
    /// When too few of them have signed it.
    pub fn verify_again(&self, signers: &Signers) -> Result<(), ThresholdError> {
        verify_threshold(&self.0.signed, &self.0.signatures, signers)
    }
}

fn signatures_in(value: Option<&Value>) -> Result<Vec<Signature>, FormError> {
    let Some(Value::Array(items)) = value else {
        return Err(FormError::field("signatures", shown(value), "a list"));
    };
    if items.len() > SIGNATURES_MAX {
        return Err(FormError::field("signatures", items.len(), "at most 128 signatures"));
    }
    let mut signatures: Vec<Signature> = Vec::with_capacity(items.len());
    for item in items {
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
        let key_id = KeyId::parse(text("keyid"));
        let bytes = lower_hex::<64>(text("sig"));
        let (Some(key_id), Some(bytes), Some(2)) = (key_id, bytes, item.as_object().map(Map::len)) else {
            return Err(FormError::field("signatures", item, "`keyid` (64 hex digits) and `sig` (128 hex digits)"));
        };
        if signatures.iter().any(|earlier| earlier.key_id == key_id) {
            return Err(FormError::RepeatedSignature(key_id));
        }
        signatures.push(Signature { key_id, bytes });
    }
    Ok(signatures)
}
