//! One package on this device: its machine, its payload, its probes and its download. Steps the machine, keeps it, performs effects.
//!
//! The order is always: machine on disk, then effects. What concerns the whole device (reports, questions to the server) is handed
//! back as an [`Errand`].

mod effects;
mod offers;
mod resuming;
mod words;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use tidegate_domain::device::{Effect, Event, Machine, State, Step, Trial};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{NumberName, PackageName};
use tidegate_domain::observation::{Observation, RefusalReason};
use tidegate_domain::release::{Manifest, Probe};
use tidegate_domain::time::Elapsed;
use tidegate_wire::device::PackageStatus;

use crate::download::{self, Stop};
use crate::durable::DiskError;
use crate::layout::{PackageDir, Unsent};
use crate::payload::{Payload, Seen, Setup};
use words::{attempts_had, explain, unsent};

/// How long all must be well before attempts of a release from the factory are forgotten.
const SETTLE: Elapsed = Elapsed::from_s(600);
/// How often a machine is written that only counted time.
const KEEP_EVERY: Duration = Duration::from_secs(10);
/// How often probes run while much depends on them, and otherwise.
const PROBE_BUSY: Duration = Duration::from_millis(500);
const PROBE_IDLE: Duration = Duration::from_secs(5);
/// How long after a start the first probe runs: a payload that dies at once is not called healthy before.
const PROBE_FIRST: Duration = Duration::from_millis(400);
/// After an offer came to nothing: how long until it is weighed again, at first and at most.
const WEIGH_AGAIN: Duration = Duration::from_secs(1);
const WEIGH_AGAIN_MAX: Duration = Duration::from_secs(300);
/// After a question for the go got no answer.
const GO_AGAIN: Duration = Duration::from_millis(500);
const GO_AGAIN_MAX: Duration = Duration::from_secs(30);

/// Something that the main loop does for a package.
#[derive(Debug)]
pub(crate) enum Errand {
    /// Sign, keep and send. `again`: it may have been kept before the agent was killed.
    Report { report: Unsent, again: bool },
    /// Fetch the files of this release.
    Fetch { release: Digest, order: Digest, manifest: Box<Manifest>, stop: Stop },
    /// Ask for the go.
    AskGo(Box<Trial>),
}

/// One package.
pub(crate) struct Package {
    name: PackageName,
    dir: PackageDir,
    machine: Machine,
    payload: Payload,
    download: Option<Stop>,
    probing: bool,
    probe_at: Instant,
    unsaved: bool,
    saved_at: Instant,
    weighing: bool,
    weigh_at: Instant,
    weigh_again: Duration,
    go_at: Option<Instant>,
    go_again: Duration,
    refused: Option<(Digest, RefusalReason)>,
    /// What the last probe found, where it failed.
    last_problem: Option<String>,
    /// How the payload ended by itself last, until it is well again.
    last_end: Option<String>,
    errands: Vec<Errand>,
}

/// A probe round to run.
pub(crate) struct Round {
    pub(crate) generation: u64,
    pub(crate) probes: Vec<Probe>,
    pub(crate) slot: std::path::PathBuf,
    pub(crate) run_dir: std::path::PathBuf,
    pub(crate) said: std::sync::Arc<crate::said::Said>,
}

impl Package {
    /// Reads what was on disk, or begins anew (with the release from the factory, where one is given).
    pub(crate) fn open(setup: Setup, initial: Option<&Path>, now: Instant) -> Result<Package, String> {
        let (name, dir) = (setup.package.clone(), setup.dir.clone());
        if setup.observed.is_some() && (initial.is_some() || dir.pointers().current.is_some()) {
            return Err("it has a release here, and `observe` starts none: run without it, or on another data folder"
                .to_owned());
        }
        let made = dir.make();
        let (machine, unsent) = match dir.machine().map_err(|e| e.to_string())? {
            Some(kept) => kept,
            None => {
                made.map_err(|e| e.to_string())?;
                (Machine::new(SETTLE), Vec::new())
            }
        };
        if let Some(folder) = initial
            && dir.pointers().fallback.is_none()
        {
            let (release, manifest) = download::take_from_folder(folder, &dir)?;
            if manifest.package != name {
                return Err(format!("{} is a release of `{}`, not of `{name}`", folder.display(), manifest.package));
            }
            dir.advance(release).map_err(|e| e.to_string())?;
            if dir.pointers().current.is_none() {
                dir.point_current(Some(release), "current-pointer").map_err(|e| e.to_string())?;
            }
        }
        Ok(Package {
            name,
            dir,
            machine,
            payload: Payload::new(setup),
            download: None,
            probing: false,
            probe_at: now,
            unsaved: false,
            saved_at: now,
            weighing: false,
            weigh_at: now,
            weigh_again: WEIGH_AGAIN,
            go_at: None,
            go_again: GO_AGAIN,
            refused: None,
            last_problem: None,
            last_end: None,
            errands: unsent.into_iter().map(|report| Errand::Report { report, again: true }).collect(),
        })
    }

    /// Where the package lies.
    pub(crate) fn dir(&self) -> &PackageDir {
        &self.dir
    }

    /// What the main loop is to do, in order.
    pub(crate) fn take_errands(&mut self) -> Vec<Errand> {
        std::mem::take(&mut self.errands)
    }

    /// What a check-in says of the package.
    pub(crate) fn status(&self) -> PackageStatus {
        let pointers = self.dir.pointers();
        PackageStatus {
            package: self.name.clone(),
            current: pointers.current,
            fallback: pointers.fallback,
            state: self.machine.state.word().to_owned(),
            healthy: self.machine.healthy,
        }
    }

    /// What the payload of this run said in numbers, in thousandths.
    pub(crate) fn numbers(&self) -> BTreeMap<NumberName, i64> {
        self.payload.said().in_thousandths()
    }

    /// The manifest of the fallback: what it offers, the device offers.
    pub(crate) fn fallback_manifest(&self) -> Option<Manifest> {
        self.dir.pointers().fallback.and_then(|fallback| self.dir.manifest(fallback))
    }

    /// Steps the machine, keeps it, performs the effects.
    pub(crate) fn event(&mut self, event: &Event) {
        let mut step = match self.machine.step(event) {
            Ok(step) => step,
            Err(illegal) => {
                tracing::warn!(package = %self.name, "{illegal}");
                return;
            }
        };
        for effect in &mut step.effects {
            explain(effect, self.last_problem.as_deref(), self.last_end.as_deref());
        }
        let (from, to) = (self.machine.state.word(), step.machine.state.word());
        let only_time = matches!(event, Event::Tick { .. }) && step.effects.is_empty() && from == to;
        let unsent = self.unsent(&step);
        if step.machine != self.machine
            && !only_time
            && let Err(error) = self.dir.write_machine(&step.machine, &unsent)
        {
            tracing::error!(package = %self.name, "{error}");
            if matches!(event, Event::Offered(_) | Event::Fetched | Event::GoGiven) {
                return self.refuse_for_storage(event, &error);
            }
            self.unsaved = true;
        }
        // Written again later without them, once they are in the outbox.
        self.unsaved |= !unsent.is_empty();
        self.unsaved |= only_time;
        self.machine = step.machine;
        if from != to {
            tracing::info!(package = %self.name, "{from} -> {to} ({})", event.word());
        }
        for effect in step.effects {
            self.perform(effect);
        }
    }

    /// The reports of a step, and those before it that the main loop did not keep yet.
    fn unsent(&self, step: &Step) -> Vec<Unsent> {
        let waiting = self.errands.iter().filter_map(|errand| match errand {
            Errand::Report { report, .. } => Some(report.clone()),
            Errand::Fetch { .. } | Errand::AskGo(_) => None,
        });
        let new = step.effects.iter().filter_map(|effect| match effect {
            Effect::Report { order, observation, detail } => {
                Some(unsent(&step.machine, *order, observation.clone(), detail.clone()))
            }
            _ => None,
        });
        waiting.chain(new).collect()
    }

    /// What cannot be written down is not begun.
    fn refuse_for_storage(&mut self, event: &Event, error: &DiskError) {
        let reason = error.refusal().unwrap_or(RefusalReason::ReadOnly);
        let order = match event {
            Event::Offered(trial) => Some(trial.order),
            _ => self.machine.state.trial().map(|trial| trial.order),
        };
        if let Some(order) = order {
            self.offer_refused(order, reason, error.to_string());
        }
    }

    /// All is well, said because it is wanted.
    pub(crate) fn say_health(&mut self) {
        if self.machine.healthy {
            self.report(self.machine.order(), Observation::Healthy, String::new());
        }
    }

    /// Looks at the payload and lets time pass.
    pub(crate) fn tick(&mut self, now: Instant, passed: Elapsed, in_contact: bool) {
        for seen in self.payload.look(now) {
            match seen {
                Seen::Returned { attempt } => self.event(&Event::ReturnedByGuard { attempt }),
                Seen::Started { attempt } => {
                    // A guard that was killed after it moved the pointer has returned the package all the same.
                    if self.has_been_returned() {
                        let attempt = attempts_had(self.dir.attempts().as_ref());
                        self.event(&Event::ReturnedByGuard { attempt });
                    }
                    self.probe_at = now + PROBE_FIRST;
                    self.event(&Event::Started { attempt });
                }
                Seen::Exhausted => self.event(&Event::Exhausted),
                Seen::Exited(detail) => {
                    tracing::warn!(package = %self.name, "the payload ended: {detail}");
                    self.last_end = Some(detail.clone());
                    self.event(&Event::Exited { detail });
                }
                Seen::ActivationFailed(detail) => {
                    tracing::warn!(package = %self.name, "activation failed: {detail}");
                    self.event(&Event::ActivationFailed { detail });
                }
            }
        }
        if passed > Elapsed::ZERO {
            self.event(&Event::Tick { passed, in_contact });
        }
        if let State::Staged { trial } = &self.machine.state
            && self.go_at.is_some_and(|at| at <= now)
        {
            self.go_at = None;
            self.errands.push(Errand::AskGo(trial.clone()));
        }
        if self.unsaved && self.errands.is_empty() && now.saturating_duration_since(self.saved_at) >= KEEP_EVERY {
            self.save(now);
        }
    }

    fn save(&mut self, now: Instant) {
        self.saved_at = now;
        match self.dir.write_machine(&self.machine, &[]) {
            Ok(()) => self.unsaved = false,
            Err(error) => tracing::warn!(package = %self.name, "{error}"),
        }
    }

    /// A round of probes, if one is due.
    pub(crate) fn begin_round(&mut self, now: Instant) -> Option<Round> {
        if self.probing || !self.payload.is_up() || self.probe_at > now {
            return None;
        }
        let current = self.dir.pointers().current;
        // What is only observed has no slot, and an agent that came with the system has none yet.
        let slot = current.map_or_else(|| self.dir.dir().to_owned(), |current| self.dir.slot(current));
        let generation = self.payload.generation();
        let probes = match self.payload.observed() {
            Some(probes) => probes.clone(),
            None => self.payload.manifest().map(|manifest| manifest.probes).unwrap_or_default(),
        };
        self.probing = true;
        Some(Round { generation, probes, slot, run_dir: self.dir.run(), said: self.payload.said() })
    }

    /// A round of probes ended.
    pub(crate) fn probed(&mut self, generation: u64, result: Result<(), String>, now: Instant) {
        self.probing = false;
        if generation != self.payload.generation() || !self.payload.is_up() {
            return;
        }
        self.probe_at = now + if self.is_busy() { PROBE_BUSY } else { PROBE_IDLE };
        match result {
            Ok(()) => {
                (self.last_problem, self.last_end) = (None, None);
                self.event(&Event::Healthy);
            }
            Err(detail) => {
                self.last_problem = Some(detail.clone());
                tracing::debug!(package = %self.name, "probe: {detail}");
                self.event(&Event::ProbeFailed { detail });
            }
        }
    }

    /// Whether much depends on the next seconds.
    pub(crate) fn is_busy(&self) -> bool {
        let settled = matches!(self.machine.state, State::Idle {} | State::Proven { .. } | State::Reverted { .. });
        !settled || !self.machine.healthy
    }

    /// Whether this device is finding out what a release of the package does to it.
    pub(crate) fn is_on_trial(&self) -> bool {
        matches!(self.machine.state, State::Activating { .. } | State::Proving { .. } | State::Reverting { .. })
    }

    /// Whether the package is this agent itself.
    pub(crate) fn is_own(&self) -> bool {
        self.payload.own().is_some()
    }

    /// Whether this agent has to end, so that the guard starts another release of it.
    pub(crate) fn is_leaving(&self) -> bool {
        self.payload.is_leaving()
    }

    /// When the package next wants to be looked at, at the latest.
    pub(crate) fn look_within(&self, now: Instant) -> Duration {
        let most = if self.payload.is_awaited() {
            20
        } else if self.is_busy() {
            100
        } else {
            1_000
        };
        let due =
            [self.payload.start_at(), self.go_at, (!self.probing && self.payload.is_up()).then_some(self.probe_at)];
        let next = due.into_iter().flatten().map(|at| at.saturating_duration_since(now)).min();
        next.unwrap_or(Duration::MAX).min(Duration::from_millis(most))
    }

    /// Stops everything in order.
    pub(crate) fn shut_down(&mut self, now: Instant) {
        if let Some(stop) = self.download.take() {
            stop.stop();
        }
        self.payload.end();
        self.save(now);
    }
}
