//! What a server checks before it takes an uploaded root, targets or package file.
//! Nothing half-right is taken: form, version, expiry, threshold, and that no release or package that devices know disappears.
//! The same content once more is no error, so that an upload can be repeated.

use super::expiry::Expiry;
use super::form::FormError;
use super::names::{RoleName, TargetPath};
use super::repository::{PackageRole, RootRole, TargetsRole};
use super::signing::{Role, ThresholdError, Unverified, Verified};

/// An upload that may be taken.
#[derive(Debug, Clone, PartialEq)]
pub enum Accepted<R> {
    /// The next version: store it.
    New(Verified<R>),
    /// What is current already: nothing to do.
    AlreadyCurrent,
}

/// Why an upload is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// The file does not have the right form.
    #[error("{role}: {error}")]
    Form {
        /// The role uploaded.
        role: String,
        /// What is wrong.
        error: FormError,
    },
    /// Not the next version.
    #[error(
        "{role}: version {found} is not the next: {expected} is right, made from what stands now (a release: stage it again)"
    )]
    Version {
        /// The role uploaded.
        role: String,
        /// The version uploaded.
        found: u64,
        /// The current version plus one.
        expected: u64,
    },
    /// Expired before it was taken.
    #[error("{role}: expired at {expires}: sign it again with an expiry in the future")]
    Expired {
        /// The role uploaded.
        role: String,
        /// Its expiry.
        expires: Expiry,
    },
    /// Too few signatures.
    #[error("{role}: {error} (counted against the signers listed in {by})")]
    Threshold {
        /// The role uploaded.
        role: String,
        /// Which file says who must sign.
        by: &'static str,
        /// What was counted.
        error: ThresholdError,
    },
    /// A package that targets does not list.
    #[error("package {0} is not delegated: add it to targets first")]
    UnknownPackage(RoleName),
    /// A target outside the package's own paths.
    #[error("package {package} lists {path}: only `{package}/<version>.json` is right")]
    ForeignTarget {
        /// The package uploaded.
        package: RoleName,
        /// The target that is not its own.
        path: TargetPath,
    },
    /// A release that was listed is gone.
    #[error("release {0} is missing: releases are never taken out, list it as before")]
    ReleaseRemoved(TargetPath),
    /// A release that was listed has other content.
    #[error("release {0} has another digest or length: releases never change, publish a new version")]
    ReleaseAltered(TargetPath),
    /// A package that was listed is gone.
    #[error("package {0} is missing: devices refuse a repository that loses a package, list it as before")]
    PackageRemoved(RoleName),
}

impl AcceptError {
    /// A stable word for the API and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            AcceptError::Form { error, .. } => error.kind(),
            AcceptError::Version { .. } => "version",
            AcceptError::Expired { .. } => "expired",
            AcceptError::Threshold { .. } => "threshold",
            AcceptError::UnknownPackage(_) => "unknown_package",
            AcceptError::ForeignTarget { .. } => "foreign_target",
            AcceptError::ReleaseRemoved(_) => "release_removed",
            AcceptError::ReleaseAltered(_) => "release_altered",
            AcceptError::PackageRemoved(_) => "package_removed",
        }
    }
}

/// Root 1 of a new repository: signed by a threshold of its own root keys.
///
/// # Errors
/// When the form, the version, the expiry or the threshold is wrong.
pub fn accept_first_root(upload: &[u8], now_ms: u64) -> Result<Verified<RootRole>, AcceptError> {
    let root = parse::<RootRole>("root", upload)?;
    in_time("root", &root, 1, now_ms)?;
    let own = root.role().root().clone();
    root.verify(&own).map_err(threshold("root", "the uploaded root"))
}

/// A root kept by the server itself: checked against its own keys, whatever its version and age.
///
/// # Errors
/// When the form or the threshold is wrong.
pub fn reopen_root(stored: &[u8]) -> Result<Verified<RootRole>, AcceptError> {
    let root = parse::<RootRole>("root", stored)?;
    let own = root.role().root().clone();
    root.verify(&own).map_err(threshold("root", "the stored root"))
}

/// The next root: signed by a threshold of the current root keys and by a threshold of its own.
///
/// # Errors
/// When the form, the version, the expiry or either threshold is wrong.
pub fn accept_root(
    current: &Verified<RootRole>,
    upload: &[u8],
    now_ms: u64,
) -> Result<Accepted<RootRole>, AcceptError> {
    let root = parse::<RootRole>("root", upload)?;
    if root.signed_bytes() == current.signed_bytes() {
        return Ok(Accepted::AlreadyCurrent);
    }
    in_time("root", &root, current.role().version().saturating_add(1), now_ms)?;
    let own = root.role().root().clone();
    let root = root.verify(current.role().root()).map_err(threshold("root", "the current root"))?;
    root.verify_again(&own).map_err(threshold("root", "the uploaded root"))?;
    Ok(Accepted::New(root))
}

/// The next top-level targets: signed as root says, with every package that was there before.
///
/// # Errors
/// When the form, the version, the expiry or the threshold is wrong, or a package is gone.
pub fn accept_targets(
    root: &Verified<RootRole>,
    current: Option<&Verified<TargetsRole>>,
    upload: &[u8],
    now_ms: u64,
) -> Result<Accepted<TargetsRole>, AcceptError> {
    let targets = parse::<TargetsRole>("targets", upload)?;
    if is_current(&targets, current) {
        return Ok(Accepted::AlreadyCurrent);
    }
    in_time("targets", &targets, next_version(current), now_ms)?;
    let targets = targets.verify(root.role().targets()).map_err(threshold("targets", "root"))?;
    for (package, _) in current.into_iter().flat_map(|current| current.role().packages()) {
        if targets.role().publishers(package).is_none() {
            return Err(AcceptError::PackageRemoved(package.clone()));
        }
    }
    Ok(Accepted::New(targets))
}

/// The next file of a package's role: signed by its publishers, its own releases only, every earlier one unchanged.
///
/// # Errors
/// When the package is unknown, the form, the version, the expiry or the threshold is wrong, a target is not the
/// package's own, or a release is gone or altered.
pub fn accept_package(
    targets: &Verified<TargetsRole>,
    package: &RoleName,
    current: Option<&Verified<PackageRole>>,
    upload: &[u8],
    now_ms: u64,
) -> Result<Accepted<PackageRole>, AcceptError> {
    let publishers = targets.role().publishers(package).ok_or_else(|| AcceptError::UnknownPackage(package.clone()))?;
    let role = package.as_str();
    let file = parse::<PackageRole>(role, upload)?;
    // Publishers may have changed since: the same content counts as current only if they have signed the stored file.
    let still_signed = current.is_some_and(|current| current.verify_again(publishers).is_ok());
    if still_signed && is_current(&file, current) {
        return Ok(Accepted::AlreadyCurrent);
    }
    in_time(role, &file, next_version(current), now_ms)?;
    let file = file.verify(publishers).map_err(threshold(role, "targets"))?;
    if let Some(path) = file.role().foreign_to(package) {
        return Err(AcceptError::ForeignTarget { package: package.clone(), path: path.clone() });
    }
    for (path, listed) in current.into_iter().flat_map(|current| current.role().releases()) {
        match file.role().release(path) {
            None => return Err(AcceptError::ReleaseRemoved(path.clone())),
            Some(offered) if offered != listed => return Err(AcceptError::ReleaseAltered(path.clone())),
            Some(_) => {}
        }
    }
    Ok(Accepted::New(file))
}

fn parse<R: Role>(role: &str, bytes: &[u8]) -> Result<Unverified<R>, AcceptError> {
    Unverified::parse(bytes).map_err(|error| AcceptError::Form { role: role.into(), error })
}

fn is_current<R: Role>(upload: &Unverified<R>, current: Option<&Verified<R>>) -> bool {
    current.is_some_and(|current| current.signed_bytes() == upload.signed_bytes())
}

fn next_version<R: Role>(current: Option<&Verified<R>>) -> u64 {
    current.map_or(1, |current| current.role().version().saturating_add(1))
}

fn in_time<R: Role>(role: &str, file: &Unverified<R>, expected: u64, now_ms: u64) -> Result<(), AcceptError> {
    let (found, expires) = (file.role().version(), file.role().expires());
    if found != expected {
        return Err(AcceptError::Version { role: role.into(), found, expected });
    }
    if expires.has_come(now_ms) {
        return Err(AcceptError::Expired { role: role.into(), expires });
    }
    Ok(())
}

fn threshold(role: &str, by: &'static str) -> impl FnOnce(ThresholdError) -> AcceptError {
    let role = role.to_owned();
    move |error| AcceptError::Threshold { role, by, error }
}
