//! What a policy would do on a fleet, before anybody signs anything: the first window, when it halts, how long it takes, and
//! whether each ring could ever pass. It runs the window rule and the gate's own statistics; it holds no shortcut formula but one
//! for time, and its answers are forecasts.

mod opening;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::envelope::{Envelope, LeftBound, OutsideEnvelope};
use crate::evidence::{
    ControlRatio, FleetShape, ForecastWindow, HaltForecast, Share, Weights, clears, could_clear,
    smallest_delta_that_clears, threshold,
};
use crate::ids::{RingName, StratumName};
use crate::policy::Policy;
use crate::rollout::reason::Signal;
use crate::rollout::scope::Scopes;
use crate::roster::Place;
use crate::time::Elapsed;
use opening::Opening;

/// The fleet that a policy is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetEstimate {
    /// Devices by stratum, then by ring in the policy's order.
    pub strata: BTreeMap<StratumName, Vec<u32>>,
    /// The downtime that releases are assumed to be allowed.
    pub downtime: Elapsed,
}

/// What a policy would do on a fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[must_use]
pub struct PolicyCheck {
    /// Devices of the estimate.
    pub devices: u32,
    /// Places that open before any proof.
    pub first_window: u32,
    /// Known hard failures that halt at once, whatever the evidence: the fewest that fill a scope's first window.
    pub failures_to_wedge: u32,
    /// Hard failures in all devices that first reach 1/alpha when every control is healthy; none where the fleet leaves no control.
    pub failures_to_halt: Option<u32>,
    /// How long a good release takes to reach everybody.
    pub time_to_whole_fleet: Elapsed,
    /// Each ring.
    pub rings: Vec<RingCheck>,
    /// Why the policy should not be used on this fleet; empty: it may.
    pub problems: Vec<PolicyProblem>,
}

/// What a policy would do in one ring.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RingCheck {
    /// The ring.
    pub name: RingName,
    /// Its places, without those that the holdback keeps shut.
    pub places: u32,
    /// Windows that are opened one after another until it is full.
    pub windows: u32,
    /// Whether a sound release would clear it; none for a lab, which is not cleared.
    pub clears: Option<bool>,
    /// The smallest margin that it could clear; none for a lab, or where it could clear none.
    pub delta_min: Option<f64>,
}

/// Why a policy should not be used on a fleet, with the nearest that would work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum PolicyProblem {
    /// It leaves the bounds that root signed.
    #[error("policy field `{field}` is {found}; the envelope `{envelope}` allows {allowed}")]
    OutsideEnvelope {
        /// The policy's field.
        field: String,
        /// What stands there.
        found: String,
        /// The envelope's name.
        envelope: String,
        /// What it allows.
        allowed: String,
    },
    /// Nobody is in the fleet.
    #[error("the fleet has no devices that the policy reaches")]
    NoDevices,
    /// A ring without devices passes at once and shows nothing.
    #[error("ring `{ring}` has no devices: give devices its label, or the ring a share")]
    EmptyRing {
        /// The ring.
        ring: RingName,
    },
    /// A sound release with the usual failures would not pass the ring.
    #[error(
        "ring `{ring}`: {places} places cannot clear {signal} below {delta}{}; {}",
        if *flawless { " once one device fails" } else { ", even if none fails" },
        nearest(*delta_min)
    )]
    CannotClear {
        /// The ring.
        ring: RingName,
        /// Its places.
        places: u32,
        /// The signal.
        signal: Signal,
        /// The policy's margin.
        delta: f64,
        /// Whether it would clear if no device failed at all.
        flawless: bool,
        /// The smallest margin that it could clear.
        delta_min: Option<f64>,
    },
    /// The window never opens the whole ring.
    #[error("ring `{ring}`: the window stops opening before the ring is full")]
    NeverOpens {
        /// The ring.
        ring: RingName,
    },
    /// A broken release would stall in the ring and never halt: one failure wedges nothing.
    #[error(
        "ring `{ring}` has {places} places: a release that breaks them all would stall, not halt; at least 2 are needed"
    )]
    NeverHalts {
        /// The ring.
        ring: RingName,
        /// Its places.
        places: u32,
    },
    /// No block would get control, so that only a wedge could halt.
    #[error(
        "no stratum is large enough for control ({largest} devices in the largest): only failures that fill a window halt; at least {needed} are needed"
    )]
    NoControl {
        /// Devices in the largest stratum.
        largest: u32,
        /// What would be enough.
        needed: u32,
    },
}

fn nearest(delta_min: Option<f64>) -> String {
    delta_min
        .map_or_else(|| "no margin would do: it needs more devices".to_owned(), |delta| format!("{delta} would do"))
}

impl PolicyProblem {
    /// Whether no release could ever pass: an order under such a policy is refused.
    pub fn is_final(&self) -> bool {
        match self {
            PolicyProblem::OutsideEnvelope { .. } | PolicyProblem::NoDevices | PolicyProblem::NeverOpens { .. } => true,
            PolicyProblem::CannotClear { flawless, .. } => !flawless,
            PolicyProblem::EmptyRing { .. } | PolicyProblem::NeverHalts { .. } | PolicyProblem::NoControl { .. } => {
                false
            }
        }
    }

    /// The stable word.
    pub fn kind(&self) -> &'static str {
        match self {
            PolicyProblem::OutsideEnvelope { .. } => "outside_envelope",
            PolicyProblem::NoDevices => "no_devices",
            PolicyProblem::EmptyRing { .. } => "empty_ring",
            PolicyProblem::CannotClear { .. } => "cannot_clear",
            PolicyProblem::NeverOpens { .. } => "never_opens",
            PolicyProblem::NeverHalts { .. } => "never_halts",
            PolicyProblem::NoControl { .. } => "no_control",
        }
    }
}

impl FleetEstimate {
    /// The fleet as its rosters would stand.
    pub fn of_rosters(
        policy: &Policy,
        rosters: &BTreeMap<StratumName, Vec<Place>>,
        downtime: Elapsed,
    ) -> FleetEstimate {
        let mut strata: BTreeMap<StratumName, Vec<u32>> = BTreeMap::new();
        for (stratum, places) in rosters {
            let rings = strata.entry(stratum.clone()).or_insert_with(|| vec![0; policy.rings.len()]);
            for place in places {
                if let Some(count) = rings.get_mut(usize::from(place.ring)) {
                    *count = count.saturating_add(1);
                }
            }
        }
        FleetEstimate { strata, downtime }
    }

    /// So many devices, evenly spread over the listed strata. `labelled` says how many carry a ring's label; the others are
    /// dealt out by the rings' shares, the last ring taking the rest.
    pub fn evenly(
        policy: &Policy,
        devices: u32,
        labelled: &BTreeMap<RingName, u32>,
        downtime: Elapsed,
    ) -> FleetEstimate {
        let names = policy.strata.listed_names();
        let count = u32::try_from(names.len()).unwrap_or(u32::MAX).max(1);
        let of_label = |ring: &crate::policy::Ring| labelled.get(&ring.name).copied().unwrap_or(0);
        let with_label = policy.rings.iter().map(of_label).fold(0_u32, u32::saturating_add).min(devices);
        let unlabelled = devices - with_label;
        let mut left = unlabelled;
        let mut rings: Vec<u32> = Vec::with_capacity(policy.rings.len());
        for ring in &policy.rings {
            let share = ((ring.share * f64::from(unlabelled)).ceil() as u32).min(left);
            left -= share;
            rings.push(share.saturating_add(of_label(ring)));
        }
        if let Some(last) = rings.last_mut() {
            *last = last.saturating_add(left);
        }
        let part = |whole: u32, at: u32| whole / count + u32::from(at < whole % count);
        let strata = names.into_iter().zip(0..).map(|(name, at)| (name, rings.iter().map(|r| part(*r, at)).collect()));
        FleetEstimate { strata: strata.collect(), downtime }
    }

    fn total(&self) -> u32 {
        self.strata.values().flatten().copied().fold(0, u32::saturating_add)
    }

    /// Without what the holdback keeps shut, as the rollout computes it: a share of each stratum's last ring.
    fn opened_at_most(&self, policy: &Policy) -> BTreeMap<StratumName, Vec<u32>> {
        let mut strata = self.strata.clone();
        for last in strata.values_mut().filter_map(|rings| rings.last_mut()) {
            let held_back = (policy.holdback.share * f64::from(*last)).ceil() as u32;
            *last = last.saturating_sub(held_back);
        }
        strata
    }
}

/// Says what a policy would do on a fleet, and what speaks against using it there.
pub fn check(policy: &Policy, envelope: Option<&Envelope>, fleet: &FleetEstimate) -> PolicyCheck {
    let mut problems: Vec<PolicyProblem> = Vec::new();
    if let Some(Err(OutsideEnvelope { envelope, left })) = envelope.map(|envelope| envelope.admits(policy)) {
        problems.extend(left.into_iter().map(|LeftBound { field, found, allowed }| PolicyProblem::OutsideEnvelope {
            field,
            found,
            envelope: envelope.to_string(),
            allowed,
        }));
    }
    let devices = fleet.total();
    if devices == 0 {
        problems.push(PolicyProblem::NoDevices);
    }
    let places = fleet.opened_at_most(policy);
    let opening = Opening::of(policy, &places);
    let mut rings = Vec::with_capacity(policy.rings.len());
    for (index, ring) in policy.rings.iter().enumerate() {
        let in_ring = |counts: &Vec<u32>| counts.get(index).copied().unwrap_or(0);
        let size = places.values().map(in_ring).fold(0, u32::saturating_add);
        let windows = opening.windows.get(index).copied().flatten();
        let mut check = RingCheck {
            name: ring.name.clone(),
            places: size,
            windows: windows.unwrap_or(0),
            clears: None,
            delta_min: None,
        };
        if size == 0 {
            problems.push(PolicyProblem::EmptyRing { ring: ring.name.clone() });
        } else if windows.is_none() {
            problems.push(PolicyProblem::NeverOpens { ring: ring.name.clone() });
        }
        let alone = index == 0 || (index == 1 && policy.rings.first().is_some_and(|first| first.lab));
        if size == 1 && alone {
            problems.push(PolicyProblem::NeverHalts { ring: ring.name.clone(), places: size });
        }
        if !ring.lab && size > 0 {
            clearance(policy, fleet, &places, index, &mut check, &mut problems);
        }
        rings.push(check);
    }
    let (failures_to_halt, no_control) = failures_to_halt(policy, fleet);
    problems.extend(no_control.filter(|_| devices > 0));
    PolicyCheck {
        devices,
        first_window: opening.first_window,
        failures_to_wedge: failures_to_wedge(policy, &places),
        failures_to_halt,
        time_to_whole_fleet: time_to_whole_fleet(policy, fleet.downtime, &rings),
        rings,
        problems,
    }
}

/// Runs F6 on one ring after the lab.
fn clearance(
    policy: &Policy,
    fleet: &FleetEstimate,
    places: &BTreeMap<StratumName, Vec<u32>>,
    index: usize,
    check: &mut RingCheck,
    problems: &mut Vec<PolicyProblem>,
) {
    let lab = usize::from(policy.rings.first().is_some_and(|ring| ring.lab));
    let sum = |strata: &BTreeMap<StratumName, Vec<u32>>, ring: usize| {
        strata.values().map(|rings| rings.get(ring).copied().unwrap_or(0)).fold(0, u32::saturating_add)
    };
    let sizes: Vec<u32> = (lab..policy.rings.len()).map(|ring| sum(places, ring)).collect();
    let last = policy.rings.len().saturating_sub(1);
    let held_back = sum(&fleet.strata, last).saturating_sub(sum(places, last));
    let strata = u32::try_from(fleet.strata.len()).unwrap_or(u32::MAX);
    let window = ForecastWindow {
        initial_all: policy.window.initial_all,
        initial_stratum: policy.window.initial_stratum,
        growth: policy.window.growth,
    };
    let shape = FleetShape::new(&sizes, held_back, strata).ok();
    let blocks = shape.and_then(|shape| shape.blocks_through(index - lab, window)).unwrap_or_default();
    let (beta, base_rate) = (share(policy.gate.beta), share(policy.gate.base_rate));
    let delta_min = smallest_delta_that_clears(&blocks, beta, base_rate).map(Share::get);
    check.delta_min = delta_min;
    let Some(ring) = policy.rings.get(index) else { return };
    let mut all_clear = true;
    for (signal, delta) in [(Signal::Hard, ring.clear_hard), (Signal::Silent, ring.clear_silent)] {
        if !clears(&blocks, share(delta), beta, base_rate) {
            all_clear = false;
            let (ring, places) = (ring.name.clone(), check.places);
            let flawless = could_clear(&blocks, share(delta), beta);
            problems.push(PolicyProblem::CannotClear { ring, places, signal, delta, flawless, delta_min });
        }
    }
    check.clears = Some(all_clear);
}

/// The fewest failures that fill some scope's first window. Places that a ring holds, but not its window, are filled by no fewer
/// than two.
fn failures_to_wedge(policy: &Policy, places: &BTreeMap<StratumName, Vec<u32>>) -> u32 {
    let window = &policy.window;
    let all = window.initial_all.min(window.share_of(places.values().flatten().copied().fold(0, u32::saturating_add)));
    let first = |rings: &Vec<u32>| rings.iter().copied().find(|size| *size > 0);
    let smallest = places.values().filter_map(first).min().unwrap_or(0);
    let narrowest = window.initial_stratum.min(window.initial_value).min(all);
    narrowest.min(smallest.max(2))
}

/// Runs F2 with the control that the largest stratum leaves for its first block.
fn failures_to_halt(policy: &Policy, fleet: &FleetEstimate) -> (Option<u32>, Option<PolicyProblem>) {
    let largest =
        fleet.strata.values().map(|rings| rings.iter().copied().fold(0, u32::saturating_add)).max().unwrap_or(0);
    let strata: Vec<StratumName> = fleet.strata.keys().cloned().collect();
    let scopes = Scopes::new(policy, &strata);
    let count = u32::try_from(strata.len()).unwrap_or(u32::MAX).max(1);
    let block_size = policy.window.initial_stratum.min(policy.window.initial_all.div_ceil(count)).max(1);
    let Some(ratio) = ControlRatio::for_block(block_size, largest.saturating_sub(block_size)) else {
        let needed = block_size.saturating_add(block_size.div_ceil(4).saturating_mul(4));
        return (None, Some(PolicyProblem::NoControl { largest, needed }));
    };
    let lab_share = if policy.rings.first().is_some_and(|ring| ring.lab) { policy.gate.lab_share } else { 0.0 };
    let forecast = HaltForecast {
        tolerate: share(policy.gate.tolerate_hard),
        threshold: threshold(share(policy.gate.alpha), share(lab_share)),
        weight: Weights::for_scopes(scopes.values_by_attribute(), count).all(),
        ratio,
        block_size,
    };
    (forecast.failures_to_halt(), None)
}

/// F8's estimate ring by ring: each window takes a check-in, the downtime and a proof; a ring lasts at least its soak, and outside
/// the lab its last block closes four check-ins after the last proof.
fn time_to_whole_fleet(policy: &Policy, downtime: Elapsed, rings: &[RingCheck]) -> Elapsed {
    let of_window = policy.pace.check_in.plus(downtime).plus(policy.prove.duration);
    let mut total = Elapsed::ZERO;
    for (ring, check) in policy.rings.iter().zip(rings).filter(|(_, check)| check.places > 0) {
        let closing = if ring.lab { Elapsed::ZERO } else { policy.pace.check_in.times(4) };
        total = total.plus(of_window.times(u64::from(check.windows)).plus(closing).max(ring.soak));
    }
    total
}

/// A policy's numbers were checked when it was parsed; 0, which a share cannot be, becomes the least there is.
fn share(value: f64) -> Share {
    let near = if value.is_finite() { value.clamp(1e-12, 1.0 - 1e-12) } else { 0.5 };
    Share::new(near).unwrap_or(Share::HALF)
}
