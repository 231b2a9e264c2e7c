//! Performs what a step of the machine asks for. Each effect may be performed again after a kill.

use std::io;
use std::time::Instant;

use tidegate_domain::device::guard::Attempts;
use tidegate_domain::device::{Effect, Event, State};
use tidegate_domain::digest::Digest;
use tidegate_domain::observation::{Observation, RefusalReason};

use super::{Errand, Package, unsent};
use crate::download::Stop;
use crate::durable::DiskError;
use crate::own;

impl Package {
    pub(super) fn perform(&mut self, effect: Effect) {
        let done = match effect {
            Effect::Fetch => {
                self.fetch();
                Ok(())
            }
            Effect::StopFetching => {
                if let Some(stop) = self.download.take() {
                    stop.stop();
                }
                self.go_at = None;
                Ok(())
            }
            Effect::AskGo => {
                self.go_at = Some(Instant::now());
                Ok(())
            }
            Effect::StopPayload => {
                let next = match &self.machine.state {
                    State::Reverting { .. } => self.dir.pointers().behind(),
                    state => state.trial().map(|trial| trial.release),
                };
                if !self.payload.is_signalled_by(next.and_then(|next| self.dir.manifest(next)).as_ref()) {
                    self.payload.stop();
                }
                Ok(())
            }
            Effect::PointCurrent { release, order } => self.point_current(release, order),
            Effect::PointBack { from } => self.point_back(from),
            Effect::StartPayload => {
                self.payload.start();
                Ok(())
            }
            Effect::RestartPayload => self.restart_planned(),
            Effect::MarkProven { release } => self.dir.change_attempts(release, "proven-kept", Attempts::mark_proven),
            Effect::ResetAttempts => match self.dir.pointers().current {
                Some(current) => self.dir.change_attempts(current, "attempts-kept", |attempts| attempts.count = 0),
                None => Ok(()),
            },
            Effect::AdvanceFallback { release } => self.dir.advance(release),
            Effect::Report { order, observation, detail } => {
                self.report(order, observation, detail);
                Ok(())
            }
        };
        if let Err(error) = done {
            tracing::error!(package = %self.name, "{error}");
        }
    }

    pub(super) fn fetch(&mut self) {
        let Some(trial) = self.machine.state.trial().cloned() else { return };
        let Some(manifest) = self.dir.manifest(trial.release) else {
            let detail = "the manifest that was kept is gone".to_owned();
            self.event(&Event::Refused { order: trial.order, reason: RefusalReason::Manifest, detail });
            return;
        };
        let stop = Stop::default();
        self.download = Some(stop.clone());
        let (release, order) = (trial.release, trial.order);
        self.errands.push(Errand::Fetch { release, order, manifest: Box::new(manifest), stop });
    }

    pub(super) fn point_current(&mut self, release: Digest, order: Digest) -> Result<(), DiskError> {
        let attempts = self.dir.attempts();
        let tried = attempts.as_ref().is_some_and(|a| a.slot == release && a.order == Some(order));
        if tried && self.dir.pointers().current == Some(release) {
            return Ok(());
        }
        if self.payload.own().is_some() && self.dir.pointers().fallback.is_none() {
            self.keep_own_program()?;
        }
        let taken = Attempts::of_taken(release, order, attempts.map_or(0, |a| a.starts));
        self.dir.write_attempts(&taken, "attempts-kept")?;
        self.dir.point_current(Some(release), "current-pointer")
    }

    /// Without something to return to no release of the agent is started: the machine sees that nothing moved, and leaves it.
    fn keep_own_program(&self) -> Result<(), DiskError> {
        let kept = own::keep_program(&self.name, &self.dir);
        kept.map_err(|problem| DiskError::new("keep this agent in", self.dir.dir(), io::Error::other(problem)))
    }

    pub(super) fn point_back(&mut self, from: Digest) -> Result<(), DiskError> {
        let pointers = self.dir.pointers();
        if pointers.current != Some(from) {
            return Ok(());
        }
        self.dir.point_current(pointers.behind(), "current-pointer")
    }

    pub(super) fn restart_planned(&mut self) -> Result<(), DiskError> {
        let marked = match self.dir.pointers().current {
            Some(current) => self.dir.change_attempts(current, "attempts-kept", |attempts| attempts.planned = true),
            None => Ok(()),
        };
        self.payload.stop();
        self.payload.start();
        marked
    }

    pub(super) fn report(&mut self, order: Option<Digest>, observation: Observation, detail: String) {
        if let Observation::Refused { reason } = observation {
            // The offer stands, and so may what is wrong with it: said once, not at every look.
            let about = order.map(|order| (order, reason));
            if about.is_some() && std::mem::replace(&mut self.refused, about) == about {
                return;
            }
        }
        let report = unsent(&self.machine, order, observation, detail);
        self.errands.push(Errand::Report { report, again: false });
    }
}
