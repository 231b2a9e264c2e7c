//! What a package's reports say besides the machine's own words.

use tidegate_domain::device::guard::Attempts;
use tidegate_domain::device::{Effect, Machine, State};
use tidegate_domain::digest::Digest;
use tidegate_domain::observation::{FailureReason, Observation};

use crate::layout::Unsent;

/// A report that a release was left says what the last probe saw, or how its payload ended last and with what words.
pub(super) fn explain(effect: &mut Effect, problem: Option<&str>, end: Option<&str>) {
    let Effect::Report { observation, detail, .. } = effect else { return };
    let (Observation::Failed { reason, .. } | Observation::NeedsHands { reason }) = observation else { return };
    let words = match reason {
        FailureReason::ProbeFailed => problem,
        FailureReason::Crashed => end,
        _ => None,
    };
    if let Some(words) = words.filter(|words| !detail.contains(words)) {
        detail.push_str(": ");
        detail.push_str(words);
    }
}

/// How many attempts the slot had that was left.
pub(super) fn attempts_had(attempts: Option<&Attempts>) -> u32 {
    attempts.map_or(0, |a| a.returned.as_ref().map_or(a.count, |returned| returned.attempts))
}

/// The attempt that the machine knows of; 0 where nothing is tried or was.
pub(super) fn attempt_of(state: &State) -> u32 {
    match state {
        State::Activating { attempt, .. }
        | State::Proving { attempt, .. }
        | State::Proven { attempt, .. }
        | State::Reverting { attempt, .. }
        | State::Reverted { attempt, .. } => *attempt,
        State::Idle {} | State::Fetching { .. } | State::Staged { .. } => 0,
    }
}

pub(super) fn unsent(machine: &Machine, order: Option<Digest>, observation: Observation, detail: String) -> Unsent {
    let taken = order.is_some() && !matches!(observation, Observation::Refused { .. });
    let age_ms = if taken { machine.age.as_ms() } else { 0 };
    Unsent { order, observation, detail, age_ms }
}
