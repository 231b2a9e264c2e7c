//! What can be wrong with the form of a metadata file, before any signature is looked at.
//! Every refusal names the place, what was found there and what would be right.

use super::keys::KeyId;

/// A metadata file that does not have the form that a Tidegate repository writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Longer than a file of this role may be.
    #[error("{bytes} bytes: at most {bytes_max} are right")]
    TooLarge {
        /// The length of the file.
        bytes: usize,
        /// The greatest length for its role.
        bytes_max: usize,
    },
    /// Not JSON, or not JSON of this shape.
    #[error("{place}: {reason}")]
    Json {
        /// Where in the file.
        place: &'static str,
        /// What the parser says.
        reason: String,
    },
    /// A field with a wrong value.
    #[error("{place}: found {found}, {expected} is right")]
    Field {
        /// The field.
        place: String,
        /// What is there.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// One key material under two ids, or one id twice in a role: the threshold would count one key as two.
    #[error("{place}: keys {first} and {second} are the same key: list every key once")]
    RepeatedKey {
        /// The role or key list.
        place: String,
        /// One id.
        first: String,
        /// The other id.
        second: String,
    },
    /// A threshold of 0, or above the number of distinct keys.
    #[error("{place}: threshold {threshold} with {keys} distinct keys: 1 to the number of keys is right")]
    Threshold {
        /// The role.
        place: String,
        /// The threshold found.
        threshold: u32,
        /// The number of distinct keys.
        keys: usize,
    },
    /// Two signatures under one key id.
    #[error("signatures: key {0} signed twice: one signature for each key is right")]
    RepeatedSignature(KeyId),
    /// Well-formed, but written otherwise than a Tidegate repository writes it (unused keys, another order).
    #[error(
        "signed: not written as a Tidegate repository writes it (unused keys, roles out of order, or an empty `ext`)"
    )]
    Unusual,
}

impl FormError {
    /// A stable word for the API and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            FormError::TooLarge { .. } => "too_large",
            FormError::RepeatedKey { .. } => "repeated_key",
            FormError::Threshold { .. } => "threshold_impossible",
            FormError::Json { .. } | FormError::Field { .. } | FormError::RepeatedSignature(_) | FormError::Unusual => {
                "malformed"
            }
        }
    }

    pub(crate) fn field(place: impl Into<String>, found: impl std::fmt::Display, expected: &'static str) -> FormError {
        let found = found.to_string();
        FormError::Field { place: place.into(), found: found.chars().take(120).collect(), expected }
    }

    pub(crate) fn json(place: &'static str, reason: impl std::fmt::Display) -> FormError {
        FormError::Json { place, reason: reason.to_string().chars().take(200).collect() }
    }
}
