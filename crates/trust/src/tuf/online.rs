//! The next snapshot and timestamp, for the online keys to sign: what belongs together now, and that it is new.
//! Never takes a version back and never lists a file that the current signers have not signed. Signs nothing.

use std::collections::BTreeMap;

use super::expiry::Expiry;
use super::form::FormError;
use super::names::{RoleName, TargetPath};
use super::repository::{PackageRole, Pin, SnapshotRole, TargetsRole, TimestampRole, VersionExhausted};
use super::signing::{Role, ThresholdError, Unsigned, VERSION_MAX, Verified};

/// The role files of all packages that have published.
pub type Packages = BTreeMap<RoleName, Verified<PackageRole>>;

/// Why no snapshot or timestamp can be made from these files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OnlineError {
    /// A file would go back, or disappear (`offered` 0), which devices refuse.
    #[error("{role}: version {offered} after version {published} was published: a version never goes back")]
    Rollback {
        /// The role that would go back.
        role: String,
        /// The version published before.
        published: u64,
        /// The version now.
        offered: u64,
    },
    /// A package that targets does not list.
    #[error("package {0} is not delegated by these targets: publish targets that list it first")]
    UnknownPackage(RoleName),
    /// A package's file that its current publishers have not signed (their keys changed).
    #[error("package {package}: {error}: its publishers must sign a new version before these targets can be published")]
    PackageUnsigned {
        /// The package.
        package: RoleName,
        /// What was counted.
        error: ThresholdError,
    },
    /// A target outside the package's own paths.
    #[error("package {package} lists {path}: only `{package}/<version>.json` is right")]
    ForeignTarget {
        /// The package.
        package: RoleName,
        /// The target that is not its own.
        path: TargetPath,
    },
    /// No version number is left.
    #[error(transparent)]
    VersionExhausted(#[from] VersionExhausted),
    /// Too much for one file.
    #[error("snapshot: {0}")]
    Form(#[from] FormError),
}

impl OnlineError {
    /// A stable word for the API and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            OnlineError::Rollback { .. } => "rollback",
            OnlineError::UnknownPackage(_) => "unknown_package",
            OnlineError::PackageUnsigned { .. } => "threshold",
            OnlineError::ForeignTarget { .. } => "foreign_target",
            OnlineError::VersionExhausted(_) => "version_exhausted",
            OnlineError::Form(error) => error.kind(),
        }
    }
}

/// The snapshot of these files, one version after `previous`.
///
/// After a recovery from versions that ran away, with new snapshot and timestamp keys in root, `previous` is `None`.
///
/// # Errors
/// When a file would go back or disappear, or a package's file is not what its publishers signed.
pub fn next_snapshot(
    previous: Option<&SnapshotRole>,
    targets: &Verified<TargetsRole>,
    packages: &Packages,
    expires: Expiry,
) -> Result<Unsigned<SnapshotRole>, OnlineError> {
    for (package, file) in packages {
        let publishers =
            targets.role().publishers(package).ok_or_else(|| OnlineError::UnknownPackage(package.clone()))?;
        file.verify_again(publishers)
            .map_err(|error| OnlineError::PackageUnsigned { package: package.clone(), error })?;
        if let Some(path) = file.role().foreign_to(package) {
            return Err(OnlineError::ForeignTarget { package: package.clone(), path: path.clone() });
        }
    }
    let snapshot = SnapshotRole::new(next_version(previous)?, expires, Pin::of(targets), pins(packages));
    if let Some((role, published, offered)) = previous.and_then(|previous| snapshot.takes_back(previous)) {
        return Err(OnlineError::Rollback { role, published, offered });
    }
    Ok(Unsigned::new(snapshot)?)
}

/// Whether a snapshot lists exactly these files, so that only its age can call for a new one.
pub fn lists(snapshot: &SnapshotRole, targets: &Verified<TargetsRole>, packages: &Packages) -> bool {
    let pins = pins(packages);
    *snapshot.targets() == Pin::of(targets) && snapshot.packages().eq(pins.iter())
}

/// The timestamp that names this snapshot, one version after `previous`.
///
/// # Errors
/// When the snapshot is older than the one that `previous` names, or no version is left.
pub fn next_timestamp(
    previous: Option<&TimestampRole>,
    snapshot: &Verified<SnapshotRole>,
    expires: Expiry,
) -> Result<Unsigned<TimestampRole>, OnlineError> {
    let pin = Pin::of(snapshot);
    if let Some(published) = previous.map(|previous| previous.snapshot().version)
        && pin.version < published
    {
        return Err(OnlineError::Rollback { role: "snapshot".into(), published, offered: pin.version });
    }
    Ok(Unsigned::new(TimestampRole::new(next_version(previous)?, expires, pin))?)
}

/// Whether a file made to last `life_ms` has half of its life or less ahead, so that the next should be signed now.
pub fn refresh_due<R: Role>(file: &R, life_ms: u64, now_ms: u64) -> bool {
    file.expires().as_ms().saturating_sub(now_ms) <= life_ms / 2
}

fn pins(packages: &Packages) -> BTreeMap<RoleName, Pin> {
    packages.iter().map(|(package, file)| (package.clone(), Pin::of(file))).collect()
}

fn next_version<R: Role>(previous: Option<&R>) -> Result<u64, VersionExhausted> {
    match previous.map(Role::version) {
        None => Ok(1),
        Some(version) if version < VERSION_MAX => Ok(version + 1),
        Some(_) => Err(VersionExhausted),
    }
}
