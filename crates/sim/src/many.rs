//! The same scenario under many seeds: how an entrant fares by and large, and at worst.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::compare::{Entrant, Ready, in_parallel};
use crate::outcome::Outcome;
use crate::run::{Progress, to_the_end};
use crate::scenario::Scenario;

/// How an entrant fared under many seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Many {
    /// The policy's or the rule's name.
    pub policy: String,
    /// How many seeds.
    pub runs: u32,
    /// Devices that were given the release.
    pub exposed: Quantiles,
    /// Devices that the fault struck.
    pub harmed: Quantiles,
    /// Of them, those that do not come back by themselves.
    pub need_hands: Quantiles,
    /// How many runs were halted. Where the release is sound, each is a false halt.
    pub halted: u32,
    /// How often each kind of reason was among the reasons of a halt.
    pub halted_by: BTreeMap<String, u32>,
    /// From the first harm to the halt, in seconds, of the runs that were halted.
    pub halt_s: Option<Quantiles>,
    /// In how many runs a person was called.
    pub called: u32,
    /// From the start to 95 of 100 devices, in seconds, of the runs that came so far.
    pub fleet_done_s: Option<Quantiles>,
    /// What had to be changed for this fleet, or which settings were best.
    pub notes: Vec<String>,
    /// Why the order was refused, by seed.
    pub refused: BTreeMap<u64, String>,
    /// What must never happen and did, by seed.
    pub broken: BTreeMap<u64, Vec<String>>,
}

/// Where a figure lies over all runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half of the runs have at most this.
    pub median: f64,
    /// 95 of 100 have at most this.
    pub p95: f64,
    /// The most of any.
    pub max: f64,
}

impl Quantiles {
    fn of(mut values: Vec<f64>) -> Option<Quantiles> {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values.get(((values.len() as f64 * share).ceil() as usize).saturating_sub(1)).copied();
        Some(Quantiles { median: at(0.5)?, p95: at(0.95)?, max: at(1.0)? })
    }

    fn of_all(outcomes: &[Outcome], figure: impl Fn(&Outcome) -> u32) -> Quantiles {
        let values = outcomes.iter().map(|outcome| f64::from(figure(outcome))).collect();
        Quantiles::of(values).unwrap_or(Quantiles { median: 0.0, p95: 0.0, max: 0.0 })
    }
}

/// Runs every entrant under `runs` seeds from `seed` on. The answer does not depend on the number of threads.
pub fn many(
    scenario: &Scenario,
    entrants: &[Entrant],
    (seed, runs): (u64, u32),
    threads: usize,
    progress: Progress<'_>,
) -> Vec<Many> {
    let done = AtomicU64::new(0);
    let all = (u64::from(runs) * entrants.len() as u64).max(1);
    let of = |entrant: &Entrant| {
        let ready = Ready::new(scenario, entrant, seed);
        let seeds: Vec<u64> = (0..u64::from(runs)).map(|n| seed.wrapping_add(n)).collect();
        let outcomes = in_parallel(&seeds, threads, |_, seed| {
            let outcome = Outcome { course: Default::default(), ..ready.run(scenario, *seed, &to_the_end) };
            // Runs are short: all of them are counted.
            let _ = progress(done.fetch_add(1, Ordering::Relaxed) as f64 / all as f64);
            outcome
        });
        let broken = seeds.iter().zip(&outcomes).filter(|(_, outcome)| !outcome.broken.is_empty());
        let broken = broken.map(|(seed, outcome)| (*seed, outcome.broken.clone())).collect();
        let refused = seeds.iter().zip(&outcomes).filter_map(|(seed, outcome)| Some((*seed, outcome.refused.clone()?)));
        let refused = refused.collect();
        Many { refused, broken, ..summed(entrant.name(), ready.notes, &outcomes) }
    };
    entrants.iter().map(of).collect()
}

fn summed(policy: String, notes: Vec<String>, outcomes: &[Outcome]) -> Many {
    let mut halted_by = BTreeMap::new();
    for kind in outcomes.iter().flat_map(|outcome| {
        let mut kinds = outcome.halt_kinds.clone();
        kinds.dedup();
        kinds
    }) {
        *halted_by.entry(kind).or_insert(0) += 1;
    }
    let count = |which: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| which(outcome)).count() as u32;
    Many {
        policy,
        runs: outcomes.len() as u32,
        exposed: Quantiles::of_all(outcomes, |outcome| outcome.exposed),
        harmed: Quantiles::of_all(outcomes, |outcome| outcome.harmed),
        need_hands: Quantiles::of_all(outcomes, |outcome| outcome.need_hands),
        halted: count(|outcome| outcome.halted_at_ms.is_some()),
        halted_by,
        halt_s: Quantiles::of(outcomes.iter().filter_map(Outcome::halt_s).collect()),
        called: count(|outcome| outcome.called.is_some()),
        fleet_done_s: Quantiles::of(outcomes.iter().filter_map(Outcome::fleet_done_s).collect()),
        notes,
        refused: BTreeMap::new(),
        broken: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let all = Quantiles::of((1..=100).map(f64::from).collect()).unwrap();
        assert_eq!((all.median, all.p95, all.max), (50.0, 95.0, 100.0));
        let one = Quantiles::of(vec![7.0]).unwrap();
        assert_eq!((one.median, one.p95, one.max), (7.0, 7.0, 7.0));
        assert_eq!(Quantiles::of(Vec::new()), None);
    }
}
