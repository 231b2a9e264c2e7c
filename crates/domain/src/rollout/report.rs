//! What a step saw and decided, as data: the one report that the CLI, the API, the account and the log print.

use serde::{Deserialize, Serialize};

use super::Rollout;
use super::closing::Closed;
use super::measuring::NumberReport;
use super::reason::{Verdict, WaitReason};
use super::scope::ScopeName;
use crate::ids::{RingName, RolloutId};
use crate::time::WallTime;

/// The state of a rollout at an instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[must_use]
pub struct StepReport {
    /// The rollout.
    pub rollout: RolloutId,
    /// When.
    pub at_ms: WallTime,
    /// The phase's word.
    pub phase: String,
    /// The open ring.
    pub ring: Option<RingName>,
    /// What the gate says of it.
    pub verdict: Verdict,
    /// Each ring.
    pub rings: Vec<RingReport>,
    /// Each scope's window.
    pub windows: Vec<WindowReport>,
    /// ln of the weighted evidence against the release.
    pub ln_evidence: f64,
    /// What it must reach to halt.
    pub ln_halt: f64,
    /// Which values and strata it points at, the strongest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspects: Vec<SuspectReport>,
    /// The numbers that the release declares, as they are with it and without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<NumberReport>,
    /// The parts of the fleet that were halted alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closed: Vec<Closed>,
}

/// A value or a stratum that the evidence points at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuspectReport {
    /// The scope.
    pub scope: ScopeName,
    /// ln of the average of its e-values.
    pub ln_e: f64,
    /// Whether it is to blame, by e-BH.
    pub blamed: bool,
}

/// One ring. Units: places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingReport {
    /// The ring.
    pub name: RingName,
    /// All places.
    pub places: u32,
    /// Opened, ever.
    pub opened: u32,
    /// Given a go.
    pub taken: u32,
    /// Proven.
    pub proven: u32,
    /// Failed hard.
    pub failed: u32,
    /// Past a deadline without a word.
    pub silent: u32,
    /// When it was reached.
    pub reached_at_ms: Option<WallTime>,
}

/// The window of one scope. Units: places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowReport {
    /// The scope.
    pub scope: ScopeName,
    /// Unproven now.
    pub unproven: u32,
    /// As many may be.
    pub bound: u32,
}

impl StepReport {
    /// The report of a rollout as it stands.
    pub fn of(rollout: &Rollout, now: WallTime) -> StepReport {
        let lab = rollout.is_lab(rollout.ring);
        let rings = rollout.rings().zip(&rollout.ring_reached);
        let windows = rollout.scopes.iter().map(|scope| WindowReport {
            scope: scope.name.clone(),
            unproven: scope.unproven(),
            bound: scope.bound(&rollout.policy.window, lab),
        });
        let suspects = rollout.gate.suspects(&rollout.scopes).into_iter();
        let suspects = suspects.map(|one| SuspectReport { scope: one.name, ln_e: one.ln_e, blamed: one.blamed });
        StepReport {
            rollout: rollout.identity.rollout.clone(),
            at_ms: now,
            phase: rollout.phase.word().to_owned(),
            ring: rollout.ring_name().cloned(),
            verdict: rollout.settled_verdict(now),
            rings: rings
                .map(|((ring, tally), reached)| RingReport {
                    name: ring.name.clone(),
                    places: tally.places,
                    opened: tally.opened,
                    taken: tally.taken,
                    proven: tally.proven,
                    failed: tally.failed,
                    silent: tally.silent,
                    reached_at_ms: *reached,
                })
                .collect(),
            windows: windows.collect(),
            ln_evidence: rollout.gate.against().ln_e,
            suspects: suspects.collect(),
            ln_halt: rollout.ln_halt(),
            numbers: rollout.number_reports(),
            closed: rollout.closed().to_vec(),
        }
    }

    /// The reasons to wait or halt, one line each.
    pub fn reasons(&self) -> Vec<String> {
        match &self.verdict {
            Verdict::Pass => Vec::new(),
            Verdict::Wait(reasons) => reasons.iter().map(WaitReason::to_string).collect(),
            Verdict::Halt(reasons) => reasons.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Rollout {
    /// The verdict, or what was decided once and for all.
    fn settled_verdict(&self, now: WallTime) -> Verdict {
        match &self.phase {
            super::Phase::Halted { reasons, .. } => Verdict::Halt(reasons.clone()),
            super::Phase::Completed { .. } => Verdict::Pass,
            super::Phase::Running | super::Phase::Paused { .. } => self.verdict(now),
        }
    }
}
