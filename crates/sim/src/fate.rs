//! What a release does to each device, and what befalls devices anyway. Drawn from the seed at each look, never kept.

use std::collections::BTreeMap;

use tidegate_domain::time::Elapsed;

use crate::chance::Stream;
use crate::population::Population;
use crate::scenario::{Fault, Harm, Scenario};

/// What befalls devices.
pub(crate) struct Fate<'a> {
    scenario: &'a Scenario,
    population: &'a Population,
    /// By stratum: the share of its devices that the fault hits.
    hit_share: Vec<f64>,
    fault: Option<&'a Fault>,
}

impl<'a> Fate<'a> {
    pub(crate) fn new(scenario: &'a Scenario, population: &'a Population) -> Fate<'a> {
        let fault = scenario.fault.as_ref();
        let names: Vec<_> = scenario.fleet.attributes.iter().map(|attribute| &attribute.name).collect();
        let share_of = |stratum: &crate::population::Stratum| {
            let has: BTreeMap<_, _> = names.iter().copied().zip(&stratum.values).collect();
            let hits = fault.iter().flat_map(|fault| &fault.hits);
            let mut fitting = hits.filter(|hit| hit.with.iter().all(|(name, value)| has.get(name) == Some(&value)));
            fitting.next().map_or(0.0, |hit| hit.share)
        };
        Fate { scenario, population, hit_share: population.strata.iter().map(share_of).collect(), fault }
    }

    /// What the fault does.
    pub(crate) fn harm(&self) -> Harm {
        self.fault.map_or(Harm::Hidden, |fault| fault.harm)
    }

    /// Whether the fault hits a device.
    pub(crate) fn is_hit(&self, device: u32) -> bool {
        let Some(fault) = self.fault else { return false };
        let share = self.hit_share.get(self.population.stratum_of(device)).copied().unwrap_or(0.0);
        share > 0.0
            && self.population.seed.share(Stream::Hit, device, 0) < share
            && !(fault.lab_is_spared && self.population.is_lab(device))
    }

    /// When the fault shows in a payload that was started then.
    pub(crate) fn onset_ms(&self, device: u32, started_ms: u64) -> u64 {
        let Some(fault) = self.fault else { return u64::MAX };
        let range = (fault.onset.0.as_ms(), fault.onset.1.as_ms());
        let after = self.population.seed.between(Stream::Onset, device, 0, range);
        (started_ms + after).max(fault.not_before.as_ms())
    }

    /// Whether a device that is hit is lost, whatever guards it.
    pub(crate) fn is_beyond_repair(&self, device: u32) -> bool {
        let share = self.fault.map_or(0.0, |fault| fault.beyond_repair);
        share > 0.0 && self.population.seed.share(Stream::Hit, device, 1) < share
    }

    /// Whether a device without guard must be mended by hand.
    pub(crate) fn needs_hands(&self) -> bool {
        self.fault.is_some_and(|fault| fault.needs_hands)
    }

    /// How long a device takes to fetch the release.
    pub(crate) fn fetch_ms(&self, device: u32) -> u64 {
        let range = self.scenario.release.fetch;
        self.population.seed.between(Stream::Pace, device, 0, (range.0.as_ms(), range.1.as_ms()))
    }

    /// How long the payload takes to come up on a device.
    pub(crate) fn up_ms(&self, device: u32) -> u64 {
        let range = self.scenario.release.up;
        self.population.seed.between(Stream::Pace, device, 1, (range.0.as_ms(), range.1.as_ms()))
    }

    /// How long after it began to be looked at a device fails for reasons of its own; mostly never. Treated and control draw alike.
    pub(crate) fn misfortune_ms(&self, device: u32, look: u32, begun_ms: u64, within: Elapsed) -> Option<u64> {
        let rate = self.scenario.fleet.failures;
        let number = u64::from(look);
        if rate == 0.0 {
            return None;
        }
        let rate = self.scenario.drifted(rate, begun_ms);
        if self.population.seed.share(Stream::Misfortune, device, number) >= rate {
            return None;
        }
        let (from, to) = (self.scenario.release.up.1.as_ms() + 1_000, within.as_ms().saturating_sub(1_000));
        Some(self.population.seed.between(Stream::Misfortune, device, number + (1 << 40), (from, to.max(from))))
    }

    /// How long a device takes a time to be, by its own clock.
    pub(crate) fn by_its_clock(&self, device: u32, age: Elapsed) -> Elapsed {
        let skew = self.scenario.network.skew;
        if skew == 0.0 {
            return age;
        }
        let factor = 1.0 + skew * (2.0 * self.population.seed.share(Stream::Pace, device, 2) - 1.0);
        Elapsed::from_ms((age.as_ms() as f64 * factor) as u64)
    }

    /// Whether a report is held up until the next check-in.
    pub(crate) fn is_late(&self, device: u32, now_ms: u64) -> bool {
        let late = self.scenario.network.late;
        late > 0.0 && self.population.seed.share(Stream::Network, device, now_ms ^ (1 << 62)) < late
    }

    /// Whether a report arrives twice.
    pub(crate) fn arrives_twice(&self, device: u32, now_ms: u64) -> bool {
        let share = self.scenario.network.duplication;
        share > 0.0 && self.population.seed.share(Stream::Network, device, now_ms ^ (1 << 63)) < share
    }
}
