//! What is known of a device: attribute names and values. Bounded; never interpreted here.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{AttributeName, NameError};

/// The most attributes that one device may carry.
pub const ATTRIBUTES_MAX: usize = 32;

/// The value of an attribute: 1 to 64 of a-z, A-Z, 0-9, dot, underscore, hyphen, plus.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AttributeValue(Box<str>);

impl AttributeValue {
    /// The value as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AttributeValue {
    type Err = NameError;

    fn from_str(text: &str) -> Result<AttributeValue, NameError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-+".contains(&b);
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(AttributeValue(text.into()));
        }
        Err(NameError {
            what: "attribute value",
            text: text.chars().take(80).collect(),
            rule: "1 to 64 of a-z, A-Z, 0-9, dot, underscore, hyphen, plus",
        })
    }
}

impl TryFrom<String> for AttributeValue {
    type Error = NameError;

    fn try_from(text: String) -> Result<AttributeValue, NameError> {
        text.parse()
    }
}

impl From<AttributeValue> for String {
    fn from(value: AttributeValue) -> String {
        value.0.into()
    }
}

impl fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The attributes of one device, at most [`ATTRIBUTES_MAX`], by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "BTreeMap<AttributeName, AttributeValue>", try_from = "BTreeMap<AttributeName, AttributeValue>")]
pub struct Attributes(BTreeMap<AttributeName, AttributeValue>);

/// More attributes than a device may carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} attributes: a device carries at most {ATTRIBUTES_MAX}")]
pub struct TooManyAttributes(usize);

impl Attributes {
    /// The value of one attribute.
    pub fn get(&self, name: &AttributeName) -> Option<&AttributeValue> {
        self.0.get(name)
    }

    /// All attributes in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&AttributeName, &AttributeValue)> {
        self.0.iter()
    }
}

impl TryFrom<BTreeMap<AttributeName, AttributeValue>> for Attributes {
    type Error = TooManyAttributes;

    fn try_from(map: BTreeMap<AttributeName, AttributeValue>) -> Result<Attributes, TooManyAttributes> {
        if map.len() > ATTRIBUTES_MAX {
            return Err(TooManyAttributes(map.len()));
        }
        Ok(Attributes(map))
    }
}

impl From<Attributes> for BTreeMap<AttributeName, AttributeValue> {
    fn from(attributes: Attributes) -> BTreeMap<AttributeName, AttributeValue> {
        attributes.0
    }
}
