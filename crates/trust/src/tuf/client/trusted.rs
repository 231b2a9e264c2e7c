//! What has been verified so far, kept twice: in the verification core, and as files of our own types.
//! A file gets in only when both agree; one that was trusted sets the floor for all later ones.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sigstore_tuf::{Error as CoreError, TrustedMetadataSet};

use super::error::ClientError;
use crate::tuf::keys::Signers;
use crate::tuf::names::{RoleName, TargetPath};
use crate::tuf::provider;
use crate::tuf::repository::{PackageRole, Pin, RootRole, SnapshotRole, TargetInfo, TargetsRole, TimestampRole};
use crate::tuf::signing::{Role, Unverified, Verified};

/// A time at which nothing has expired: stored files count against rollback even when they have.
const BEFORE_ALL: Timestamp = Timestamp::MIN;

#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) core: TrustedMetadataSet,
    root: RootRole,
    /// The roots after the pinned one, by version: a resumed client walks them again.
    later_roots: BTreeMap<u64, Vec<u8>>,
    pub(super) timestamp: Option<Verified<TimestampRole>>,
    pub(super) snapshot: Option<Verified<SnapshotRole>>,
    pub(super) targets: Option<Verified<TargetsRole>>,
    pub(super) packages: BTreeMap<RoleName, Verified<PackageRole>>,
}

impl Trusted {
    pub(super) fn pinned(bytes: &[u8]) -> Result<Trusted, ClientError> {
        const FILE: &str = "pinned root";
        provider::install();
        let file = parse::<RootRole>(FILE, bytes)?;
        let own = file.role().root().clone();
        let root = verify("root", file, &own)?.role().clone();
        let core = TrustedMetadataSet::from_root(bytes).map_err(|error| ClientError::from_core(FILE, error))?;
        Ok(Trusted {
            core,
            root,
            later_roots: BTreeMap::new(),
            timestamp: None,
            snapshot: None,
            targets: None,
            packages: BTreeMap::new(),
        })
    }

    pub(super) fn root_version(&self) -> u64 {
        self.root.version()
    }

    /// 5.3.4 to 5.3.7: the next root, signed by a threshold of the old keys and of the new.
    pub(super) fn accept_root(&mut self, name: &str, bytes: &[u8]) -> Result<(), ClientError> {
        let file = parse::<RootRole>(name, bytes)?;
        let own = file.role().root().clone();
        let file = verify("root", file, self.root.root())?;
        file.verify_again(&own).map_err(|error| ClientError::Threshold { role: "root".into(), error })?;
        self.core.update_root(bytes).map_err(|error| ClientError::from_core(name, error))?;
        self.root = file.role().clone();
        self.later_roots.insert(self.root.version(), bytes.to_vec());
        Ok(())
    }

    /// 5.3.11 and 5.4: after new roots, what was trusted below them is verified again. When the keys of timestamp or
    /// snapshot have changed, both floors fall: so a repository recovers from versions that ran away.
    pub(super) fn take_up_again(&mut self) {
        if self.core.timestamp().is_some() {
            return;
        }
        let rotated = self.timestamp.as_ref().is_some_and(|file| file.verify_again(self.root.timestamp()).is_err())
            || self.snapshot.as_ref().is_some_and(|file| file.verify_again(self.root.snapshot()).is_err());
        if rotated {
            (self.timestamp, self.snapshot) = (None, None);
        }
        // What the core refuses here is fetched anew by the refresh; the floors below stay in our own copies.
        if let Some(file) = &self.timestamp {
            let _ = self.core.update_timestamp(file.bytes(), BEFORE_ALL);
        }
        if let Some(file) = &self.snapshot {
            let _ = self.core.update_snapshot(file.bytes(), BEFORE_ALL);
        }
        if let Some(file) = &self.targets {
            let _ = self.core.update_targets(file.bytes(), BEFORE_ALL);
        }
        for (package, file) in &self.packages {
            let _ = self.core.update_delegated_targets(file.bytes(), package.as_str(), "targets", BEFORE_ALL);
        }
    }

    /// 5.4.2 to 5.4.4.
    pub(super) fn accept_timestamp(&mut self, bytes: &[u8], now: Timestamp) -> Result<(), ClientError> {
        const FILE: &str = "timestamp.json";
        let file = verify("timestamp", parse::<TimestampRole>(FILE, bytes)?, self.root.timestamp())?;
        match self.core.update_timestamp(bytes, now) {
            Ok(()) => self.timestamp = Some(file),
            // The same version as before: the copy that we have stays.
            Err(CoreError::EqualVersion { .. }) => {}
            Err(error) => return Err(ClientError::from_core(FILE, error)),
        }
        Ok(())
    }

    /// 5.5.2 to 5.5.6. The floor is our own copy: it holds also where the core could not load the stored snapshot.
    pub(super) fn accept_snapshot(&mut self, name: &str, bytes: &[u8], now: Timestamp) -> Result<(), ClientError> {
        let file = verify("snapshot", parse::<SnapshotRole>(name, bytes)?, self.root.snapshot())?;
        if let Some(earlier) = self.snapshot.as_ref().map(Verified::role) {
            let (trusted, offered) = (earlier.version(), file.role().version());
            if offered < trusted {
                return Err(ClientError::Rollback { role: "snapshot".into(), trusted, offered });
            }
            if let Some((role, trusted, offered)) = file.role().takes_back(earlier) {
                return Err(ClientError::Rollback { role, trusted, offered });
            }
        }
        self.core.update_snapshot(bytes, now).map_err(|error| ClientError::from_core(name, error))?;
        self.snapshot = Some(file);
        Ok(())
    }

    /// 5.6.2 to 5.6.5 for the top-level targets.
    pub(super) fn accept_targets(&mut self, name: &str, bytes: &[u8], now: Timestamp) -> Result<(), ClientError> {
        let file = verify("targets", parse::<TargetsRole>(name, bytes)?, self.root.targets())?;
        self.core.update_targets(bytes, now).map_err(|error| ClientError::from_core(name, error))?;
        self.targets = Some(file);
        Ok(())
    }

    /// 5.6.7 for a package's role.
    pub(super) fn accept_package(
        &mut self,
        package: &RoleName,
        name: &str,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(), ClientError> {
        let publishers = self.publishers(package)?;
        let file = verify(package.as_str(), parse::<PackageRole>(name, bytes)?, publishers)?;
        if let Some(path) = file.role().foreign_to(package) {
            return Err(ClientError::ForeignTarget { package: package.clone(), path: path.clone() });
        }
        self.core
            .update_delegated_targets(bytes, package.as_str(), "targets", now)
            .map_err(|error| ClientError::from_core(name, error))?;
        self.packages.insert(package.clone(), file);
        Ok(())
    }

    /// Takes stored files, each only if it verifies from the pinned root on.
    pub(super) fn take_stored(&mut self, mut files: BTreeMap<String, Vec<u8>>, packages: &BTreeSet<RoleName>) {
        while let Some((name, bytes)) = files.remove_entry(&format!("{}.root.json", self.root.version() + 1)) {
            if self.accept_root(&name, &bytes).is_err() {
                break;
            }
        }
        let timestamp = stored::<TimestampRole>(&files, "timestamp.json");
        let snapshot = stored::<SnapshotRole>(&files, "snapshot.json");
        let foreign = |verified: bool, found: bool| found && !verified;
        let found = (timestamp.is_some(), snapshot.is_some());
        self.timestamp = timestamp.and_then(|file| file.verify(self.root.timestamp()).ok());
        self.snapshot = snapshot.and_then(|file| file.verify(self.root.snapshot()).ok());
        // Well-formed but of other keys: as after a change of keys (5.3.11), neither counts.
        if foreign(self.timestamp.is_some(), found.0) || foreign(self.snapshot.is_some(), found.1) {
            (self.timestamp, self.snapshot) = (None, None);
        }
        self.targets =
            stored::<TargetsRole>(&files, "targets.json").and_then(|file| file.verify(self.root.targets()).ok());
        for package in packages {
            let Ok(publishers) = self.publishers(package) else { continue };
            let file = stored::<PackageRole>(&files, &package_file(package))
                .filter(|file| file.role().foreign_to(package).is_none())
                .and_then(|file| file.verify(publishers).ok());
            if let Some(file) = file {
                self.packages.insert(package.clone(), file);
            }
        }
        self.take_up_again();
    }

    pub(super) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<(String, Vec<u8>)> =
            self.later_roots.iter().map(|(version, bytes)| (format!("{version}.root.json"), bytes.clone())).collect();
        files.extend(self.timestamp.iter().map(|file| ("timestamp.json".into(), file.bytes().to_vec())));
        files.extend(self.snapshot.iter().map(|file| ("snapshot.json".into(), file.bytes().to_vec())));
        files.extend(self.targets.iter().map(|file| ("targets.json".into(), file.bytes().to_vec())));
        files.extend(self.packages.iter().map(|(package, file)| (package_file(package), file.bytes().to_vec())));
        files
    }

    pub(super) fn target(&self, path: &TargetPath, now_ms: u64) -> Result<TargetInfo, ClientError> {
        let file = self.package(path.package(), now_ms)?;
        file.release(path).copied().ok_or_else(|| ClientError::UnknownTarget(path.clone()))
    }

    /// A package's file, if the whole chain above it stands at this moment: signed by today's keys, pinned link by
    /// link, and not expired. A refresh that ended half-way leaves a chain that does not.
    pub(super) fn package(&self, package: &RoleName, now_ms: u64) -> Result<&PackageRole, ClientError> {
        let lacking = |role: &str| ClientError::NotRefreshed { role: role.into() };
        let timestamp = self.timestamp.as_ref().ok_or_else(|| lacking("timestamp"))?;
        let snapshot = self.snapshot.as_ref().ok_or_else(|| lacking("snapshot"))?;
        let targets = self.targets.as_ref().ok_or_else(|| lacking("targets"))?;
        in_time("root", &self.root, now_ms)?;
        chained("timestamp", timestamp, self.root.timestamp(), None, now_ms)?;
        chained("snapshot", snapshot, self.root.snapshot(), Some(timestamp.role().snapshot()), now_ms)?;
        chained("targets", targets, self.root.targets(), Some(snapshot.role().targets()), now_ms)?;
        let publishers = self.publishers(package)?;
        let pin = snapshot.role().package(package).ok_or_else(|| ClientError::NothingPublished(package.clone()))?;
        let file = self.packages.get(package).ok_or_else(|| lacking(package.as_str()))?;
        chained(package.as_str(), file, publishers, Some(pin), now_ms)?;
        Ok(file.role())
    }

    /// The publishers of a package, as the targets that we hold say.
    pub(super) fn publishers(&self, package: &RoleName) -> Result<&Signers, ClientError> {
        let targets = self.targets.as_ref().ok_or_else(|| ClientError::NotRefreshed { role: "targets".into() })?;
        targets.role().publishers(package).ok_or_else(|| ClientError::UnknownPackage(package.clone()))
    }
}

/// Package files are kept under a prefix of their own: no package's name can then meet another file's.
fn package_file(package: &RoleName) -> String {
    format!("role.{package}.json")
}

fn stored<R: Role>(files: &BTreeMap<String, Vec<u8>>, name: &str) -> Option<Unverified<R>> {
    files.get(name).and_then(|bytes| Unverified::parse(bytes).ok())
}

fn parse<R: Role>(file: &str, bytes: &[u8]) -> Result<Unverified<R>, ClientError> {
    Unverified::parse(bytes).map_err(|error| ClientError::Form { file: file.into(), error })
}

fn verify<R: Role>(role: &str, file: Unverified<R>, signers: &Signers) -> Result<Verified<R>, ClientError> {
    file.verify(signers).map_err(|error| ClientError::Threshold { role: role.into(), error })
}

fn in_time<R: Role>(name: &str, role: &R, now_ms: u64) -> Result<(), ClientError> {
    if role.expires().has_come(now_ms) { Err(ClientError::expired(name, role.expires())) } else { Ok(()) }
}

fn chained<R: Role>(
    name: &str,
    file: &Verified<R>,
    signers: &Signers,
    pin: Option<&Pin>,
    now_ms: u64,
) -> Result<(), ClientError> {
    if file.verify_again(signers).is_err() || pin.is_some_and(|pin| *pin != Pin::of(file)) {
        return Err(ClientError::NotRefreshed { role: name.into() });
    }
    in_time(name, file.role(), now_ms)
}
