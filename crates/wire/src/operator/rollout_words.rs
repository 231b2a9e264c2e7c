//! What operators say to rollouts, and whom the evidence blames.

use serde::{Deserialize, Serialize};
use tidegate_domain::ids::{PackageName, RolloutId, Version};
use tidegate_trust::records::Approval;
use tidegate_trust::signed::Unverified;

/// Pauses, resumes or halts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReasonRequest {
    /// Why, for the account; 1 to 500 characters.
    pub reason: String,
}

/// A rollout, in all devices or in a part of the fleet, with the evidence against it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccusationView {
    /// The rollout.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub rollout: RolloutId,
    /// Its package.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub package: PackageName,
    /// Its version.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: Version,
    /// In whom: `all devices`, `NAME = VALUE`, `stratum NAME`.
    pub scope: String,
    /// ln of the average of the scope's e-values.
    pub ln_e: f64,
    /// Whether it is to blame: by e-BH over all of them, or because the gate halted it there.
    pub blamed: bool,
    /// Whether it is the one of its rollout's blamed scopes that says most.
    pub named: bool,
}

/// Lets the next ring of a rollout open: a record that an approver's key signed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApprovalRequest {
    /// What the approver signed: `tidegate/approval/v1` in `docs/protocol.md`.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub approval: Unverified<Approval>,
    /// Why, for the account; 1 to 500 characters.
    pub reason: String,
}
