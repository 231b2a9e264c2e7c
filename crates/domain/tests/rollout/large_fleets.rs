//! Fleets of thousands under the default policy's windows and error rates, good and bad, over many seeds.

use std::collections::BTreeMap;

use tidegate_domain::policy::Policy;
use tidegate_domain::policy_check::{FleetEstimate, check};
use tidegate_domain::rollout::Phase;
use tidegate_domain::roster::Candidate;
use tidegate_domain::time::Elapsed;

use crate::demonstration::halted_for;
use crate::fleet::{Fleet, Nature, candidate};

const DOWNTIME: Elapsed = Elapsed::from_s(30);

/// The default policy with a canary and margins that a thousand devices can clear, and four strata.
fn policy() -> Policy {
    let text = include_str!("../../../../policies/default.toml")
        .replacen("clear_hard = 0.005\nclear_silent = 0.02", "clear_hard = 0.2\nclear_silent = 0.3", 1)
        .replace("clear_hard = 0.005\nclear_silent = 0.02", "clear_hard = 0.05\nclear_silent = 0.1")
        .replace("share = 0.01\nsoak", "share = 0.1\nsoak")
        .replace("by = []", "by = [\"os\", \"site\"]")
        .replace("listed = []", "listed = [[\"a\", \"x\"], [\"a\", \"y\"], [\"b\", \"x\"], [\"b\", \"y\"]]");
    Policy::parse(&text).unwrap()
}

fn devices(count: usize) -> Vec<Candidate> {
    (0..count)
        .map(|i| {
            let attributes = [("os", ["a", "b"][i % 2]), ("site", ["x", "y"][i / 2 % 2])];
            candidate(format!("d{i}"), &attributes, (i < 20).then_some("lab"))
        })
        .collect()
}

fn fleet(count: usize, nature: Nature, seed: u64) -> Fleet {
    Fleet::new(&policy(), devices(count), DOWNTIME, Elapsed::from_s(60), nature, seed)
}

/// What devices do anyway.
fn ordinary() -> Nature {
    Nature { base_failures: 1e-3, base_silence: 0.02, ..Nature::good() }
}

#[test]
fn the_check_says_that_a_thousand_devices_can_clear_this_policy() {
    let labelled = BTreeMap::from([("lab".parse().unwrap(), 20)]);
    let fleet = FleetEstimate::evenly(&policy(), 1_000, &labelled, DOWNTIME);
    let check = check(&policy(), None, &fleet);
    assert_eq!(check.problems, [], "{check:#?}");
}

#[test]
fn a_clean_release_completes_on_a_thousand_devices_for_every_one_of_200_seeds() {
    let (mut calls, mut hours, mut stuck) = (0, Vec::new(), 0);
    for seed in 0..200 {
        let mut fleet = fleet(1_000, ordinary(), seed);
        fleet.run_until_over(Elapsed::from_s(86_400));
        match fleet.rollout.phase() {
            Phase::Completed { .. } => {}
            Phase::Halted { reasons, .. } => panic!("seed {seed} halted: {reasons:?}\n{}", fleet.story()),
            Phase::Running | Phase::Paused { .. } => {
                stuck += 1;
                if stuck == 1 {
                    println!("seed {seed} is stuck\n{}", fleet.story());
                }
            }
        }
        calls += fleet.calls;
        hours.push(fleet.elapsed_s() / 3_600.0);
    }
    hours.sort_by(f64::total_cmp);
    println!("clean on 1,000: {:.1} h median, {:.1} h at most; {calls} calls for a person", hours[100], hours[199]);
    assert_eq!(stuck, 0);
}

#[test]
fn a_release_that_crashes_one_device_in_ten_halts_by_evidence() {
    let (mut exposed, mut by_evidence) = (Vec::new(), 0);
    for seed in 0..100 {
        let nature = Nature { crash: vec![("*", 0.1)], spares_lab: true, ..ordinary() };
        let mut fleet = fleet(2_000, nature, seed);
        fleet.run_until_over(Elapsed::from_s(86_400));
        assert!(matches!(fleet.rollout.phase(), Phase::Halted { .. }), "seed {seed}\n{}", fleet.story());
        by_evidence += u32::from(halted_for(&fleet, "evidence"));
        exposed.push(fleet.rollout.taken().count());
    }
    exposed.sort_unstable();
    println!(
        "10 % crash on 2,000: {} / {} exposed (median / 95 %), {by_evidence} of 100 by evidence",
        exposed[50], exposed[95]
    );
    assert!(by_evidence >= 60);
    assert!(exposed[50] <= 400, "{}", exposed[50]);
}
