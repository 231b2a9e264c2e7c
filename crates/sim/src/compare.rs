//! Policies and rules side by side in one scenario, each on the same devices with the same luck.
//!
//! Each is run twice: with the scenario's release, and with a sound one, since what matters is how many are harmed at what speed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_domain::policy::Policy;
use tidegate_domain::time::Elapsed;

use crate::conducted::Conducted;
use crate::fitting::fit;
use crate::gate::{Gated, Trace, trial};
use crate::outcome::Outcome;
use crate::population::Population;
use crate::rivals::{Rival, Rule, Setting};
use crate::run::{Pace, Progress, run, to_the_end};
use crate::scenario::Scenario;

/// Rules are tuned on fleets of at most this many devices, unless somebody says otherwise.
pub const TUNING_DEVICES: u32 = 10_000;
/// How often devices check in under rivals' rules: as often as under the default policy.
const RIVALS_CHECK_IN: Elapsed = Elapsed::from_s(60);

/// Whoever spreads the release.
#[derive(Debug, Clone, PartialEq)]
pub enum Entrant {
    /// A policy of ours.
    Policy(Box<Policy>),
    /// Somebody else's rule, with the best of its settings.
    Rule {
        /// The rule.
        rule: Rule,
        /// Its settings are tried on a fleet of at most so many devices.
        tuned_on: u32,
    },
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

/// One setting of a rule, tried on the scenario's fleet or on a smaller one.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// The setting.
    pub setting: Setting,
    /// Devices of the fleet that it was tried on.
    pub devices: u32,
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
            Entrant::Rule { rule, .. } => rule.word().to_owned(),
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
        progress(sum / entrants.len().max(1) as f64)
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
    let ready = Ready::new(scenario, entrant, seed);
    let outcome = ready.run(scenario, seed, &|share| progress(share / 2.0));
    let sound = match &scenario.fault {
        Some(_) => ready.run(&scenario.with_sound_release(), seed, &|share| progress(0.5 + share / 2.0)),
        None => outcome.clone(),
    };
    Fared { name: entrant.name(), notes: ready.notes, outcome, sound, tried: ready.tried }
}

/// An entrant made ready for a scenario's fleet: a policy fitted, a rule tuned.
pub(crate) struct Ready {
    what: Option<Way>,
    /// What had to be changed, or which settings were best.
    pub(crate) notes: Vec<String>,
    tried: Vec<Tried>,
}

enum Way {
    Policy(Box<Policy>),
    Setting(Setting),
}

impl Ready {
    pub(crate) fn new(scenario: &Scenario, entrant: &Entrant, seed: u64) -> Ready {
        match entrant {
            Entrant::Policy(policy) => {
                let fitted = fit(policy, scenario, &Population::new(scenario, policy.pace.check_in, seed));
                Ready { what: Some(Way::Policy(Box::new(fitted.policy))), notes: fitted.changes, tried: Vec::new() }
            }
            Entrant::Rule { rule, tuned_on } => {
                let tried = tune(scenario, *rule, *tuned_on, seed);
                let best = best(&tried).map(|tried| tried.setting.clone());
                let notes = best.iter().map(Setting::words).collect();
                Ready { what: best.map(Way::Setting), notes, tried }
            }
        }
    }

    /// Runs it; nothing happens where a rule has no settings, which none has.
    pub(crate) fn run(&self, scenario: &Scenario, seed: u64, progress: Progress<'_>) -> Outcome {
        match &self.what {
            Some(Way::Policy(policy)) => with_policy(scenario, policy, seed, progress),
            Some(Way::Setting(setting)) => with_setting(scenario, setting, seed, progress),
            None => Outcome::default(),
        }
    }
}

fn with_policy(scenario: &Scenario, policy: &Policy, seed: u64, progress: Progress<'_>) -> Outcome {
    spread(scenario, policy, seed, progress, None)
}

/// Runs a policy of ours, fitted to the fleet, and tells every decision of the planner as a line of JSON; where the scenario has servers,
/// their whole log, as a history that [`crate::replay`] reads. The same seed gives the same lines, byte for byte.
pub fn trace(
    scenario: &Scenario,
    policy: &Policy,
    seed: u64,
    progress: Progress<'_>,
    tell: &mut dyn FnMut(&str),
) -> Outcome {
    let population = Population::new(scenario, policy.pace.check_in, seed);
    let policy = fit(policy, scenario, &population).policy;
    spread(scenario, &policy, seed, progress, Some(tell))
}

/// By whole servers where the scenario has any, else by the planner alone.
fn spread(scenario: &Scenario, policy: &Policy, seed: u64, progress: Progress<'_>, tell: Option<Trace<'_>>) -> Outcome {
    let population = Population::new(scenario, policy.pace.check_in, seed);
    let tell: Option<Trace<'_>> = match tell {
        Some(tell) => Some(&mut *tell),
        None => None,
    };
    let pace = Pace {
        check_in: policy.pace.check_in,
        trial: trial(policy, scenario),
        lateness_counts: policy.gate.watch_lateness,
    };
    if scenario.servers.is_some() {
        return match Conducted::new(policy, scenario, &population, seed, tell) {
            Ok(mut conducted) => run(scenario, &population, &mut conducted, pace, progress),
            Err(why) => Outcome { refused: Some(why.to_string()), ..Outcome::default() },
        };
    }
    let Some(mut gated) = Gated::new(policy, scenario, &population, tell) else { return Outcome::default() };
    run(scenario, &population, &mut gated, pace, progress)
}

fn with_setting(scenario: &Scenario, setting: &Setting, seed: u64, progress: Progress<'_>) -> Outcome {
    let population = Population::new(scenario, RIVALS_CHECK_IN, seed);
    let mut rival = Rival::new(setting.clone(), scenario, &population);
    run(
        scenario,
        &population,
        &mut rival,
        Pace { check_in: RIVALS_CHECK_IN, trial: None, lateness_counts: false },
        progress,
    )
}

/// Tries every setting of a rule on a smaller fleet: on the scenario's release and on a sound one.
fn tune(scenario: &Scenario, rule: Rule, tuned_on: u32, seed: u64) -> Vec<Tried> {
    let devices = scenario.devices.min(tuned_on);
    let Ok(scenario) = scenario.with_devices(devices) else { return Vec::new() };
    let sound = scenario.with_sound_release();
    let silent: Progress<'_> = &to_the_end;
    let try_it = |setting: Setting| {
        let harmed = with_setting(&scenario, &setting, seed, silent).harmed;
        let fleet_done_s = with_setting(&sound, &setting, seed, silent).fleet_done_s();
        Tried { setting, devices, harmed, fleet_done_s }
    };
    rule.settings().into_iter().map(try_it).collect()
}

/// A setting of a rule that did better than a policy of ours: it harmed fewer, and a sound release reached the fleet no later.
#[derive(Debug, Clone, PartialEq)]
pub struct Better {
    /// The rule's name.
    pub rule: String,
    /// The setting in words.
    pub setting: String,
    /// Devices harmed.
    pub harmed: u32,
    /// Seconds to the whole fleet.
    pub fleet_done_s: f64,
}

/// What did better than the first of these, of everything that was tried on a fleet of the same size: of each rule the setting that
/// harms fewest.
pub fn better_than_first(scenario: &Scenario, fared: &[Fared]) -> Vec<Better> {
    let Some((first, others)) = fared.split_first() else { return Vec::new() };
    let ours_s = first.sound.fleet_done_s().unwrap_or(f64::INFINITY);
    let is_better = |harmed: u32, seconds: f64| harmed < first.outcome.harmed && seconds <= ours_s;
    let mut better = Vec::new();
    for one in others.iter().filter(|one| !one.tried.is_empty()) {
        let all = one.tried.iter().filter(|tried| tried.devices == scenario.devices);
        let all = all.filter_map(|tried| Some((tried.harmed, tried.fleet_done_s?, tried.setting.words())));
        let shown = one.sound.fleet_done_s().map(|seconds| (one.outcome.harmed, seconds, one.notes.join("; ")));
        let best =
            all.chain(shown).filter(|(harmed, seconds, _)| is_better(*harmed, *seconds)).min_by_key(|found| found.0);
        better.extend(best.map(|(harmed, fleet_done_s, setting)| Better {
            rule: one.name.clone(),
            setting,
            harmed,
            fleet_done_s,
        }));
    }
    better
}

/// The setting that harms fewest, and of those the fastest; one that never reaches the fleet with a sound release counts last.
fn best(tried: &[Tried]) -> Option<&Tried> {
    let rank = |tried: &Tried| {
        (tried.fleet_done_s.is_none(), tried.harmed, tried.fleet_done_s.map_or(u64::MAX, |s| (s * 1e3) as u64))
    };
    tried.iter().min_by_key(|tried| rank(tried))
}
