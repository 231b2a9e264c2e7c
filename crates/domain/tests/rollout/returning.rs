//! P7: a server-ordered return is paced like a window, reaches only devices that took the release, and ends.

use std::collections::BTreeMap;

use tidegate_domain::observation::{FailureReason, Observation};
use tidegate_domain::policy::Policy;
use tidegate_domain::rollout::Rollout;
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::place::Stage;
use tidegate_domain::rollout::reason::HaltReason;
use tidegate_domain::time::Elapsed;

use crate::dice::Dice;
use crate::fleet::{Fleet, Nature, candidate};

/// 400 devices of four strata, most of which have taken the release when a person halts it.
fn halted(on_halt: &str, seed: u64) -> Fleet {
    let text = format!(
        r#"
        name = "p"
        on_halt = "{on_halt}"
        rings = [{{name = "broad", soak = "1s", clear_hard = 0.9, clear_silent = 0.9}}]
        [strata]
        by = ["os", "site"]
        listed = [["a", "x"], ["a", "y"], ["b", "x"], ["b", "y"]]
        [prove]
        for = "4s"
        [pace]
        check_in = "1s"
        take_within = "10s"
        "#
    );
    let policy = Policy::parse(&text).unwrap();
    let of = |i: usize| [("os", ["a", "b"][i % 2]), ("site", ["x", "y"][i / 2 % 2])];
    let candidates = (0..400).map(|i| candidate(format!("d{i}"), &of(i), None)).collect();
    let nature = Nature { base_failures: 0.01, base_silence: 0.02, ..Nature::good() };
    let mut fleet = Fleet::new(&policy, candidates, Elapsed::from_s(1), Elapsed::from_ms(250), nature, seed);
    fleet.run_for(Elapsed::from_s(45));
    let reasons = vec![HaltReason::ByPerson { by: "olga".parse().unwrap(), reason: "a hunch".to_owned() }];
    fleet.apply(Fact::Halted { reasons });
    fleet
}

/// By scope: devices that are ordered back and were well when they were, and devices that are back. Counted from the places alone.
fn on_their_way_and_back(rollout: &Rollout) -> BTreeMap<String, (u32, u32)> {
    let mut scopes = BTreeMap::new();
    for row in rollout.rows() {
        let stratum = rollout.stratum(row.stratum).unwrap().as_str().to_owned();
        let (os, site) = stratum.split_once('/').unwrap();
        for (index, place) in row.places.iter().enumerate().take(row.returning as usize) {
            let Stage::Taken(taken) = &place.stage else { continue };
            for scope in ["*", os, site, &stratum] {
                let (way, back) = scopes.entry(scope.to_owned()).or_insert((0, 0));
                *way += u32::from(rollout.is_to_return(row, index as u32) && taken.well);
                *back += u32::from(taken.returned);
            }
        }
    }
    scopes
}

fn assert_paced(rollout: &Rollout, seed: u64) {
    let window = &rollout.policy().window;
    for (scope, (way, back)) in on_their_way_and_back(rollout) {
        let initial = match scope.as_str() {
            "*" => window.initial_all,
            name if name.contains('/') => window.initial_stratum,
            _ => window.initial_value,
        };
        assert!(way <= initial + window.growth * back, "seed {seed}, {scope}: {way} on their way, {back} back");
    }
}

/// One of those that are ordered back says that it is.
fn one_returns(fleet: &mut Fleet, dice: &mut Dice) -> bool {
    let mut ordered = Vec::new();
    for row in fleet.rollout.rows() {
        let places = row.places.iter().enumerate();
        ordered
            .extend(places.filter(|(i, _)| fleet.rollout.is_to_return(row, *i as u32)).map(|(_, p)| p.device.clone()));
    }
    if ordered.is_empty() {
        return false;
    }
    let device = ordered.swap_remove(dice.below(ordered.len() as u64) as usize);
    let reason = FailureReason::Reverted;
    let observation = Observation::Failed { reason, attempt: 1 };
    fleet.apply(Fact::Observed { device: device.clone(), observation, age_ms: 60_000, numbers: BTreeMap::new() });
    fleet.apply(Fact::Observed {
        device,
        observation: Observation::Returned { reason },
        age_ms: 61_000,
        numbers: BTreeMap::new(),
    });
    true
}

#[test]
fn everybody_who_took_a_halted_release_is_ordered_back_within_the_window() {
    for seed in 0..20 {
        let mut fleet = halted("revert", seed);
        let (mut dice, failed) = (Dice::new(seed), fleet.rollout.taken().filter(|(_, t)| t.failed.is_some()).count());
        let taken = fleet.rollout.taken().count();
        assert!(taken > 50, "{taken}");
        while fleet.rollout.needs_steps() {
            fleet.step();
            assert_paced(&fleet.rollout, seed);
            while dice.below(3) > 0 && one_returns(&mut fleet, &mut dice) {
                assert_paced(&fleet.rollout, seed);
            }
            assert!(fleet.elapsed_s() < 3_600.0, "seed {seed}: it does not end\n{}", fleet.story());
        }
        while one_returns(&mut fleet, &mut dice) {}
        assert!(fleet.rollout.taken().all(|(_, taken)| taken.returned), "seed {seed}");
        assert_eq!(fleet.rollout.taken().count(), taken, "nobody takes it after the halt");
        let failed_now = fleet.rollout.taken().filter(|(_, taken)| taken.failed.is_some()).count();
        assert!(failed_now <= failed + 8, "seed {seed}: an ordered return counts as no failure");
    }
}

#[test]
fn a_policy_that_holds_orders_nobody_back() {
    let mut fleet = halted("hold", 1);
    fleet.run_for(Elapsed::from_s(60));
    assert!(fleet.rollout.returns().is_empty());
    assert!(!fleet.rollout.needs_steps());
}
