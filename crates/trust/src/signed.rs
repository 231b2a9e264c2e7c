//! The form of every signed record, and the one door from bytes to a body that may be believed.
//!
//! On the wire: `{"body": {...}, "signatures": [{"key": ID, "sig": HEX}]}`. The signature covers the canonical JSON of `body`,
//! which carries its own context string (`_type`) and fleet, so that no signature can be used for anything else.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use tidegate_domain::digest::Digest;

use crate::canonical::{CanonicalError, canonical_bytes};
use crate::keys::{KeyId, PublicKey, SignatureBytes};

/// The most bytes that one record may have on the wire.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// The most signatures that one record may carry.
pub const SIGNATURES_MAX: usize = 32;

/// The digest of root 1: which fleet a record is for.
pub type Fleet = Digest;

/// A kind of record.
pub trait Body: Serialize + DeserializeOwned {
    /// The context string, for example `tidegate/order/v1`.
    const CONTEXT: &'static str;

    /// The fleet that the record is for.
    fn fleet(&self) -> Fleet;
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The signing key's id.
    pub key: KeyId,
    /// The signature over the canonical body.
    pub sig: SignatureBytes,
}

/// A record whose signatures nobody has checked. Its body cannot be acted upon.
#[derive(Debug, Clone)]
pub struct Unverified<T> {
    canonical: Vec<u8>,
    body: Value,
    signatures: Vec<Signature>,
    kind: PhantomData<T>,
}

/// A record whose signatures were checked against keys that may sign it.
#[derive(Debug, Clone)]
pub struct Verified<T> {
    body: T,
    signers: BTreeSet<KeyId>,
    record: Unverified<T>,
}

/// Why bytes are not a record, or a record is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Too many bytes or signatures.
    #[error("{context}: {problem}")]
    Bounds {
        /// The kind of record.
        context: &'static str,
        /// What is too much, and how much may be.
        problem: String,
    },
    /// Not JSON of this record's shape.
    #[error("{context}: {problem}")]
    Shape {
        /// The kind of record.
        context: &'static str,
        /// What does not fit.
        problem: String,
    },
    /// The body has no canonical form.
    #[error("{context}: {source}")]
    Canonical {
        /// The kind of record.
        context: &'static str,
        /// Why not.
        source: CanonicalError,
    },
    /// Signed for another fleet.
    #[error("{context}: signed for fleet {found}, expected {expected}")]
    Fleet {
        /// The kind of record.
        context: &'static str,
        /// The fleet in the record.
        found: Fleet,
        /// This fleet.
        expected: Fleet,
    },
    /// Too few good signatures by keys that may sign it.
    #[error("{context}: {good} good signatures by keys that may sign it, expected {threshold}{hint}")]
    Signatures {
        /// The kind of record.
        context: &'static str,
        /// Good ones.
        good: usize,
        /// Needed ones.
        threshold: usize,
        /// What was seen instead.
        hint: String,
    },
}

impl RecordError {
    /// The stable word for problem documents and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            RecordError::Bounds { .. } => "record_too_large",
            RecordError::Shape { .. } | RecordError::Canonical { .. } => "record_malformed",
            RecordError::Fleet { .. } => "record_of_another_fleet",
            RecordError::Signatures { .. } => "record_not_signed",
        }
    }
}

impl<T: Body> Unverified<T> {
    /// The keys that are said to have signed it. Nobody has looked whether they did.
    pub fn claimed_signers(&self) -> impl Iterator<Item = &KeyId> {
        self.signatures.iter().map(|signature| &signature.key)
    }

    /// Makes a record without signatures from a body.
    ///
    /// # Errors
    /// When the body has no canonical form, which is a fault of the caller.
    pub fn draft(body: &T) -> Result<Unverified<T>, RecordError> {
        let shape = |e: serde_json::Error| RecordError::Shape { context: T::CONTEXT, problem: e.to_string() };
        let mut value = serde_json::to_value(body).map_err(shape)?;
        if let Value::Object(map) = &mut value {
            map.insert("_type".to_owned(), Value::from(T::CONTEXT));
        }
        Unverified::from_value(value, Vec::new())
    }

    /// Reads a record. Checks size, shape and context string, but no signature.
    ///
    /// # Errors
    /// When the bytes are too many or not a record of this kind.
    pub fn parse(bytes: &[u8]) -> Result<Unverified<T>, RecordError> {
        if bytes.len() > RECORD_BYTES_MAX {
            let problem = format!("{} bytes, at most {RECORD_BYTES_MAX}", bytes.len());
            return Err(RecordError::Bounds { context: T::CONTEXT, problem });
        }
        serde_json::from_slice(bytes).map_err(|e| RecordError::Shape { context: T::CONTEXT, problem: e.to_string() })
    }

    fn from_value(body: Value, signatures: Vec<Signature>) -> Result<Unverified<T>, RecordError> {
        if signatures.len() > SIGNATURES_MAX {
            let problem = format!("{} signatures, at most {SIGNATURES_MAX}", signatures.len());
            return Err(RecordError::Bounds { context: T::CONTEXT, problem });
        }
        let found = body.get("_type").and_then(Value::as_str).unwrap_or("nothing");
        if found != T::CONTEXT {
            let problem = format!("field `_type` is {:?}", found.chars().take(80).collect::<String>());
            return Err(RecordError::Shape { context: T::CONTEXT, problem });
        }
        let canonical =
            canonical_bytes(&body).map_err(|source| RecordError::Canonical { context: T::CONTEXT, source })?;
        if canonical.len() > RECORD_BYTES_MAX {
            let problem = format!("{} bytes, at most {RECORD_BYTES_MAX}", canonical.len());
            return Err(RecordError::Bounds { context: T::CONTEXT, problem });
        }
        Ok(Unverified { canonical, body, signatures, kind: PhantomData })
    }

    /// The bytes that a signature covers.
    pub fn bytes_to_sign(&self) -> &[u8] {
        &self.canonical
    }

    /// The record's name: SHA-256 of its canonical body. Signatures do not change it.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical)
    }

    /// The same record with one more signature; a second one by the same key replaces the first.
    #[must_use]
    pub fn with_signature(mut self, key: &PublicKey, sig: SignatureBytes) -> Unverified<T> {
        let key = key.id();
        self.signatures.retain(|s| s.key != key);
        self.signatures.push(Signature { key, sig });
        self
    }

    /// What the record claims. For showing and routing only: nobody has checked it.
    ///
    /// # Errors
    /// When the body is not of this kind's shape.
    pub fn danger_unchecked_body(&self) -> Result<T, RecordError> {
        let shape = |problem: String| RecordError::Shape { context: T::CONTEXT, problem };
        let mut body = self.body.clone();
        if let Value::Object(map) = &mut body {
            map.remove("_type");
        }
        let body: T = serde_json::from_value(body).map_err(|e| shape(e.to_string()))?;
        // One content has one record: a default written out, or a set out of order, would give it a second digest.
        if Unverified::draft(&body)?.canonical != self.canonical {
            let problem = "not written as Tidegate writes it (a field that says its default, or a list out of order)";
            return Err(shape(problem.to_owned()));
        }
        Ok(body)
    }

    /// Believes the record if at least `threshold` different keys among `keys` signed it, for this fleet.
    ///
    /// # Errors
    /// When the fleet is another, too few signatures are good, or the body is malformed.
    pub fn verify(
        self,
        fleet: Fleet,
        keys: impl IntoIterator<Item = PublicKey>,
        threshold: usize,
    ) -> Result<Verified<T>, RecordError> {
        let body = self.danger_unchecked_body()?;
        if body.fleet() != fleet {
            return Err(RecordError::Fleet { context: T::CONTEXT, found: body.fleet(), expected: fleet });
        }
        let signers: BTreeSet<KeyId> = keys
            .into_iter()
            .collect::<BTreeSet<PublicKey>>()
            .into_iter()
            .filter(|key| self.is_signed_by(key))
            .map(|key| key.id())
            .collect();
        if signers.len() < threshold.max(1) {
            let seen: Vec<&str> = self.signatures.iter().take(4).map(|s| s.key.short()).collect();
            let hint = if seen.is_empty() {
                "; it is not signed".to_owned()
            } else {
                format!("; signed by {}", seen.join(", "))
            };
            return Err(RecordError::Signatures {
                context: T::CONTEXT,
                good: signers.len(),
                threshold: threshold.max(1),
                hint,
            });
        }
        Ok(Verified { body, signers, record: self })
    }

    fn is_signed_by(&self, key: &PublicKey) -> bool {
        let id = key.id();
        self.signatures.iter().any(|s| s.key == id && key.verifies(&self.canonical, &s.sig))
    }
}

impl<T: Body> Verified<T> {
    /// What the record says.
    pub fn body(&self) -> &T {
        &self.body
    }

    /// Whose good signatures it carries.
    pub fn signers(&self) -> &BTreeSet<KeyId> {
        &self.signers
    }

    /// The record's name.
    pub fn digest(&self) -> Digest {
        self.record.digest()
    }

    /// The record as it goes over the wire and into storage.
    pub fn record(&self) -> &Unverified<T> {
        &self.record
    }

    /// Gives up the proof of verification and keeps body and record.
    pub fn into_parts(self) -> (T, Unverified<T>) {
        (self.body, self.record)
    }
}

impl<T> PartialEq for Unverified<T> {
    fn eq(&self, other: &Unverified<T>) -> bool {
        self.canonical == other.canonical && self.signatures == other.signatures
    }
}

impl<T> Serialize for Unverified<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            body: &'a Value,
            signatures: &'a [Signature],
        }
        Wire { body: &self.body, signatures: &self.signatures }.serialize(serializer)
    }
}

impl<'de, T: Body> Deserialize<'de> for Unverified<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unverified<T>, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wire {
            body: Value,
            signatures: Vec<Signature>,
        }
        let wire = Wire::deserialize(deserializer)?;
        Unverified::from_value(wire.body, wire.signatures).map_err(serde::de::Error::custom)
    }
}
