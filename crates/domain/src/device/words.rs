//! The stable words of states and events, as check-ins, logs and the drawing carry them.

use super::{Event, State, Trial};

impl State {
    /// The stable word, as check-ins carry it.
    pub fn word(&self) -> &'static str {
        match self {
            State::Idle {} => "idle",
            State::Fetching { .. } => "fetching",
            State::Staged { .. } => "staged",
            State::Activating { .. } => "activating",
            State::Proving { .. } => "proving",
            State::Proven { .. } => "proven",
            State::Reverting { .. } => "reverting",
            State::Reverted { .. } => "reverted",
        }
    }

    /// What is being tried, or was last.
    pub fn trial(&self) -> Option<&Trial> {
        match self {
            State::Idle {} => None,
            State::Fetching { trial }
            | State::Staged { trial }
            | State::Activating { trial, .. }
            | State::Proving { trial, .. }
            | State::Proven { trial, .. }
            | State::Reverting { trial, .. }
            | State::Reverted { trial, .. } => Some(trial),
        }
    }
}

impl Event {
    /// The stable word, for logs and the drawing.
    pub fn word(&self) -> &'static str {
        match self {
            Event::Offered(_) => "offered",
            Event::Refused { .. } => "refused",
            Event::Fetched => "fetched",
            Event::GoGiven => "go_given",
            Event::GoDenied => "go_denied",
            Event::Halted { .. } => "halted",
            Event::Started { .. } => "started",
            Event::Healthy => "healthy",
            Event::ProbeFailed { .. } => "probe_failed",
            Event::Exited { .. } => "exited",
            Event::ActivationFailed { .. } => "activation_failed",
            Event::ReturnedByGuard { .. } => "returned_by_guard",
            Event::Exhausted => "exhausted",
            Event::InvariantBroken { .. } => "invariant_broken",
            Event::Tick { .. } => "tick",
            Event::FleetProven { .. } => "fleet_proven",
            Event::RevertOrdered { .. } => "revert_ordered",
        }
    }
}
