//! The edges of the device machine, one method each, and the table that leads an event to its edge.
//!
//! An event that has no place in a state is an [`IllegalEdge`] and changes nothing.

use super::{Effect, Event, IllegalEdge, Machine, PROBE_FAILURES_MAX, State, Step, TICK_MAX, Trial};
use crate::digest::Digest;
use crate::observation::{FailureReason, Observation, RefusalReason};
use crate::time::Elapsed;

type Edge = Result<Vec<Effect>, IllegalEdge>;

impl Machine {
    /// Takes one event.
    ///
    /// # Errors
    /// When the event has no place in the state. The machine is as it was.
    pub fn step(&self, event: &Event) -> Result<Step, IllegalEdge> {
        let mut machine = self.clone();
        let effects = machine.edge(event)?;
        Ok(Step { machine, effects })
    }

    fn edge(&mut self, event: &Event) -> Edge {
        match event {
            Event::Offered(trial) => self.begin_fetching(trial, event),
            Event::Refused { order, reason, detail } => self.refuse(*order, *reason, detail, event),
            Event::Fetched => self.stage(event),
            Event::GoGiven => self.activate(event),
            Event::GoDenied => self.step_aside(event),
            Event::Halted { order } => Ok(self.heed_halt(*order)),
            Event::Started { attempt } => Ok(self.note_start(*attempt)),
            Event::Healthy => Ok(self.note_health()),
            Event::ProbeFailed { detail } => Ok(self.note_probe_failure(detail)),
            Event::Exited { detail } => Ok(self.note_exit(detail)),
            Event::InvariantBroken { detail } => Ok(self.leave_what_destroys(detail)),
            Event::ActivationFailed { detail } => self.fail_activation(detail, event),
            Event::ReturnedByGuard { attempt } => Ok(self.follow_guard(*attempt)),
            Event::Exhausted => Ok(self.give_up()),
            Event::Tick { passed, in_contact } => Ok(self.pass_time((*passed).min(TICK_MAX), *in_contact)),
            Event::FleetProven { order, release } => Ok(self.advance_fallback(*order, *release)),
            Event::RevertOrdered { order } => Ok(self.heed_revert(*order)),
        }
    }

    fn illegal(&self, event: &Event) -> Edge {
        Err(IllegalEdge { state: self.state.word(), event: event.word() })
    }

    /// Idle, Proven, Reverted -> Fetching.
    fn begin_fetching(&mut self, trial: &Trial, event: &Event) -> Edge {
        match self.state {
            State::Idle {} | State::Proven { .. } | State::Reverted { .. } => {
                self.state = State::Fetching { trial: Box::new(trial.clone()) };
                Ok(vec![Effect::Fetch])
            }
            _ => self.illegal(event),
        }
    }

    /// Fetching, Staged -> Idle (or Proven, where something proven runs). Where nothing was begun, only the report.
    fn refuse(&mut self, order: Digest, reason: RefusalReason, detail: &str, event: &Event) -> Edge {
        let report = report(Some(order), Observation::Refused { reason }, detail);
        match &self.state {
            State::Fetching { .. } | State::Staged { .. } => {
                self.lay_aside();
                Ok(vec![Effect::StopFetching, report])
            }
            State::Idle {} | State::Proven { .. } | State::Reverted { .. } => Ok(vec![report]),
            State::Activating { .. } | State::Proving { .. } | State::Reverting { .. } => self.illegal(event),
        }
    }

    /// Back to where the device stood before the offer.
    fn lay_aside(&mut self) {
        self.state = match &self.proven {
            Some(proven) => State::Proven { trial: proven.trial.clone(), attempt: 0, probe_failures: 0 },
            None => State::Idle {},
        };
    }

    /// Fetching -> Staged.
    fn stage(&mut self, event: &Event) -> Edge {
        let State::Fetching { trial } = &self.state else { return self.illegal(event) };
        self.state = State::Staged { trial: trial.clone() };
        Ok(vec![Effect::AskGo])
    }

    /// Staged -> Activating. From here on the device has taken the release.
    fn activate(&mut self, event: &Event) -> Edge {
        let State::Staged { trial } = &self.state else { return self.illegal(event) };
        let trial = trial.clone();
        let (release, order) = (trial.release, trial.order);
        let (waited, silent) = (Elapsed::ZERO, Elapsed::ZERO);
        self.state = State::Activating { trial, attempt: 0, waited, silent };
        (self.age, self.settling, self.healthy, self.needs_hands) = (Elapsed::ZERO, None, false, false);
        Ok(vec![Effect::StopPayload, Effect::PointCurrent { release, order }, Effect::StartPayload])
    }

    /// Staged -> Idle or Proven, without a word: the server knows why.
    fn step_aside(&mut self, event: &Event) -> Edge {
        let State::Staged { .. } = &self.state else { return self.illegal(event) };
        self.lay_aside();
        Ok(Vec::new())
    }

    /// Fetching, Staged -> Idle or Proven. A device that took the release goes on by itself.
    fn heed_halt(&mut self, halted: Digest) -> Vec<Effect> {
        match &self.state {
            State::Fetching { trial } | State::Staged { trial } if trial.order == halted => {
                self.lay_aside();
                let observation = Observation::Refused { reason: RefusalReason::Halted };
                vec![Effect::StopFetching, report(Some(halted), observation, "")]
            }
            _ => Vec::new(),
        }
    }

    /// Activating stays (with the attempt), Proving goes back to Activating unless the start belongs to the proof.
    fn note_start(&mut self, attempt: u32) -> Vec<Effect> {
        self.healthy = false;
        if attempt > 0 {
            self.settling = Some(Elapsed::ZERO);
        }
        match &mut self.state {
            State::Activating { trial, attempt: held, .. } => {
                *held = attempt.max(*held).max(1);
                let observation = Observation::Activating { attempt: *held };
                vec![report(Some(trial.order), observation, "")]
            }
            State::Proving { restarting: true, .. } => Vec::new(),
            State::Proving { .. } => {
                self.activate_again();
                self.note_start(attempt)
            }
            State::Proven { attempt: held, probe_failures, .. } => {
                (*held, *probe_failures) = (attempt, 0);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Proving -> Activating: the payload ended, so the proof starts over with its next start.
    fn activate_again(&mut self) {
        if let State::Proving { trial, attempt, silent, .. } = &self.state {
            let (trial, attempt, silent) = (trial.clone(), *attempt, *silent);
            self.state = State::Activating { trial, attempt, waited: Elapsed::ZERO, silent };
        }
    }

    /// Activating -> Proving, Reverting -> Reverted; within Proving it ends a restart.
    fn note_health(&mut self) -> Vec<Effect> {
        self.healthy = true;
        let had_no_hands = std::mem::take(&mut self.needs_hands);
        match &mut self.state {
            State::Activating { trial, attempt, silent, .. } => {
                let order = trial.order;
                self.state = State::Proving {
                    trial: trial.clone(),
                    attempt: *attempt,
                    elapsed: Elapsed::ZERO,
                    restarts: 0,
                    restarting: false,
                    probe_failures: 0,
                    waited: Elapsed::ZERO,
                    silent: *silent,
                };
                vec![report(Some(order), Observation::Healthy, "")]
            }
            State::Proving { restarts, restarting, probe_failures, waited, .. } => {
                if std::mem::take(restarting) {
                    *restarts = restarts.saturating_add(1);
                }
                (*probe_failures, *waited) = (0, Elapsed::ZERO);
                Vec::new()
            }
            State::Proven { probe_failures, .. } => {
                *probe_failures = 0;
                Vec::new()
            }
            State::Reverting { .. } => self.come_back(),
            State::Reverted { trial, reason, .. } if had_no_hands => {
                vec![report(Some(trial.order), Observation::Returned { reason: *reason }, "")]
            }
            State::Reverted { .. } | State::Idle {} | State::Fetching { .. } | State::Staged { .. } => Vec::new(),
        }
    }

    /// Reverting -> Reverted: what is behind the release runs again. After a loss of contact the report waits until there is some.
    fn come_back(&mut self) -> Vec<Effect> {
        let State::Reverting { trial, reason, attempt } = &self.state else { return Vec::new() };
        let (trial, reason, attempt) = (trial.clone(), *reason, *attempt);
        let order = trial.order;
        let waits = reason == FailureReason::ContactLost;
        self.state = State::Reverted { trial, reason, attempt, silent: waits.then_some(Elapsed::ZERO) };
        if waits { Vec::new() } else { vec![report(Some(order), Observation::Returned { reason }, "")] }
    }

    /// Proving, Proven -> Reverting after more than [`PROBE_FAILURES_MAX`] in a row.
    ///
    /// What the whole fleet has proven is not left because a probe fails: the fault lies elsewhere then, and it is the fallback.
    fn note_probe_failure(&mut self, detail: &str) -> Vec<Effect> {
        self.healthy = false;
        let fleet_proven = self.proven.as_ref().is_some_and(|proven| proven.fleet_proven);
        let failures = match &mut self.state {
            State::Proving { restarting: false, probe_failures, .. } => probe_failures,
            State::Proven { probe_failures, .. } if !fleet_proven => probe_failures,
            _ => return Vec::new(),
        };
        *failures = failures.saturating_add(1);
        if *failures > PROBE_FAILURES_MAX {
            return self.revert(FailureReason::ProbeFailed, detail);
        }
        Vec::new()
    }

    /// Proving -> Activating. Elsewhere the payload is started again without a change of state. It is said while a release is tried, and
    /// elsewhere where the payload had come up: one that never does is told by its attempts.
    fn note_exit(&mut self, detail: &str) -> Vec<Effect> {
        let tried = matches!(self.state, State::Activating { .. } | State::Proving { .. });
        let told = tried || std::mem::take(&mut self.healthy);
        let order = self.order();
        self.healthy = false;
        if self.settling.is_some() {
            self.settling = Some(Elapsed::ZERO);
        }
        self.activate_again();
        if told { vec![report(order, Observation::Crashed, detail)] } else { Vec::new() }
    }

    /// Activating, Proving, Proven -> Reverting, at once and without another attempt. What the whole fleet has proven is the fallback,
    /// and there is nothing to leave it for.
    fn leave_what_destroys(&mut self, detail: &str) -> Vec<Effect> {
        if self.proven.as_ref().is_some_and(|proven| proven.fleet_proven) {
            return Vec::new();
        }
        self.revert(FailureReason::InvariantBroken, detail)
    }

    /// Activating -> Reverting; Reverting -> Reverted with hands needed.
    fn fail_activation(&mut self, detail: &str, event: &Event) -> Edge {
        match &self.state {
            State::Activating { .. } | State::Proving { .. } => {
                Ok(self.revert(FailureReason::ActivationFailed, detail))
            }
            State::Reverting { .. } => Ok(self.give_up()),
            State::Idle {}
            | State::Fetching { .. }
            | State::Staged { .. }
            | State::Proven { .. }
            | State::Reverted { .. } => self.illegal(event),
        }
    }

    /// Any state after Staged -> Reverting. Says so at once, unless it was contact that was lost.
    pub(super) fn revert(&mut self, reason: FailureReason, detail: &str) -> Vec<Effect> {
        let (trial, attempt) = match &self.state {
            State::Activating { trial, attempt, .. }
            | State::Proving { trial, attempt, .. }
            | State::Proven { trial, attempt, .. } => (trial.clone(), *attempt),
            _ => return Vec::new(),
        };
        let (from, order) = (trial.release, trial.order);
        (self.proven, self.settling, self.healthy) = (None, None, false);
        self.state = State::Reverting { trial, reason, attempt };
        let mut effects = Vec::new();
        if reason != FailureReason::ContactLost {
            effects.push(report(Some(order), Observation::Failed { reason, attempt }, detail));
        }
        effects.extend([Effect::StopPayload, Effect::PointBack { from }, Effect::StartPayload]);
        effects
    }

    /// Any state after Staged -> Reverting: the pointer is moved already, and what is behind the release is being started.
    fn follow_guard(&mut self, attempt: u32) -> Vec<Effect> {
        if let (State::Fetching { .. } | State::Staged { .. }, Some(_)) = (&self.state, &self.proven) {
            self.lay_aside();
        }
        match &mut self.state {
            State::Activating { attempt: held, .. }
            | State::Proving { attempt: held, .. }
            | State::Proven { attempt: held, .. } => {
                *held = attempt;
                let mut effects = self.revert(FailureReason::Crashed, "attempts used up");
                effects.retain(|effect| matches!(effect, Effect::Report { .. }));
                effects
            }
            State::Idle {} | State::Fetching { .. } | State::Staged { .. } | State::Reverted { .. } => {
                let observation = Observation::Failed { reason: FailureReason::Crashed, attempt };
                vec![report(None, observation, "the fallback used up its attempts; the slot kept behind it is started")]
            }
            State::Reverting { .. } => Vec::new(),
        }
    }

    /// Any state after Staged -> Reverted, with hands needed.
    fn give_up(&mut self) -> Vec<Effect> {
        if std::mem::replace(&mut self.needs_hands, true) {
            return Vec::new();
        }
        self.healthy = false;
        let mut effects = self.revert(FailureReason::Crashed, "attempts used up");
        effects.retain(|effect| matches!(effect, Effect::Report { .. }));
        let (order, reason) = match &self.state {
            State::Reverting { trial, reason, attempt } => {
                let (trial, reason, attempt) = (trial.clone(), *reason, *attempt);
                let order = trial.order;
                if reason == FailureReason::ContactLost {
                    effects.push(report(Some(order), Observation::Failed { reason, attempt }, ""));
                }
                self.state = State::Reverted { trial, reason, attempt, silent: None };
                (Some(order), reason)
            }
            State::Reverted { trial, reason, .. } => (Some(trial.order), *reason),
            _ => (None, FailureReason::Crashed),
        };
        effects.push(report(order, Observation::NeedsHands { reason }, "no slot is left that runs"));
        effects
    }

    /// No change of state: the fallback moves, if this device proved that release under that order and did not leave it.
    fn advance_fallback(&mut self, order: Digest, release: Digest) -> Vec<Effect> {
        match &mut self.proven {
            Some(proven) if proven.trial.order == order && proven.trial.release == release && !proven.fleet_proven => {
                proven.fleet_proven = true;
                vec![Effect::AdvanceFallback { release }]
            }
            _ => Vec::new(),
        }
    }

    /// Activating, Proving, Proven -> Reverting, where the device took the release under that order.
    fn heed_revert(&mut self, order: Digest) -> Vec<Effect> {
        if let (State::Fetching { .. } | State::Staged { .. }, Some(proven)) = (&self.state, &self.proven)
            && proven.trial.order == order
        {
            self.lay_aside();
        }
        match &self.state {
            State::Activating { trial, .. } | State::Proving { trial, .. } | State::Proven { trial, .. }
                if trial.order == order =>
            {
                self.revert(FailureReason::Reverted, "ordered by the server")
            }
            _ => Vec::new(),
        }
    }
}

pub(super) fn report(order: Option<Digest>, observation: Observation, detail: &str) -> Effect {
    Effect::Report { order, observation, detail: detail.to_owned() }
}
