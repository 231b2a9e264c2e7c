//! What a device steps through with one package: from an offer to a proven release, or back to its fallback.
//!
//! [`Machine::step`] takes an event and gives the next machine and the effects. The caller writes the machine to disk first and
//! performs the effects after, so that a kill between any two leaves one state that [`Machine::resume`] goes on from.
//! [`guard`] decides at each start of a payload which slot may run. Nothing here touches a file, a clock or a process.

mod edges;
pub mod guard;
mod proof;
mod slots;
mod words;

#[cfg(test)]
mod drawing;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::ids::{RolloutId, Version};
use crate::observation::{FailureReason, Observation, RefusalReason};
use crate::time::Elapsed;

pub use slots::Pointers;

/// The most time that one tick may count: a device that was asleep or suspended proved nothing meanwhile.
pub const TICK_MAX: Elapsed = Elapsed::from_s(5);

/// How many rounds of probes in a row may fail once a release was healthy, before it counts as failed.
///
/// One round can miss because the machine was busy, two because a restart of something else took a second; a third in a row is
/// what a sick payload looks like. More would only lengthen the harm.
pub const PROBE_FAILURES_MAX: u32 = 2;

/// What a device was offered, checked in full, and is trying.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// The rollout.
    pub rollout: RolloutId,
    /// The order that it runs under.
    pub order: Digest,
    /// The permit that opened the device's place.
    pub permit: Digest,
    /// The release: SHA-256 of its manifest.
    pub release: Digest,
    /// The release's version, for people.
    pub version: Version,
    /// How long it must be healthy, in contact.
    pub prove_for: Elapsed,
    /// How many restarts it must come through.
    pub prove_restarts: u32,
    /// How long the payload may be away at a start.
    pub downtime: Elapsed,
    /// For a release that may break connectivity: how long without contact before it is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_deadline: Option<Elapsed>,
}

/// Where a device stands with a package.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum State {
    /// Nothing is under way.
    Idle {},
    /// The files are being fetched.
    Fetching {
        /// What is being tried.
        trial: Box<Trial>,
    },
    /// The files lie in their slot; the server is being asked for its go.
    Staged {
        /// What is being tried.
        trial: Box<Trial>,
    },
    /// The device took the release: its payload is being started and was not healthy yet.
    Activating {
        /// What is being tried.
        trial: Box<Trial>,
        /// The number of the start, from 1; 0 before the guard counted the first.
        attempt: u32,
        /// Since when the payload is away.
        waited: Elapsed,
        /// Since when there is no contact.
        silent: Elapsed,
    },
    /// Healthy, and being proven.
    Proving {
        /// What is being tried.
        trial: Box<Trial>,
        /// The number of the start.
        attempt: u32,
        /// How long it was healthy and in contact.
        elapsed: Elapsed,
        /// Restarts that it came through.
        restarts: u32,
        /// Whether a restart that belongs to the proof is under way.
        restarting: bool,
        /// How many rounds of probes failed in a row.
        probe_failures: u32,
        /// How long the restart under way takes already.
        waited: Elapsed,
        /// Since when there is no contact.
        silent: Elapsed,
    },
    /// Proven here.
    Proven {
        /// What was proven.
        trial: Box<Trial>,
        /// The number of the last start.
        attempt: u32,
        /// How many rounds of probes failed in a row.
        probe_failures: u32,
    },
    /// Left, and the slot before it is being started.
    Reverting {
        /// What was left.
        trial: Box<Trial>,
        /// Why.
        reason: FailureReason,
        /// How many attempts it had.
        attempt: u32,
    },
    /// Left, and the slot before it runs (or nothing does: [`Machine::needs_hands`]).
    Reverted {
        /// What was left.
        trial: Box<Trial>,
        /// Why.
        reason: FailureReason,
        /// How many attempts it had.
        attempt: u32,
        /// After a loss of contact: how long there has been none under the fallback either. None once that is settled.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        silent: Option<Elapsed>,
    },
}

/// A release that was proven here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenRelease {
    /// Under which order, and what.
    pub trial: Box<Trial>,
    /// Whether a fleet-proven record made it the fallback.
    pub fleet_proven: bool,
}

/// All that a device remembers of a package, besides the pointers and the attempts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Where it stands.
    pub state: State,
    /// The release that was proven here and has not been left since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<ProvenRelease>,
    /// How long ago the device took the release in hand, by its own clock; time in which no agent ran is not in it.
    pub age: Elapsed,
    /// How long all was well since a start that counted as an attempt; none while no attempt counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settling: Option<Elapsed>,
    /// How long all must be well before attempts are forgotten: `prove.for` of the release that was proven last.
    pub settle_for: Elapsed,
    /// Neither release nor fallback runs.
    #[serde(default)]
    pub needs_hands: bool,
    /// Whether the last round of probes passed since the last start.
    #[serde(skip)]
    pub healthy: bool,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An offer passed every check.
    Offered(Box<Trial>),
    /// An offer, a file or a go was refused.
    Refused {
        /// The order that it was about.
        order: Digest,
        /// Why.
        reason: RefusalReason,
        /// A few words for people.
        detail: String,
    },
    /// All files lie in the slot.
    Fetched,
    /// The server's go passed its checks.
    GoGiven,
    /// The server says no: the place lapsed, the window is full.
    GoDenied,
    /// A halt of this order holds.
    Halted {
        /// The order.
        order: Digest,
    },
    /// The payload was started.
    Started {
        /// The attempt that the guard counted; 0 where the start is none.
        attempt: u32,
    },
    /// All probes passed.
    Healthy,
    /// A round of probes failed.
    ProbeFailed {
        /// Which, and how.
        detail: String,
    },
    /// The payload ended by itself.
    Exited {
        /// How.
        detail: String,
    },
    /// The activation command failed.
    ActivationFailed {
        /// How.
        detail: String,
    },
    /// The guard found the attempts used up and pointed `current` back.
    ReturnedByGuard {
        /// How many attempts there were.
        attempt: u32,
    },
    /// The guard has no slot left to return to.
    Exhausted,
    /// Something was done that the device's owner forbids for good.
    InvariantBroken {
        /// What.
        detail: String,
    },
    /// Time passed.
    Tick {
        /// How much; at most [`TICK_MAX`] of it counts.
        passed: Elapsed,
        /// Whether the server's authenticated answers arrive.
        in_contact: bool,
    },
    /// A fleet-proven record was checked.
    FleetProven {
        /// Its order.
        order: Digest,
        /// Its release.
        release: Digest,
    },
    /// A permit of kind `revert` that reaches this device was checked.
    RevertOrdered {
        /// Its order.
        order: Digest,
    },
}

/// What is to be done, in the order given, after the machine is on disk. Each may be done again after a kill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Fetch the trial's files into its slot.
    Fetch,
    /// Stop fetching.
    StopFetching,
    /// Ask the server for its go.
    AskGo,
    /// Stop the payload in order.
    StopPayload,
    /// Forget the attempts of what ran, then point `current` at the release.
    PointCurrent {
        /// The release.
        release: Digest,
        /// The order that it is tried under.
        order: Digest,
    },
    /// If `current` still points at `from`, point it where [`Pointers::behind`] says.
    PointBack {
        /// The release that is left.
        from: Digest,
    },
    /// Start the payload, behind the guard, on what `current` points at.
    StartPayload,
    /// Stop and start the payload as part of the proof; the start is no attempt.
    RestartPayload,
    /// Tell the guard that the release is proven, unless it knows ([`guard::Attempts::mark_proven`]).
    MarkProven {
        /// The release.
        release: Digest,
    },
    /// Forget the attempts of what runs.
    ResetAttempts,
    /// Make the release the fallback; the fallback before it is kept.
    AdvanceFallback {
        /// The release.
        release: Digest,
    },
    /// Sign a report, keep it until it is acknowledged, send it at once.
    Report {
        /// The order that it is about.
        order: Option<Digest>,
        /// What was seen.
        observation: Observation,
        /// A few words for people.
        detail: String,
    },
}

/// The next machine, to be written down first, and what is to be done then.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Step {
    /// Write this to disk, then perform the effects.
    pub machine: Machine,
    /// In this order.
    pub effects: Vec<Effect>,
}

/// An event that has no place in a state. To be reported; nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{event}` has no place in the state `{state}`")]
pub struct IllegalEdge {
    /// The state's word.
    pub state: &'static str,
    /// The event's word.
    pub event: &'static str,
}

impl Machine {
    /// A device that never took anything. Attempts of what it runs are forgotten after `settle_for` of good health.
    pub fn new(settle_for: Elapsed) -> Machine {
        Machine {
            state: State::Idle {},
            proven: None,
            age: Elapsed::ZERO,
            settling: None,
            settle_for,
            needs_hands: false,
            healthy: false,
        }
    }

    /// What to do after a restart of the agent, given the machine that was on disk. The payload is to be started in any case.
    ///
    /// `returned` says that the guard pointed `current` away from the trial's release; the caller steps
    /// [`Event::ReturnedByGuard`] then.
    pub fn resume(&self, returned: bool) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(proven) = self.proven.as_ref().filter(|proven| proven.fleet_proven) {
            effects.push(Effect::AdvanceFallback { release: proven.trial.release });
        }
        match &self.state {
            State::Fetching { .. } => effects.push(Effect::Fetch),
            State::Staged { .. } => effects.push(Effect::AskGo),
            State::Activating { trial, .. } if !returned => {
                effects.push(Effect::PointCurrent { release: trial.release, order: trial.order });
            }
            State::Proven { trial, .. } if !returned => effects.push(Effect::MarkProven { release: trial.release }),
            State::Reverting { trial, .. } => effects.push(Effect::PointBack { from: trial.release }),
            State::Idle {}
            | State::Activating { .. }
            | State::Proving { .. }
            | State::Proven { .. }
            | State::Reverted { .. } => {}
        }
        effects
    }

    /// The order under which the device took what it runs or ran, and about which it reports.
    pub fn order(&self) -> Option<Digest> {
        match &self.state {
            State::Activating { trial, .. }
            | State::Proving { trial, .. }
            | State::Proven { trial, .. }
            | State::Reverting { trial, .. } => Some(trial.order),
            State::Idle {} | State::Fetching { .. } | State::Staged { .. } => {
                self.proven.as_ref().map(|proven| proven.trial.order)
            }
            State::Reverted { .. } => None,
        }
    }
}
