//! A policy made to fit a scenario's fleet, as somebody would who heeds `policy check`: the fleet's strata, and where a ring is too small
//! to show its margin, the smallest margin that it can show. Windows, proof, soak and error rates stay as they are.

use tidegate_domain::policy::{Policy, Strata};
use tidegate_domain::policy_check::{self, FleetEstimate, PolicyProblem};
use tidegate_domain::rollout::reason::Signal;

use crate::population::Population;
use crate::scenario::Scenario;

/// A policy on a fleet, and what had to be changed for that.
pub(crate) struct Fitted {
    pub(crate) policy: Policy,
    /// In words, one a change; empty where the policy fitted as it was, but for the strata.
    pub(crate) changes: Vec<String>,
}

/// Makes a policy fit.
pub(crate) fn fit(policy: &Policy, scenario: &Scenario, population: &Population) -> Fitted {
    let mut policy = policy.clone();
    if policy.strata.by.is_empty() && !scenario.fleet.attributes.is_empty() {
        let by = scenario.fleet.attributes.iter().map(|attribute| attribute.name.clone()).collect();
        let listed = population.strata.iter().map(|stratum| stratum.values.clone()).collect();
        policy.strata = Strata { by, listed };
    }
    let strata = population.strata.iter().map(|stratum| {
        let rings = policy.rings.iter().map(|_| 0).collect::<Vec<u32>>();
        (stratum.name.clone(), Rings::of(&policy, stratum.lab, stratum.size).sizes(rings))
    });
    let fleet = FleetEstimate { strata: strata.collect(), downtime: scenario.release.downtime };
    let changes = fit_margins(&mut policy, &fleet);
    Fitted { policy, changes }
}

/// Gives each ring that is too small for its margin twice the smallest that it could show; what was changed, in words.
pub(crate) fn fit_margins(policy: &mut Policy, fleet: &FleetEstimate) -> Vec<String> {
    let mut changes = Vec::new();
    for ring in policy.rings.iter_mut().filter(|ring| ring.approve.is_some()) {
        ring.approve = None;
        changes.push(format!("ring {} is approved at once", ring.name));
    }
    for problem in policy_check::check(policy, None, fleet).problems {
        let PolicyProblem::CannotClear { ring, signal, delta, delta_min: Some(least), .. } = problem else { continue };
        let Some(rule) = policy.rings.iter_mut().find(|rule| rule.name == ring) else { continue };
        let (field, margin) = match signal {
            Signal::Hard => ("clear_hard", &mut rule.clear_hard),
            Signal::Silent => ("clear_silent", &mut rule.clear_silent),
            // Neither is cleared.
            Signal::Crash | Signal::Number | Signal::Late => continue,
        };
        // Twice what could just be shown: a ring that can only just clear often does not.
        *margin = (2.0 * least).clamp(delta, 0.99);
        changes.push(format!("{ring}.{field} {margin:.4} instead of {delta}"));
    }
    changes
}

/// Where in a stratum the rings end: the lab first, then each ring's share of the others, the last ring taking the rest.
pub(crate) struct Rings(Vec<(u32, u8)>);

impl Rings {
    pub(crate) fn of(policy: &Policy, lab: u32, devices: u32) -> Rings {
        let (mut ends, mut end) = (Vec::new(), 0);
        let others = devices.saturating_sub(lab);
        for (ring, rule) in policy.rings.iter().enumerate() {
            let size = if rule.lab { lab } else { (rule.share * f64::from(others)).ceil() as u32 };
            end = devices.min(end + size);
            ends.push((end, u8::try_from(ring).unwrap_or(u8::MAX)));
        }
        if let Some((last, _)) = ends.last_mut() {
            *last = devices;
        }
        Rings(ends)
    }

    pub(crate) fn ring_of(&self, index: u32) -> u8 {
        let last = self.0.last().map_or(0, |(_, ring)| *ring);
        self.0.iter().find(|(end, _)| index < *end).map_or(last, |(_, ring)| *ring)
    }

    fn sizes(&self, mut sizes: Vec<u32>) -> Vec<u32> {
        let mut begin = 0;
        for ((end, _), size) in self.0.iter().zip(&mut sizes) {
            (*size, begin) = (end - begin, *end);
        }
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &str = include_str!("../../../policies/default.toml");

    fn fitted(devices: u32) -> Fitted {
        let text = format!("name = \"x\"\ntitle = \"t\"\ndevices = {devices}\nhorizon = \"1h\"\n");
        let scenario = Scenario::parse(&text).unwrap();
        let policy = Policy::parse(DEFAULT).unwrap();
        fit(&policy, &scenario, &Population::new(&scenario, policy.pace.check_in, 1))
    }

    #[test]
    fn a_large_fleet_takes_the_policy_as_it_is_and_a_small_one_the_margins_that_it_can_show() {
        assert_eq!(fitted(2_000_000).changes, Vec::<String>::new());
        let small = fitted(1_000);
        assert!(small.changes.iter().any(|change| change.starts_with("canary.clear_hard")), "{:?}", small.changes);
        assert_eq!(small.policy.window, Policy::parse(DEFAULT).unwrap().window);
    }
}
