//! One release, one fleet, one way to spread it: devices wake, take, prove, fail, return; whoever spreads it steps.
//!
//! It knows the truth, which nobody in it is told: what the fault struck, who runs what. Single-threaded, and a function of its seed.

use std::collections::{BTreeMap, HashMap};

use tidegate_domain::device::Trial;
use tidegate_domain::observation::{FailureReason, Observation};
use tidegate_domain::rollout::block::Horizons;
use tidegate_domain::time::Elapsed;

use crate::calendar::Calendar;
use crate::fate::Fate;
use crate::life::{Happening, LifeId, Lives, Standing, UNTOUCHED};
use crate::outcome::{Outcome, Point};
use crate::population::Population;
use crate::scenario::{Harm, Scenario};
use crate::spread::{Presence, Spread, Stand};

const NEVER: u32 = u32::MAX;
/// How long a device takes to start the payload again.
const RESTART_MS: u64 = 2_000;
/// How long a fallback takes to come up.
const FALLBACK_UP_MS: u64 = 8_000;
/// Within what time of the take a device's own misfortunes fall where nobody looks for as long as he says.
const UNHORIZONED: Elapsed = Elapsed::from_s(14 * 60);
/// The share of devices that must run the release for the fleet to be done.
const DONE_SHARE: f64 = 0.95;

/// How a run goes.
pub(crate) struct Pace {
    /// How often devices check in while a rollout concerns them.
    pub(crate) check_in: Elapsed,
    /// What devices try; none for devices that know neither proof nor guard.
    pub(crate) trial: Option<Trial>,
}

/// What is kept of a device. Instants are slots.
#[derive(Clone, Copy)]
struct Cell {
    life: LifeId,
    /// When it wakes next.
    wake: u32,
    /// When it took the release.
    took: u32,
    /// Up to when time was counted.
    counted: u32,
    /// When its payload was started last.
    started: u32,
    /// See [`mark`].
    marks: u8,
}

mod mark {
    /// It fetched and is about to ask.
    pub(super) const ASKING: u8 = 1;
    /// The fault has struck it.
    pub(super) const STRUCK: u8 = 2;
    /// It does nothing any more.
    pub(super) const LOST: u8 = 4;
    /// Its last check-in succeeded.
    pub(super) const IN_CONTACT: u8 = 8;
    /// It failed for reasons of its own.
    pub(super) const UNLUCKY: u8 = 16;
    /// It runs the release in health.
    pub(super) const UPDATED: u8 = 32;
    /// It restarts as a whole and says nothing.
    pub(super) const BOOTING: u8 = 64;
}

/// Says how far a run has come, from 0 to 1.
pub type Progress<'a> = &'a (dyn Fn(f64) + Sync);

/// Runs a scenario to its horizon, or until nothing more can change.
pub(crate) fn run(
    scenario: &Scenario,
    population: &Population,
    spread: &mut dyn Spread,
    pace: Pace,
    progress: Progress<'_>,
) -> Outcome {
    Run::new(scenario, population, spread, pace).to_the_end(progress)
}

struct Run<'a> {
    scenario: &'a Scenario,
    population: &'a Population,
    fate: Fate<'a>,
    spread: &'a mut dyn Spread,
    /// None where devices know neither proof nor guard.
    lives: Option<Lives>,
    horizons: Option<Horizons>,
    calendar: Calendar,
    cells: Vec<Cell>,
    outbox: BTreeMap<u32, Vec<(Observation, Elapsed)>>,
    control_fails: HashMap<u32, u64>,
    slot_ms: u64,
    steps_every: u64,
    slot: u64,
    updated: u32,
    outcome: Outcome,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, population: &'a Population, spread: &'a mut dyn Spread, pace: Pace) -> Run<'a> {
        let slot_ms = (pace.check_in.as_ms() / 60).clamp(50, 1_000);
        let cell = Cell { life: UNTOUCHED, wake: NEVER, took: NEVER, counted: 0, started: 0, marks: mark::IN_CONTACT };
        Run {
            scenario,
            population,
            fate: Fate::new(scenario, population),
            lives: pace.trial.map(|trial| Lives::new(trial, pace.check_in)),
            horizons: spread.horizons(),
            spread,
            calendar: Calendar::new(),
            cells: vec![cell; population.devices as usize],
            outbox: BTreeMap::new(),
            control_fails: HashMap::new(),
            slot_ms,
            steps_every: (pace.check_in.as_ms() / 6 / slot_ms).max(1),
            slot: 0,
            updated: 0,
            outcome: Outcome::default(),
        }
    }

    fn to_the_end(mut self, progress: Progress<'_>) -> Outcome {
        let slots = self.scenario.horizon.as_ms() / self.slot_ms;
        let patience = slots / 100 + 1;
        let (mut quiet, mut shown) = (0_u64, 0);
        while self.slot <= slots {
            let waking = self.calendar.turn();
            quiet = if waking.is_empty() { quiet + 1 } else { 0 };
            for device in waking {
                self.wakes(device);
            }
            if self.slot % self.steps_every == 0 && !self.spread.is_over() {
                self.step();
                quiet = 0;
            }
            if self.slot >= shown {
                shown = self.slot + patience;
                progress(self.slot as f64 / slots as f64);
            }
            self.slot += 1;
            if self.calendar.is_empty() {
                // Nobody wakes before the next step.
                self.slot = self.slot.next_multiple_of(self.steps_every);
                self.calendar.skip_to(self.slot);
            }
            if quiet > 0 && self.spread.is_over() && self.calendar.is_empty() {
                break;
            }
        }
        self.note(None);
        progress(1.0);
        self.settle()
    }

    fn now_ms(&self) -> u64 {
        self.slot * self.slot_ms
    }

    fn slot_of(&self, ms: u64) -> u64 {
        ms.div_ceil(self.slot_ms)
    }

    /// Wakes a device at an instant, unless it wakes before that anyway.
    fn wake_at(&mut self, device: u32, ms: u64) {
        let slot = self.slot_of(ms).max(self.slot + 1);
        let Some(cell) = self.cells.get_mut(device as usize) else { return };
        let short = u32::try_from(slot).unwrap_or(NEVER);
        if short < cell.wake {
            cell.wake = short;
            self.calendar.put(slot, device);
        }
    }

    fn step(&mut self) {
        let now_ms = self.now_ms();
        let down = self.scenario.server_down.iter();
        if down.clone().any(|down| (down.at.as_ms()..down.at.as_ms() + down.duration.as_ms()).contains(&now_ms)) {
            return;
        }
        let harmed = self.outcome.harmed;
        let presence = AtInstant { population: self.population, cells: &self.cells, now_ms, harmed };
        let stepped = self.spread.step(now_ms, &presence);
        for device in stepped.concerned {
            let at = self.population.contact_from(device, now_ms + 1);
            self.wake_at(device, at);
        }
        if let Some(reasons) = stepped.halted {
            self.outcome.halted_at_ms = Some(now_ms);
            (self.outcome.halt_kinds, self.outcome.halt_reasons) =
                reasons.into_iter().map(|(kind, reason)| (kind.to_owned(), reason)).unzip();
        }
        if stepped.completed {
            self.outcome.completed_at_ms.get_or_insert(now_ms);
        }
        if let Some(why) = stepped.called {
            self.outcome.called.get_or_insert((now_ms, why));
        }
        self.outcome.ln_halt = stepped.ln_halt.or(self.outcome.ln_halt);
        self.note(stepped.ln_evidence);
    }

    fn note(&mut self, ln_evidence: Option<f64>) {
        let (exposed, harmed, updated) = (self.outcome.exposed, self.outcome.harmed, self.updated);
        self.outcome.course.note(Point { at_ms: self.now_ms(), exposed, harmed, updated, ln_evidence });
    }

    fn has(&self, device: u32, mark: u8) -> bool {
        self.cells.get(device as usize).is_some_and(|cell| cell.marks & mark != 0)
    }

    fn mark(&mut self, device: u32, mark: u8, set: bool) {
        if let Some(cell) = self.cells.get_mut(device as usize) {
            cell.marks = if set { cell.marks | mark } else { cell.marks & !mark };
        }
    }

    fn wakes(&mut self, device: u32) {
        let Some(cell) = self.cells.get_mut(device as usize) else { return };
        if u64::from(cell.wake) != self.slot {
            return;
        }
        cell.wake = NEVER;
        if cell.took != NEVER {
            return self.lives_on(device);
        }
        match self.spread.stand(device, self.now_ms()) {
            Stand::Open => self.asks(device),
            Stand::Control { .. } => self.speaks_as_control(device),
            Stand::Shut | Stand::Taken { .. } => {}
        }
    }

    /// A device that may have the release fetches it, and then asks to go.
    fn asks(&mut self, device: u32) {
        let now_ms = self.now_ms();
        if !self.population.is_in_reach(device, now_ms) {
            return self.wake_at(device, self.population.contact_from(device, now_ms + 1));
        }
        if !self.has(device, mark::ASKING) {
            self.mark(device, mark::ASKING, true);
            self.happens(device, Happening::Offered);
            return self.wake_at(device, now_ms + self.fate.fetch_ms(device));
        }
        self.mark(device, mark::ASKING, false);
        if !self.spread.take(device, now_ms) {
            self.happens(device, Happening::Denied);
            return;
        }
        self.outcome.exposed += 1;
        let now = self.slot as u32;
        if let Some(cell) = self.cells.get_mut(device as usize) {
            (cell.took, cell.counted, cell.started) = (now, now, now);
        }
        self.happens(device, Happening::Go);
        self.go_on(device);
    }

    /// What a device that took the release does when it wakes.
    fn lives_on(&mut self, device: u32) {
        if self.has(device, mark::LOST) {
            return;
        }
        let now_ms = self.now_ms();
        self.count_time(device);
        if self.population.check_in_from(device, now_ms.saturating_sub(self.slot_ms - 1)) <= now_ms {
            let met = self.can_speak(device);
            self.mark(device, mark::IN_CONTACT, met);
            if met {
                self.send_waiting(device);
            }
        }
        let ordered = matches!(self.spread.stand(device, now_ms), Stand::Taken { to_return: true, .. });
        if ordered && self.standing(device).on_release && self.can_speak(device) {
            self.fall_back(device, Happening::ReturnOrdered);
        }
        let strike = self.strike_at(device);
        if strike.is_some_and(|at| at <= now_ms) {
            self.strike(device);
        } else if self.misfortune_at(device).is_some_and(|at| at <= now_ms) {
            self.mark(device, mark::UNLUCKY, true);
            self.is_unlucky(device);
        } else if self.health_at(device).is_some_and(|at| at <= now_ms) {
            self.comes_up(device);
        }
        self.say_health(device);
        self.go_on(device);
    }

    /// Plans the next wake of a device that took the release.
    fn go_on(&mut self, device: u32) {
        if self.has(device, mark::LOST) {
            return;
        }
        let standing = self.standing(device);
        let now_ms = self.now_ms();
        let (unheard, heard) = match self.spread.stand(device, now_ms) {
            Stand::Taken { to_return: true, .. } => (standing.on_release, [false; 2]),
            Stand::Taken { seen, wanted: true, .. } => (seen.healthy != [true; 2], seen.healthy),
            _ => (false, [false; 2]),
        };
        let waiting = self.outbox.contains_key(&device);
        let strikes = [self.strike_at(device), self.misfortune_at(device), self.health_at(device)];
        let proven =
            standing.proof_left.map(|left| now_ms + left.as_ms()).filter(|_| self.has(device, mark::IN_CONTACT));
        let speaks = unheard || standing.on_trial || standing.settles_contact;
        let check_in = if speaks || waiting || self.has(device, mark::BOOTING) {
            let undisturbed = proven.filter(|proven| strikes.into_iter().flatten().all(|at| at > *proven));
            let second_ends = self.took_ms(device) + self.horizons.map_or(0, |horizons| horizons.second.as_ms());
            let is_heard = |proven: &u64| heard[0] && !waiting && (heard[1] || *proven <= second_ends);
            Some(self.next_check_in(device, undisturbed.filter(is_heard)))
        } else {
            None
        };
        let due = strikes.into_iter().chain([proven, check_in]);
        if let Some(at) = due.flatten().min() {
            self.wake_at(device, at);
        }
    }

    /// The next check-in that could matter. On the way to a proof that nothing disturbs, for a device that was heard of and has nothing
    /// to send, one that succeeds changes nothing: the proof itself is heard of in the band that is left.
    fn next_check_in(&self, device: u32, proven: Option<u64>) -> u64 {
        let mut at = self.population.check_in_from(device, self.now_ms() + 1);
        let Some(proven) = proven else { return at };
        let mut last = at;
        while at < proven && self.population.is_in_contact(device, at) {
            (last, at) = (at, self.population.check_in_from(device, at + 1));
        }
        // Time counts as in contact up to the last check-in that succeeds.
        if at < proven { last } else { at }
    }

    fn standing(&self, device: u32) -> Standing {
        let life = self.cells.get(device as usize).map_or(UNTOUCHED, |cell| cell.life);
        match &self.lives {
            Some(lives) => lives.standing(life),
            // Without a machine: on the release from the take on, for good.
            None => {
                let on_release = !self.has(device, mark::STRUCK) || self.fate.harm() == Harm::Hidden;
                let healthy = self.has(device, mark::UPDATED);
                Standing { on_release, waits_for_health: on_release && !healthy, healthy, ..Standing::default() }
            }
        }
    }

    fn happens(&mut self, device: u32, happening: Happening) {
        let Some(lives) = &mut self.lives else { return };
        let Some(cell) = self.cells.get_mut(device as usize) else { return };
        let step = lives.step(cell.life, happening);
        cell.life = step.to;
        if step.started {
            cell.started = self.slot as u32;
        }
        if !step.says.is_empty() {
            let says = step.says.clone();
            says.into_iter().for_each(|observation| self.says(device, observation));
        }
    }

    fn count_time(&mut self, device: u32) {
        let Some(lives) = &self.lives else { return };
        let Some(cell) = self.cells.get_mut(device as usize) else { return };
        let tick_slots = (lives.tick().as_ms() / self.slot_ms).max(1);
        let count = (self.slot - u64::from(cell.counted)) / tick_slots;
        if count == 0 {
            return;
        }
        cell.counted += (count * tick_slots) as u32;
        let standing = lives.standing(cell.life);
        if standing.on_trial || standing.settles_contact {
            let in_contact = cell.marks & mark::IN_CONTACT != 0 && self.can_speak(device);
            let count = u16::try_from(count).unwrap_or(u16::MAX);
            self.happens(device, Happening::Ticks { count, in_contact });
        }
    }

    fn took_ms(&self, device: u32) -> u64 {
        self.cells.get(device as usize).map_or(0, |cell| u64::from(cell.took)) * self.slot_ms
    }

    fn started_ms(&self, device: u32) -> u64 {
        self.cells.get(device as usize).map_or(0, |cell| u64::from(cell.started)) * self.slot_ms
    }

    /// How long a device that restarts as a whole is away before its payload is started.
    fn boots_for_ms(&self, device: u32) -> u64 {
        if self.has(device, mark::BOOTING) { self.scenario.fleet.boot.as_ms() } else { 0 }
    }

    /// When the fault strikes next, if it still can.
    fn strike_at(&self, device: u32) -> Option<u64> {
        let standing = self.standing(device);
        let again = !self.has(device, mark::STRUCK)
            || self.lives.is_some() && matches!(self.fate.harm(), Harm::Crash | Harm::BootLoop);
        if !standing.on_release || !again || !self.fate.is_hit(device) {
            return None;
        }
        let started = self.started_ms(device);
        let boots = self.boots_for_ms(device);
        Some(self.fate.onset_ms(device, started + boots))
    }

    fn misfortune_at(&self, device: u32) -> Option<u64> {
        let within = self.horizons.map_or(UNHORIZONED, |horizons| horizons.second);
        let cell = self.cells.get(device as usize)?;
        let unlucky = self.standing(device).on_release && cell.marks & mark::UNLUCKY == 0;
        let took = self.took_ms(device);
        self.fate.misfortune_ms(device, 0, took, within).filter(|_| unlucky).map(|after| took + after)
    }

    /// When what was started last comes up, unless something strikes it first.
    fn health_at(&self, device: u32) -> Option<u64> {
        let standing = self.standing(device);
        if !standing.waits_for_health {
            return None;
        }
        // A payload that works badly from the start never passes its probes.
        if standing.on_release && self.has(device, mark::STRUCK) && self.fate.harm() == Harm::Errors {
            return None;
        }
        let boots = self.boots_for_ms(device);
        let up = if standing.on_release { self.fate.up_ms(device) } else { FALLBACK_UP_MS };
        Some(self.started_ms(device) + boots + up)
    }

    fn comes_up(&mut self, device: u32) {
        self.mark(device, mark::BOOTING, false);
        self.happens(device, Happening::Healthy);
        if self.lives.is_none() && self.can_speak(device) {
            self.says(device, Observation::Healthy);
        }
        if self.standing(device).on_release {
            self.is_updated(device, true);
        } else if self.has(device, mark::STRUCK) {
            self.outcome.back += 1;
        }
    }

    fn is_updated(&mut self, device: u32, updated: bool) {
        if self.has(device, mark::UPDATED) != updated {
            self.mark(device, mark::UPDATED, updated);
            self.updated = if updated { self.updated + 1 } else { self.updated.saturating_sub(1) };
        }
        let held_back = self.spread.held_back();
        let wanted = DONE_SHARE * f64::from(self.population.devices.saturating_sub(held_back));
        if f64::from(self.updated) >= wanted && self.outcome.fleet_done_ms.is_none() {
            self.outcome.fleet_done_ms = Some(self.now_ms());
        }
    }

    fn strike(&mut self, device: u32) {
        let now_ms = self.now_ms();
        if !self.has(device, mark::STRUCK) {
            self.outcome.harmed += 1;
            self.outcome.first_harm_ms.get_or_insert(now_ms);
            self.mark(device, mark::STRUCK, true);
        }
        let harm = self.fate.harm();
        if harm == Harm::Hidden {
            return;
        }
        self.is_updated(device, false);
        if harm == Harm::Brick || self.fate.is_beyond_repair(device) {
            return self.is_lost(device);
        }
        match harm {
            _ if self.lives.is_none() => {
                if harm.is_reported_without_guard() {
                    let reason = FailureReason::Crashed;
                    self.says(device, Observation::Failed { reason, attempt: 1 });
                }
                self.is_lost_unless_mended(device);
            }
            Harm::Crash => self.fall_back(device, Happening::Crashed),
            Harm::BootLoop => {
                self.mark(device, mark::BOOTING, true);
                self.fall_back(device, Happening::Crashed);
            }
            Harm::Errors if self.standing(device).healthy => self.fall_back(device, Happening::Sick),
            Harm::CutOff if self.scenario.release.contact_deadline.is_none() || !self.standing(device).on_trial => {
                self.is_lost(device);
            }
            Harm::CutOff => self.mark(device, mark::IN_CONTACT, false),
            Harm::Errors | Harm::Brick | Harm::Hidden => {}
        }
    }

    /// It fails for reasons of its own: a guarded device returns, another one reports it and goes on.
    fn is_unlucky(&mut self, device: u32) {
        if self.lives.is_some() {
            return self.fall_back(device, Happening::Sick);
        }
        let reason = FailureReason::Crashed;
        self.says(device, Observation::Failed { reason, attempt: 1 });
    }

    fn fall_back(&mut self, device: u32, happening: Happening) {
        // Devices hear of it at a check-in; it matters only once something goes wrong.
        if self.outcome.completed_at_ms.is_some_and(|at| self.population.contact_from(device, at + 1) < self.now_ms()) {
            self.happens(device, Happening::FleetProven);
        }
        self.is_updated(device, false);
        self.happens(device, happening);
        if let Some(cell) = self.cells.get_mut(device as usize) {
            cell.started = (self.slot + RESTART_MS / self.slot_ms) as u32;
        }
    }

    fn is_lost(&mut self, device: u32) {
        self.mark(device, mark::LOST, true);
        self.outcome.need_hands += 1;
    }

    fn is_lost_unless_mended(&mut self, device: u32) {
        self.mark(device, mark::LOST, true);
        self.outcome.need_hands += u32::from(self.fate.needs_hands());
    }

    /// Whether a device could reach the server now.
    fn can_speak(&self, device: u32) -> bool {
        let struck = self.has(device, mark::STRUCK) && self.standing(device).on_release;
        let cut = struck && self.fate.harm() == Harm::CutOff;
        let mute = self.has(device, mark::LOST) || self.has(device, mark::BOOTING);
        let now_ms = self.now_ms();
        !cut && !mute && self.population.is_in_contact(device, now_ms)
    }

    fn says(&mut self, device: u32, observation: Observation) {
        let age = self.age_of(device);
        self.says_of_age(device, observation, age);
    }

    fn says_of_age(&mut self, device: u32, observation: Observation, age: Elapsed) {
        if self.can_speak(device) && !self.fate.is_late(device, self.now_ms()) {
            self.send_waiting(device);
            self.arrives(device, &observation, age);
        } else {
            self.outbox.entry(device).or_default().push((observation, age));
        }
    }

    /// How long ago a device took the release, by its own clock.
    fn age_of(&self, device: u32) -> Elapsed {
        let took = self.cells.get(device as usize).map_or(NEVER, |cell| cell.took);
        let age_ms = self.slot.saturating_sub(u64::from(took)) * self.slot_ms;
        self.fate.by_its_clock(device, Elapsed::from_ms(age_ms))
    }

    fn send_waiting(&mut self, device: u32) {
        for (observation, age) in self.outbox.remove(&device).unwrap_or_default() {
            self.arrives(device, &observation, age);
        }
    }

    fn arrives(&mut self, device: u32, observation: &Observation, age: Elapsed) {
        let now_ms = self.now_ms();
        self.spread.hear(device, observation, age, now_ms);
        if self.fate.arrives_twice(device, now_ms) {
            self.spread.hear(device, observation, age, now_ms);
        }
    }

    /// At a check-in, where it is wanted and says something new: the same word twice in a band changes nothing.
    fn say_health(&mut self, device: u32) {
        let now_ms = self.now_ms();
        let Stand::Taken { seen, wanted: true, .. } = self.spread.stand(device, now_ms) else { return };
        let (standing, Some(horizons)) = (self.standing(device), self.horizons) else { return };
        let Some(band) = horizons.band_of(self.age_of(device)) else { return };
        let new = !seen.healthy.get(band).copied().unwrap_or(true);
        if new && standing.healthy && self.has(device, mark::IN_CONTACT) && self.can_speak(device) {
            self.says(device, Observation::Healthy);
        }
    }

    fn speaks_as_control(&mut self, device: u32) {
        let now_ms = self.now_ms();
        let Stand::Control { block, age, seen } = self.spread.stand(device, now_ms) else { return };
        let Some(horizons) = self.horizons else { return };
        let opened_ms = now_ms.saturating_sub(age.as_ms());
        if self.can_speak(device) {
            self.send_waiting(device);
            let fails = self.fate.misfortune_ms(device, block, opened_ms, horizons.second);
            if fails.is_some_and(|after| after <= age.as_ms()) && !self.control_fails.contains_key(&device) {
                self.control_fails.insert(device, opened_ms);
                let reason = FailureReason::Crashed;
                let at = Elapsed::from_ms(fails.unwrap_or_default());
                self.says_of_age(device, Observation::Failed { reason, attempt: 3 }, at);
            } else if horizons.band_of(age).is_some_and(|band| !seen.healthy.get(band).copied().unwrap_or(true)) {
                self.says_of_age(device, Observation::Healthy, age);
            }
        }
        let Stand::Control { seen, .. } = self.spread.stand(device, now_ms) else { return };
        let second_begins = opened_ms + horizons.first.as_ms() + 1;
        let from = if seen.healthy[0] { second_begins.max(now_ms + 1) } else { now_ms + 1 };
        let fails_at =
            self.fate.misfortune_ms(device, block, opened_ms, horizons.second).map(|after| opened_ms + after);
        let mut next = self.population.contact_from(device, from);
        if let Some(at) = fails_at.filter(|_| !self.control_fails.contains_key(&device)) {
            next = next.min(self.population.contact_from(device, at.max(now_ms + 1)));
        } else if seen.healthy[1] {
            return;
        }
        self.wake_at(device, next);
    }

    /// The last count: who cannot come back.
    fn settle(mut self) -> Outcome {
        if let Some(lives) = &self.lives {
            let stuck = |cell: &&Cell| {
                cell.marks & mark::LOST == 0 && cell.took != NEVER && lives.standing(cell.life).needs_hands
            };
            self.outcome.need_hands += self.cells.iter().filter(stuck).count() as u32;
        }
        self.outcome
    }
}

/// What the server could know of devices at an instant.
struct AtInstant<'a> {
    population: &'a Population,
    cells: &'a [Cell],
    now_ms: u64,
    harmed: u32,
}

impl Presence for AtInstant<'_> {
    fn is_well_during(&self, device: u32, from_ms: u64) -> bool {
        let unexposed = self.cells.get(device as usize).is_some_and(|cell| cell.took == NEVER);
        unexposed && self.population.checked_in_during(device, from_ms)
    }

    fn is_present(&self, device: u32) -> bool {
        self.population.is_in_reach(device, self.now_ms)
    }

    fn harmed(&self) -> u32 {
        self.harmed
    }
}
