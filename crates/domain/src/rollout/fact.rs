//! What can happen to a rollout. Facts are recorded first and applied after; replaying them gives the same rollout.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reason::HaltReason;
use super::scope::ScopeName;
use crate::ids::{DeviceId, NumberName, OperatorName, StratumName};
use crate::observation::Observation;
use crate::time::WallTime;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// A device was given a go.
    Took {
        /// The device.
        device: DeviceId,
    },
    /// A device said something about this release, or as a control about its own.
    Observed {
        /// The device.
        device: DeviceId,
        /// What it saw.
        observation: Observation,
        /// How long after its go, in milliseconds, by its own clock.
        age_ms: u64,
        /// What it said in numbers, in thousandths.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        numbers: BTreeMap<NumberName, i64>,
    },
    /// Another package failed on a device, which nothing but this release may explain: it took this release last, or is control.
    TroubledElsewhere {
        /// The device.
        device: DeviceId,
    },
    /// Under an earlier order of the same files something was done on a device that its owner forbids for good, and that is heard of now.
    BrokenBefore {
        /// The device.
        device: DeviceId,
    },
    /// A device that took the release runs another one of the package well: a later order brought it, or somebody put it there.
    MovedOn {
        /// The device.
        device: DeviceId,
    },
    /// A permit opened places.
    PermitIssued {
        /// Its step.
        step: u32,
        /// How far each row is open now.
        counts: Vec<RowCount>,
        /// What is not taken by then lapses.
        take_by_ms: WallTime,
    },
    /// A permit ordered devices that took the release back to their fallback.
    ReturnIssued {
        /// Its step; the steps of returns count by themselves.
        step: u32,
        /// How far each row is reached now.
        counts: Vec<RowCount>,
    },
    /// The places of a permit that nobody took have lapsed.
    Lapsed {
        /// The permit's step.
        step: u32,
    },
    /// Places were added.
    AddendumIssued {
        /// Its number, from 1.
        number: u32,
        /// The new places.
        places: Vec<AddedPlace>,
    },
    /// The takes of a tick became a block with these controls.
    BlockOpened {
        /// The tick: wall time divided by the check-in interval.
        tick: u64,
        /// The stratum.
        stratum: StratumName,
        /// Whether it is a lab block, which has no control.
        lab: bool,
        /// Unexposed devices that stay so until the block has closed.
        controls: Vec<DeviceId>,
    },
    /// An age band of a block entered the gate.
    BandEntered {
        /// The block.
        block: u32,
        /// 1 or 2.
        band: u8,
        /// Nobody could have been heard of at its end, because the server was away: silence in it says nothing.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        deaf: bool,
    },
    /// A ring passed and the next one is open.
    RingPassed {
        /// The ring that passed.
        ring: u8,
    },
    /// The last ring passed.
    Completed,
    /// What was held back may open.
    HoldbackEnded,
    /// The rollout stopped for good.
    Halted {
        /// Why.
        reasons: Vec<HaltReason>,
    },
    /// A part of the fleet was halted alone, for good; the rest goes on.
    ScopeHalted {
        /// Which parts.
        scopes: Vec<ScopeName>,
        /// Why.
        reasons: Vec<HaltReason>,
    },
    /// A person let a ring open, once the one before it has passed.
    Approved {
        /// The ring.
        ring: u8,
        /// Who.
        by: OperatorName,
        /// In their words.
        reason: String,
        /// The most places of the ring that it lets open. None in records made before it was kept: all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        places: Option<u32>,
        /// When the ring must have been reached. None in records made before it was kept: at any time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_ms: Option<WallTime>,
    },
    /// A person stopped the opening for a while.
    Paused {
        /// Who.
        by: OperatorName,
        /// In their words; empty in records made before it was kept.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// A person let it go on.
    Resumed {
        /// Who.
        by: OperatorName,
        /// In their words; empty in records made before it was kept.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// The planner asked for a person.
    Escalated {
        /// Why.
        why: Escalation,
    },
}

/// How far one row is open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowCount {
    /// The stratum.
    pub stratum: StratumName,
    /// 0 for the order's roster, else the addendum's number.
    pub addendum: u32,
    /// Places open from the front.
    pub count: u32,
}

/// A place that an addendum adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedPlace {
    /// The device.
    pub device: DeviceId,
    /// The stratum.
    pub stratum: StratumName,
    /// The ring.
    pub ring: u8,
    /// Whether it counts as evidence.
    pub evidence: bool,
}

/// Why a person is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Escalation {
    /// Nothing was opened for two proof times and the ring is not complete.
    Stalled,
    /// The window is full of silent devices that are no more silent than control.
    OnlySilent,
    /// A part of the fleet was halted alone.
    ScopeHalted,
    /// The open ring has passed and the next one waits for its approval.
    ApprovalWanted,
    /// Every device of the ring was heard out, and the evidence does not clear its margin: it never will.
    CannotClear,
}
