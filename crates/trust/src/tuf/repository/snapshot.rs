//! Snapshot: which version of targets and of every package's role belong together. Signed online.
//! It never lists a version lower than the snapshot before it, and never leaves a package out.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::pin::Pin;
use crate::tuf::expiry::Expiry;
use crate::tuf::form::FormError;
use crate::tuf::names::RoleName;
use crate::tuf::signing::{Header, Role, Sealed};

/// The versions that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotRole {
    header: Header,
    targets: Pin,
    packages: BTreeMap<RoleName, Pin>,
}

impl SnapshotRole {
    pub(crate) fn new(version: u64, expires: Expiry, targets: Pin, packages: BTreeMap<RoleName, Pin>) -> SnapshotRole {
        SnapshotRole { header: Header::new(version, expires), targets, packages }
    }

    /// The top-level targets file.
    pub fn targets(&self) -> &Pin {
        &self.targets
    }

    /// The role file of a package; none if it has not published yet.
    pub fn package(&self, package: &RoleName) -> Option<&Pin> {
        self.packages.get(package)
    }

    /// The role files of all packages that have published.
    pub fn packages(&self) -> impl Iterator<Item = (&RoleName, &Pin)> {
        self.packages.iter()
    }

    /// The first file that this snapshot would take back, measured against an earlier one: its role, the version there,
    /// the version here (0 when it is gone).
    pub(crate) fn takes_back(&self, earlier: &SnapshotRole) -> Option<(String, u64, u64)> {
        if self.targets.version < earlier.targets.version {
            return Some(("targets".into(), earlier.targets.version, self.targets.version));
        }
        earlier.packages.iter().find_map(|(package, pin)| {
            let offered = self.packages.get(package).map_or(0, |pin| pin.version);
            (offered < pin.version).then(|| (package.to_string(), pin.version, offered))
        })
    }
}

impl Role for SnapshotRole {
    const TYPE: &'static str = "snapshot";
    const BYTES_MAX: usize = 1024 * 1024;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    meta: BTreeMap<String, Value>,
}

impl Sealed for SnapshotRole {
    fn header(&self) -> &Header {
        &self.header
    }

    fn body(&self) -> Map<String, Value> {
        let mut meta = Map::new();
        meta.insert("targets.json".into(), self.targets.write());
        for (package, pin) in &self.packages {
            meta.insert(format!("{package}.json"), pin.write());
        }
        let mut body = Map::new();
        body.insert("meta".into(), Value::Object(meta));
        body
    }

    fn from_body(header: Header, body: Map<String, Value>) -> Result<SnapshotRole, FormError> {
        let mut written: Written =
            serde_json::from_value(Value::Object(body)).map_err(|error| FormError::json("signed", error))?;
        let Some(targets) = written.meta.remove("targets.json") else {
            return Err(FormError::field("signed.meta", "no `targets.json`", "one entry `targets.json`"));
        };
        let targets = Pin::read("signed.meta.targets", targets)?;
        let mut packages = BTreeMap::new();
        for (file, value) in written.meta {
            let package = file
                .strip_suffix(".json")
                .and_then(|name| RoleName::parse(name).ok())
                .ok_or_else(|| FormError::field("signed.meta", &file, "a package's name and `.json`"))?;
            let pin = Pin::read(&format!("signed.meta.{package}"), value)?;
            packages.insert(package, pin);
        }
        Ok(SnapshotRole { header, targets, packages })
    }
}
