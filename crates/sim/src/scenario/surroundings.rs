//! What a scenario says of everything between the devices and the planner: network, outages of the control plane, servers.

use serde::{Deserialize, Serialize};
use tidegate_domain::time::Elapsed;

/// A time in which the control plane answers nobody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Downtime {
    /// When, after the start.
    pub at: Elapsed,
    /// For how long.
    #[serde(rename = "for")]
    pub duration: Elapsed,
}

/// What the network does to messages.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// The share of check-ins that fail.
    pub loss: f64,
    /// The share of reports that arrive twice.
    pub duplication: f64,
    /// The share of reports that are held up until their device checks in again.
    pub late: f64,
    /// How far device clocks are off: a device's age of a report is too short or too long by up to this share.
    pub skew: f64,
}

/// Servers on one store, as they ship, and what befalls them. Every device then signs what it says, so that fleets are small.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Servers {
    /// How many there are; they race for the store's lease.
    pub count: u32,
    /// The share of requests to the store at which the server dies, before the store has done it or after.
    pub crash: f64,
    /// The share of requests to the store of which request or reply is lost.
    pub lost: f64,
    /// The share of reads that lack the newest entries.
    pub stale: f64,
    /// The share of requests to the store at which the server stalls for up to a minute, and then puts it as if nothing had been.
    pub stall: f64,
    /// How far ahead a server's clock is at most.
    pub skew: Elapsed,
}

impl Default for Servers {
    fn default() -> Servers {
        Servers { count: 1, crash: 0.0, lost: 0.0, stale: 0.0, stall: 0.0, skew: Elapsed::ZERO }
    }
}
