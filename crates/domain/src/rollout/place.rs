//! One place of a rollout: where a device stands with this release, as far as the server has been told.

use std::num::{NonZeroU16, NonZeroU32};

use serde::{Deserialize, Serialize};

use crate::ids::DeviceId;
use crate::observation::FailureReason;
use crate::time::{Elapsed, WallTime};

/// Where a place stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// Not opened yet.
    Waiting,
    /// Not opened, and promised to stay so until its block has closed.
    Control {
        /// The block.
        block: u32,
        /// What its health reports said, by age band.
        seen: Seen,
    },
    /// Opened by the permit of this step, not taken yet.
    Open {
        /// The permit's step.
        step: u32,
    },
    /// Opened, not taken in time; the device may come back by addendum.
    Lapsed,
    /// Given a go.
    Taken(Taken),
}

/// A device that took the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// When the server recorded the take.
    pub at_ms: WallTime,
    /// What was seen, by age band.
    pub seen: Seen,
    /// Proven, once and for good.
    pub proven: bool,
    /// The reason, once it failed hard.
    pub failed: Option<FailureReason>,
    /// Past a deadline without a healthy report, and not failed.
    pub overdue: bool,
    /// Its block has closed: it may still be proven, but nothing waits for it.
    #[serde(default)]
    pub heard_out: bool,
    /// Its last word was a good one: healthy, proven, or returned to its fallback.
    pub well: bool,
    /// It said that neither release nor fallback runs.
    pub needs_hands: bool,
    /// It is back on its fallback.
    pub returned: bool,
    /// It runs another release of the package well, that a later order or a person brought.
    #[serde(default)]
    pub moved_on: bool,
}

/// What was seen of a member of a block in each of the two age bands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// A hard failure, dated by age.
    pub hard: [bool; 2],
    /// A failure of another package that nothing but the release may explain.
    #[serde(default)]
    pub elsewhere: [bool; 2],
    /// A healthy report, dated by age.
    pub healthy: [bool; 2],
    /// Whether the last healthy report of the band said a number that lies outside its bounds.
    #[serde(default)]
    pub outside: [bool; 2],
    /// The age at its first crash, in milliseconds and one more; none where it did not crash.
    #[serde(default)]
    pub crashed: Option<NonZeroU32>,
    /// The slot of its first healthy report in band 2, and one more: how many times two check-ins after that band began. None where
    /// there was no such report.
    #[serde(default)]
    pub back_in: Option<NonZeroU16>,
}

impl Seen {
    /// The age at its first crash.
    pub fn crashed_at(&self) -> Option<Elapsed> {
        self.crashed.map(|at| Elapsed::from_ms(u64::from(at.get()) - 1))
    }

    /// Notes a healthy report of band 2 in a slot; only the earliest counts.
    pub(super) fn is_back_in(&mut self, slot: u64) {
        let slot = NonZeroU16::new(u16::try_from(slot).unwrap_or(u16::MAX - 1).saturating_add(1));
        self.back_in = self.back_in.min(slot).or(slot);
    }

    /// Notes a crash at an age; only the earliest counts.
    pub(super) fn crashes_at(&mut self, age: Elapsed) {
        let at = NonZeroU32::new(u32::try_from(age.as_ms()).unwrap_or(u32::MAX - 1).saturating_add(1));
        self.crashed = self.crashed.min(at).or(at);
    }
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceState {
    /// The device.
    pub device: DeviceId,
    /// Its ring.
    pub ring: u8,
    /// Whether it counts as evidence and proof: false for a device that was enrolled after the release was published.
    pub evidence: bool,
    /// Whether an earlier place of the device lapsed: to open it again is no progress.
    #[serde(default)]
    pub again: bool,
    /// Whether it has served as control for this release, or took it under an earlier order: it serves no more.
    pub was_control: bool,
    /// Where it stands.
    pub stage: Stage,
}

impl PlaceState {
    pub(super) fn waiting(device: DeviceId, ring: u8) -> PlaceState {
        PlaceState { device, ring, evidence: true, again: false, was_control: false, stage: Stage::Waiting }
    }

    /// Whether it was not opened yet and serves nobody.
    pub fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting)
    }

    /// Whether it can serve as control: unexposed, evidence, and never control before.
    pub fn is_fresh(&self) -> bool {
        self.is_waiting() && self.evidence && !self.was_control
    }

    /// Whether nothing more is to be waited for: proven, failed, past a deadline, or not taken in time.
    pub fn is_settled(&self) -> bool {
        match &self.stage {
            Stage::Waiting | Stage::Control { .. } | Stage::Open { .. } => false,
            Stage::Lapsed => true,
            Stage::Taken(taken) => !taken.pending(),
        }
    }
}

impl Taken {
    pub(super) fn new(at: WallTime) -> Taken {
        Taken {
            at_ms: at,
            seen: Seen::default(),
            proven: false,
            failed: None,
            overdue: false,
            heard_out: false,
            well: false,
            needs_hands: false,
            returned: false,
            moved_on: false,
        }
    }

    /// Neither proven nor failed nor past a deadline: still to be heard of.
    pub fn pending(&self) -> bool {
        !self.proven && self.failed.is_none() && !self.overdue && !self.heard_out
    }
}

/// Where a place stands in a rollout's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PlaceRef {
    /// Index of the roster row.
    pub row: u32,
    /// Index within the row.
    pub index: u32,
}
