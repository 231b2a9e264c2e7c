//! The devices of a scenario as numbers: which stratum and ring they stand in, when they check in, when they are out of reach.
//!
//! Devices are numbered in the order of their rosters, stratum by stratum: ranks are drawn by lot, so that a number says nothing.
//! Everything is computed from the seed at each look; nothing is kept of a device.

use tidegate_domain::attributes::AttributeValue;
use tidegate_domain::ids::StratumName;
use tidegate_domain::time::Elapsed;

use crate::chance::{Seed, Stream};
use crate::scenario::{Downtime, Scenario};

/// Devices are looked up in blocks of so many, by a power of two.
const BLOCK_BITS: u32 = 10;
/// How long a device that is away stays away.
const AWAY_MS: u64 = 30 * 60_000;
const HOUR_MS: u64 = 3_600_000;
const WEEK_HOURS: u64 = 168;

/// One stratum of the fleet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stratum {
    /// Its name.
    pub(crate) name: StratumName,
    /// Its values, one an attribute.
    pub(crate) values: Vec<AttributeValue>,
    /// The number of its first device.
    pub(crate) first: u32,
    /// Its devices.
    pub(crate) size: u32,
    /// Of them, those in the lab: the first ones.
    pub(crate) lab: u32,
}

/// The devices of a scenario.
pub(crate) struct Population {
    pub(crate) seed: Seed,
    pub(crate) strata: Vec<Stratum>,
    pub(crate) devices: u32,
    /// By block of devices: the stratum of its first one.
    strata_of_blocks: Vec<u16>,
    scenario: Scenario,
    check_in_ms: u64,
}

impl Population {
    /// The devices, checking in every `check_in` once a rollout concerns them.
    pub(crate) fn new(scenario: &Scenario, check_in: Elapsed, seed: u64) -> Population {
        let strata = strata(scenario);
        let check_in_ms = check_in.as_ms().max(1);
        let of = |device: u32| strata.partition_point(|stratum| stratum.first <= device).saturating_sub(1) as u16;
        let strata_of_blocks = (0..=scenario.devices >> BLOCK_BITS).map(|block| of(block << BLOCK_BITS)).collect();
        let (seed, devices, scenario) = (Seed::new(seed), scenario.devices, scenario.clone());
        Population { seed, strata, devices, strata_of_blocks, scenario, check_in_ms }
    }

    /// The index of a device's stratum.
    pub(crate) fn stratum_of(&self, device: u32) -> usize {
        let mut stratum = self.strata_of_blocks.get((device >> BLOCK_BITS) as usize).copied().unwrap_or(0) as usize;
        while self.strata.get(stratum + 1).is_some_and(|next| next.first <= device) {
            stratum += 1;
        }
        stratum
    }

    /// Whether a device stands in the lab.
    pub(crate) fn is_lab(&self, device: u32) -> bool {
        self.strata.get(self.stratum_of(device)).is_some_and(|stratum| device - stratum.first < stratum.lab)
    }

    /// The first check-in of a device at or after an instant, in milliseconds since the start.
    pub(crate) fn check_in_from(&self, device: u32, ms: u64) -> u64 {
        let phase = self.seed.bits(Stream::Phase, device, 0) % self.check_in_ms;
        let intervals = ms.saturating_sub(phase).div_ceil(self.check_in_ms);
        phase + intervals * self.check_in_ms
    }

    /// The same, but of a check-in that reaches the server; none within a month.
    pub(crate) fn contact_from(&self, device: u32, ms: u64) -> u64 {
        let mut at = self.check_in_from(device, ms);
        for _ in 0..50_000 {
            match self.back_at(device, at) {
                back if back > at => at = self.check_in_from(device, back),
                _ if self.loses_check_in(device, at) => at += self.check_in_ms,
                _ => return at,
            }
        }
        at
    }

    /// Whether a device reaches the server at an instant.
    pub(crate) fn is_in_reach(&self, device: u32, ms: u64) -> bool {
        self.back_at(device, ms) == ms
    }

    /// Whether what a device says at an instant arrives.
    pub(crate) fn is_in_contact(&self, device: u32, ms: u64) -> bool {
        self.is_in_reach(device, ms) && !self.loses_check_in(device, ms)
    }

    /// Whether a device checked in with success during an interval of one check-in that begins there.
    pub(crate) fn checked_in_during(&self, device: u32, from_ms: u64) -> bool {
        let at = self.check_in_from(device, from_ms);
        self.is_in_contact(device, at)
    }

    /// Whether the network loses the check-in at an instant.
    fn loses_check_in(&self, device: u32, ms: u64) -> bool {
        let loss = self.scenario.network.loss;
        loss > 0.0 && self.seed.share(Stream::Network, device, ms) < loss
    }

    /// The instant itself for a device within reach; else one at which it may be again.
    fn back_at(&self, device: u32, ms: u64) -> u64 {
        let down = self.scenario.server_down.iter().map(|down: &Downtime| (down.at, down.duration));
        let out = |(at, duration): (Elapsed, Elapsed)| {
            let (from, to) = (at.as_ms(), at.as_ms() + duration.as_ms());
            (from..to).contains(&ms).then_some(to)
        };
        if let Some(up_again) = down.filter_map(out).max() {
            return up_again;
        }
        for (number, outage) in self.scenario.fleet.outages.iter().enumerate() {
            if let Some(over) = out((outage.at, outage.duration))
                && self.seed.share(Stream::Outage, device, number as u64) < outage.share
            {
                return over;
            }
        }
        let slot = (ms + self.seed.bits(Stream::Away, device, u64::MAX) % AWAY_MS) / AWAY_MS;
        if self.scenario.fleet.silence > 0.0
            && self.seed.share(Stream::Away, device, slot) < self.scenario.fleet.silence
        {
            return ms + 60_000;
        }
        self.awake_at(device, ms)
    }

    /// Laptops work eight to eleven hours on weekdays, each at hours of its own; the others never sleep.
    fn awake_at(&self, device: u32, ms: u64) -> u64 {
        let fleet = &self.scenario.fleet;
        if fleet.laptops == 0.0 || self.seed.share(Stream::Rhythm, device, 0) >= fleet.laptops {
            return ms;
        }
        let (opens, hours) =
            (6 + self.seed.bits(Stream::Rhythm, device, 1) % 5, 8 + self.seed.bits(Stream::Rhythm, device, 2) % 4);
        let hour = (u64::from(fleet.starts_at_hour) + ms / HOUR_MS) % WEEK_HOURS;
        let (day, of_day) = (hour / 24, hour % 24);
        let weekday = day < 5 || self.seed.share(Stream::Rhythm, device, 3) < 0.2;
        if weekday && (opens..opens + hours).contains(&of_day) {
            return ms;
        }
        (ms / HOUR_MS + 1) * HOUR_MS
    }
}

/// Every combination of values, its devices by the product of their weights, its part of the lab in turn.
fn strata(scenario: &Scenario) -> Vec<Stratum> {
    let mut combinations: Vec<(Vec<AttributeValue>, f64)> = vec![(Vec::new(), 1.0)];
    for attribute in &scenario.fleet.attributes {
        let total: f64 = attribute.values.iter().map(|(_, weight)| weight).sum();
        let with = |(values, share): &(Vec<AttributeValue>, f64)| -> Vec<(Vec<AttributeValue>, f64)> {
            let one = |(value, weight): &(AttributeValue, f64)| {
                let values = values.iter().cloned().chain([value.clone()]).collect();
                (values, share * weight / total)
            };
            attribute.values.iter().map(one).collect()
        };
        combinations = combinations.iter().flat_map(with).collect();
    }
    // Sorted as the rollout's rosters are.
    let name_of = |values: &[AttributeValue]| {
        let words: Vec<&str> = values.iter().map(AttributeValue::as_str).collect();
        let joined = if words.is_empty() { "all".to_owned() } else { words.join("/") };
        joined.parse::<StratumName>()
    };
    let named = combinations.into_iter().filter_map(|(values, share)| Some((name_of(&values).ok()?, values, share)));
    let mut named: Vec<(StratumName, Vec<AttributeValue>, f64)> = named.collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    let (mut first, mut reached) = (0, 0.0);
    let count = named.len() as u32;
    let mut strata = Vec::new();
    for (index, (name, values, share)) in named.into_iter().enumerate() {
        reached += share;
        let last = index as u32 + 1 == count;
        let end = if last { scenario.devices } else { (reached * f64::from(scenario.devices)).round() as u32 };
        let size = end.saturating_sub(first);
        strata.push(Stratum { name, values, first, size, lab: 0 });
        first = end;
    }
    deal_lab(&mut strata, scenario.fleet.lab);
    strata
}

/// Deals the lab's places in turn, to the largest strata first, never all of a stratum.
fn deal_lab(strata: &mut [Stratum], lab: u32) {
    let mut order: Vec<usize> = (0..strata.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(strata.get(*index).map_or(0, |stratum| stratum.size)));
    let mut left = lab;
    while left > 0 {
        let before = left;
        for index in &order {
            if let Some(stratum) = strata.get_mut(*index).filter(|stratum| left > 0 && stratum.lab + 1 < stratum.size) {
                stratum.lab += 1;
                left -= 1;
            }
        }
        if left == before {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn population(rest: &str) -> Population {
        let text = format!("name = \"x\"\ntitle = \"t\"\ndevices = 10000\nhorizon = \"1h\"\n{rest}");
        Population::new(&Scenario::parse(&text).unwrap(), Elapsed::from_s(60), 1)
    }

    #[test]
    fn every_device_has_one_stratum_and_the_lab_is_spread() {
        let two = "[[fleet.attributes]]\nname = \"os\"\nvalues = [[\"b\", 3.0], [\"a\", 1.0]]\n";
        let population = population(two);
        assert_eq!(
            population.strata.iter().map(|s| (s.name.as_str(), s.first, s.size, s.lab)).collect::<Vec<_>>(),
            [("a", 0, 2_500, 10), ("b", 2_500, 7_500, 10)]
        );
        assert_eq!((population.stratum_of(2_499), population.stratum_of(2_500)), (0, 1));
        assert!(
            population.is_lab(9) && !population.is_lab(10) && population.is_lab(2_509) && !population.is_lab(9_999)
        );
    }

    #[test]
    fn as_many_are_out_of_reach_as_the_scenario_says_and_they_come_back() {
        let population = population("[fleet]\nsilence = 0.02");
        let away = (0..10_000).filter(|d| !population.is_in_reach(*d, 1_234_567)).count();
        assert!((150..250).contains(&away), "{away}");
        for device in 0..1_000 {
            let at = population.contact_from(device, 1_234_567);
            assert!(
                at >= 1_234_567 && population.is_in_reach(device, at) && population.check_in_from(device, at) == at
            );
        }
    }

    #[test]
    fn laptops_sleep_at_night_and_a_site_is_out_for_as_long_as_it_is() {
        let laptops = population("[fleet]\nsilence = 0.0\nlaptops = 1.0\nstarts_at_hour = 0");
        let awake = |hour: u64| (0..1_000).filter(|d| laptops.is_in_reach(*d, hour * HOUR_MS)).count();
        assert_eq!((awake(3), awake(12)), (0, 1_000));
        assert!(awake(5 * 24 + 12) < 300);
        let site = population("[fleet]\nsilence = 0.0\noutages = [{share = 0.5, at = \"1h\", for = \"1h\"}]");
        let out = |ms| (0..1_000).filter(|d| !site.is_in_reach(*d, ms)).count();
        assert_eq!((out(HOUR_MS - 1), out(2 * HOUR_MS)), (0, 0));
        assert!((400..600).contains(&out(HOUR_MS)));
    }
}
