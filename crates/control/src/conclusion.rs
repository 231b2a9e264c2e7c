//! What is kept of a rollout that concerns no device any more.

use serde::{Deserialize, Serialize};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{PackageName, Version};
use tidegate_domain::incident::Incident;
use tidegate_domain::time::WallTime;

/// What is kept of a rollout that concerns no device any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conclusion {
    /// Its package.
    pub package: PackageName,
    /// The version that it brought.
    pub version: Version,
    /// The release that it brought.
    pub release: Digest,
    /// The policy that it was ordered under.
    pub policy: Digest,
    /// Its order.
    pub order: Digest,
    /// The order's number.
    pub order_seq: u64,
    /// When it started.
    pub started_at_ms: WallTime,
    /// When it was completed or halted.
    pub ended_at_ms: WallTime,
    /// Whether it was halted.
    pub halted: bool,
    /// Devices that took the release.
    pub taken: u32,
    /// Of them, those that proved it.
    pub proven: u32,
    /// Of them, those that failed or fell silent.
    pub harmed: u32,
    /// Its incident, as it stood at last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<Incident>,
}

impl Conclusion {
    /// How it ended, as a stable word.
    pub fn phase(&self) -> &'static str {
        if self.halted { "halted" } else { "completed" }
    }
}
