//! One package's payload: started behind the guard, started again when it ends, stopped in order. Says what it saw as data.
//!
//! Depending on the release the agent runs the payload itself, signals it, or runs a command that restarts it. Which slot is
//! started is the guard's decision, never this file's.

mod command;
mod last_words;
mod own;

use std::ffi::OsString;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use tidegate_domain::device::guard::ATTEMPTS_MAX;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{PackageName, RingName};
use tidegate_domain::release::{Activation, Manifest, Probe};

use crate::layout::PackageDir;
use crate::own::Own;
use crate::said::Said;
use crate::{guard, os, probe};

use command::check_and_run;
use last_words::LastWords;

/// How long the agent waits before it starts a payload again that ended by itself: this, then twice as long each time.
const RESTART: Duration = Duration::from_secs(1);
const RESTART_MAX: Duration = Duration::from_secs(30);
/// A payload that ran so long has not ended at once: the next wait is the first again.
const RAN_WELL: Duration = Duration::from_secs(60);
/// How long a payload has to end when it is told to. Short of the shortest downtime that makes sense.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// How often a stopping payload is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// What happened to the payload, in the order in which it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The guard pointed `current` elsewhere first.
    Returned {
        /// The attempts that the slot before had.
        attempt: u32,
    },
    /// It was started.
    Started {
        /// The attempt; 0 where it is none.
        attempt: u32,
    },
    /// No slot is left that may be started, or the last one is being started beyond its attempts.
    Exhausted,
    /// It ended by itself.
    Exited(String),
    /// The activation command failed.
    ActivationFailed(String),
}

/// Wakes the main loop.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

/// What a payload is started with.
pub(crate) struct Setup {
    pub(crate) package: PackageName,
    pub(crate) dir: PackageDir,
    /// The device's own command, for releases that name none.
    pub(crate) words: Vec<String>,
    pub(crate) ring: Option<RingName>,
    /// The words that start the guard.
    pub(crate) guard: Vec<OsString>,
    /// Where the package is this agent itself.
    pub(crate) own: Option<Own>,
    /// How the package is seen to be well, where nothing of it is started and something else updates it.
    pub(crate) observed: Option<Vec<Probe>>,
    pub(crate) wake: Wake,
}

/// The payload of one package.
pub(crate) struct Payload {
    setup: Setup,
    child: Option<(Child, Instant)>,
    command: Option<Receiver<Result<(), String>>>,
    awaiting: Option<Before>,
    start_at: Option<Instant>,
    held: bool,
    exits: u32,
    last_attempt: u32,
    generation: u64,
    up: bool,
    /// This agent has to end, so that the guard starts what is current now.
    leaving: bool,
    said: Arc<Said>,
    last_words: LastWords,
}

/// How things stood before a start, to see what the guard did.
struct Before {
    starts: u64,
    count: u32,
    slot: Option<Digest>,
    current: Option<Digest>,
}

impl Payload {
    pub(crate) fn new(setup: Setup) -> Payload {
        Payload {
            setup,
            child: None,
            command: None,
            awaiting: None,
            start_at: None,
            held: false,
            exits: 0,
            last_attempt: 0,
            generation: 0,
            up: false,
            leaving: false,
            said: Arc::default(),
            last_words: LastWords::default(),
        }
    }

    /// Rises with each start and end: what was seen of an earlier run says nothing of this one.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether it was started and has not ended, as far as is known.
    pub(crate) fn is_up(&self) -> bool {
        self.up
    }

    /// What it has said of itself in this run.
    pub(crate) fn said(&self) -> Arc<Said> {
        Arc::clone(&self.said)
    }

    /// Whether something is expected any moment, so that looking soon is worth it.
    pub(crate) fn is_awaited(&self) -> bool {
        self.awaiting.is_some()
    }

    /// When it is started again.
    pub(crate) fn start_at(&self) -> Option<Instant> {
        self.start_at
    }

    /// The manifest of what `current` points at.
    pub(crate) fn manifest(&self) -> Option<Manifest> {
        self.setup.dir.pointers().current.and_then(|current| self.setup.dir.manifest(current))
    }

    /// Takes a service that runs without the agent for running: after a restart of the agent.
    pub(crate) fn adopt(&mut self) {
        self.generation += 1;
        self.up = true;
    }

    /// Starts it then, or as soon as [`Self::hold_no_longer`] says.
    pub(crate) fn hold(&mut self, until: Instant) {
        (self.start_at, self.held) = (Some(until), true);
    }

    /// Starts what is held.
    pub(crate) fn hold_no_longer(&mut self, now: Instant) {
        if std::mem::take(&mut self.held) {
            self.start_at = self.start_at.map(|at| at.min(now));
        }
    }

    /// Starts it. Where there is nothing to start, nothing happens.
    pub(crate) fn start(&mut self) {
        (self.start_at, self.held) = (None, false);
        if self.setup.own.is_some() {
            (self.up, self.leaving) = (false, true);
            return;
        }
        let pointers = self.setup.dir.pointers();
        if pointers.current.or(pointers.fallback).is_none() {
            return;
        }
        let attempts = self.setup.dir.attempts();
        self.awaiting = Some(Before {
            starts: attempts.as_ref().map_or(0, |a| a.starts),
            count: attempts.as_ref().map_or(0, |a| a.count),
            slot: attempts.as_ref().map(|a| a.slot),
            current: pointers.current,
        });
        self.generation += 1;
        self.up = false;
        match self.manifest().map(|manifest| manifest.activation) {
            Some(Activation::Restart { .. } | Activation::Hook { .. }) => self.run_command(),
            Some(Activation::Signal { .. }) if self.child.is_some() => self.run_command(),
            Some(Activation::Supervise { .. } | Activation::Signal { .. } | Activation::Agent {}) | None => {
                self.spawn()
            }
        }
    }

    /// Forgets what an earlier run said of itself. Not before that has ended, where it ends: it would say it again.
    fn listen_anew(&mut self) {
        let run_dir = self.setup.dir.run();
        if let Some(manifest) = self.manifest() {
            probe::forget_health(&manifest.probes, &run_dir);
        }
        self.said = Said::listen(&run_dir);
    }

    /// Starts the guard, which becomes the payload.
    fn spawn(&mut self) {
        self.stop();
        self.awaiting_again();
        self.listen_anew();
        let mut command = self.guard_command("run");
        command.arg("--die-with-parent").arg(std::process::id().to_string());
        command.arg("--").args(&self.setup.words).stdin(Stdio::null()).stderr(Stdio::piped());
        os::own_group(&mut command);
        match command.spawn() {
            Ok(mut child) => {
                self.last_words = child.stderr.take().map(LastWords::of).unwrap_or_default();
                let (pid, wake) = (child.id(), Arc::clone(&self.setup.wake));
                self.child = Some((child, Instant::now()));
                thread::spawn(move || {
                    os::wait_until_ended(pid);
                    wake();
                });
            }
            Err(error) => {
                tracing::error!(package = %self.setup.package, "cannot start the guard: {error}");
                self.awaiting = None;
                self.start_at = Some(Instant::now() + RESTART_MAX);
            }
        }
    }

    /// `stop` inside `spawn` may have written the attempts; what counts is what stands there now.
    fn awaiting_again(&mut self) {
        if let (Some(before), Some(attempts)) = (&mut self.awaiting, self.setup.dir.attempts()) {
            (before.starts, before.count, before.slot) = (attempts.starts, attempts.count, Some(attempts.slot));
        }
    }

    fn guard_command(&self, verb: &str) -> Command {
        let mut words = self.setup.guard.iter();
        let mut command = Command::new(words.next().cloned().unwrap_or_else(|| "tidegate-guard".into()));
        command.args(words).arg(verb).arg("--package-dir").arg(self.setup.dir.dir());
        if let Some(ring) = &self.setup.ring {
            command.env("TIDEGATE_RING", ring.as_str());
        }
        command
    }

    /// `guard check`, then what the manifest of the slot that it left in place says: a command, or a signal.
    fn run_command(&mut self) {
        self.listen_anew();
        let mut check = self.guard_command("check");
        check.stdin(Stdio::null());
        let (dir, pid) = (self.setup.dir.clone(), self.child.as_ref().map(|(child, _)| child.id()));
        let (done, wake) = (mpsc::channel(), Arc::clone(&self.setup.wake));
        self.command = Some(done.1);
        let sender = done.0;
        thread::spawn(move || {
            // The receiver is gone where the payload was stopped or started again meanwhile.
            let _ = sender.send(check_and_run(&mut check, &dir, pid));
            wake();
        });
    }

    /// Stops it in order and says so to the guard. Returns when it has ended, at the latest a little after [`STOP_GRACE`].
    pub(crate) fn stop(&mut self) {
        self.start_at = None;
        self.command = None;
        self.up = false;
        let Some((mut child, _)) = self.child.take() else { return };
        self.generation += 1;
        os::terminate(child.id());
        let told = Instant::now();
        while matches!(child.try_wait(), Ok(None)) {
            if told.elapsed() >= STOP_GRACE {
                os::kill(child.id());
                let _ = child.kill();
                let _ = child.wait();
                break;
            }
            thread::sleep(LOOK);
        }
        // Its children, where it left some.
        os::kill(child.id());
        self.note_orderly_end();
    }

    /// Tells the guard that the run ended because it was told to.
    fn note_orderly_end(&self) {
        if let Some(current) = self.setup.dir.pointers().current {
            let noted = self.setup.dir.change_attempts(current, "", |attempts| attempts.ended_in_order = true);
            if let Err(error) = noted {
                tracing::warn!("{error}");
            }
        }
    }

    /// Whether a signal will do instead of a stop: the payload runs and what comes next says so.
    pub(crate) fn is_signalled_by(&self, next: Option<&Manifest>) -> bool {
        self.child.is_some() && matches!(next.map(|m| &m.activation), Some(Activation::Signal { .. }))
    }

    /// Looks what happened since the last look.
    pub(crate) fn look(&mut self, now: Instant) -> Vec<Seen> {
        let mut seen = Vec::new();
        self.see_command(&mut seen);
        self.see_start(&mut seen);
        let ended = self.child.as_mut().and_then(|(child, _)| child.try_wait().ok().flatten());
        if let Some(status) = ended {
            // The guard may have counted and become the payload, and that may have ended, between the two looks.
            self.see_start(&mut seen);
            self.see_end(status.code(), os::ending(status), now, &mut seen);
        }
        if self.start_at.is_some_and(|at| at <= now) {
            self.start();
        }
        seen
    }

    fn see_command(&mut self, seen: &mut Vec<Seen>) {
        let Some(command) = &self.command else { return };
        let result = match command.try_recv() {
            Ok(result) => result,
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => Err("the activation ended without a result".to_owned()),
        };
        self.command = None;
        self.see_start(seen);
        self.awaiting = None;
        if let Err(problem) = result {
            self.up = false;
            seen.push(Seen::ActivationFailed(problem));
        }
    }

    fn see_start(&mut self, seen: &mut Vec<Seen>) {
        if self.command.is_some() {
            // Not before the command is done: only then the payload runs on the slot.
            return;
        }
        let Some(before) = &self.awaiting else { return };
        let Some(attempts) = self.setup.dir.attempts().filter(|attempts| attempts.starts > before.starts) else {
            return;
        };
        let current = self.setup.dir.pointers().current;
        let same_slot = before.slot == Some(attempts.slot);
        let attempt = if same_slot && attempts.count <= before.count { 0 } else { attempts.count };
        if before.current.is_some() && before.current != current {
            let had = attempts.returned.as_ref().map_or(before.count, |returned| returned.attempts);
            self.exits = 0;
            seen.push(Seen::Returned { attempt: had });
        }
        self.awaiting = None;
        self.up = true;
        self.last_attempt = attempt;
        seen.push(Seen::Started { attempt });
        if attempt > ATTEMPTS_MAX {
            seen.push(Seen::Exhausted);
        }
    }

    fn see_end(&mut self, code: Option<i32>, ending: String, now: Instant, seen: &mut Vec<Seen>) {
        let Some((child, since)) = self.child.take() else { return };
        // Its children, where it left some: they would hold its port against the next start.
        os::kill(child.id());
        self.generation += 1;
        (self.up, self.awaiting) = (false, None);
        if code == Some(i32::from(guard::EXIT_NOTHING)) {
            self.start_at = Some(now + RESTART_MAX);
            seen.push(Seen::Exhausted);
            return;
        }
        let cannot_start = code == Some(i32::from(guard::EXIT_CANNOT_START));
        let ending = if cannot_start { format!("{ending}: its program cannot be run") } else { ending };
        let words = self.last_words.said();
        let ending = if words.is_empty() { ending } else { format!("{ending}: {words}") };
        if now.saturating_duration_since(since) >= RAN_WELL {
            self.exits = 0;
        }
        let wait = RESTART.saturating_mul(2_u32.saturating_pow(self.exits)).min(RESTART_MAX);
        self.exits = self.exits.saturating_add(1);
        // After the last attempt the guard returns: nothing is gained by waiting for that.
        let returns = self.last_attempt == ATTEMPTS_MAX;
        self.start_at = Some(if returns { now } else { now + wait });
        seen.push(Seen::Exited(ending));
    }
}
