//! The conduct loop as a machine: get the lease, load what is known, then take turns of commands and planning steps.
//!
//! The shell calls [`Conductor::next`], does what it says with the store, and feeds the reply back. One request is under way at a time.
//! What a turn would change is applied to the state before it is durable, but answered only after; when a write fails, the state is
//! thrown away and loaded again, so nothing that was not recorded is ever acted upon.

mod steps;

use std::collections::VecDeque;

pub use steps::Notice;
use steps::Steps;
use tidegate_domain::time::{Elapsed, WallTime};

use crate::command::{Answer, Command, OnlineSigner, Refusal, Staged, Why, stage};
use crate::contract::{
    Entry, Fence, LeaseAnswer, NewEntry, Reply, Request, Seq, StoreError, bounds::BATCH_BYTES_MAX,
    bounds::BATCH_ENTRIES_MAX, bounds::BODY_BYTES_MAX, bounds::READ_ENTRIES_MAX,
};
use crate::presence::Presence;
use crate::state::State;

/// How long a lease is asked for. It is renewed when a third is over.
pub const LEASE_TTL: Elapsed = Elapsed::from_s(15);
/// How often a snapshot is kept, in entries: a long log is folded from one at most a fifth of it back, so that all snapshots together cost as
/// much as a few of the last.
const SNAPSHOT_EVERY_MIN: u64 = 20_000;
/// How long the machine waits before it asks a store again that failed.
const RETRY: Elapsed = Elapsed::from_s(1);
/// The most commands in one turn.
const TURN_COMMANDS_MAX: usize = 512;

/// The number that the shell gave a command, to find the asker again.
pub type Ticket = u64;

/// What the shell does next.
#[derive(Debug)]
#[must_use]
pub enum Next {
    /// Put this to the store and feed the reply to [`Conductor::told`].
    Ask(Request),
    /// Keep this copy as a snapshot, apart from the loop, and say [`Conductor::kept`] when that has ended.
    Keep(Box<Keeping>),
    /// Let people hear this; what it says is durable.
    Tell(Vec<Notice>),
    /// Give these answers; they are durable.
    Answer(Vec<(Ticket, Result<Answer, Refusal>)>),
    /// Nothing to do until then, or until a command comes.
    Rest(WallTime),
}

/// A copy of everything that is recorded, to be kept as a snapshot. Writing a large fleet down takes long, so that it is nothing for the loop.
#[derive(Debug)]
pub struct Keeping {
    fence: Fence,
    state: State,
}

impl Keeping {
    /// What the store is asked to keep.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which is a fault of the code.
    pub fn into_request(self) -> Result<Request, serde_json::Error> {
        Ok(Request::SaveSnapshot { fence: self.fence, snapshot: self.state.to_snapshot()? })
    }
}

#[derive(Debug, Clone, Copy)]
enum Stance {
    /// Knows nothing: begins with the snapshot.
    Empty,
    /// Reads what it has not folded.
    Reading,
    /// Knows everything that was recorded so far, and wants the lease.
    Seeking,
    /// Has the lease, and reads what others recorded before it.
    CatchingUp { fence: Fence },
    /// May write.
    Ready { fence: Fence },
    /// Waits after a failure.
    Waiting { until: WallTime },
}

#[derive(Debug)]
enum Underway {
    Lease,
    Snapshot,
    Read,
    Renew,
    Append { answers: Vec<(Ticket, Result<Answer, Refusal>)>, calls: Vec<Notice> },
}

/// The conduct loop of one server.
#[derive(Debug)]
pub struct Conductor {
    holder: String,
    stance: Stance,
    /// Whether the state is all that was recorded when it was last read.
    whole: bool,
    /// Why nothing can be recorded now.
    trouble: Option<String>,
    /// Not before this is a lease asked for again.
    hold_until: WallTime,
    underway: Option<Underway>,
    queue: VecDeque<(Ticket, Command)>,
    answers: Vec<(Ticket, Result<Answer, Refusal>)>,
    notices: Vec<Notice>,
    steps: Steps,
    renew_at: WallTime,
    /// Where the last snapshot was taken.
    snapshot_at: Seq,
    /// Whether a snapshot is being kept.
    keeping: bool,
}

impl Conductor {
    /// A conductor that has not asked for anything yet. `holder` names this installation, the same after a restart.
    pub fn new(holder: String, step_every: Elapsed) -> Conductor {
        Conductor {
            holder,
            stance: Stance::Empty,
            whole: false,
            trouble: None,
            hold_until: WallTime::default(),
            underway: None,
            queue: VecDeque::new(),
            answers: Vec::new(),
            notices: Vec::new(),
            steps: Steps::new(step_every),
            renew_at: WallTime::default(),
            snapshot_at: Seq::ZERO,
            keeping: false,
        }
    }

    /// Takes a command. It is answered by a later [`Next::Answer`], whatever becomes of it.
    pub fn submit(&mut self, ticket: Ticket, command: Command) {
        match &self.trouble {
            Some(why) => {
                let detail = format!("nothing can be recorded now: {why}");
                self.answers.push((ticket, Err(Refusal::new(Why::Unavailable, "store_unavailable", detail))));
            }
            None => self.queue.push_back((ticket, command)),
        }
    }

    /// Whether this server holds the lease and knows everything that is recorded.
    pub fn is_ready(&self) -> bool {
        matches!(self.stance, Stance::Ready { .. })
    }

    /// Whether the state is whole and recorded, so that it may be read. It need not be writable.
    pub fn is_loaded(&self) -> bool {
        self.whole
    }

    /// The lease that writes go under, once this server holds it.
    pub fn fence(&self) -> Option<Fence> {
        match self.stance {
            Stance::Ready { fence } | Stance::CatchingUp { fence } => Some(fence),
            Stance::Empty | Stance::Reading | Stance::Seeking | Stance::Waiting { .. } => None,
        }
    }

    /// What the shell does next. Call it again after every reply, and when a rest is over.
    pub fn next(&mut self, state: &mut State, keys: &dyn OnlineSigner, presence: &dyn Presence, now: WallTime) -> Next {
        if !self.notices.is_empty() {
            return Next::Tell(std::mem::take(&mut self.notices));
        }
        if !self.answers.is_empty() {
            return Next::Answer(std::mem::take(&mut self.answers));
        }
        if let Stance::Waiting { until } = self.stance {
            if now < until {
                return Next::Rest(until);
            }
            self.stance = if self.whole { Stance::Reading } else { Stance::Empty };
        }
        match self.stance {
            Stance::Empty => {
                *state = State::default();
                self.whole = false;
                self.ask(Underway::Snapshot, Request::LoadSnapshot)
            }
            Stance::Reading | Stance::CatchingUp { .. } => {
                self.ask(Underway::Read, Request::Read { after: state.last(), limit: READ_ENTRIES_MAX })
            }
            Stance::Seeking if now < self.hold_until => Next::Rest(self.hold_until),
            Stance::Seeking => {
                self.ask(Underway::Lease, Request::Acquire { holder: self.holder.clone(), now, ttl: LEASE_TTL })
            }
            Stance::Waiting { until } => Next::Rest(until),
            Stance::Ready { fence } => self.turn(state, keys, presence, now, fence),
        }
    }

    fn ask(&mut self, underway: Underway, request: Request) -> Next {
        self.underway = Some(underway);
        Next::Ask(request)
    }

    fn turn(
        &mut self,
        state: &mut State,
        keys: &dyn OnlineSigner,
        presence: &dyn Presence,
        now: WallTime,
        fence: Fence,
    ) -> Next {
        if now >= self.renew_at {
            self.renew_at = now.after(LEASE_TTL.third());
            return self.ask(Underway::Renew, Request::Renew { fence, now, ttl: LEASE_TTL });
        }
        let every = SNAPSHOT_EVERY_MIN.max(self.snapshot_at.as_u64() / 4);
        if !self.keeping && state.last() >= self.snapshot_at.plus(every) {
            (self.keeping, self.snapshot_at) = (true, state.last());
            return Next::Keep(Box::new(Keeping { fence, state: state.clone() }));
        }
        let expected = state.last();
        let mut entries = Vec::new();
        let (mut answers, mut calls) = (Vec::new(), Vec::new());
        self.stage_commands(state, keys, now, &mut entries, &mut answers);
        if entries.len() < BATCH_ENTRIES_MAX / 2 {
            let staged = self.steps.stage(state, keys, presence, now, &mut entries);
            calls = staged.calls;
            self.notices.extend(staged.stuck);
        }
        if entries.is_empty() {
            return if answers.is_empty() {
                Next::Rest(self.steps.due().min(self.renew_at))
            } else {
                Next::Answer(answers)
            };
        }
        self.ask(Underway::Append { answers, calls }, Request::Append { fence, expected, entries })
    }

    fn stage_commands(
        &mut self,
        state: &mut State,
        keys: &dyn OnlineSigner,
        now: WallTime,
        entries: &mut Vec<NewEntry>,
        answers: &mut Vec<(Ticket, Result<Answer, Refusal>)>,
    ) {
        for _ in 0..TURN_COMMANDS_MAX {
            let bytes: usize = entries.iter().map(|entry| entry.body.len()).sum();
            if entries.len() > BATCH_ENTRIES_MAX / 2 || bytes > BATCH_BYTES_MAX / 4 {
                return;
            }
            let Some((ticket, command)) = self.queue.pop_front() else { return };
            let staged = stage(state, keys, now, command).and_then(|staged| fold(state, staged, entries));
            answers.push((ticket, staged));
        }
    }

    /// Says that the copy of [`Next::Keep`] is kept or could not be. A snapshot is a convenience: without room for it the log is still whole,
    /// and a lease that is lost is heard of by the next write.
    pub fn kept(&mut self) {
        self.keeping = false;
    }

    /// Takes the store's reply to what was asked last.
    ///
    /// # Errors
    /// When the store holds what this version cannot fold, or replied with something else: the server must stop.
    pub fn told(
        &mut self,
        state: &mut State,
        now: WallTime,
        reply: Result<Reply, StoreError>,
    ) -> Result<(), ConductError> {
        let Some(underway) = self.underway.take() else { return Ok(()) };
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => {
                self.failed(now, underway, &error);
                return Ok(());
            }
        };
        match underway {
            Underway::Lease | Underway::Renew => self.leased(reply.into_lease()?, now),
            Underway::Snapshot => {
                if let Some(snapshot) = reply.into_snapshot()?
                    && let Some(known) =
                        State::from_snapshot(&snapshot).map_err(|e| ConductError::Fold(e.to_string()))?
                {
                    self.snapshot_at = known.last();
                    *state = known;
                }
                self.stance = Stance::Reading;
            }
            Underway::Read => self.read(state, reply.into_entries()?)?,
            Underway::Append { answers, calls } => {
                let (_, last) = reply.into_appended()?;
                if last != state.last() {
                    return Err(ConductError::Fold(format!("the store ends at {last}, the state at {}", state.last())));
                }
                self.answers.extend(answers);
                self.notices.extend(calls);
            }
        }
        Ok(())
    }

    fn leased(&mut self, answer: LeaseAnswer, now: WallTime) {
        match (answer, self.stance) {
            (LeaseAnswer::Granted { .. }, Stance::Ready { .. }) => {}
            (LeaseAnswer::Granted { fence, .. }, _) => {
                self.renew_at = now.after(LEASE_TTL.third());
                self.stance = Stance::CatchingUp { fence };
            }
            (LeaseAnswer::HeldBy { holder, until }, _) => {
                let why = format!("server {holder} holds the lease");
                self.refuse_waiting(&Refusal::new(Why::Unavailable, "store_unavailable", &why));
                self.trouble = Some(why);
                self.stance = Stance::Waiting { until: until.min(now.after(RETRY)) };
            }
        }
    }

    fn read(&mut self, state: &mut State, entries: Vec<Entry>) -> Result<(), ConductError> {
        let end = entries.is_empty();
        for entry in entries {
            state.apply(&entry).map_err(|e| ConductError::Fold(e.to_string()))?;
        }
        match self.stance {
            Stance::Reading if end => {
                self.whole = true;
                self.stance = Stance::Seeking;
            }
            Stance::CatchingUp { fence } if end => {
                self.trouble = None;
                self.stance = Stance::Ready { fence };
            }
            _ => {}
        }
        Ok(())
    }

    /// A failed write leaves a state that was never recorded: it is thrown away. Everybody who waits hears of it.
    /// Reading needs neither room nor lease, so that a server with a full disk still knows what is recorded.
    fn failed(&mut self, now: WallTime, underway: Underway, error: &StoreError) {
        let refusal = Refusal::new(Why::Unavailable, error.kind(), format!("nothing was recorded: {error}"));
        self.stance = match underway {
            Underway::Append { answers, .. } => {
                self.answers.extend(answers.into_iter().map(|(ticket, _)| (ticket, Err(refusal.clone()))));
                self.whole = false;
                Stance::Empty
            }
            Underway::Lease | Underway::Snapshot | Underway::Read | Underway::Renew => {
                Stance::Waiting { until: now.after(RETRY) }
            }
        };
        self.refuse_waiting(&refusal);
        self.hold_until = now.after(RETRY);
        self.trouble = Some(error.to_string());
    }

    fn refuse_waiting(&mut self, refusal: &Refusal) {
        let waiting = self.queue.drain(..).map(|(ticket, _)| (ticket, Err(refusal.clone())));
        self.answers.extend(waiting);
    }
}

/// Why a conductor cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConductError {
    /// The store holds what this version cannot fold.
    #[error("what is recorded cannot be read: {0}")]
    Fold(String),
    /// The store replied with something else than was asked for.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Applies staged entries to the state and adds them to the batch.
fn fold(state: &mut State, staged: Staged, entries: &mut Vec<NewEntry>) -> Result<Answer, Refusal> {
    if let Some(large) = staged.entries.iter().find(|entry| entry.body.len() > BODY_BYTES_MAX) {
        let detail = format!("{}: {} bytes to record, at most {BODY_BYTES_MAX}", large.kind, large.body.len());
        return Err(Refusal::new(Why::Invalid, "too_large_to_record", detail));
    }
    for content in staged.entries {
        let entry = Entry { seq: state.last().plus(1), content };
        state.apply(&entry).map_err(|e| Refusal::new(Why::Invalid, "cannot_fold", e))?;
        entries.push(entry.content);
    }
    Ok(staged.answer)
}

#[cfg(test)]
mod tests;
