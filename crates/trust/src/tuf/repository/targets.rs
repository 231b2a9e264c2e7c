//! Top-level targets: which packages there are and who publishes each. It lists no release itself.
//! Every package has one delegated role of its own name, for the paths `P/*` and no others, and the search ends there.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::key_list::{KeyList, key_ids, write_keys};
use super::version::{VersionExhausted, next_header};
use crate::tuf::expiry::Expiry;
use crate::tuf::form::FormError;
use crate::tuf::keys::Signers;
use crate::tuf::names::RoleName;
use crate::tuf::signing::{Header, Role, Sealed};

/// The most packages of one repository.
const PACKAGES_MAX: usize = 1024;

/// The packages and their publishers.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetsRole {
    header: Header,
    packages: BTreeMap<RoleName, Signers>,
}

/// A package that cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("package {package} would be more than {PACKAGES_MAX}: at most {PACKAGES_MAX} packages fit in one repository")]
pub struct DelegateError {
    /// The package.
    pub package: RoleName,
}

impl TargetsRole {
    /// Version 1, without packages.
    pub fn first(expires: Expiry) -> TargetsRole {
        TargetsRole { header: Header::new(1, expires), packages: BTreeMap::new() }
    }

    /// The next version, with the same packages.
    ///
    /// # Errors
    /// When there is no next version number.
    pub fn next(&self, expires: Expiry) -> Result<TargetsRole, VersionExhausted> {
        Ok(TargetsRole { header: next_header(&self.header, expires)?, packages: self.packages.clone() })
    }

    /// Adds a package, or gives it other publishers. (A package is never taken out: devices would refuse the snapshot.)
    ///
    /// # Errors
    /// When there are too many packages.
    pub fn delegate(&mut self, package: RoleName, publishers: Signers) -> Result<(), DelegateError> {
        if self.packages.len() >= PACKAGES_MAX && !self.packages.contains_key(&package) {
            return Err(DelegateError { package });
        }
        self.packages.insert(package, publishers);
        Ok(())
    }

    /// The publishers of a package.
    pub fn publishers(&self, package: &RoleName) -> Option<&Signers> {
        self.packages.get(package)
    }

    /// All packages and their publishers, in order.
    pub fn packages(&self) -> impl Iterator<Item = (&RoleName, &Signers)> {
        self.packages.iter()
    }
}

impl Role for TargetsRole {
    const TYPE: &'static str = "targets";
    const BYTES_MAX: usize = 1024 * 1024;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    targets: Map<String, Value>,
    delegations: WrittenDelegations,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDelegations {
    keys: Value,
    roles: Vec<WrittenRole>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRole {
    name: String,
    keyids: Vec<String>,
    threshold: u32,
    terminating: bool,
    paths: Vec<String>,
}

impl Sealed for TargetsRole {
    fn header(&self) -> &Header {
        &self.header
    }

    fn body(&self) -> Map<String, Value> {
        let roles: Vec<Value> = self
            .packages
            .iter()
            .map(|(package, publishers)| {
                json!({
                    "name": package.as_str(),
                    "keyids": key_ids(publishers),
                    "threshold": publishers.threshold(),
                    "terminating": true,
                    "paths": [path_pattern(package)],
                })
            })
            .collect();
        let mut body = Map::new();
        body.insert("targets".into(), json!({}));
        body.insert("delegations".into(), json!({"keys": write_keys(self.packages.values()), "roles": roles}));
        body
    }

    fn from_body(header: Header, body: Map<String, Value>) -> Result<TargetsRole, FormError> {
        let written: Written =
            serde_json::from_value(Value::Object(body)).map_err(|error| FormError::json("signed", error))?;
        if let Some(path) = written.targets.keys().next() {
            return Err(FormError::field("signed.targets", path, "no target: releases belong to their package's role"));
        }
        let WrittenDelegations { keys, roles } = written.delegations;
        if roles.len() > PACKAGES_MAX {
            return Err(FormError::field("signed.delegations.roles", roles.len(), "at most 1024 packages"));
        }
        let keys = KeyList::read("signed.delegations.keys", keys)?;
        let mut packages = BTreeMap::new();
        for role in roles {
            let package =
                RoleName::parse(&role.name).map_err(|error| FormError::json("signed.delegations.roles", error))?;
            let place = format!("signed.delegations.roles.{package}");
            if !role.terminating {
                return Err(FormError::field(format!("{place}.terminating"), false, "true"));
            }
            if role.paths != [path_pattern(&package)] {
                let found = role.paths.join(", ");
                return Err(FormError::field(
                    format!("{place}.paths"),
                    found,
                    "the package's name, `/*`, and no other path",
                ));
            }
            let publishers = keys.signers(&place, &role.keyids, role.threshold)?;
            if packages.insert(package, publishers).is_some() {
                return Err(FormError::field(place, "a second role of that name", "one role for each package"));
            }
        }
        Ok(TargetsRole { header, packages })
    }
}

fn path_pattern(package: &RoleName) -> String {
    format!("{package}/*")
}
