//! One simulated server: the conduct loop that ships with the state it works on, as it lives, stalls, dies and starts again.

use tidegate_control::command::{Answer, Command, OnlineSigner, Refusal};
use tidegate_control::conduct::{Conductor, Next, Notice, Ticket};
use tidegate_control::contract::Request;
use tidegate_control::presence::Presence;
use tidegate_control::state::State;
use tidegate_domain::time::{Elapsed, WallTime};

use super::store::{Ended, Shared};
use crate::names::wall;

/// More turns without a rest than any loop needs: one that takes more runs in circles.
const TURNS_MAX: u32 = 100_000;

/// A server.
pub(super) struct Server {
    number: u32,
    conductor: Conductor,
    state: State,
    step_every: Elapsed,
    /// How far its clock is ahead, in milliseconds.
    ahead_ms: u64,
    /// It does nothing before this: it is down, or stalled.
    idle_until_ms: u64,
    /// What it was about to ask of the store when it stalled.
    held: Option<Request>,
    /// Since when it answers devices without a gap; none while it does not.
    pub(super) serving_since_ms: Option<u64>,
    tickets: Ticket,
}

/// What a server's turn led to.
#[derive(Default)]
pub(super) struct Turned {
    pub(super) answers: Vec<(Ticket, Result<Answer, Refusal>)>,
    pub(super) notices: Vec<Notice>,
    /// What must never happen.
    pub(super) broken: Option<String>,
}

/// What a server works with.
pub(super) struct Surroundings<'a> {
    pub(super) store: &'a mut Shared,
    pub(super) keys: &'a dyn OnlineSigner,
    pub(super) presence: &'a dyn Presence,
    pub(super) now_ms: u64,
    /// Before the run, while the fleet is set up: how long before.
    pub(super) before_ms: u64,
}

impl Server {
    pub(super) fn new(number: u32, step_every: Elapsed, ahead_ms: u64) -> Server {
        Server {
            number,
            conductor: Conductor::new(format!("server-{number}"), step_every),
            state: State::default(),
            step_every,
            ahead_ms,
            idle_until_ms: 0,
            held: None,
            serving_since_ms: None,
            tickets: 0,
        }
    }

    /// What it knows, where that is whole and recorded.
    pub(super) fn knows(&self, now_ms: u64) -> Option<&State> {
        let awake = now_ms >= self.idle_until_ms;
        (awake && self.serving_since_ms.is_some() && self.conductor.is_loaded()).then_some(&self.state)
    }

    /// Whether requests are sent to it: it said at its last turn that it may write. One that stalls still gets them.
    pub(super) fn is_ready(&self) -> bool {
        self.serving_since_ms.is_some()
    }

    /// It loses what it had in memory, and is back then.
    pub(super) fn dies_until(&mut self, until_ms: u64) {
        self.conductor = Conductor::new(format!("server-{}", self.number), self.step_every);
        self.state = State::default();
        self.serving_since_ms = None;
        self.held = None;
        self.idle_until_ms = until_ms;
    }

    /// Hands in a command; none while it does nothing.
    pub(super) fn submit(&mut self, command: Command, now_ms: u64) -> Option<Ticket> {
        if now_ms < self.idle_until_ms {
            return None;
        }
        self.tickets += 1;
        self.conductor.submit(self.tickets, command);
        Some(self.tickets)
    }

    /// Works until there is nothing to do but rest. True where it lives on.
    pub(super) fn turn(&mut self, with: Surroundings<'_>, turned: &mut Turned) -> bool {
        let Surroundings { store, keys, presence, now_ms, before_ms } = with;
        if now_ms < self.idle_until_ms {
            return true;
        }
        let now = WallTime::from_ms(wall(now_ms + self.ahead_ms).as_ms().saturating_sub(before_ms));
        for _ in 0..TURNS_MAX {
            let ended = match self.held.take() {
                Some(held) => store.perform(held),
                None => match self.conductor.next(&mut self.state, keys, presence, now) {
                    Next::Rest(_) => {
                        let since = self.serving_since_ms.unwrap_or(now_ms);
                        self.serving_since_ms = self.conductor.is_ready().then_some(since);
                        return true;
                    }
                    Next::Tell(notices) => {
                        turned.notices.extend(notices);
                        continue;
                    }
                    Next::Answer(answers) => {
                        turned.answers.extend(answers);
                        continue;
                    }
                    Next::Ask(request) => store.ask(self.number, request),
                    Next::Keep(keeping) => {
                        self.conductor.kept();
                        let Ok(request) = keeping.into_request() else { continue };
                        store.ask(self.number, request)
                    }
                },
            };
            match ended {
                Ended::Died => return false,
                Ended::Stalled(request, for_ms) => {
                    (self.held, self.idle_until_ms) = (Some(request), now_ms + for_ms);
                    return true;
                }
                Ended::Replied(reply) => {
                    if let Err(error) = self.conductor.told(&mut self.state, now, reply) {
                        turned.broken = Some(format!("server {}: {error}", self.number));
                        return false;
                    }
                }
            }
        }
        turned.broken = Some(format!("server {} takes turns without end", self.number));
        false
    }
}
