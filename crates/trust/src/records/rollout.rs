//! The records of a rollout: what a person orders, what the gate key opens, answers, stops and finishes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, PackageName, RingName, RolloutId, StratumName, Version};
use tidegate_domain::time::WallTime;

use super::{Ext, body};
use crate::signed::Fleet;

/// The commitment to one stratum's roster (or to what an addendum adds to it).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RosterRoot {
    /// The stratum.
    pub stratum: StratumName,
    /// How many places.
    pub size: u32,
    /// The root of the Merkle tree over the places.
    pub root: Digest,
}

/// Starts a rollout. Signed by a person's order key, and where it resumes by approvers too (see [`KeyList::verify_order`](super::KeyList::verify_order)). A device refuses one whose `order_seq` is lower than one it has seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The fleet.
    pub fleet: Fleet,
    /// The rollout: package, dot, `order_seq`.
    pub rollout: RolloutId,
    /// The package.
    pub package: PackageName,
    /// The version, for people.
    pub version: Version,
    /// The release: SHA-256 of its manifest.
    pub release: Digest,
    /// The policy: SHA-256 of its text.
    pub policy: Digest,
    /// Rises with each order of this package.
    pub order_seq: u64,
    /// Drawn by the server after the release was signed; fixes everybody's place.
    pub rank_seed: Digest,
    /// The policy's rings, in order; a place's ring is an index into this list.
    pub rings: Vec<RingName>,
    /// One root a stratum.
    pub rosters: Vec<RosterRoot>,
    /// When it was signed.
    pub issued_at_ms: WallTime,
    /// No permit opens anything under it after this instant.
    pub expires_at_ms: WallTime,
    /// That it goes on after a halt of the same files. Such an order wants approvers' signatures beside the order key's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumes: Option<Resumption>,
    /// Room for later additions.
    #[serde(default, skip_serializing_if = "Ext::is_empty")]
    pub ext: Ext,
}
body!(Order, "tidegate/order/v1");

/// How an order goes on after a halt of the same files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resumption {
    /// The last rollout that halted them.
    pub halted: RolloutId,
    /// Devices whose words are left out, sorted; at most as many as the policy's `gate.quarantine_max`.
    pub without: BTreeSet<DeviceId>,
}

/// Lets one ring of an order open once the ring before it has passed. Signed by a key of scope `approve` that may not order: whoever orders
/// approves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The fleet.
    pub fleet: Fleet,
    /// The order.
    pub order: Digest,
    /// The policy that the order pins.
    pub policy: Digest,
    /// The ring.
    pub ring: RingName,
    /// The places that it had when the approval was signed: where more have joined since, it is asked for again.
    pub places: u32,
    /// When it was signed.
    pub issued_at_ms: WallTime,
    /// Until when it can be used.
    pub expires_at_ms: WallTime,
    /// Room for later additions.
    #[serde(default, skip_serializing_if = "Ext::is_empty")]
    pub ext: Ext,
}
body!(Approval, "tidegate/approval/v1");

/// What a permit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PermitKind {
    /// Opens the release to the first `count` places of each roster.
    Open,
    /// Returns the first `count` places of each roster, where they took the release, to their fallback.
    Revert,
}

/// How far one roster is open: the order's roster of a stratum, or what one addendum adds to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RosterCount {
    /// The stratum.
    pub stratum: StratumName,
    /// 0 for the order's own roster, else the addendum's number.
    pub addendum: u32,
    /// The first so many places are open.
    pub count: u32,
}

/// Opens the first `count` places of each roster. Signed by the gate key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permit {
    /// The fleet.
    pub fleet: Fleet,
    /// The order.
    pub order: Digest,
    /// Open or revert.
    pub kind: PermitKind,
    /// Counts from 1 under an order and kind.
    pub step: u32,
    /// The permit before this one; none for the first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// How far each roster is open, sorted; a roster that is not named is shut. Never less than in the permit before.
    pub counts: Vec<RosterCount>,
    /// A place that this permit opened and that was not taken by then has lapsed.
    pub take_by_ms: WallTime,
    /// When it was signed.
    pub issued_at_ms: WallTime,
    /// Room for later additions: evidence, auditors' countersignatures, log proofs.
    #[serde(default, skip_serializing_if = "Ext::is_empty")]
    pub ext: Ext,
}
body!(Permit, "tidegate/permit/v1");

/// Adds places to the rosters of an order: late joiners, and devices whose place lapsed. Signed by the gate key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addendum {
    /// The fleet.
    pub fleet: Fleet,
    /// The order.
    pub order: Digest,
    /// Counts from 1 under an order.
    pub number: u32,
    /// The addendum before this one; none for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// One root a stratum that gains places.
    pub rosters: Vec<RosterRoot>,
    /// When it was signed.
    pub issued_at_ms: WallTime,
    /// Room for later additions.
    #[serde(default, skip_serializing_if = "Ext::is_empty")]
    pub ext: Ext,
}
body!(Addendum, "tidegate/addendum/v1");

/// Lets one device move from Staged to Activating. Signed by the gate key after the take was recorded durably.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Go {
    /// The fleet.
    pub fleet: Fleet,
    /// The device.
    pub device: DeviceId,
    /// The order.
    pub order: Digest,
    /// The permit that opened the device's place.
    pub permit: Digest,
    /// The nonce of the device's request: 64 hexadecimal digits.
    pub nonce: Digest,
    /// When it was signed.
    pub issued_at_ms: WallTime,
    /// Room for later additions.
    #[serde(default, skip_serializing_if = "Ext::is_empty")]
    pub ext: Ext,
}
body!(Go, "tidegate/go/v1");

/// Ends an order's opening for good or until a signed resume. Signed by the gate key or by any key of scope `halt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Halt {
    /// The fleet.
    pub fleet: Fleet,
    /// The order.
    pub order: Digest,
    /// Why, one line each, for people.
    pub reasons: Vec<String>,
    /// When it was signed.
    pub issued_at_ms: WallTime,
    /// Room for later additions.
    #[serde(default, skip_serializing_if = "Ext::is_empty")]
    pub ext: Ext,
}
body!(Halt, "tidegate/halt/v1");

/// Says that the last ring of an order passed: the release may become a device's fallback. Signed by the gate key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetProven {
    /// The fleet.
    pub fleet: Fleet,
    /// The order.
    pub order: Digest,
    /// The package.
    pub package: PackageName,
    /// The release.
    pub release: Digest,
    /// When the last ring passed.
    pub passed_at_ms: WallTime,
    /// Room for later additions.
    #[serde(default, skip_serializing_if = "Ext::is_empty")]
    pub ext: Ext,
}
body!(FleetProven, "tidegate/fleet-proven/v1");
