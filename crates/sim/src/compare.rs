//! Policies and rules side by side in one scenario, each on the same devices with the same luck.

use tidegate_domain::policy::Policy;

use crate::gate::{Gated, on_this_fleet, trial};
use crate::outcome::Outcome;
use crate::population::Population;
use crate::rivals::{Rival, Rule, Setting};
use crate::run::{Pace, Progress, run};
use crate::scenario::Scenario;

/// Rivals are tuned on fleets of at most this many devices.
const TUNING_DEVICES: u32 = 20_000;

/// Runs a policy of ours in a scenario.
pub fn with_policy(scenario: &Scenario, policy: &Policy, seed: u64, progress: Progress<'_>) -> Outcome {
    let population = Population::new(scenario, policy.pace.check_in, seed);
    let policy = on_this_fleet(policy, scenario, &population);
    let Some(mut gated) = Gated::new(&policy, scenario, &population) else { return Outcome::default() };
    let pace = Pace { check_in: policy.pace.check_in, trial: trial(&policy, scenario) };
    run(scenario, &population, &mut gated, pace, progress)
}

/// Runs a rival's rule with one choice of its settings.
pub fn with_setting(scenario: &Scenario, setting: &Setting, seed: u64, progress: Progress<'_>) -> Outcome {
    let check_in = tidegate_domain::time::Elapsed::from_s(60);
    let population = Population::new(scenario, check_in, seed);
    let mut rival = Rival::new(setting.clone(), scenario, &population);
    run(scenario, &population, &mut rival, Pace { check_in, trial: None }, progress)
}

/// One setting of a rule, tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// The setting.
    pub setting: Setting,
    /// Devices harmed by the scenario's release.
    pub harmed: u32,
    /// Seconds until a sound release has reached the fleet; none where it does not within the horizon.
    pub fleet_done_s: Option<f64>,
}

/// Tries every setting of a rule on a fleet of at most 20,000 devices: on the scenario's release and on a sound one.
pub fn tune(scenario: &Scenario, rule: Rule, seed: u64) -> Vec<Tried> {
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
