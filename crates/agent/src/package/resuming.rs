//! How a package goes on after its agent, or the whole device, was started again.

use std::time::{Duration, Instant};

use tidegate_domain::device::{Event, State};
use tidegate_domain::release::Activation;
use tidegate_domain::time::Elapsed;

use crate::own::Own;

use super::words::{attempt_of, attempts_had};
use super::{PROBE_FIRST, Package};

/// How long at most a payload that took the whole device down is not started again, so that the device can say so first; and the part of the
/// release's downtime that this may take.
const SAY_FIRST: Duration = Duration::from_secs(10);
const OF_DOWNTIME: u64 = 4;

impl Package {
    /// Goes on where the machine on disk stands, and starts the payload. One that was being tried and did not end in order is started
    /// once that is said, or a little later: in a boot loop there is no other time to say it.
    pub(crate) fn resume(&mut self, now: Instant) {
        if let Some(probes) = self.payload.observed() {
            // Without a probe nothing is known of it, and nothing said.
            if !probes.is_empty() {
                self.payload.adopt();
            }
            return;
        }
        let attempts = self.dir.attempts();
        let left = match &self.machine.state {
            State::Activating { trial, .. } => {
                let current = self.dir.pointers().current;
                attempts.as_ref().is_some_and(|a| a.has_left(trial.release, trial.order, current))
            }
            _ => self.has_been_returned(),
        };
        let returned = left.then(|| attempts_had(attempts.as_ref()));
        let crashed = attempts.as_ref().is_some_and(|a| a.count > attempt_of(&self.machine.state).max(1));
        if attempts.as_ref().is_some_and(|a| a.count > 0) && self.machine.settling.is_none() {
            self.machine.settling = Some(Elapsed::ZERO);
        }
        let cut_short = !self.runs_elsewhere()
            && attempts.is_some_and(|a| Some(a.slot) == self.dir.pointers().current && !a.ended_in_order);
        for effect in self.machine.resume(returned.is_some()) {
            self.perform(effect);
        }
        if let Some(own) = self.payload.own().cloned() {
            return self.resume_as(&own, returned, crashed, now);
        }
        if let Some(attempt) = returned {
            self.event(&Event::ReturnedByGuard { attempt });
        } else if cut_short {
            self.event(&Event::Exited { detail: "it ended with the agent or the whole device".to_owned() });
        }
        match &self.machine.state {
            State::Activating { trial, .. } if cut_short => {
                let part = Duration::from_millis(trial.downtime.as_ms() / OF_DOWNTIME);
                self.payload.hold(now + SAY_FIRST.min(part));
            }
            State::Activating { .. } | State::Reverting { .. } => self.payload.start(),
            _ if self.runs_elsewhere() => self.payload.adopt(),
            _ => self.payload.start(),
        }
    }

    /// Goes on as the agent that the package is. It runs already, on whatever the guard decided; where that is not what the machine wants
    /// now, it ends and is started again.
    fn resume_as(&mut self, own: &Own, returned: Option<u32>, crashed: bool, now: Instant) {
        if let Some(attempt) = returned {
            self.event(&Event::ReturnedByGuard { attempt });
        } else if crashed {
            self.event(&Event::Exited { detail: "the agent ended without being told to".to_owned() });
        }
        let current = self.dir.pointers().current;
        match &self.machine.state {
            State::Activating { trial, .. } if current != Some(trial.release) => {
                let detail = "the pointer to the release cannot be moved".to_owned();
                self.event(&Event::ActivationFailed { detail });
            }
            _ if current != own.release => self.payload.start(),
            _ => {
                let attempt = self.payload.be();
                self.probe_at = now + PROBE_FIRST;
                self.event(&Event::Started { attempt });
            }
        }
    }

    /// All that this device had to say was heard.
    pub(crate) fn all_said(&mut self, now: Instant) {
        self.payload.hold_no_longer(now);
    }

    /// Whether the payload is a service that does not end with the agent.
    fn runs_elsewhere(&self) -> bool {
        let activation = self.payload.manifest().map(|manifest| manifest.activation);
        matches!(activation, Some(Activation::Restart { .. } | Activation::Hook { .. }))
    }

    /// Whether something else is current than the release that the machine believes to run. What is well then proves nothing of it.
    pub(super) fn has_been_returned(&self) -> bool {
        let expected = match &self.machine.state {
            State::Activating { trial, .. } | State::Proving { trial, .. } | State::Proven { trial, .. } => {
                Some(trial.release)
            }
            State::Idle {} | State::Fetching { .. } | State::Staged { .. } => {
                self.machine.proven.as_ref().map(|proven| proven.trial.release)
            }
            State::Reverting { .. } | State::Reverted { .. } => None,
        };
        expected.is_some() && expected != self.dir.pointers().current
    }
}
