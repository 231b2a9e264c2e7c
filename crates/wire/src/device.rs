//! Messages of the device API, in the order in which a device meets them.

use serde::{Deserialize, Serialize};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{PackageName, RolloutId};
use tidegate_domain::roster::ProvenPlace;
use tidegate_domain::time::WallTime;
use tidegate_trust::records::{
    Addendum, EnrolmentPair, EnvelopeRecord, FleetProven, Halt, KeyList, Order, Permit, PolicyRecord, Report,
};
use tidegate_trust::signed::Unverified;

/// The most reports in one request.
pub const REPORTS_MAX: usize = 64;
/// The most packages that one device may run.
pub const PACKAGES_MAX: usize = 64;

/// The words of the device machine's states.
const STATES: [&str; 8] = ["idle", "fetching", "staged", "activating", "proving", "proven", "reverting", "reverted"];

/// What root signs besides TUF metadata.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TrustBundle {
    /// Who may sign what.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub key_list: Unverified<KeyList>,
    /// The bounds of every policy.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub envelope: Unverified<EnvelopeRecord>,
}

/// A device asks to join.
pub type EnrolRequest = EnrolmentPair;

/// The device has joined.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnrolAnswer {
    /// The device's bearer token; the server keeps only its hash. Asking again with the same record gives a new one.
    pub token: String,
    /// How often to check in while nothing is under way, in milliseconds.
    pub check_in_ms: u64,
}

/// A device says that it is there. Idle ones are not written anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CheckIn {
    /// What runs on it.
    pub packages: Vec<PackageStatus>,
    /// The `store_epoch` of the last answer that the device saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_epoch: Option<String>,
    /// A number that the agent drew when it started. A device whose numbers come back after others is two machines with one key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
}

impl CheckIn {
    /// Checks what the shape alone does not: how many packages, and that each state is a word that there is.
    ///
    /// # Errors
    /// Names the field, what stands there and what would be right.
    pub fn check(&self) -> Result<(), CheckInError> {
        if self.packages.len() > PACKAGES_MAX {
            return Err(CheckInError::TooManyPackages(self.packages.len()));
        }
        match self.packages.iter().find(|status| !STATES.contains(&status.state.as_str())) {
            Some(status) => Err(CheckInError::State(status.state.chars().take(80).collect())),
            None => Ok(()),
        }
    }
}

/// Why a check-in is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckInError {
    /// More packages than a device may run.
    #[error("field `packages` has {0} entries, at most {PACKAGES_MAX}")]
    TooManyPackages(usize),
    /// No state of the device machine.
    #[error("field `packages.state` is {0:?}: expected the word of a state, for example `idle` or `proving`")]
    State(String),
}

impl CheckInError {
    /// The stable word for problem documents.
    pub fn kind(&self) -> &'static str {
        match self {
            CheckInError::TooManyPackages(_) => "too_many_packages",
            CheckInError::State(_) => "unknown_state",
        }
    }
}

/// One package on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PackageStatus {
    /// The package.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub package: PackageName,
    /// The release that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub current: Option<Digest>,
    /// The release to return to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub fallback: Option<Digest>,
    /// The word of the device machine's state: `idle`, `fetching`, `staged`, `activating`, `proving`, `proven`, `reverting`, `reverted`.
    pub state: String,
    /// Whether all probes passed last time.
    pub healthy: bool,
}

/// What the server wants a device to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckInAnswer {
    /// When to come back, in milliseconds; the device adds jitter.
    pub check_in_ms: u64,
    /// The server's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub now_ms: WallTime,
    /// The server's history. When it changes, the device sends its last report again.
    pub store_epoch: String,
    /// Rollouts whose place for this device is open and not yet taken.
    pub offers: Vec<OfferNotice>,
    /// Packages about which signed health reports are wanted at each check-in, because a block that this device is in is open.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub health_wanted: Vec<PackageName>,
    /// Halts of orders that this device was offered.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub halts: Vec<Unverified<Halt>>,
    /// Fleet-proven records of releases that this device runs.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub fleet_proven: Vec<Unverified<FleetProven>>,
    /// Signed permits of kind `revert` that reach this device.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub reverts: Vec<RolloutId>,
    /// The newest version of the key list and of the envelope; a device that holds less fetches `/device/v1/trust`.
    pub key_list_version: u64,
    /// See `key_list_version`.
    pub envelope_version: u64,
}

/// An offer waits under `/device/v1/offers/{rollout}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OfferNotice {
    /// The rollout.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub rollout: RolloutId,
    /// Its package.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub package: PackageName,
    /// The permit in force for the device.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub permit: Digest,
}

/// All that a device needs to decide for itself whether it may take a release.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Offer {
    /// The order.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub order: Unverified<Order>,
    /// The policy that the order pins.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub policy: Unverified<PolicyRecord>,
    /// The permit in force.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub permit: Unverified<Permit>,
    /// The addendum that holds the device's place, where it is not in the order's own roster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub addendum: Option<Unverified<Addendum>>,
    /// The device's place.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub place: ProvenPlace,
}

/// Reports that a device has kept until now.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Reports {
    /// In the order of their numbers.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub reports: Vec<Unverified<Report>>,
}

/// What became of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportsAnswer {
    /// Every report up to this number is kept durably and may be forgotten by the device.
    pub acknowledged_seq: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_in(state: &str, packages: usize) -> CheckIn {
        let package = "p".parse().unwrap();
        let status = PackageStatus { package, current: None, fallback: None, state: state.to_owned(), healthy: true };
        CheckIn { packages: vec![status; packages], store_epoch: None, run: None }
    }

    #[test]
    fn a_device_cannot_make_the_server_remember_a_text_of_its_own() {
        assert_eq!(check_in("proven", PACKAGES_MAX).check(), Ok(()));
        let error = check_in(&"x".repeat(1 << 20), 1).check().unwrap_err();
        assert_eq!(error.kind(), "unknown_state");
        assert!(error.to_string().len() < 300, "{error}");
        assert_eq!(check_in("idle", PACKAGES_MAX + 1).check().unwrap_err().kind(), "too_many_packages");
    }
}
