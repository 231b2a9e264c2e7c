//! A package's role: its releases, each a target with length and digest, signed by the package's publishers.
//! A release that is listed never changes and is never taken out.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::version::{VersionExhausted, next_header};
use crate::tuf::expiry::Expiry;
use crate::tuf::form::FormError;
use crate::tuf::keys::lower_hex;
use crate::tuf::names::{RoleName, TargetPath, TargetPathError};
use crate::tuf::signing::{Header, Role, Sealed};

/// The releases of one package.
#[derive(Debug, Clone, PartialEq)]
pub struct PackageRole {
    header: Header,
    releases: BTreeMap<TargetPath, TargetInfo>,
}

/// What is known of a target before it is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetInfo {
    /// Length in bytes.
    pub length: u64,
    /// SHA-256 of the bytes.
    pub sha256: [u8; 32],
}

/// A release that cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddReleaseError {
    /// The version is none.
    #[error(transparent)]
    Path(#[from] TargetPathError),
    /// The version is taken.
    #[error(
        "release {0} is listed already with another digest or length: releases never change, publish a new version"
    )]
    Altered(TargetPath),
}

impl PackageRole {
    /// Version 1, without releases.
    pub fn first(expires: Expiry) -> PackageRole {
        PackageRole { header: Header::new(1, expires), releases: BTreeMap::new() }
    }

    /// The next version, with the same releases.
    ///
    /// # Errors
    /// When there is no next version number.
    pub fn next(&self, expires: Expiry) -> Result<PackageRole, VersionExhausted> {
        Ok(PackageRole { header: next_header(&self.header, expires)?, releases: self.releases.clone() })
    }

    /// Adds a release. Adding it again, the same, changes nothing.
    ///
    /// # Errors
    /// When the version is not one, or is listed with other content.
    pub fn add_release(
        &mut self,
        package: &RoleName,
        version: &str,
        manifest: TargetInfo,
    ) -> Result<(), AddReleaseError> {
        let path = TargetPath::new(package, version)?;
        if self.releases.get(&path).is_some_and(|listed| *listed != manifest) {
            return Err(AddReleaseError::Altered(path));
        }
        self.releases.insert(path, manifest);
        Ok(())
    }

    /// What is known of this release's manifest.
    pub fn release(&self, path: &TargetPath) -> Option<&TargetInfo> {
        self.releases.get(path)
    }

    /// All releases, in the order of their paths.
    pub fn releases(&self) -> impl Iterator<Item = (&TargetPath, &TargetInfo)> {
        self.releases.iter()
    }

    /// The first listed target that does not belong to this package, if there is one.
    pub fn foreign_to(&self, package: &RoleName) -> Option<&TargetPath> {
        self.releases.keys().find(|path| path.package() != package)
    }
}

impl Role for PackageRole {
    const TYPE: &'static str = "targets";
    const BYTES_MAX: usize = 4 * 1024 * 1024;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    targets: BTreeMap<String, WrittenTarget>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTarget {
    length: u64,
    hashes: WrittenHashes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenHashes {
    sha256: String,
}

impl WrittenHashes {
    pub(super) fn read(&self, place: &str) -> Result<[u8; 32], FormError> {
        lower_hex(&self.sha256)
            .ok_or_else(|| FormError::field(format!("{place}.hashes.sha256"), &self.sha256, "64 lower-case hex digits"))
    }
}

impl Sealed for PackageRole {
    fn header(&self) -> &Header {
        &self.header
    }

    fn body(&self) -> Map<String, Value> {
        let mut targets = Map::new();
        for (path, info) in &self.releases {
            let entry = json!({"length": info.length, "hashes": {"sha256": hex::encode(info.sha256)}});
            targets.insert(path.to_string(), entry);
        }
        let mut body = Map::new();
        body.insert("targets".into(), Value::Object(targets));
        body
    }

    fn from_body(header: Header, body: Map<String, Value>) -> Result<PackageRole, FormError> {
        let written: Written =
            serde_json::from_value(Value::Object(body)).map_err(|error| FormError::json("signed", error))?;
        let mut releases = BTreeMap::new();
        for (text, target) in written.targets {
            let path = TargetPath::parse(&text).map_err(|error| FormError::json("signed.targets", error))?;
            let sha256 = target.hashes.read(&format!("signed.targets.{path}"))?;
            releases.insert(path, TargetInfo { length: target.length, sha256 });
        }
        Ok(PackageRole { header, releases })
    }
}
