//! How a policy groups devices: the attributes that stratify, and the combinations of their values that are strata of their own.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{PolicyError, require};
use crate::attributes::{AttributeValue, Attributes};
use crate::ids::{AttributeName, StratumName};

/// The most strata of a policy; the devices of all others share the stratum `other`.
pub const STRATA_MAX: usize = 64;

/// The stratifying attributes and the combinations that are strata of their own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strata {
    /// The attributes, the most telling first.
    #[serde(default)]
    pub by: Vec<AttributeName>,
    /// The combinations of values, one value an attribute; whatever is not listed falls into `other`, opened last.
    #[serde(default)]
    pub listed: Vec<Vec<AttributeValue>>,
}

impl Strata {
    /// The stratum for devices that no listed combination fits.
    pub const OTHER: &'static str = "other";

    /// The stratum of a device with these attributes. Without stratifying attributes everything is one stratum, `all`.
    pub fn of(&self, attributes: &Attributes) -> StratumName {
        if self.by.is_empty() {
            return word("all");
        }
        let values: Option<Vec<_>> = self.by.iter().map(|name| attributes.get(name).cloned()).collect();
        let listed = values.filter(|values| self.listed.contains(values));
        listed.and_then(|values| join(&values)).unwrap_or_else(|| word(Strata::OTHER))
    }

    /// The names of the strata that devices of every listed combination fall into; `all` where nothing is stratified, `other`
    /// where nothing is listed.
    pub fn listed_names(&self) -> Vec<StratumName> {
        if self.by.is_empty() {
            return vec![word("all")];
        }
        let names: Vec<StratumName> = self.listed.iter().filter_map(|values| join(values)).collect();
        if names.is_empty() { vec![word(Strata::OTHER)] } else { names }
    }

    /// The values that a stratum stands for, one an attribute of `by`; none for `other` and `all`.
    pub fn values_of(&self, stratum: &StratumName) -> Option<&[AttributeValue]> {
        self.listed.iter().find(|values| join(values).as_ref() == Some(stratum)).map(Vec::as_slice)
    }

    pub(super) fn check(&self) -> Result<(), PolicyError> {
        let (by, listed) = (&self.by, &self.listed);
        require(by.len() <= 8, "strata.by", by.len(), "at most 8 attributes")?;
        require(by.iter().collect::<BTreeSet<_>>().len() == by.len(), "strata.by", "a list", "no attribute twice")?;
        require(listed.len() < STRATA_MAX, "strata.listed", listed.len(), "at most 63 strata, besides `other`")?;
        let unique: BTreeSet<_> = listed.iter().collect();
        require(unique.len() == listed.len(), "strata.listed", "a list", "no stratum twice")?;
        for values in listed {
            require(
                values.len() == by.len(),
                "strata.listed",
                format!("{values:?}"),
                "one value for each attribute of `strata.by`",
            )?;
            require(
                join(values).is_some_and(|name| name.as_str() != Strata::OTHER),
                "strata.listed",
                format!("{values:?}"),
                "values of at most 200 characters together, the first a letter or digit, and not `other`",
            )?;
        }
        Ok(())
    }
}

fn join(values: &[AttributeValue]) -> Option<StratumName> {
    let words: Vec<&str> = values.iter().map(AttributeValue::as_str).collect();
    words.join("/").parse().ok()
}

fn word(text: &'static str) -> StratumName {
    StratumName::fixed(text)
}
