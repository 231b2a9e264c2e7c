//! One release, one fleet, one way to spread it: devices wake, take, prove, fail, return; whoever spreads it steps.
//!
//! It knows the truth, which nobody in it is told: what the fault struck, who runs what. Single-threaded, and a function of its seed.

mod falling;
mod living;
mod speaking;

use std::cell::Cell as Memo;
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use tidegate_domain::device::Trial;
use tidegate_domain::observation::Observation;
use tidegate_domain::rollout::block::Horizons;
use tidegate_domain::time::Elapsed;

use crate::calendar::Calendar;
use crate::fate::Fate;
use crate::life::{Happening, LifeId, Lives, Standing, UNTOUCHED};
use crate::outcome::{Outcome, Point};
use crate::population::Population;
use crate::scenario::{Harm, Scenario};
use crate::spread::{Presence, Spread, Stand, Told};

const NEVER: u32 = u32::MAX;
/// How many devices are read from memory before they wake.
const LOOKED_AHEAD: usize = 128;
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
    /// Whether it matters how soon within a band a device is heard of.
    pub(crate) lateness_counts: bool,
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

/// Is told how far a run has come, from 0 to 1, and says whether it goes on. One that does not ends as it stands.
pub type Progress<'a> = &'a (dyn Fn(f64) -> ControlFlow<()> + Sync);

/// Goes on, and is not interested.
pub fn to_the_end(_: f64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Runs a scenario to its horizon, or until nothing more can change.
pub(crate) fn run(
    scenario: &Scenario,
    population: &Population,
    spread: &mut dyn Spread,
    pace: Pace,
    progress: Progress<'_>,
) -> Outcome {
    Run::new(scenario, population, spread, pace).run_out(progress)
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
    /// The device and the slot that were asked about last, and whether it was in contact then.
    contact: Memo<(u32, u64, bool)>,
    slot_ms: u64,
    steps_every: u64,
    slot: u64,
    updated: u32,
    /// As many devices must run the release for the fleet to be done.
    wanted: f64,
    lateness_counts: bool,
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
            contact: Memo::new((NEVER, 0, false)),
            slot_ms,
            steps_every: (pace.check_in.as_ms() / 6 / slot_ms).max(1),
            slot: 0,
            updated: 0,
            wanted: 0.0,
            lateness_counts: pace.lateness_counts,
            outcome: Outcome::default(),
        }
    }

    fn count_wanted(&mut self) {
        let opened = self.population.devices.saturating_sub(self.spread.held_back());
        self.wanted = DONE_SHARE * f64::from(opened);
    }

    fn run_out(mut self, progress: Progress<'_>) -> Outcome {
        self.count_wanted();
        let slots = self.scenario.horizon.as_ms() / self.slot_ms;
        let patience = slots / 100 + 1;
        let (mut quiet, mut shown) = (0_u64, 0);
        while self.slot <= slots {
            let waking = self.calendar.turn();
            quiet = if waking.is_empty() { quiet + 1 } else { 0 };
            for some in waking.chunks(LOOKED_AHEAD) {
                self.look_ahead(some);
                some.iter().for_each(|device| self.wakes(*device));
            }
            if self.slot.is_multiple_of(self.steps_every) && !self.spread.is_over() {
                self.step();
                quiet = 0;
            }
            if self.slot >= shown {
                shown = self.slot + patience;
                if progress(self.slot as f64 / slots as f64).is_break() {
                    break;
                }
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
        let _ = progress(1.0);
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
        self.count_wanted();
        let harmed = self.outcome.harmed;
        let presence = AtInstant { population: self.population, cells: &self.cells, now_ms, harmed };
        let stepped = self.spread.step(now_ms, &presence);
        for device in stepped.concerned {
            let at = self.population.contact_from(device, now_ms + 1);
            self.wake_at(device, at);
        }
        if let Some(reasons) = stepped.halted {
            self.outcome.blamed = stepped.blamed;
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

    /// Reads what is kept of devices that are about to wake, all at once: one after the other each would wait for memory by itself.
    fn look_ahead(&self, devices: &[u32]) {
        let wakes =
            devices.iter().filter_map(|device| self.cells.get(*device as usize)).map(|cell| u64::from(cell.wake));
        std::hint::black_box(wakes.sum::<u64>());
        self.spread.look_ahead(devices);
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
            Stand::Unanswered => self.asks_again(device),
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
        let told = self.spread.take(device, now_ms);
        if told != Told::Go {
            self.happens(device, Happening::Denied);
            if told == Told::Nothing {
                self.asks_again(device);
            }
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

    /// Nobody answered: it asks again at its next check-in.
    fn asks_again(&mut self, device: u32) {
        let at = self.population.contact_from(device, self.now_ms() + 1);
        self.wake_at(device, at);
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

    /// The last count: who cannot come back.
    fn settle(mut self) -> Outcome {
        let settled = self.spread.settle(self.now_ms());
        (self.outcome.broken, self.outcome.recorded) = (settled.broken, settled.recorded);
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
