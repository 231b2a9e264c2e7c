//! What a policy would do on a fleet, before anybody signs anything: the first window, when it halts, how long it takes, and
//! whether each ring could ever pass. It runs the window rule and the gate's own statistics; it holds no shortcut formula but one
//! for time, and its answers are forecasts.

mod fleet;
mod halting;
mod nearest;
mod opening;
mod problem;
mod rehearsal;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::envelope::{Envelope, LeftBound, OutsideEnvelope};
use crate::evidence::{FleetShape, ForecastWindow, Share, clears, could_clear, smallest_delta_that_clears};
use crate::ids::{RingName, StratumName};
use crate::policy::Policy;
use crate::rollout::reason::Signal;
use crate::time::Elapsed;
use halting::{Halting, failures_to_wedge};
use opening::Opening;

pub use fleet::FleetEstimate;
pub use problem::PolicyProblem;
pub use rehearsal::{Stop, StoppedBy};

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
    /// Hard failures in all devices that first reach 1/alpha when every control is healthy; none where the fleet leaves no control, or has
    /// too few devices.
    pub failures_to_halt: Option<u32>,
    /// The same for devices that fall silent.
    pub silent_to_halt: Option<u32>,
    /// What stops a release that breaks every device, by the ring that it meets first and by signal.
    pub stops: Vec<Stop>,
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
    /// The smallest margin of hard failures that it could clear; none for a lab, or where it could clear none.
    pub delta_min_hard: Option<f64>,
    /// The same for silence.
    pub delta_min_silent: Option<f64>,
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
            delta_min_hard: None,
            delta_min_silent: None,
        };
        if size == 0 {
            problems.push(PolicyProblem::EmptyRing { ring: ring.name.clone() });
        } else if windows.is_none() {
            problems.push(PolicyProblem::NeverOpens { ring: ring.name.clone() });
        }
        if !ring.lab && size > 0 {
            clearance(policy, fleet, &places, index, &mut check, &mut problems);
        }
        rings.push(check);
    }
    let halting = Halting::of(policy, fleet);
    problems.extend(halting.problems.into_iter().filter(|_| devices > 0));
    problems.extend(ends_first(policy, fleet.downtime, &rings));
    PolicyCheck {
        devices,
        first_window: opening.first_window,
        failures_to_wedge: failures_to_wedge(policy, &places),
        failures_to_halt: halting.failures,
        silent_to_halt: halting.silent,
        stops: halting.stops,
        time_to_whole_fleet: time_to_whole_fleet(policy, fleet.downtime, &rings),
        rings,
        problems,
    }
}

/// Runs F6 on one ring after the lab, each signal at its own assumed rate.
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
    let (gate, beta) = (&policy.gate, share(policy.gate.beta));
    let Some(ring) = policy.rings.get(index) else { return };
    let smallest = |base_rate| smallest_delta_that_clears(&blocks, beta, share(base_rate)).map(Share::get);
    check.delta_min_hard = smallest(gate.base_rate);
    check.delta_min_silent = smallest(gate.base_rate_silent);
    let mut all_clear = true;
    for (signal, delta, base_rate, delta_min) in [
        (Signal::Hard, ring.clear_hard, gate.base_rate, check.delta_min_hard),
        (Signal::Silent, ring.clear_silent, gate.base_rate_silent, check.delta_min_silent),
    ] {
        if !clears(&blocks, share(delta), beta, share(base_rate)) {
            all_clear = false;
            let (ring, places) = (ring.name.clone(), check.places);
            let flawless = could_clear(&blocks, share(delta), beta);
            problems.push(PolicyProblem::CannotClear { ring, places, signal, delta, flawless, delta_min });
        }
    }
    check.clears = Some(all_clear);
}

/// Whether an order's life ends before a good release can have opened the last ring, whose soak opens nothing.
fn ends_first(policy: &Policy, downtime: Elapsed, rings: &[RingCheck]) -> Option<PolicyProblem> {
    let mut policy = policy.clone();
    if let Some(last) = policy.rings.last_mut() {
        last.soak = Elapsed::ZERO;
    }
    let (needed, order_life) = (time_to_whole_fleet(&policy, downtime, rings), policy.pace.order_life);
    (needed > order_life).then_some(PolicyProblem::OrderEndsFirst { needed, order_life })
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
