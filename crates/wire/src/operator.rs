//! Messages of the operator API (`/api/v1`): what people's tools say to the server, and the views that they get.

mod account;
mod collecting;
mod concluded;
mod console;
mod devices;
mod holding;
mod incidents;
mod rollout_words;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, OperatorName, PackageName, PolicyName, RolloutId, Version};
use tidegate_domain::rollout::report::StepReport;
use tidegate_domain::time::WallTime;
use tidegate_trust::records::{Halt, Order, PolicyRecord};
use tidegate_trust::signed::Unverified;

pub use account::{AccountLine, AccountPart};
pub use collecting::{CollectRequest, CollectView};
pub use concluded::ConcludedView;
pub use console::ConsoleCode;
pub use devices::{DevicePackageView, DeviceView, RetirementView, TroubleView};
pub use holding::{HoldRequest, HoldView, RestoredView, WeeklyWindows};
pub use incidents::{ActRequest, CustomerView, ExposedDevice, IncidentView, OpenIncidentRequest};
pub use rollout_words::{AccusationView, ApprovalRequest, ReasonRequest};

/// What an operator may do. Each role may do what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees everything; may halt and pause (closing is cheap).
    Viewer,
    /// Publishes releases.
    Publisher,
    /// Applies policies, starts and resumes rollouts (with an order key's signature).
    Approver,
    /// Makes and revokes operators, replaces key list, envelope and root.
    Admin,
}

/// Exchanges the one-time login code that `tidegate up` printed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The code.
    pub code: String,
}

/// An operator's bearer token, shown this once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenAnswer {
    /// The operator.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub operator: OperatorName,
    /// The role.
    pub role: Role,
    /// The bearer token.
    pub token: String,
}

/// Makes an operator, or gives a known one a new token and role.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OperatorRequest {
    /// The operator.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub operator: OperatorName,
    /// The role.
    pub role: Role,
    /// The packages that the operator may publish and order; empty for all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub packages: BTreeSet<PackageName>,
}

/// An operator.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OperatorView {
    /// The operator.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub operator: OperatorName,
    /// The role.
    pub role: Role,
    /// The packages that the operator may publish and order; empty for all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub packages: BTreeSet<PackageName>,
}

/// What this server is and which promises are in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatusView {
    /// The fleet: digest of TUF root 1.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub fleet: Digest,
    /// The server's version.
    pub version: String,
    /// The name of the store's history.
    pub store_epoch: String,
    /// The last record.
    pub seq: u64,
    /// The envelope's name; contains `danger` where safe bounds are weakened on purpose.
    pub envelope: String,
    /// `not in force` while there are no auditors.
    pub p4: String,
    /// Enrolled devices.
    pub devices: u64,
    /// Open incidents.
    pub incidents_open: u64,
    /// When the store was put back from a backup, and when that was made; none where it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<RestoredView>,
}

/// A package with its releases.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PackageView {
    /// The package.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub package: PackageName,
    /// How many publishers must sign a release.
    pub threshold: u32,
    /// How many publishers there are.
    pub publishers: u32,
    /// The releases, oldest first.
    pub releases: Vec<ReleaseView>,
}

/// A published release.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReleaseView {
    /// The version.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: Version,
    /// SHA-256 of the manifest.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub release: Digest,
    /// When the server took it.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub published_at_ms: WallTime,
    /// The rollout that halted it, where one did.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub halted_by: Option<RolloutId>,
}

/// Applies a policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicyRequest {
    /// The policy, signed by an order key.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub policy: Unverified<PolicyRecord>,
}

/// A policy that was applied.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PolicyView {
    /// The policy.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: PolicyName,
    /// SHA-256 of the text.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub digest: Digest,
    /// When it was applied.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub applied_at_ms: WallTime,
    /// Whether it is the newest of its name.
    pub current: bool,
    /// The TOML text; in lists left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Asks for an order to sign.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DraftRequest {
    /// The package.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub package: PackageName,
    /// The version.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: Version,
    /// The policy, by digest.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub policy: Digest,
    /// That it goes on after a halt of the same files. Approvers sign such an order too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resume: bool,
    /// With `resume`: devices whose words are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub without: Vec<DeviceId>,
}

/// An order without signature, good for ten minutes, or a day where approvers sign it too.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DraftAnswer {
    /// The order.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub order: Unverified<Order>,
    /// Eligible devices.
    pub devices: u64,
    /// Places that open before any proof.
    pub first_window: u64,
    /// Approvers who must sign beside the order key.
    pub approvals: u32,
}

/// Starts a rollout.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// The draft, signed by an order key, and by approvers where it resumes.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub order: Unverified<Order>,
}

/// What a signed halt must name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HaltTarget {
    /// The rollout.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub rollout: RolloutId,
    /// The fleet.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub fleet: Digest,
    /// The order that started the rollout.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub order: Digest,
}

/// Halts a rollout without a login: the signature is the authority.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignedHaltRequest {
    /// The halt, signed by a key of scope `halt`.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub halt: Unverified<Halt>,
}

/// A rollout is halted: no device gets a go for it any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HaltAnswer {
    /// The rollout.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub rollout: RolloutId,
    /// Whether the log has it already. If not, it stands in the halt file until the log can be written again.
    pub recorded: bool,
}

/// A rollout.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutView {
    /// The rollout.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub rollout: RolloutId,
    /// The package.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub package: PackageName,
    /// The version.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: Version,
    /// The release.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub release: Digest,
    /// The policy that the order pins.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub policy: Digest,
    /// The policy's name.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub policy_name: PolicyName,
    /// The order: digest of its body.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub order: Digest,
    /// The last rollout before it that brought the same files: its evidence goes on in this one.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goes_on_from: Option<RolloutId>,
    /// Devices whose words are left out, because it goes on after a halt.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<DeviceId>,
    /// When the order was accepted.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub started_at_ms: WallTime,
    /// When the first device took it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub first_take_at_ms: Option<WallTime>,
    /// When it halted or completed.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub ended_at_ms: Option<WallTime>,
    /// Places that were open before any proof.
    pub first_window: u32,
    /// The newest permit's step.
    pub permit_step: u32,
    /// `not in force` while there are no auditors.
    pub p4: String,
    /// Rings, windows, verdict with its reasons.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub report: StepReport,
    /// The verdict's reasons, one line each.
    pub reasons: Vec<String>,
}
