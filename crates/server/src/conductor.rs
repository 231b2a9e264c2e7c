//! The thread that runs the conduct loop: it alone changes the state, and it alone writes.
//!
//! It holds the state's lock from the moment a turn is staged until it is durable, so nobody ever reads what was not recorded.
//! Waiting for that lock never blocks a thread that serves requests: a conduct loop that is stuck must not be in a halt's way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::time::Duration;

use tidegate_control::command::{Answer, Command, OnlineSigner, Refusal, Why};
use tidegate_control::conduct::{Conductor, Next, Ticket};
use tidegate_control::contract::{Reply, Request, StoreError};
use tidegate_control::presence::Presence;
use tidegate_control::state::{Operator, State};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::OperatorName;
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_store::SqliteStore;
use tokio::sync::{RwLockReadGuard, oneshot};

use crate::clock::now;
use crate::drill;

const QUEUE_MAX: usize = 4_096;
const REST_MAX: Duration = Duration::from_millis(500);

type Waiting = (Command, oneshot::Sender<Result<Answer, Refusal>>);

/// Where commands are handed in and the state is read.
#[derive(Clone)]
pub struct Desk {
    state: Arc<tokio::sync::RwLock<State>>,
    queue: mpsc::SyncSender<Waiting>,
    standing: Arc<Standing>,
    operators: Operators,
}

/// What can be read of the conduct loop while it holds the state.
#[derive(Debug, Default)]
struct Standing {
    /// May write.
    ready: AtomicBool,
    /// The state is all that is recorded. Changes only under the state's write lock.
    loaded: AtomicBool,
    turns: AtomicU64,
}

/// A copy of the operators that can be read while the state is locked, so that a halt needs nothing of the conduct loop.
type Operators = Arc<RwLock<BTreeMap<OperatorName, Operator>>>;

/// What the conduct loop needs from its server.
pub(crate) struct Surroundings {
    /// The store.
    pub(crate) store: SqliteStore,
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
        let state = Arc::new(tokio::sync::RwLock::new(State::default()));
        let (queue, commands) = mpsc::sync_channel(QUEUE_MAX);
        let standing = Arc::new(Standing::default());
        let operators = Operators::default();
        let desk = Desk { state: state.clone(), queue, standing: standing.clone(), operators: operators.clone() };
        let conductor = Conductor::new(surroundings.holder.clone(), surroundings.step_every);
        let mut shell = Shell {
            runtime,
            surroundings,
            conductor,
            state,
            commands,
            standing,
            operators,
            waiting: Vec::new(),
            tickets: 0,
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

    /// The state, as recorded. Waits for the turn that is under way to be durable.
    ///
    /// # Errors
    /// While the server is still reading what is recorded.
    pub async fn state(&self) -> Result<RwLockReadGuard<'_, State>, Refusal> {
        let state = self.state.read().await;
        if self.standing.loaded.load(Ordering::Acquire) {
            return Ok(state);
        }
        Err(Refusal::new(Why::Unavailable, "not_ready", "the server is reading what is recorded: try again soon"))
    }

    /// The state, where it can be read at once and is complete. For whoever may not wait.
    pub fn state_now(&self) -> Option<RwLockReadGuard<'_, State>> {
        let state = self.state.try_read().ok()?;
        self.standing.loaded.load(Ordering::Acquire).then_some(state)
    }

    /// Who holds a bearer token, by the token's hash. Does not wait for the conduct loop.
    pub fn operator_of(&self, token: &Digest) -> Option<(OperatorName, Operator)> {
        let operators = self.operators.read().unwrap_or_else(PoisonError::into_inner);
        operators.iter().find(|(_, who)| same(&who.token, token)).map(|(name, who)| (name.clone(), who.clone()))
    }

    /// Whether this server holds the lease and knows everything that is recorded.
    pub fn is_ready(&self) -> bool {
        self.standing.ready.load(Ordering::Acquire)
    }

    /// Turns of the conduct loop so far.
    pub fn turns(&self) -> u64 {
        self.standing.turns.load(Ordering::Relaxed)
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
    state: Arc<tokio::sync::RwLock<State>>,
    commands: mpsc::Receiver<Waiting>,
    standing: Arc<Standing>,
    operators: Operators,
    waiting: Vec<(Ticket, oneshot::Sender<Result<Answer, Refusal>>)>,
    tickets: Ticket,
}

impl Shell {
    fn run(&mut self) -> anyhow::Result<()> {
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
        let state = self.state.clone();
        loop {
            let mut state = state.blocking_write();
            let keys = self.surroundings.keys.clone();
            let presence = self.surroundings.presence.clone();
            let next = self.conductor.next(&mut state, keys.as_ref(), presence.as_ref(), now());
            self.tell_standing();
            match next {
                Next::Ask(request) => {
                    let reply = self.ask_store(request);
                    let told = self.conductor.told(&mut state, now(), reply);
                    self.tell_standing();
                    told?;
                    self.publish_operators(&state);
                }
                Next::Answer(answers) => {
                    drop(state);
                    drill::reach(drill::Point::BeforeAnswer);
                    answers.into_iter().for_each(|(ticket, answer)| self.answer(ticket, answer));
                }
                Next::Rest(until) => return Ok(until),
            }
        }
    }

    fn ask_store(&self, request: Request) -> Result<Reply, StoreError> {
        let append = matches!(request, Request::Append { .. });
        drill::reach(if append { drill::Point::BeforeAppend } else { drill::Point::BeforeOtherRequest });
        let reply = self.runtime.block_on(self.surroundings.store.perform(request));
        if let Err(error) = &reply {
            tracing::warn!(kind = error.kind(), %error, "the store refused");
        }
        drill::reach(if append { drill::Point::AfterAppend } else { drill::Point::AfterOtherRequest });
        reply
    }

    /// Called with the state's write lock held.
    fn tell_standing(&self) {
        self.standing.loaded.store(self.conductor.is_loaded(), Ordering::Release);
        self.standing.ready.store(self.conductor.is_ready(), Ordering::Release);
    }

    /// Called when everything in the state is recorded.
    fn publish_operators(&self, state: &State) {
        // Not while the state is being loaded: a halt must not be locked out by a store that is slow to come back.
        if !self.conductor.is_loaded() {
            return;
        }
        let known = self.operators.read().unwrap_or_else(PoisonError::into_inner);
        if *known == *state.operators() {
            return;
        }
        drop(known);
        self.operators.write().unwrap_or_else(PoisonError::into_inner).clone_from(state.operators());
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
