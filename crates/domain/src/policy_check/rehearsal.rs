//! A release that breaks every device that takes it, rehearsed on counts: the window opens, everything fails or falls silent, and the
//! rules that halt a rollout are asked. They are the rollout's own. It knows no device and no time, and opens nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::FleetEstimate;
use super::opening::open_window;
use crate::evidence::block_size_max;
use crate::ids::{RingName, StratumName};
use crate::policy::Policy;
use crate::rollout::band::BandCounts;
use crate::rollout::controls::controls_wanted;
use crate::rollout::gate::{Gate, lab_evidence, ln_threshold};
use crate::rollout::place::Seen;
use crate::rollout::reason::Signal;
use crate::rollout::scope::Scopes;
use crate::time::Elapsed;

/// What stops a release that breaks every device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoppedBy {
    /// It halts: known failures fill a scope's window, or all places that its open rings hold.
    Wedge,
    /// It halts: a window is full of failures and silence.
    Exhaustion,
    /// It halts: the treated are worse than their controls.
    Evidence,
    /// It halts: the lab's own test.
    LabEvidence,
    /// It does not halt: the window stays shut, no ring passes, and a person is called.
    Window,
    /// Nothing: it has reached every place when the last rule has been asked.
    Nothing,
}

/// How a release ends that breaks every device of a ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The ring that it meets first: the lab, or the first ring after it where the lab misses it.
    pub ring: RingName,
    /// Whether every device reports a failure, or none says anything any more.
    pub signal: Signal,
    /// What stops it.
    pub by: StoppedBy,
    /// Devices that may have taken it by then, without a lab that missed it.
    pub exposed: u32,
    /// All that could have taken it in the end.
    pub places: u32,
}

impl fmt::Display for StoppedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            StoppedBy::Wedge => "failures fill a window and halt it",
            StoppedBy::Exhaustion => "a window full of failures and silence halts it",
            StoppedBy::Evidence => "evidence halts it",
            StoppedBy::LabEvidence => "the lab's own test halts it",
            StoppedBy::Window => "the window stays shut and a person is called",
            StoppedBy::Nothing => "nothing stops it",
        })
    }
}

/// How a release ends that breaks every device, by each ring that it can meet first: the lab, if it has devices, and the first ring
/// after it that has some, where the lab missed the fault.
pub(super) fn rehearse(policy: &Policy, fleet: &FleetEstimate) -> Vec<Stop> {
    let places = fleet.opened_at_most(policy);
    let with_places = || {
        let has = |at: usize| places.values().any(|rings| rings.get(at).is_some_and(|size| *size > 0));
        policy.rings.iter().enumerate().filter(move |(at, _)| has(*at))
    };
    let lab = with_places().find(|(_, rule)| rule.lab);
    let first = lab.into_iter().chain(with_places().find(|(_, rule)| !rule.lab));
    let stops = first.flat_map(|(at, rule)| {
        [Signal::Hard, Signal::Silent].map(|signal| {
            let (by, exposed, places) = Rehearsal::new(policy, fleet, at, signal).run();
            Stop { ring: rule.name.clone(), signal, by, exposed, places }
        })
    });
    stops.collect()
}

struct Rehearsal<'a> {
    policy: &'a Policy,
    signal: Signal,
    ring: u8,
    lab: bool,
    strata: Vec<StratumName>,
    scopes: Scopes,
    gate: Gate,
    /// By stratum: shut places of the open rings.
    left: Vec<u32>,
    /// By stratum: unexposed devices that have not served as control.
    fresh: Vec<u32>,
    /// Places that may open, without a lab that missed the fault.
    places: u32,
}

impl<'a> Rehearsal<'a> {
    fn new(policy: &'a Policy, fleet: &FleetEstimate, ring: usize, signal: Signal) -> Rehearsal<'a> {
        let opened = fleet.opened_at_most(policy);
        let strata: Vec<StratumName> = opened.keys().cloned().collect();
        let mut scopes = Scopes::new(policy, &strata);
        for (stratum, rings) in opened.values().enumerate() {
            rings.iter().enumerate().for_each(|(ring, size)| scopes.add_places(stratum, ring, *size));
        }
        let is_lab = |ring: usize| policy.rings.get(ring).is_some_and(|rule| rule.lab);
        let lab = is_lab(ring);
        let open = |rings: &Vec<u32>| {
            let sizes = rings.iter().enumerate().take(ring + 1).filter(|(ring, _)| is_lab(*ring) == lab);
            sizes.map(|(_, size)| *size).fold(0, u32::saturating_add)
        };
        let unexposed =
            |rings: &Vec<u32>| rings.iter().skip(usize::from(policy.has_lab())).copied().fold(0, u32::saturating_add);
        let by_ring = scopes.all().map(|all| all.places.as_slice()).unwrap_or_default();
        let lab_places = by_ring.first().copied().filter(|_| policy.has_lab()).unwrap_or(0);
        let places = by_ring.iter().copied().fold(0, u32::saturating_add) - if lab { 0 } else { lab_places };
        Rehearsal {
            signal,
            ring: u8::try_from(ring).unwrap_or(u8::MAX),
            lab,
            left: opened.values().map(open).collect(),
            fresh: fleet.strata.values().map(unexposed).collect(),
            places,
            gate: Gate::new(policy, &scopes, false),
            policy,
            strata,
            scopes,
        }
    }

    /// Window after window, until a rule halts or nothing more opens. Gives the rule, how many took the release, and how many there are.
    fn run(mut self) -> (StoppedBy, u32, u32) {
        let mut exposed = 0_u32;
        loop {
            let opened = self.open();
            let all: u32 = opened.iter().sum();
            if all == 0 {
                let everybody = exposed >= self.places;
                return (if everybody { StoppedBy::Nothing } else { StoppedBy::Window }, exposed, self.places);
            }
            exposed += all;
            self.break_all(&opened);
            let halted = self.halted().or_else(|| {
                self.hear_out(&opened);
                self.halted()
            });
            if let Some(by) = halted {
                return (by, exposed, self.places);
            }
        }
    }

    /// Opens what the window and the need for control leave, by stratum.
    fn open(&mut self) -> Vec<u32> {
        let window = &self.policy.window;
        let room = self.scopes.iter().map(|scope| scope.bound(window, self.lab).saturating_sub(scope.unproven()));
        let cut = |fresh: &u32| if self.lab { u32::MAX } else { block_size_max(*fresh) };
        let cut = self.fresh.iter().map(cut).collect();
        open_window(&self.scopes, &self.strata, room.collect(), cut, &mut self.left)
    }

    /// All that were opened take the release, and fail where they can still say so.
    fn break_all(&mut self, opened: &[u32]) {
        let reported = self.signal == Signal::Hard;
        for (stratum, opened) in opened.iter().enumerate() {
            self.scopes.count(stratum, self.lab, |tally| {
                tally.opened += opened;
                tally.taken += opened;
                tally.failed += if reported { *opened } else { 0 };
            });
            if let Some(fresh) = self.fresh.get_mut(stratum).filter(|_| !self.lab) {
                *fresh = fresh.saturating_sub(*opened);
            }
        }
    }

    /// The first band of each stratum's block is over: it enters the gate, and who was silent is overdue.
    fn hear_out(&mut self, opened: &[u32]) {
        let silent = self.signal == Signal::Silent;
        for (stratum, opened) in opened.iter().enumerate().filter(|(_, opened)| **opened > 0) {
            if silent {
                self.scopes.count(stratum, self.lab, |tally| tally.overdue += opened);
            }
            let Some(fresh) = self.fresh.get_mut(stratum).filter(|_| !self.lab) else { continue };
            let controls = controls_wanted(*opened, *fresh);
            *fresh -= controls;
            let broken = Seen { hard: [!silent, false], ..Seen::default() };
            let well = Seen { healthy: [true, true], ..Seen::default() };
            let [treated, control] = [(broken, *opened), (well, controls)].map(|(seen, n)| vec![seen; n as usize]);
            let counts = BandCounts::of(&treated, &control, false, false, Elapsed::ZERO);
            self.gate.enter(self.scopes.of_stratum(stratum), &counts);
        }
    }

    fn halted(&self) -> Option<StoppedBy> {
        let window = &self.policy.window;
        let wedged = self.scopes.iter().any(|scope| {
            let held = scope.places_through(self.ring, &self.policy.rings, self.lab);
            scope.tally(self.lab).failed >= scope.wedges_at(window, self.lab, held)
        });
        if wedged {
            return Some(StoppedBy::Wedge);
        }
        let exhausted = |(failed, _, full): (u32, u32, bool)| full && failed > 0;
        if self.scopes.iter().any(|scope| exhausted(scope.spent(window, self.lab))) {
            return Some(StoppedBy::Exhaustion);
        }
        if self.gate.against().ln_e >= ln_threshold(self.policy) {
            return Some(StoppedBy::Evidence);
        }
        let lab = self.scopes.all().map(|all| all.lab).filter(|_| self.policy.has_lab()).unwrap_or_default();
        let by_lab = lab_evidence(&self.policy.gate, lab.taken, lab.failed.saturating_add(lab.overdue)).is_some();
        by_lab.then_some(StoppedBy::LabEvidence)
    }
}
