//! What an order fixed of a rollout.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::ids::{PackageName, RolloutId, Version};
use crate::release::WatchedNumber;
use crate::time::{Elapsed, WallTime};

/// What an order fixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The rollout.
    pub rollout: RolloutId,
    /// The package.
    pub package: PackageName,
    /// The version.
    pub version: Version,
    /// The release: SHA-256 of its manifest.
    pub release: Digest,
    /// The policy: SHA-256 of its text.
    pub policy: Digest,
    /// The order: digest of its body.
    pub order: Digest,
    /// When the order was accepted.
    pub started_at_ms: WallTime,
    /// Nothing opens after it.
    pub expires_at_ms: WallTime,
    /// The release's allowed downtime.
    pub downtime: Elapsed,
    /// The numbers that the release's manifest declares.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<WatchedNumber>,
}
