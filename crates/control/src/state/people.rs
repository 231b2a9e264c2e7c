//! Operators and login codes, as hashes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{OperatorName, PackageName};
use tidegate_domain::time::WallTime;

use super::State;
use crate::decision::OperatorRole;

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// The role.
    pub role: OperatorRole,
    /// SHA-256 of the bearer token.
    pub token: Digest,
    /// The packages that the operator may publish and order; empty for all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub packages: BTreeSet<PackageName>,
}

impl Operator {
    /// Whether the operator may publish and order a package.
    pub fn concerns(&self, package: &PackageName) -> bool {
        self.packages.is_empty() || self.packages.contains(package)
    }
}

impl State {
    pub(super) fn put_operator(&mut self, name: OperatorName, operator: Operator, code: Option<Digest>) {
        self.operators.insert(name, operator);
        if let Some(code) = code {
            self.logins.remove(&code);
        }
    }

    /// Who holds a bearer token.
    pub fn operator_of(&self, token: &Digest) -> Option<(&OperatorName, &Operator)> {
        self.operators.iter().find(|(_, operator)| operator.token == *token)
    }

    /// Whether a login code is good now.
    pub fn login_is_good(&self, code: &Digest, now: WallTime) -> bool {
        self.logins.get(code).is_some_and(|expires| now < *expires)
    }
}
