//! The thread that runs the conduct loop: it alone changes the state, and it alone writes.
//!
//! It works on a state of its own, which runs ahead of what is recorded while a turn is under way. Everybody else reads a second one,
//! to which entries are added only when they are durable. So nobody ever reads what was not recorded, and nobody waits for a disk:
//! a conduct loop that is stuck is in nobody's way.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, mpsc};
use std::time::Duration;

use tidegate_control::command::{Answer, Command, OnlineSigner, Refusal, Why};
use tidegate_control::conduct::{Conductor, Keeping, Next, Notice, Ticket};
use tidegate_control::contract::{Entry, NewEntry, Reply, Request, StoreError};
use tidegate_control::presence::Presence;
use tidegate_control::state::{Operator, State};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::OperatorName;
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_store::SqliteStore;
use tokio::sync::oneshot;

use crate::clock::now;
use crate::{drill, journal};

const QUEUE_MAX: usize = 4_096;
const REST_MAX: Duration = Duration::from_millis(500);

type Waiting = (Command, oneshot::Sender<Result<Answer, Refusal>>);

/// Where commands are handed in and the state is read.
#[derive(Clone)]
pub struct Desk {
    recorded: Arc<RwLock<State>>,
    queue: mpsc::SyncSender<Waiting>,
    standing: Arc<Standing>,
}

/// What can be read of the conduct loop.
#[derive(Debug, Default)]
struct Standing {
    /// May write.
    ready: AtomicBool,
    /// The recorded state was read once, whole. Set under its write lock.
    loaded: AtomicBool,
    turns: AtomicU64,
    /// How often a rollout asked for a person.
    calls: AtomicU64,
}

/// What the conduct loop needs from its server.
pub(crate) struct Surroundings {
    /// The store.
    pub(crate) store: Arc<SqliteStore>,
    /// The server's keys.
    pub(crate) keys: Arc<dyn OnlineSigner + Send + Sync>,
    /// Who checked in.
    pub(crate) presence: Arc<dyn Presence + Send + Sync>,
    /// This installation's name.
    pub(crate) holder: String,
    /// How often rollouts take a step.
    pub(crate) step_every: Elapsed,
}

impl Desk {
    /// Starts the conduct loop on a thread of its own. It ends when every desk is gone.
    pub(crate) fn open(
        runtime: tokio::runtime::Handle,
        surroundings: Surroundings,
    ) -> std::io::Result<(Desk, std::thread::JoinHandle<anyhow::Result<()>>)> {
        let recorded = Arc::new(RwLock::new(State::default()));
        let (queue, commands) = mpsc::sync_channel(QUEUE_MAX);
        let standing = Arc::new(Standing::default());
        let desk = Desk { recorded: recorded.clone(), queue, standing: standing.clone() };
        let conductor = Conductor::new(surroundings.holder.clone(), surroundings.step_every);
        let mut shell = Shell {
            runtime,
            surroundings,
            conductor,
            ahead: State::default(),
            recorded,
            commands,
            standing,
            waiting: Vec::new(),
            tickets: 0,
            keeper: None,
        };
        let thread = std::thread::Builder::new().name("conductor".to_owned()).spawn(move || shell.run())?;
        Ok((desk, thread))
    }

    /// Asks for something and waits until it is durable or refused.
    ///
    /// # Errors
    /// The refusal.
    pub async fn ask(&self, command: Command) -> Result<Answer, Refusal> {
        let gone = || Refusal::new(Why::Unavailable, "stopping", "the server is stopping or overloaded: try again");
        let (answer, wait) = oneshot::channel();
        self.queue.try_send((command, answer)).map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?
    }

    /// The state, as recorded. Held for as long as it is read, and never across a wait.
    ///
    /// # Errors
    /// While the server is still reading what is recorded.
    pub fn state(&self) -> Result<RwLockReadGuard<'_, State>, Refusal> {
        let state = self.recorded.read().unwrap_or_else(PoisonError::into_inner);
        if self.standing.loaded.load(Ordering::Acquire) {
            return Ok(state);
        }
        Err(Refusal::new(Why::Unavailable, "not_ready", "the server is reading what is recorded: try again soon"))
    }

    /// Who holds a bearer token, by the token's hash.
    pub fn operator_of(&self, token: &Digest) -> Option<(OperatorName, Operator)> {
        let state = self.recorded.read().unwrap_or_else(PoisonError::into_inner);
        state.operators().iter().find(|(_, who)| same(&who.token, token)).map(|(name, who)| (name.clone(), who.clone()))
    }

    /// An operator's bearer token, by its hash.
    pub fn token_of(&self, operator: &OperatorName) -> Option<Digest> {
        let state = self.recorded.read().unwrap_or_else(PoisonError::into_inner);
        state.operators().get(operator).map(|operator| operator.token)
    }

    /// Who is signed in with a session, by the session's hash.
    pub fn signed_in(&self, session: &Digest, now: WallTime) -> Option<OperatorName> {
        let state = self.recorded.read().unwrap_or_else(PoisonError::into_inner);
        state.signed_in(session, now).map(|(name, _)| name.clone())
    }

    /// Whether this server holds the lease and knows everything that is recorded.
    pub fn is_ready(&self) -> bool {
        self.standing.ready.load(Ordering::Acquire)
    }

    /// Turns of the conduct loop so far.
    pub fn turns(&self) -> u64 {
        self.standing.turns.load(Ordering::Relaxed)
    }

    /// How often a rollout asked for a person, since the start.
    pub fn calls(&self) -> u64 {
        self.standing.calls.load(Ordering::Relaxed)
    }
}

/// Whether two digests are the same, in time that does not depend on where they differ.
pub(crate) fn same(a: &Digest, b: &Digest) -> bool {
    a.as_bytes().iter().zip(b.as_bytes()).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
}

struct Shell {
    runtime: tokio::runtime::Handle,
    surroundings: Surroundings,
    conductor: Conductor,
    /// What the conductor works on.
    ahead: State,
    /// What everybody else reads.
    recorded: Arc<RwLock<State>>,
    commands: mpsc::Receiver<Waiting>,
    standing: Arc<Standing>,
    waiting: Vec<(Ticket, oneshot::Sender<Result<Answer, Refusal>>)>,
    tickets: Ticket,
    /// Who keeps a snapshot now.
    keeper: Option<std::thread::JoinHandle<()>>,
}

impl Shell {
    fn run(&mut self) -> anyhow::Result<()> {
        let ended = self.turns();
        // The store outlives everybody who writes to it.
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
        ended
    }

    fn turns(&mut self) -> anyhow::Result<()> {
        loop {
            if !self.take_commands() {
                return Ok(());
            }
            let rest_until = self.one_turn()?;
            self.standing.turns.fetch_add(1, Ordering::Relaxed);
            let rest = Duration::from_millis(rest_until.since(now()).as_ms()).min(REST_MAX);
            if !rest.is_zero() && !self.wait_for_command(rest) {
                return Ok(());
            }
        }
    }

    /// Works until there is nothing to do but rest; says until when.
    fn one_turn(&mut self) -> anyhow::Result<WallTime> {
        loop {
            let (keys, presence) = (self.surroundings.keys.clone(), self.surroundings.presence.clone());
            if self.keeper.as_ref().is_some_and(std::thread::JoinHandle::is_finished) {
                self.keeper = None;
                self.conductor.kept();
            }
            let next = self.conductor.next(&mut self.ahead, keys.as_ref(), presence.as_ref(), now());
            self.tell_standing();
            match next {
                Next::Ask(request) => {
                    let appended = entries_of(&request);
                    let reply = ask(&self.runtime, &self.surroundings.store, request);
                    let told = self.conductor.told(&mut self.ahead, now(), reply);
                    self.tell_standing();
                    told?;
                    if self.show(&appended)? {
                        journal::tell(&appended);
                    }
                }
                Next::Keep(keeping) => self.keeper = Some(self.keep(keeping)?),
                Next::Tell(notices) => self.tell(&notices),
                Next::Answer(answers) => {
                    drill::reach(drill::Point::BeforeAnswer);
                    answers.into_iter().for_each(|(ticket, answer)| self.answer(ticket, answer));
                }
                Next::Rest(until) => return Ok(until),
            }
        }
    }

    /// Keeps a snapshot on a thread of its own: goes and halts wait for nobody who writes a whole fleet down.
    fn keep(&self, keeping: Box<Keeping>) -> std::io::Result<std::thread::JoinHandle<()>> {
        let (runtime, store) = (self.runtime.clone(), self.surroundings.store.clone());
        let keep = move || match keeping.into_request() {
            Ok(request) => drop(ask(&runtime, &store, request)),
            Err(error) => tracing::error!(%error, "the state cannot be written down: no snapshot is kept"),
        };
        std::thread::Builder::new().name("keeper".to_owned()).spawn(keep)
    }

    fn tell_standing(&self) {
        self.standing.ready.store(self.conductor.is_ready(), Ordering::Release);
    }

    fn tell(&self, notices: &[Notice]) {
        for notice in notices {
            if let Notice::Call { .. } = notice {
                self.standing.calls.fetch_add(1, Ordering::Relaxed);
            }
            journal::tell_notice(notice);
        }
    }

    /// Brings the state that is read up to what is recorded; says whether what was appended is durable. What was appended is added to it; what was read back, in the place of
    /// a state that was thrown away or behind what another server wrote, is copied.
    fn show(&self, appended: &[Entry]) -> anyhow::Result<bool> {
        // Where it is not whole, the state ahead was thrown away: what is read stays what was recorded before.
        if !self.conductor.is_loaded() {
            return Ok(false);
        }
        let read = || self.recorded.read().unwrap_or_else(PoisonError::into_inner);
        let write = || self.recorded.write().unwrap_or_else(PoisonError::into_inner);
        let last = read().last();
        if appended.first().is_some_and(|first| first.seq == last.plus(1)) {
            let mut recorded = write();
            for entry in appended {
                recorded.apply(entry)?;
            }
        } else if last != self.ahead.last() || !self.standing.loaded.load(Ordering::Acquire) {
            let copy = self.ahead.clone();
            let mut recorded = write();
            let old = std::mem::replace(&mut *recorded, copy);
            self.standing.loaded.store(true, Ordering::Release);
            drop((recorded, old));
        }
        Ok(true)
    }

    fn answer(&mut self, ticket: Ticket, answer: Result<Answer, Refusal>) {
        if let Some(position) = self.waiting.iter().position(|(waiting, _)| *waiting == ticket) {
            let (_, asker) = self.waiting.swap_remove(position);
            // An asker that went away will ask again; what was recorded stays recorded.
            let _ = asker.send(answer);
        }
    }

    fn take_commands(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(waiting) => self.submit(waiting),
                Err(mpsc::TryRecvError::Empty) => return true,
                Err(mpsc::TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn wait_for_command(&mut self, rest: Duration) -> bool {
        match self.commands.recv_timeout(rest) {
            Ok(waiting) => {
                self.submit(waiting);
                true
            }
            Err(mpsc::RecvTimeoutError::Timeout) => true,
            Err(mpsc::RecvTimeoutError::Disconnected) => false,
        }
    }

    fn submit(&mut self, (command, asker): Waiting) {
        self.tickets += 1;
        self.waiting.push((self.tickets, asker));
        self.conductor.submit(self.tickets, command);
    }
}

/// Asks the store, and waits.
fn ask(runtime: &tokio::runtime::Handle, store: &SqliteStore, request: Request) -> Result<Reply, StoreError> {
    let append = matches!(request, Request::Append { .. });
    drill::reach(if append { drill::Point::BeforeAppend } else { drill::Point::BeforeOtherRequest });
    let reply = runtime.block_on(store.perform(request));
    if let Err(error) = &reply {
        tracing::warn!(kind = error.kind(), %error, "the store refused");
    }
    drill::reach(if append { drill::Point::AfterAppend } else { drill::Point::AfterOtherRequest });
    reply
}

/// What an append adds, with its numbers.
fn entries_of(request: &Request) -> Vec<Entry> {
    let Request::Append { expected, entries, .. } = request else { return Vec::new() };
    let numbered = |(after, content): (u64, &NewEntry)| Entry { seq: expected.plus(after), content: content.clone() };
    (1..).zip(entries).map(numbered).collect()
}
