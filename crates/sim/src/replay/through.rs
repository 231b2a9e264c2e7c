//! Lets a policy spread a recorded release: the same devices in the same order of ranks, each doing after its go what the record says.
//!
//! A device that never took the release in the record does as one of its stratum that did, drawn by the seed: what is not on record cannot
//! be known, and how often that was needed is part of the answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_domain::ids::{DeviceId, NumberName};
use tidegate_domain::observation::{FailureReason, Observation};
use tidegate_domain::policy::Policy;
use tidegate_domain::policy_check::FleetEstimate;
use tidegate_domain::rollout::block::Horizons;
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::place::Stage;
use tidegate_domain::rollout::planner::{Effect, Moment, plan_and_apply};
use tidegate_domain::rollout::take::Take;
use tidegate_domain::rollout::{Identity, Phase, Rollout};
use tidegate_domain::roster::rosters;
use tidegate_domain::time::{Elapsed, WallTime};

use super::world::{ControlSaid, Recorded, Script};
use crate::chance::{Seed, Stream};
use crate::fitting::fit_margins;

/// Nothing is replayed for longer.
const LASTS_MAX: Elapsed = Elapsed::from_s(30 * 86_400);
/// No more steps are taken.
const STEPS_MAX: u32 = 2_000_000;

/// How a recorded release would have fared under another policy.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Replayed {
    /// The policy's name.
    pub policy: String,
    /// Devices that would have taken it.
    pub exposed: u32,
    /// Of them, those that it would have failed on.
    pub harmed: u32,
    /// Of the exposed, those that never took it in the record and do as another of their stratum did.
    pub by_another: u32,
    /// Seconds from the start to the halt.
    pub halted_after_s: Option<f64>,
    /// Why.
    pub halt_reasons: Vec<String>,
    /// Seconds from the start to its completion.
    pub completed_after_s: Option<f64>,
    /// Why a person would have been called first.
    pub called: Option<String>,
    /// What had to be changed in the policy for this fleet.
    pub notes: Vec<String>,
}

enum Event {
    Takes(DeviceId),
    Says(DeviceId, Observation, Elapsed, BTreeMap<NumberName, i64>),
}

/// Spreads a recorded release under a policy. The same seed gives the same answer.
pub fn replay(recorded: &Recorded, policy: &Policy, seed: u64) -> Replayed {
    let (policy, notes) = fitted(recorded, policy);
    let mut replay = Replaying::new(recorded, &policy, Seed::new(seed));
    replay.run();
    Replayed { policy: policy.name.to_string(), notes, ..replay.replayed }
}

/// A policy other than the recorded one takes on the fleet's strata and the margins that its rings can show.
fn fitted(recorded: &Recorded, policy: &Policy) -> (Policy, Vec<String>) {
    let mut policy = policy.clone();
    if policy == recorded.policy {
        // When people approved is theirs; here they do at once.
        policy.rings.iter_mut().for_each(|ring| ring.approve = None);
        return (policy, Vec::new());
    }
    if policy.strata.by.is_empty() {
        policy.strata = recorded.policy.strata.clone();
    }
    let placed = rosters(&policy, &recorded.rank_seed, recorded.candidates.clone());
    let fleet = FleetEstimate::of_rosters(&policy, &placed, recorded.identity.downtime);
    let changes = fit_margins(&mut policy, &fleet);
    (policy, changes)
}

struct Replaying<'a> {
    recorded: &'a Recorded,
    rollout: Rollout,
    seed: Seed,
    horizons: Horizons,
    check_in: Elapsed,
    step: Elapsed,
    /// By instant, then by the order in which they were thought of.
    events: BTreeMap<(WallTime, u64), Event>,
    thought_of: u64,
    replayed: Replayed,
}

impl<'a> Replaying<'a> {
    fn new(recorded: &'a Recorded, policy: &Policy, seed: Seed) -> Replaying<'a> {
        let started = recorded.identity.started_at_ms;
        let expires_at_ms = started.after(policy.pace.order_life);
        let identity = Identity { expires_at_ms, ..recorded.identity.clone() };
        let placed = rosters(policy, &recorded.rank_seed, recorded.candidates.clone());
        let rollout = Rollout::start(identity, policy.clone(), placed, |device| recorded.evidence.contains(device));
        let check_in = policy.pace.check_in;
        Replaying {
            recorded,
            horizons: Horizons::new(recorded.identity.downtime, policy),
            rollout,
            seed,
            check_in,
            step: Elapsed::from_ms((check_in.as_ms() / 6).max(50)),
            events: BTreeMap::new(),
            thought_of: 0,
            replayed: Replayed::default(),
        }
    }

    fn run(&mut self) {
        let started = self.recorded.identity.started_at_ms;
        let (mut now, mut stirred) = (started, started);
        let patience = self.rollout.policy().prove.duration.times(4).plus(self.check_in.times(20));
        for _ in 0..STEPS_MAX {
            if now >= started.after(LASTS_MAX) || now >= stirred.after(patience) {
                return;
            }
            while let Some(next) = self.events.first_entry().filter(|next| next.key().0 <= now) {
                let ((at, _), event) = next.remove_entry();
                self.happens(event, at);
                stirred = now;
            }
            if self.steps(now) {
                stirred = now;
            }
            match self.rollout.phase() {
                Phase::Halted { reasons, at_ms } => {
                    self.replayed.halted_after_s = Some(at_ms.since(started).as_ms() as f64 / 1e3);
                    self.replayed.halt_reasons = reasons.iter().map(ToString::to_string).collect();
                    return;
                }
                Phase::Completed { at_ms } => {
                    let after_s = at_ms.since(started).as_ms() as f64 / 1e3;
                    self.replayed.completed_after_s.get_or_insert(after_s);
                }
                Phase::Running | Phase::Paused { .. } => {}
            }
            now = now.after(self.step);
        }
    }

    /// One step of the planner; whether anything came of it.
    fn steps(&mut self, now: WallTime) -> bool {
        let moment = Moment {
            now,
            well_in_tick: &|_, _| true,
            present: &|_| true,
            shut: &|_| false,
            serving_since: WallTime::default(),
            joiners: Vec::new(),
            unproven_elsewhere: 0,
            unproven_everywhere_max: u32::MAX,
        };
        let plan = plan_and_apply(&mut self.rollout, &moment);
        for effect in &plan.effects {
            if let Effect::CallOperator { why } = effect {
                self.replayed.called.get_or_insert(why.to_string());
            }
        }
        for fact in &plan.next {
            match fact {
                Fact::PermitIssued { step, .. } => self.opened(*step, now),
                Fact::BlockOpened { controls, .. } => controls.iter().for_each(|device| self.is_control(device, now)),
                _ => {}
            }
        }
        !plan.next.is_empty()
    }

    fn think_of(&mut self, at: WallTime, event: Event) {
        self.thought_of += 1;
        self.events.insert((at, self.thought_of), event);
    }

    fn opened(&mut self, step: u32, now: WallTime) {
        let permit = self.rollout.permits().iter().rev().find(|permit| permit.step == step);
        let mut devices = Vec::new();
        for (row, from, to) in permit.iter().flat_map(|permit| &permit.ranges) {
            let places =
                self.rollout.rows().get(*row as usize).and_then(|row| row.places.get(*from as usize..*to as usize));
            devices.extend(places.into_iter().flatten().map(|place| place.device.clone()));
        }
        for device in devices {
            let after = self.script_of(&device).map_or(self.check_in, |(script, _)| script.takes_after);
            self.think_of(now.after(after), Event::Takes(device));
        }
    }

    /// What a device does, and whether that is taken from another.
    fn script_of(&self, device: &DeviceId) -> Option<(&'a Script, bool)> {
        let recorded = self.recorded;
        if let Some(own) = recorded.scripts.get(device) {
            return Some((own, false));
        }
        let alike = recorded.strata.get(device).and_then(|stratum| recorded.takers.get(stratum));
        let alike = alike.filter(|takers| !takers.is_empty());
        let all: Vec<&DeviceId> = match alike {
            Some(takers) => takers.iter().collect(),
            None => recorded.scripts.keys().collect(),
        };
        let number = self.draw(device, 0);
        let other = all.get((number % all.len().max(1) as u64) as usize)?;
        Some((recorded.scripts.get(*other)?, true))
    }

    fn draw(&self, device: &DeviceId, number: u64) -> u64 {
        let bytes = tidegate_domain::digest::Digest::of(device.as_str().as_bytes());
        let name = bytes.as_bytes().iter().take(4).fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        self.seed.bits(Stream::Hit, name, number)
    }

    /// A control says that it is well, or not, and its numbers, as one of the controls in the record did.
    fn is_control(&mut self, device: &DeviceId, now: WallTime) {
        let recorded = &self.recorded.controls;
        let said = recorded.get((self.draw(device, 1) % recorded.len().max(1) as u64) as usize).cloned();
        let ControlSaid { failed, numbers } = said.unwrap_or_default();
        let observation = if failed {
            Observation::Failed { reason: FailureReason::Crashed, attempt: 3 }
        } else {
            Observation::Healthy
        };
        let says = Event::Says(device.clone(), observation, Elapsed::ZERO, numbers.clone());
        self.think_of(now.after(self.check_in.third()), says);
        if !failed {
            let second = self.horizons.first.plus(self.check_in.third());
            let says = Event::Says(device.clone(), Observation::Healthy, second, numbers);
            self.think_of(now.after(second), says);
        }
    }

    fn happens(&mut self, event: Event, at: WallTime) {
        match event {
            Event::Says(device, observation, age, numbers) => {
                let fact = Fact::Observed { device, observation, age_ms: age.as_ms(), numbers };
                self.rollout.apply(&fact, at);
            }
            Event::Takes(device) => self.takes(device, at),
        }
    }

    fn takes(&mut self, device: DeviceId, at: WallTime) {
        let Some((place, _, state)) = self.rollout.place_of(&device) else { return };
        if self.rollout.may_take_at(place, at) != Ok(Take::New) {
            if matches!(state.stage, Stage::Open { .. }) {
                self.think_of(at.after(self.check_in), Event::Takes(device));
            }
            return;
        }
        self.rollout.took_at(place, at);
        self.replayed.exposed += 1;
        let Some((script, by_another)) = self.script_of(&device) else { return };
        self.replayed.by_another += u32::from(by_another);
        self.replayed.harmed += u32::from(script.is_harmed());
        for word in &script.says {
            let says = Event::Says(device.clone(), word.observation.clone(), word.age, word.numbers.clone());
            self.think_of(at.after(word.after), says);
        }
    }
}
