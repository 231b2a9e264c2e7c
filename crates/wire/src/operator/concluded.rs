//! Rollouts that concern no device any more.

use serde::{Deserialize, Serialize};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{IncidentId, PackageName, RolloutId, Version};
use tidegate_domain::time::WallTime;

/// What is kept of a rollout that concerns no device any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConcludedView {
    /// The rollout.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub rollout: RolloutId,
    /// Its package.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub package: PackageName,
    /// The version that it brought.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: Version,
    /// The release that it brought.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub release: Digest,
    /// The policy that it was ordered under.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub policy: Digest,
    /// Its order.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub order: Digest,
    /// When it started.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub started_at_ms: WallTime,
    /// When it was completed or halted.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub ended_at_ms: WallTime,
    /// `completed` or `halted`.
    pub phase: String,
    /// Devices that took the release.
    pub taken: u32,
    /// Of them, those that proved it.
    pub proven: u32,
    /// Of them, those that failed or fell silent.
    pub harmed: u32,
    /// Its incident, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub incident: Option<IncidentId>,
}
