//! The ordered stages of a policy: who belongs to each, what it must show, and who lets it open.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::RingName;
use crate::time::Elapsed;

/// A stage of a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ring {
    /// The ring's name. A device whose enrolment record carries this label belongs to it.
    pub name: RingName,
    /// The share of the devices without a ring label that belongs to it, by rank.
    #[serde(default)]
    pub share: f64,
    /// A lab: no control group, an absolute test, and its proofs count in it alone. Only the first ring can be one.
    #[serde(default)]
    pub lab: bool,
    /// How long after its first go it stays open before it can pass.
    pub soak: Elapsed,
    /// The role that an operator must have at least to let it open, once the ring before it has passed; absent: nobody is asked. The
    /// first ring is approved by the order itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve: Option<ApprovalRole>,
    /// The share of its places that must be proven. Default 0.8 for a lab, 0.9 for others.
    #[serde(default)]
    pub proven_share_min: Option<f64>,
    /// It passes when the evidence shows that hard failures are less than this above control's.
    #[serde(default = "default_delta_hard")]
    pub clear_hard: f64,
    /// The same for silence.
    #[serde(default = "default_delta_silent")]
    pub clear_silent: f64,
}

/// Who may approve a ring; each role may do what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalRole {
    /// Whoever publishes releases.
    Publisher,
    /// Whoever applies policies and starts rollouts.
    Approver,
    /// Whoever makes operators.
    Admin,
}

impl fmt::Display for ApprovalRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ApprovalRole::Publisher => "publisher",
            ApprovalRole::Approver => "approver",
            ApprovalRole::Admin => "admin",
        })
    }
}

impl Ring {
    /// The share of its places that must be proven before it passes.
    pub fn proven_share_min(&self) -> f64 {
        self.proven_share_min.unwrap_or(if self.lab { 0.8 } else { 0.9 })
    }
}

fn default_delta_hard() -> f64 {
    0.005
}

fn default_delta_silent() -> f64 {
    0.02
}
