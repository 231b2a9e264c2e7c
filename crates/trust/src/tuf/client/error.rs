//! Why a refresh or a look-up was refused, in the words of the threats that TUF answers.
//! Translates the verification core's errors; never hides one as success.

use crate::tuf::expiry::Expiry;
use crate::tuf::form::FormError;
use crate::tuf::names::{RoleName, TargetPath};
use crate::tuf::signing::ThresholdError;

/// The most new roots taken in one refresh (5.3.3). More are taken by refreshing again.
pub const ROOTS_PER_REFRESH_MAX: u32 = 32;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The file does not have the right form.
    #[error("{file}: {error}")]
    Form {
        /// The file.
        file: String,
        /// What is wrong.
        error: FormError,
    },
    /// More bytes than the file may have: endless data, or not the file that was promised.
    #[error("{file}: longer than the {bytes_max} bytes that it may have")]
    TooLarge {
        /// The file.
        file: String,
        /// The greatest length.
        bytes_max: u64,
    },
    /// A file that must be there is not.
    #[error("{file}: the repository does not have it")]
    Missing {
        /// The file.
        file: String,
    },
    /// Too few signatures of the role's keys.
    #[error("{role}: {error}")]
    Threshold {
        /// The role.
        role: String,
        /// What was counted.
        error: ThresholdError,
    },
    /// A version lower than one that was trusted before (`offered` 0: gone altogether).
    #[error("{role}: version {offered} offered, version {trusted} was trusted before: a version never goes back")]
    Rollback {
        /// The role.
        role: String,
        /// The version trusted before.
        trusted: u64,
        /// The version offered.
        offered: u64,
    },
    /// A root that does not follow on the trusted one.
    #[error("root: version {offered} offered after version {trusted}: the next number is right")]
    RootVersion {
        /// The version trusted.
        trusted: u64,
        /// The version offered.
        offered: u64,
    },
    /// A file past its expiry: kept in the past, or nobody signed a new one.
    #[error("{role}: expired at {expires}")]
    Expired {
        /// The role.
        role: String,
        /// When it expired.
        expires: String,
    },
    /// A file that is not the one that the file above it fixes.
    #[error("{file}: not the file that was promised: {reason}")]
    Mismatch {
        /// The file.
        file: String,
        /// What does not fit.
        reason: String,
    },
    /// A package's file that lists a target of another package.
    #[error("package {package} lists {path}, which is not its own")]
    ForeignTarget {
        /// The package.
        package: RoleName,
        /// The target.
        path: TargetPath,
    },
    /// More new roots than one refresh takes. Those taken are kept: refresh again.
    #[error("more than {} new roots in one refresh: refresh again to go on", ROOTS_PER_REFRESH_MAX)]
    TooManyRoots,
    /// No refresh has got as far as this package since the trusted files changed.
    #[error("{role}: not refreshed yet")]
    NotRefreshed {
        /// The first role that is missing.
        role: String,
    },
    /// Targets lists no such package.
    #[error("package {0} is not in this repository")]
    UnknownPackage(RoleName),
    /// The package is there, but has published nothing yet.
    #[error("package {0} has published nothing yet")]
    NothingPublished(RoleName),
    /// The package lists no such release.
    #[error("release {0} is not in this repository")]
    UnknownTarget(TargetPath),
    /// The verification core refused for another reason.
    #[error("{file}: {reason}")]
    Core {
        /// The file.
        file: String,
        /// What it says.
        reason: String,
    },
}

impl ClientError {
    /// A stable word for reports and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            ClientError::Form { error, .. } => error.kind(),
            ClientError::TooLarge { .. } => "too_large",
            ClientError::Missing { .. } => "missing",
            ClientError::Threshold { .. } => "threshold",
            ClientError::Rollback { .. } => "rollback",
            ClientError::RootVersion { .. } => "root_version",
            ClientError::Expired { .. } => "expired",
            ClientError::Mismatch { .. } => "mismatch",
            ClientError::ForeignTarget { .. } => "foreign_target",
            ClientError::TooManyRoots => "too_many_roots",
            ClientError::NotRefreshed { .. } => "not_refreshed",
            ClientError::UnknownPackage(_) => "unknown_package",
            ClientError::NothingPublished(_) => "nothing_published",
            ClientError::UnknownTarget(_) => "unknown_target",
            ClientError::Core { .. } => "malformed",
        }
    }

    pub(super) fn expired(role: &str, expires: Expiry) -> ClientError {
        ClientError::Expired { role: role.into(), expires: expires.to_string() }
    }

    /// The core's refusal of this file.
    pub(super) fn from_core(file: &str, error: sigstore_tuf::Error) -> ClientError {
        use sigstore_tuf::Error;
        let file = file.to_owned();
        match error {
            Error::ThresholdNotMet { role, found, threshold } => {
                let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
                let error = ThresholdError { found: count(found), needed: count(threshold) };
                ClientError::Threshold { role, error }
            }
            Error::Rollback { role, trusted, new } => ClientError::Rollback { role, trusted, offered: new },
            Error::BadRootVersion { trusted, new } => ClientError::RootVersion { trusted, offered: new },
            Error::Expired { role, expires } => ClientError::Expired { role, expires: expires.to_string() },
            Error::IntegrityMismatch(reason) => ClientError::Mismatch { file, reason },
            other => ClientError::Core { file, reason: other.to_string() },
        }
    }
}
