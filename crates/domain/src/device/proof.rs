//! The edges that time alone decides: the proof, the downtime, the contact deadline, the forgetting of attempts.

use super::edges::report;
use super::{Effect, Machine, ProvenRelease, State, Trial};
use crate::digest::Digest;
use crate::observation::{FailureReason, Observation};
use crate::time::Elapsed;

impl Machine {
    /// Counts time: towards the proof, against the downtime, against the contact deadline, towards forgetting attempts.
    pub(super) fn pass_time(&mut self, passed: Elapsed, in_contact: bool) -> Vec<Effect> {
        if self.order().is_some() || matches!(self.state, State::Reverted { .. }) {
            self.age = self.age.plus(passed);
        }
        let mut effects = self.settle(passed);
        effects.extend(match &mut self.state {
            State::Activating { trial, attempt, waited, silent } => {
                *waited = waited.plus(passed);
                let crashed = *attempt > 1;
                let over = *waited >= trial.downtime;
                let lost = out_of_contact(trial, silent, passed, in_contact);
                if over {
                    let reason = if crashed { FailureReason::Crashed } else { FailureReason::ProbeFailed };
                    self.revert(reason, "not healthy within the release's downtime")
                } else if lost {
                    self.revert(FailureReason::ContactLost, "")
                } else {
                    Vec::new()
                }
            }
            State::Proving { .. } => self.prove(passed, in_contact),
            State::Reverted { trial, silent: Some(silent), reason, attempt } => {
                let (order, reason, attempt) = (trial.order, *reason, *attempt);
                *silent = silent.plus(passed);
                let over = trial.contact_deadline.is_none_or(|deadline| *silent >= deadline);
                self.settle_contact(order, reason, attempt, in_contact, over)
            }
            _ => Vec::new(),
        });
        effects
    }

    /// Reverted after a loss of contact: either the fallback has contact, so the release was at fault, or it has none either.
    pub(super) fn settle_contact(
        &mut self,
        order: Digest,
        reason: FailureReason,
        attempt: u32,
        in_contact: bool,
        over: bool,
    ) -> Vec<Effect> {
        if !in_contact && !over {
            return Vec::new();
        }
        if let State::Reverted { silent, .. } = &mut self.state {
            *silent = None;
        }
        if in_contact {
            let failed = report(Some(order), Observation::Failed { reason, attempt }, "");
            vec![failed, report(Some(order), Observation::Returned { reason }, "")]
        } else {
            vec![report(Some(order), Observation::ContactLostBoth, "")]
        }
    }

    /// Attempts are forgotten after a full `prove.for` of good health.
    pub(super) fn settle(&mut self, passed: Elapsed) -> Vec<Effect> {
        let on_trial = matches!(self.state, State::Activating { .. } | State::Proving { .. });
        match &mut self.settling {
            Some(well) if self.healthy && !on_trial => {
                *well = well.plus(passed);
                if *well < self.settle_for {
                    return Vec::new();
                }
                self.settling = None;
                vec![Effect::ResetAttempts]
            }
            _ => Vec::new(),
        }
    }

    /// Proving -> Proven once time and restarts are reached; Proving -> Reverting where a restart or the contact is gone too long.
    pub(super) fn prove(&mut self, passed: Elapsed, in_contact: bool) -> Vec<Effect> {
        let State::Proving { trial, elapsed, restarts, restarting, probe_failures, waited, silent, attempt } =
            &mut self.state
        else {
            return Vec::new();
        };
        if out_of_contact(trial, silent, passed, in_contact) {
            return self.revert(FailureReason::ContactLost, "");
        }
        if *restarting {
            *waited = waited.plus(passed);
            if *waited >= trial.downtime {
                return self.revert(FailureReason::ProbeFailed, "not healthy again after a restart");
            }
            return Vec::new();
        }
        if !in_contact || *probe_failures > 0 {
            return Vec::new();
        }
        *elapsed = elapsed.plus(passed);
        if *elapsed < due(trial, *restarts) {
            return Vec::new();
        }
        if *restarts < trial.prove_restarts {
            (*restarting, *waited) = (true, Elapsed::ZERO);
            return vec![Effect::RestartPayload];
        }
        let (trial, restarts, attempt) = (trial.clone(), *restarts, *attempt);
        self.pass_proof(trial, restarts, attempt)
    }

    /// How long the release must still be well and in contact until its next planned restart, or until it is proven where no restart is
    /// left; none where it is not being proven, or restarts.
    pub fn undisturbed_for(&self) -> Option<Elapsed> {
        match &self.state {
            State::Proving { trial, elapsed, restarts, restarting: false, .. } => {
                Some(Elapsed::from_ms(due(trial, *restarts).as_ms().saturating_sub(elapsed.as_ms())))
            }
            _ => None,
        }
    }

    /// Proving -> Proven.
    pub(super) fn pass_proof(&mut self, trial: Box<Trial>, restarts: u32, attempt: u32) -> Vec<Effect> {
        let (release, order) = (trial.release, trial.order);
        (self.settle_for, self.settling) = (trial.prove_for, None);
        self.proven = Some(ProvenRelease { trial: trial.clone(), fleet_proven: false });
        self.state = State::Proven { trial, attempt, probe_failures: 0 };
        vec![Effect::MarkProven { release }, report(Some(order), Observation::Proven { restarts }, "")]
    }
}

/// How much of the proof comes before the next planned restart: they part it evenly. The whole of it once none is left.
fn due(trial: &Trial, restarts: u32) -> Elapsed {
    let parts = u64::from(trial.prove_restarts) + 1;
    let passed = (u64::from(restarts) + 1).min(parts);
    let ms = u128::from(trial.prove_for.as_ms()) * u128::from(passed);
    Elapsed::from_ms(u64::try_from(ms.div_ceil(u128::from(parts))).unwrap_or(u64::MAX))
}

/// Counts the silence of a release that may break connectivity, and says whether its deadline is over.
fn out_of_contact(trial: &Trial, silent: &mut Elapsed, passed: Elapsed, in_contact: bool) -> bool {
    *silent = if in_contact { Elapsed::ZERO } else { silent.plus(passed) };
    trial.contact_deadline.is_some_and(|deadline| *silent >= deadline)
}
