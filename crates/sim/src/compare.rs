//! Policies and rules side by side in one scenario, each on the same devices with the same luck.
//!
//! Each is run twice: with the scenario's release, and with a sound one, since what matters is how many are harmed at what speed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_domain::policy::Policy;
use tidegate_domain::time::Elapsed;

use crate::fitting::fit;
use crate::gate::{Gated, trial};
use crate::outcome::Outcome;
use crate::population::Population;
use crate::rivals::{Rival, Rule, Setting};
use crate::run::{Pace, Progress, run};
use crate::scenario::Scenario;

/// Rivals are tuned on fleets of at most this many devices.
pub const TUNING_DEVICES: u32 = 10_000;
/// How often devices check in under rivals' rules: as often as under the default policy.
const RIVALS_CHECK_IN: Elapsed = Elapsed::from_s(60);

/// Whoever spreads the release.
#[derive(Debug, Clone, PartialEq)]
pub enum Entrant {
    /// A policy of ours.
    Policy(Box<Policy>),
    /// Somebody else's rule, with the best of its settings.
    Rule(Rule),
}

/// How one of them fared.
#[derive(Debug, Clone, PartialEq)]
pub struct Fared {
    /// The policy's or the rule's name.
    pub name: String,
    /// For a rule, the settings that were best; for a policy, what had to be changed for this fleet.
    pub notes: Vec<String>,
    /// With the scenario's release.
    pub outcome: Outcome,
    /// With a sound release.
    pub sound: Outcome,
    /// Every setting that was tried, on a smaller fleet; empty for a policy.
    pub tried: Vec<Tried>,
}

/// One setting of a rule, tried on a fleet of at most [`TUNING_DEVICES`].
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// The setting.
    pub setting: Setting,
    /// Devices harmed by the scenario's release.
    pub harmed: u32,
    /// Seconds until a sound release has reached the fleet; none where it does not within the horizon.
    pub fleet_done_s: Option<f64>,
}

impl Entrant {
    /// The name in tables.
    pub fn name(&self) -> String {
        match self {
            Entrant::Policy(policy) => policy.name.to_string(),
            Entrant::Rule(rule) => rule.word().to_owned(),
        }
    }
}

/// Runs all entrants, on so many threads. The answer is the same whatever their number.
pub fn compare(
    scenario: &Scenario,
    entrants: &[Entrant],
    seed: u64,
    threads: usize,
    progress: Progress<'_>,
) -> Vec<Fared> {
    let done: Vec<Mutex<f64>> = entrants.iter().map(|_| Mutex::new(0.0)).collect();
    let note = |index: usize, share: f64| {
        if let Some(Ok(mut mine)) = done.get(index).map(Mutex::lock) {
            *mine = share;
        }
        let sum: f64 = done.iter().filter_map(|share| share.lock().ok().map(|share| *share)).sum();
        progress(sum / entrants.len().max(1) as f64);
    };
    in_parallel(entrants, threads, |index, entrant| one(scenario, entrant, seed, &|share| note(index, share)))
}

/// Works on all items, so many at a time, and gives the results in the order of the items.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(usize, &T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    let result = work(index, item);
                    if let Ok(mut results) = results.lock() {
                        results.push((index, result));
                    }
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn one(scenario: &Scenario, entrant: &Entrant, seed: u64, progress: Progress<'_>) -> Fared {
    let name = entrant.name();
    let sound = scenario.with_sound_release();
    let first = |share: f64| progress(share / 2.0);
    let second = |share: f64| progress(0.5 + share / 2.0);
    match entrant {
        Entrant::Policy(policy) => {
            let (outcome, notes) = with_policy(scenario, policy, seed, &first);
            let (sound, _) = with_policy(&sound, policy, seed, &second);
            Fared { name, notes, outcome, sound, tried: Vec::new() }
        }
        Entrant::Rule(rule) => {
            let tried = tune(scenario, *rule, seed);
            let Some(best) = best(&tried) else {
                return Fared { name, notes: Vec::new(), outcome: Outcome::default(), sound: Outcome::default(), tried };
            };
            let outcome = with_setting(scenario, &best.setting, seed, &first);
            let sound = with_setting(&sound, &best.setting, seed, &second);
            Fared { name, notes: vec![best.setting.words()], outcome, sound, tried }
        }
    }
}

/// Runs a policy of ours in a scenario; with what had to be changed in it for this fleet.
pub fn with_policy(scenario: &Scenario, policy: &Policy, seed: u64, progress: Progress<'_>) -> (Outcome, Vec<String>) {
    let population = Population::new(scenario, policy.pace.check_in, seed);
    let fitted = fit(policy, scenario, &population);
    let Some(mut gated) = Gated::new(&fitted.policy, scenario, &population) else {
        return (Outcome::default(), fitted.changes);
    };
    let pace = Pace { check_in: policy.pace.check_in, trial: trial(&fitted.policy, scenario) };
    (run(scenario, &population, &mut gated, pace, progress), fitted.changes)
}

fn with_setting(scenario: &Scenario, setting: &Setting, seed: u64, progress: Progress<'_>) -> Outcome {
    let population = Population::new(scenario, RIVALS_CHECK_IN, seed);
    let mut rival = Rival::new(setting.clone(), scenario, &population);
    run(scenario, &population, &mut rival, Pace { check_in: RIVALS_CHECK_IN, trial: None }, progress)
}

/// Tries every setting of a rule on a smaller fleet: on the scenario's release and on a sound one.
fn tune(scenario: &Scenario, rule: Rule, seed: u64) -> Vec<Tried> {
    let devices = scenario.devices.min(TUNING_DEVICES);
    let Ok(scenario) = scenario.with_devices(devices) else { return Vec::new() };
    let sound = scenario.with_sound_release();
    let silent: Progress<'_> = &|_| {};
    let try_it = |setting: Setting| {
        let harmed = with_setting(&scenario, &setting, seed, silent).harmed;
        let fleet_done_s = with_setting(&sound, &setting, seed, silent).fleet_done_s();
        Tried { setting, harmed, fleet_done_s }
    };
    rule.settings().into_iter().map(try_it).collect()
}

/// The setting that harms fewest, and of those the fastest; one that never reaches the fleet with a sound release counts last.
fn best(tried: &[Tried]) -> Option<&Tried> {
    let rank = |tried: &Tried| {
        (tried.fleet_done_s.is_none(), tried.harmed, tried.fleet_done_s.map_or(u64::MAX, |s| (s * 1e3) as u64))
    };
    tried.iter().min_by_key(|tried| rank(tried))
}
