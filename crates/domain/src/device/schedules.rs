//! Random schedules of machine, guard and pointers together: events in any order, kills between any two effects.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::guard::{ATTEMPTS_MAX, Attempts, GuardDecision, GuardFacts, decide};
use super::tests::{digest, trial};
use super::*;

/// A device without files: what is on disk, and which slots are complete.
struct World {
    machine: Machine,
    facts: GuardFacts,
    slots: BTreeSet<Digest>,
    fleet_proven: BTreeSet<Digest>,
    starts_of_unproven: u32,
}

impl World {
    fn new() -> World {
        let factory = digest(0);
        let pointers = Pointers { current: Some(factory), fallback: Some(factory), kept: None };
        World {
            machine: Machine::new(Elapsed::from_s(600)),
            facts: GuardFacts { pointers, attempts: None },
            slots: BTreeSet::from([factory]),
            fleet_proven: BTreeSet::from([factory]),
            starts_of_unproven: 0,
        }
    }

    /// Steps, then performs only the first `performed` effects, as after a kill.
    fn event(&mut self, event: &Event, performed: usize) {
        if matches!(event, Event::Fetched)
            && let State::Fetching { trial } = &self.machine.state
        {
            self.slots.insert(trial.release);
        }
        let Ok(step) = self.machine.step(event) else { return };
        self.machine = step.machine;
        for effect in step.effects.iter().take(performed) {
            self.perform(effect);
        }
        if performed < step.effects.len() {
            self.restart();
        }
    }

    fn restart(&mut self) {
        let returned = self.returned();
        for effect in self.machine.resume(returned.is_some()) {
            self.perform(&effect);
        }
        if let Some(attempt) = returned {
            self.event(&Event::ReturnedByGuard { attempt }, usize::MAX);
        }
        self.start();
    }

    fn returned(&self) -> Option<u32> {
        let (State::Activating { trial, .. } | State::Proving { trial, .. } | State::Proven { trial, .. }) =
            &self.machine.state
        else {
            return None;
        };
        let attempts = self.facts.attempts.as_ref()?;
        let left = attempts.has_left(trial.release, trial.order, self.facts.pointers.current);
        left.then(|| attempts.returned.as_ref().map_or(attempts.count, |r| r.attempts))
    }

    fn perform(&mut self, effect: &Effect) {
        let pointers = &mut self.facts.pointers;
        match effect {
            Effect::PointCurrent { release, order } => {
                let tried = self.facts.attempts.as_ref().is_some_and(|a| a.slot == *release && a.order == Some(*order));
                if !tried || pointers.current != Some(*release) {
                    let starts = self.facts.attempts.as_ref().map_or(0, |a| a.starts);
                    self.facts.attempts = Some(Attempts::of_taken(*release, *order, starts));
                    self.starts_of_unproven = 0;
                    pointers.current = Some(*release);
                }
            }
            Effect::PointBack { from } if pointers.current == Some(*from) => pointers.current = pointers.behind(),
            Effect::AdvanceFallback { release } => *pointers = pointers.advanced(*release),
            Effect::MarkProven { release } => {
                if let Some(attempts) = self.facts.attempts.as_mut().filter(|a| a.slot == *release) {
                    attempts.mark_proven();
                }
            }
            Effect::ResetAttempts => {
                if let Some(attempts) = &mut self.facts.attempts {
                    attempts.count = 0;
                }
            }
            Effect::StartPayload => self.start(),
            Effect::RestartPayload => {
                if let Some(attempts) = &mut self.facts.attempts {
                    attempts.planned = true;
                }
                self.start();
            }
            _ => {}
        }
    }

    fn start(&mut self) {
        loop {
            match decide(&self.facts) {
                GuardDecision::Start { slot, attempt, attempts } => {
                    if !attempts.proven && attempt > 0 {
                        self.starts_of_unproven += 1;
                        assert!(self.starts_of_unproven <= ATTEMPTS_MAX, "an unproven release was started too often");
                    }
                    assert_eq!(Some(slot), self.facts.pointers.current);
                    self.facts.attempts = Some(attempts);
                    break;
                }
                GuardDecision::ReturnTo { slot, attempts } => {
                    assert_ne!(Some(slot), self.facts.pointers.current);
                    self.facts.pointers.current = Some(slot);
                    self.facts.attempts = Some(attempts);
                }
                GuardDecision::NothingToStart => break,
            }
        }
    }

    fn check(&self) {
        for slot in self.facts.pointers.named() {
            assert!(self.slots.contains(&slot), "a pointer names a slot that is not there");
        }
        for slot in [self.facts.pointers.fallback, self.facts.pointers.kept].into_iter().flatten() {
            assert!(self.fleet_proven.contains(&slot), "the fallback moved without a fleet-proven record");
        }
        let text = serde_json::to_string(&self.machine).unwrap();
        assert!(serde_json::from_str::<Machine>(&text).is_ok());
    }
}

fn event() -> impl Strategy<Value = Event> {
    let n = 1_u8..4;
    let detail = String::new;
    prop_oneof![
        2 => n.clone().prop_map(|n| Event::Offered(Box::new(Trial { prove_restarts: u32::from(n) - 1, ..trial(n) }))),
        1 => n.clone().prop_map(move |n| Event::Refused { order: digest(100 + n), reason: RefusalReason::DiskFull, detail: detail() }),
        3 => Just(Event::Fetched),
        4 => Just(Event::GoGiven),
        1 => Just(Event::GoDenied),
        1 => n.clone().prop_map(|n| Event::Halted { order: digest(100 + n) }),
        3 => (0_u32..4).prop_map(|attempt| Event::Started { attempt }),
        6 => Just(Event::Healthy),
        1 => Just(Event::ProbeFailed { detail: String::new() }),
        2 => Just(Event::Exited { detail: String::new() }),
        1 => Just(Event::InvariantBroken { detail: String::new() }),
        1 => Just(Event::ActivationFailed { detail: String::new() }),
        1 => Just(Event::Exhausted),
        6 => (0_u64..6, any::<bool>()).prop_map(|(s, c)| Event::Tick { passed: Elapsed::from_s(s), in_contact: c }),
        2 => n.clone().prop_map(|n| Event::FleetProven { order: digest(100 + n), release: digest(n) }),
        1 => n.prop_map(|n| Event::RevertOrdered { order: digest(100 + n) }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_schedule_leaves_the_defined_states(
        schedule in prop::collection::vec((event(), prop_oneof![3 => Just(usize::MAX), 1 => 0_usize..4], any::<bool>()), 0..60)
    ) {
        let mut world = World::new();
        for (event, performed, reboots) in schedule {
            if let (Event::FleetProven { release, .. }, Some(proven)) = (&event, &world.machine.proven)
                && proven.trial.release == *release
            {
                world.fleet_proven.insert(*release);
            }
            world.event(&event, performed);
            if matches!(event, Event::Exited { .. }) {
                world.start();
            }
            if reboots {
                world.restart();
            }
            if let Some(attempt) = world.returned() {
                world.event(&Event::ReturnedByGuard { attempt }, usize::MAX);
            }
            world.check();
        }
    }
}
