//! What a device steps through: the production machine and guard, with a shell around them that only keeps pointers and attempts.
//!
//! Lives are interned: devices that have come through the same are one life, and what follows from a life and a happening is worked
//! out once, by the production code, and looked up after that. So every simulated device runs what ships, at the price of a lookup.

use std::collections::HashMap;

use tidegate_domain::device::guard::{Attempts, GuardDecision, GuardFacts, decide};
use tidegate_domain::device::{Effect, Event, Machine, Pointers, State, TICK_MAX, Trial};
use tidegate_domain::digest::Digest;
use tidegate_domain::observation::Observation;
use tidegate_domain::time::Elapsed;

/// What can happen to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Happening {
    /// It was offered the release and fetched it.
    Offered,
    /// The server said go.
    Go,
    /// The server said no.
    Denied,
    /// All probes passed.
    Healthy,
    /// As many rounds of probes failed in a row as make a failure.
    Sick,
    /// The payload ended by itself and is started again, behind the guard.
    Crashed,
    /// Something was done that the device's owner forbids for good.
    Destroyed,
    /// So many ticks passed.
    Ticks {
        /// How many, of [`Lives::tick`] each.
        count: u16,
        /// Whether the server's answers arrived meanwhile.
        in_contact: bool,
    },
    /// The release is fleet-proven.
    FleetProven,
    /// A permit of kind `revert` reaches it.
    ReturnOrdered,
}

/// A life's number.
pub(crate) type LifeId = u32;

/// All that a device knows of its package.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Life {
    machine: Machine,
    pointers: Pointers,
    attempts: Option<Attempts>,
}

/// What followed from a happening.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Move {
    /// The life after it.
    pub(crate) to: LifeId,
    /// What the device says of it.
    pub(crate) says: Vec<Observation>,
    /// Whether a payload was started.
    pub(crate) started: bool,
}

/// What the rest of the simulation needs to know of a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Standing {
    /// It runs the release, or tries to.
    pub(crate) on_release: bool,
    /// It is being activated or proven: time counts.
    pub(crate) on_trial: bool,
    /// It is on its way back, or back.
    pub(crate) left: bool,
    /// A payload was started and its probes have not passed yet, on whichever slot.
    pub(crate) waits_for_health: bool,
    /// How long it must still be healthy and in contact until it restarts by plan or is proven; none where it is not being proven.
    pub(crate) undisturbed_for: Option<Elapsed>,
    /// Planned restarts are left before it is proven.
    pub(crate) is_to_restart: bool,
    /// It is back after a loss of contact, and does not know yet whose fault that was.
    pub(crate) settles_contact: bool,
    /// It was proven.
    pub(crate) proven: bool,
    /// Its probes passed last.
    pub(crate) healthy: bool,
    /// Neither release nor fallback runs.
    pub(crate) needs_hands: bool,
}

/// Every life that any device has come to, and what follows from it.
pub(crate) struct Lives {
    trial: Box<Trial>,
    tick: Elapsed,
    lives: Vec<Life>,
    standings: Vec<Standing>,
    known: HashMap<Life, LifeId>,
    moves: Vec<HashMap<Happening, Move>>,
}

/// The life of a device that has not heard of the release yet.
pub(crate) const UNTOUCHED: LifeId = 0;

impl Lives {
    /// Lives under this trial; time passes in ticks of the machine's greatest, or of `check_in` where that is shorter.
    pub(crate) fn new(trial: Trial, check_in: Elapsed) -> Lives {
        let tick = check_in.min(TICK_MAX);
        let settle_for = trial.prove_for;
        let mut lives = Lives {
            trial: Box::new(trial),
            tick,
            lives: Vec::new(),
            standings: Vec::new(),
            known: HashMap::new(),
            moves: Vec::new(),
        };
        let old = Digest::of(b"the release before");
        let pointers = Pointers { current: Some(old), fallback: Some(old), kept: None };
        let attempts = Attempts { proven: true, ..Attempts::of_taken(old, old, 1) };
        let machine = Machine { healthy: true, ..Machine::new(settle_for) };
        lives.intern(Life { machine, pointers, attempts: Some(attempts) });
        lives
    }

    /// How much time one tick is.
    pub(crate) fn tick(&self) -> Elapsed {
        self.tick
    }

    /// How many lives were come to.
    #[cfg(test)]
    fn count(&self) -> usize {
        self.lives.len()
    }

    /// What is to be known of a life.
    pub(crate) fn standing(&self, life: LifeId) -> Standing {
        self.standings.get(life as usize).copied().unwrap_or_default()
    }

    /// What follows from a happening. The first time it is worked out, later it is looked up.
    pub(crate) fn step(&mut self, life: LifeId, happening: Happening) -> &Move {
        let known = self.moves.get(life as usize).is_some_and(|moves| moves.contains_key(&happening));
        if !known && let Some(before) = self.lives.get(life as usize) {
            let (after, says, started) = before.clone().after(happening, &self.trial, self.tick);
            let to = self.intern(after);
            if let Some(moves) = self.moves.get_mut(life as usize) {
                moves.insert(happening, Move { to, says, started });
            }
        }
        const NOWHERE: &Move = &Move { to: UNTOUCHED, says: Vec::new(), started: false };
        self.moves.get(life as usize).and_then(|moves| moves.get(&happening)).unwrap_or(NOWHERE)
    }

    fn intern(&mut self, life: Life) -> LifeId {
        if let Some(id) = self.known.get(&life) {
            return *id;
        }
        let id = LifeId::try_from(self.lives.len()).unwrap_or(LifeId::MAX);
        self.standings.push(life.standing());
        self.lives.push(life.clone());
        self.moves.push(HashMap::new());
        self.known.insert(life, id);
        id
    }
}

impl Life {
    fn standing(&self) -> Standing {
        let state = &self.machine.state;
        let is_to_restart = matches!(state, State::Proving { trial, restarts, .. } if *restarts < trial.prove_restarts);
        let on_trial = matches!(state, State::Activating { .. } | State::Proving { .. });
        Standing {
            on_release: on_trial || matches!(state, State::Proven { .. }),
            on_trial,
            left: matches!(state, State::Reverting { .. } | State::Reverted { .. }),
            waits_for_health: !self.machine.healthy
                && !self.machine.needs_hands
                && !matches!(state, State::Idle {} | State::Fetching { .. } | State::Staged { .. }),
            undisturbed_for: self.machine.undisturbed_for(),
            is_to_restart,
            settles_contact: matches!(state, State::Reverted { silent: Some(_), .. }),
            proven: self.machine.proven.is_some(),
            healthy: self.machine.healthy,
            needs_hands: self.machine.needs_hands,
        }
    }

    /// The life after a happening, what was said, and whether a payload was started.
    fn after(mut self, happening: Happening, trial: &Trial, tick: Elapsed) -> (Life, Vec<Observation>, bool) {
        let mut shell = Shell::default();
        match happening {
            Happening::Offered => {
                self.event(&Event::Offered(Box::new(trial.clone())), &mut shell);
                self.event(&Event::Fetched, &mut shell);
            }
            Happening::Go => self.event(&Event::GoGiven, &mut shell),
            Happening::Denied => self.event(&Event::GoDenied, &mut shell),
            Happening::Healthy => self.event(&Event::Healthy, &mut shell),
            Happening::Sick => {
                for _ in 0..=tidegate_domain::device::PROBE_FAILURES_MAX {
                    self.event(&Event::ProbeFailed { detail: String::new() }, &mut shell);
                }
            }
            Happening::Crashed => {
                self.event(&Event::Exited { detail: String::new() }, &mut shell);
                self.start(&mut shell);
            }
            Happening::Destroyed => {
                self.event(&Event::InvariantBroken { detail: String::new() }, &mut shell);
            }
            Happening::Ticks { count, in_contact } => {
                for _ in 0..count {
                    self.event(&Event::Tick { passed: tick, in_contact }, &mut shell);
                }
            }
            Happening::FleetProven => {
                self.event(&Event::FleetProven { order: trial.order, release: trial.release }, &mut shell);
            }
            Happening::ReturnOrdered => self.event(&Event::RevertOrdered { order: trial.order }, &mut shell),
        }
        (self, shell.says, shell.started)
    }

    /// Takes an event and performs its effects. One that has no place changes nothing, as on a device.
    fn event(&mut self, event: &Event, shell: &mut Shell) {
        let Ok(step) = self.machine.step(event) else { return };
        self.machine = step.machine;
        for effect in step.effects {
            self.perform(effect, shell);
        }
    }

    fn perform(&mut self, effect: Effect, shell: &mut Shell) {
        match effect {
            Effect::Fetch | Effect::StopFetching | Effect::AskGo => {}
            Effect::StopPayload => self.change_attempts(|attempts| attempts.ended_in_order = true),
            Effect::PointCurrent { release, order } => {
                let starts = self.attempts.as_ref().map_or(0, |attempts| attempts.starts);
                self.attempts = Some(Attempts::of_taken(release, order, starts));
                self.pointers.current = Some(release);
            }
            Effect::PointBack { from } => {
                if self.pointers.current == Some(from) {
                    self.pointers.current = self.pointers.behind();
                }
            }
            Effect::StartPayload => self.start(shell),
            Effect::RestartPayload => {
                self.change_attempts(|attempts| attempts.planned = true);
                self.start(shell);
            }
            Effect::MarkProven { .. } => self.change_attempts(Attempts::mark_proven),
            Effect::ResetAttempts => self.change_attempts(|attempts| attempts.count = 0),
            Effect::AdvanceFallback { release } => self.pointers = self.pointers.advanced(release),
            Effect::Report { observation, .. } => shell.says.push(observation),
        }
    }

    fn change_attempts(&mut self, change: impl Fn(&mut Attempts)) {
        if let Some(attempts) = &mut self.attempts {
            change(attempts);
        }
    }

    /// A start behind the guard. Starts are not counted on here: a number that only grows would make every life its own.
    fn start(&mut self, shell: &mut Shell) {
        let mut returned = None;
        for _ in 0..4 {
            let facts = GuardFacts { pointers: self.pointers, attempts: self.attempts.clone() };
            match decide(&facts) {
                GuardDecision::ReturnTo { slot, attempts } => {
                    returned = Some(self.attempts.as_ref().map_or(0, |attempts| attempts.count));
                    self.pointers.current = Some(slot);
                    self.attempts = Some(attempts);
                }
                GuardDecision::Start { attempt, attempts, .. } => {
                    self.attempts = Some(Attempts { starts: 1, ..attempts });
                    shell.started = true;
                    if let Some(attempt) = returned {
                        self.event(&Event::ReturnedByGuard { attempt }, shell);
                    }
                    return self.event(&Event::Started { attempt }, shell);
                }
                GuardDecision::NothingToStart => return self.event(&Event::Exhausted, shell),
            }
        }
    }
}

/// What the machine asked of the world during one happening.
#[derive(Default)]
struct Shell {
    says: Vec<Observation>,
    started: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lives() -> Lives {
        Lives::new(trial(), Elapsed::from_s(60))
    }

    fn trial() -> Trial {
        Trial {
            rollout: "p.1".parse().unwrap(),
            order: Digest::of(b"order"),
            permit: Digest::of(b"permit"),
            release: Digest::of(b"release"),
            version: "1".parse().unwrap(),
            prove_for: Elapsed::from_s(600),
            prove_restarts: 0,
            downtime: Elapsed::from_s(120),
            contact_deadline: None,
        }
    }

    fn through(lives: &mut Lives, happenings: &[Happening]) -> (Standing, Vec<&'static str>) {
        let (mut life, mut words) = (UNTOUCHED, Vec::new());
        for happening in happenings {
            let step = lives.step(life, *happening);
            words.extend(step.says.iter().map(Observation::word));
            life = step.to;
        }
        (lives.standing(life), words)
    }

    const TAKEN: [Happening; 2] = [Happening::Offered, Happening::Go];

    #[test]
    fn a_sound_release_is_proven_after_its_time_in_contact() {
        let mut lives = lives();
        let minute = |in_contact| Happening::Ticks { count: 12, in_contact };
        let mut all = TAKEN.to_vec();
        all.push(Happening::Healthy);
        all.extend([minute(true); 9]);
        all.push(minute(false));
        let (standing, words) = through(&mut lives, &all);
        assert!(standing.on_trial && !standing.proven);
        assert_eq!(words, ["activating", "healthy"]);
        all.push(minute(true));
        let (standing, words) = through(&mut lives, &all);
        assert!(standing.proven && standing.on_release && !standing.left);
        assert_eq!(words, ["activating", "healthy", "proven"]);
        let before = lives.count();
        through(&mut lives, &all);
        assert_eq!(lives.count(), before, "the second device is only looked up");
    }

    #[test]
    fn a_proof_with_restarts_waits_for_health_after_each() {
        let mut lives = Lives::new(Trial { prove_restarts: 1, ..trial() }, Elapsed::from_s(60));
        let mut all = TAKEN.to_vec();
        all.push(Happening::Healthy);
        let (standing, _) = through(&mut lives, &all);
        assert_eq!((standing.undisturbed_for, standing.is_to_restart), (Some(Elapsed::from_s(300)), true));
        all.push(Happening::Ticks { count: 60, in_contact: true });
        let (standing, _) = through(&mut lives, &all);
        assert!(standing.waits_for_health && standing.undisturbed_for.is_none());
        all.push(Happening::Healthy);
        let (standing, _) = through(&mut lives, &all);
        assert_eq!((standing.undisturbed_for, standing.is_to_restart), (Some(Elapsed::from_s(300)), false));
        all.push(Happening::Ticks { count: 60, in_contact: true });
        let (standing, words) = through(&mut lives, &all);
        assert!(standing.proven);
        assert_eq!(words, ["activating", "healthy", "proven"]);
    }

    #[test]
    fn a_crash_at_every_start_is_returned_by_the_guard() {
        let mut lives = lives();
        let mut all = TAKEN.to_vec();
        all.extend([Happening::Crashed; 3]);
        let (standing, words) = through(&mut lives, &all);
        assert!(standing.left && standing.waits_for_health);
        let start = ["activating", "crashed"];
        assert_eq!(words, [&start[..], &start, &start, &["failed"]].concat());
        all.push(Happening::Healthy);
        let (standing, words) = through(&mut lives, &all);
        assert!(standing.healthy && !standing.waits_for_health);
        assert_eq!(words.last(), Some(&"returned"));
    }

    #[test]
    fn a_proven_release_that_turns_bad_is_returned_too() {
        let mut lives = lives();
        let mut all = TAKEN.to_vec();
        all.push(Happening::Healthy);
        all.extend([Happening::Ticks { count: 120, in_contact: true }, Happening::Sick, Happening::Healthy]);
        let (standing, words) = through(&mut lives, &all);
        assert!(standing.left && standing.healthy);
        assert_eq!(words, ["activating", "healthy", "proven", "failed", "returned"]);
    }
}
