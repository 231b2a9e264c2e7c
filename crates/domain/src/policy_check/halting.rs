//! What would halt a release under a policy, and which settings keep its rules from ever halting any. It asks the rules themselves, and
//! looks for the nearest value that works by trying.

use std::collections::BTreeMap;

use super::nearest::{Setting, greatest, mend};
use super::rehearsal::{Stop, StoppedBy, rehearse};
use super::{FleetEstimate, PolicyProblem, share};
use crate::evidence::{ControlRatio, HaltForecast, Weights, block_size_max, threshold};
use crate::ids::StratumName;
use crate::policy::{GateRule, Policy};
use crate::rollout::gate::lab_evidence;
use crate::rollout::processes::{Watched, share_of};
use crate::rollout::reason::Signal;
use crate::rollout::scope::Scopes;

/// What would halt a release on a fleet.
pub(super) struct Halting {
    /// Failures in all devices that first reach the threshold of the evidence; none where they never do.
    pub(super) failures: Option<u32>,
    /// The same for silent devices.
    pub(super) silent: Option<u32>,
    /// What stops a release that breaks every device.
    pub(super) stops: Vec<Stop>,
    pub(super) problems: Vec<PolicyProblem>,
}

/// Places that a ring may lack at most for a halt to be looked for.
const PLACES_MORE_MAX: u32 = 16;

impl Halting {
    pub(super) fn of(policy: &Policy, fleet: &FleetEstimate) -> Halting {
        let stops = rehearse(policy, fleet);
        let mut problems = stalls(policy, fleet, &stops);
        problems.extend(opens_all(policy, fleet, &stops));
        problems.extend(deaf_lab(policy, fleet));
        let forecast = match Forecast::of(policy, fleet, &stops) {
            Ok(forecast) => forecast,
            Err(no_control) => {
                problems.push(no_control);
                return Halting { failures: None, silent: None, stops, problems };
            }
        };
        problems.extend(forecast.deaf_evidence());
        let reached = |signal| forecast.events_to_halt(&policy.gate, signal);
        Halting { failures: reached(Signal::Hard), silent: reached(Signal::Silent), stops, problems }
    }
}

/// Rings in which a release that fails everywhere would stall without a halt, with the fewest places that would do.
fn stalls(policy: &Policy, fleet: &FleetEstimate, stops: &[Stop]) -> Vec<PolicyProblem> {
    let stalled =
        |stop: &&Stop| stop.signal == Signal::Hard && matches!(stop.by, StoppedBy::Window | StoppedBy::Nothing);
    let problem = |stop: &Stop| {
        let at = policy.rings.iter().position(|rule| rule.name == stop.ring)?;
        let in_ring = fleet.opened_at_most(policy);
        let places = in_ring.values().filter_map(|rings| rings.get(at)).copied().fold(0, u32::saturating_add);
        let halts = |more: &u32| {
            let same = |other: &&Stop| other.ring == stop.ring && other.signal == stop.signal;
            rehearse(policy, &fleet.with_more(at, *more)).iter().filter(same).all(|stop| !stalled(&stop))
        };
        let needed = (1..=PLACES_MORE_MAX).find(halts).map(|more| places.saturating_add(more));
        Some(PolicyProblem::NeverHalts { ring: stop.ring.clone(), places, needed })
    };
    stops.iter().filter(stalled).filter_map(problem).collect()
}

/// Whether everybody has the release before anything stops it, with the widest window that leaves somebody.
fn opens_all(policy: &Policy, fleet: &FleetEstimate, stops: &[Stop]) -> Option<PolicyProblem> {
    let reaches_all = |stop: &&Stop| stop.places > 1 && stop.exposed >= stop.places;
    let stop = stops.iter().find(reaches_all)?;
    let leaves_some = |initial_all: u32| {
        let mut narrower = policy.clone();
        narrower.window.initial_all = initial_all;
        !rehearse(&narrower, fleet).iter().any(|stop| reaches_all(&stop))
    };
    let nearest = greatest(policy.window.initial_all.min(stop.places), leaves_some);
    Some(PolicyProblem::OpensAll { ring: stop.ring.clone(), places: stop.places, nearest })
}

/// Whether the lab's own test halts not even when the whole lab is broken, though with the defaults it would.
fn deaf_lab(policy: &Policy, fleet: &FleetEstimate) -> Vec<PolicyProblem> {
    let size = fleet.strata.values().filter_map(|rings| rings.first()).copied().fold(0, u32::saturating_add);
    if !policy.has_lab() {
        return Vec::new();
    }
    let settings = [
        Setting { field: "gate.lab_share", of: |rule| &mut rule.lab_share, dampens: false },
        Setting { field: "gate.alpha", of: |rule| &mut rule.alpha, dampens: false },
    ];
    deaf(None, &policy.gate, &settings, |rule| lab_evidence(rule, size, size).is_some())
}

fn deaf(
    signal: Option<Signal>,
    rule: &GateRule,
    settings: &[Setting],
    works: impl Fn(&GateRule) -> bool,
) -> Vec<PolicyProblem> {
    let mended = mend(rule, settings, works).into_iter();
    let problem = |mended: super::nearest::Mended| PolicyProblem::EvidenceNeverHalts {
        signal,
        field: mended.field.to_owned(),
        found: mended.found,
        nearest: mended.nearest,
    };
    mended.map(problem).collect()
}

/// F2 with the control that the largest stratum leaves for its first block.
struct Forecast<'a> {
    policy: &'a Policy,
    ratio: ControlRatio,
    block_size: u32,
    weight: f64,
    /// Devices outside the lab that may take a release.
    devices: u32,
    /// Of them, those that a release takes that breaks them all.
    first_window: u32,
}

impl<'a> Forecast<'a> {
    fn of(policy: &'a Policy, fleet: &FleetEstimate, stops: &[Stop]) -> Result<Forecast<'a>, PolicyProblem> {
        let after_lab =
            |rings: &Vec<u32>| rings.iter().skip(usize::from(policy.has_lab())).copied().fold(0, u32::saturating_add);
        let largest = fleet.strata.values().map(after_lab).max().unwrap_or(0);
        let strata: Vec<StratumName> = fleet.strata.keys().cloned().collect();
        let scopes = Scopes::new(policy, &strata);
        let count = u32::try_from(strata.len()).unwrap_or(u32::MAX).max(1);
        let first = policy.window.initial_stratum.min(policy.window.initial_all.div_ceil(count)).max(1);
        let block_size = first.min(block_size_max(largest));
        let Some(ratio) = ControlRatio::for_block(block_size, largest.saturating_sub(block_size)) else {
            let needed = (largest.saturating_add(1)..=u32::MAX).find(|size| block_size_max(*size) < u32::MAX);
            return Err(PolicyProblem::NoControl { largest, needed: needed.unwrap_or(u32::MAX) });
        };
        let weight = Weights::for_scopes(scopes.values_by_attribute(), count).all();
        let devices = fleet.opened_at_most(policy).values().map(after_lab).fold(0, u32::saturating_add);
        let not_lab = |stop: &&Stop| !policy.rings.iter().any(|rule| rule.lab && rule.name == stop.ring);
        let first_window = stops.iter().filter(not_lab).map(|stop| stop.exposed).max().unwrap_or(0);
        Ok(Forecast { policy, ratio, block_size, weight, devices, first_window })
    }

    /// How many devices with the event first halt when every control is well; none where as many as could have it would not.
    ///
    /// A window that grows by `growth` a proof stays shut once more than `growth` of `growth + 1` devices are not proven. Where so much is
    /// tolerated, whatever is more than tolerated meets a first window and no more.
    fn events_to_halt(&self, rule: &GateRule, signal: Signal) -> Option<u32> {
        let tolerate = match signal {
            Signal::Hard => rule.tolerate_hard,
            Signal::Silent | Signal::Number => rule.tolerate_silent,
            // Has no margin.
            Signal::Crash | Signal::Late => 0.0,
        };
        let watched = Watched { numbers: false, lateness: rule.watch_lateness };
        let weight = self.weight * share_of(signal, watched) / share_of(Signal::Hard, watched);
        let lab_share = if self.policy.has_lab() { rule.lab_share } else { 0.0 };
        let Forecast { ratio, block_size, .. } = *self;
        let threshold = threshold(share(rule.alpha), share(lab_share));
        let forecast = HaltForecast { tolerate: share(tolerate), threshold, weight, ratio, block_size };
        let growth = f64::from(self.policy.window.growth);
        let most = if tolerate < growth / (growth + 1.0) { self.devices } else { self.first_window };
        forecast.failures_to_halt().filter(|events| *events <= most)
    }

    /// The settings with which evidence of a signal never halts, though with the defaults it would.
    fn deaf_evidence(&self) -> Vec<PolicyProblem> {
        let of_signal = |signal| {
            let tolerate = if signal == Signal::Hard {
                Setting { field: "gate.tolerate_hard", of: |rule| &mut rule.tolerate_hard, dampens: true }
            } else {
                Setting { field: "gate.tolerate_silent", of: |rule| &mut rule.tolerate_silent, dampens: true }
            };
            let settings = [
                tolerate,
                Setting { field: "gate.lab_share", of: |rule| &mut rule.lab_share, dampens: true },
                Setting { field: "gate.alpha", of: |rule| &mut rule.alpha, dampens: false },
            ];
            deaf(Some(signal), &self.policy.gate, &settings, |rule| self.events_to_halt(rule, signal).is_some())
        };
        [Signal::Hard, Signal::Silent].into_iter().flat_map(of_signal).collect()
    }
}

/// The fewest known failures that fill some scope's first window. Places that a ring holds, but not its window, are filled by no fewer
/// than two.
pub(super) fn failures_to_wedge(policy: &Policy, places: &BTreeMap<StratumName, Vec<u32>>) -> u32 {
    let window = &policy.window;
    let all = window.initial_all.min(window.share_of(places.values().flatten().copied().fold(0, u32::saturating_add)));
    let first = |rings: &Vec<u32>| rings.iter().copied().find(|size| *size > 0);
    let smallest = places.values().filter_map(first).min().unwrap_or(0);
    let narrowest = window.initial_stratum.min(window.initial_value).min(all);
    narrowest.min(smallest.max(2))
}
