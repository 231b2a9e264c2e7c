//! What a fault comes to under the policies of the house, and what it comes to where everybody gets it at once.

use crate::world::{everyone_at_once, fared, ours, world};

/// A fault that makes devices boot in a loop soon after the start.
fn boot_loop(hits: &str, rest: &str) -> String {
    format!("fault = {{ harm = \"boot_loop\", hits = [{hits}], onset = [\"1s\", \"5s\"], needs_hands = true{rest} }}")
}

#[test]
fn a_brick_of_everything_harms_ten_and_all_of_them_come_back() {
    for (seed, spared) in [(1, ""), (2, ""), (3, ", lab_is_spared = true"), (4, ", lab_is_spared = true")] {
        for policy in ["default", "expedited"] {
            let world = world(600_000, &boot_loop("{share = 1.0}", spared));
            let fared = fared(&world, ours(policy), seed);
            let outcome = &fared.outcome;
            assert!(outcome.harmed <= 10, "seed {seed}: {}", outcome.harmed);
            assert_eq!((outcome.need_hands, outcome.back), (0, outcome.harmed), "seed {seed}");
            let limit_s = if spared.is_empty() { 150.0 } else { 420.0 };
            assert!(outcome.halt_s().is_some_and(|s| s <= limit_s), "seed {seed}: {:?}", outcome.halt_s());
        }
        let all = everyone_at_once(&world(50_000, &boot_loop("{share = 1.0}", spared)), seed).outcome;
        assert!(all.harmed >= 49_900 && all.need_hands == all.harmed, "seed {seed}: {} harmed", all.harmed);
    }
}

#[test]
fn a_brick_of_one_stratum_or_one_value_harms_its_first_window() {
    for seed in 1..4 {
        let stratum = "{where = {os = \"mac\", hardware = \"b\"}, share = 1.0}";
        let outcome = fared(&world(600_000, &boot_loop(stratum, "")), ours("default"), seed).outcome;
        assert!(outcome.harmed <= 3 && outcome.halted_at_ms.is_some(), "seed {seed}: {}", outcome.harmed);
        let value = "{where = {os = \"mac\"}, share = 1.0}";
        let outcome = fared(&world(600_000, &boot_loop(value, "")), ours("default"), seed).outcome;
        assert!(outcome.harmed <= 6 && outcome.halted_at_ms.is_some(), "seed {seed}: {}", outcome.harmed);
    }
}

#[test]
fn a_brick_that_no_guard_survives_is_halted_by_silence() {
    let fault = "fault = { harm = \"brick\", hits = [{share = 1.0}], onset = [\"1s\", \"5s\"], lab_is_spared = true }";
    for seed in 1..4 {
        let outcome = fared(&world(600_000, fault), ours("default"), seed).outcome;
        assert!(outcome.harmed <= 10 && outcome.need_hands == outcome.harmed, "seed {seed}: {}", outcome.harmed);
        assert!(outcome.halt_kinds.iter().any(|kind| kind == "evidence"), "seed {seed}: {:?}", outcome.halt_reasons);
    }
}

#[test]
fn a_fault_that_shows_after_five_minutes_is_met_inside_the_proof() {
    let fault = "fault = { harm = \"errors\", hits = [{share = 1.0}], onset = [\"5min\", \"5min\"] }";
    for seed in 1..4 {
        let outcome = fared(&world(600_000, fault), ours("default"), seed).outcome;
        assert!(
            outcome.harmed <= 10 && outcome.halted_at_ms.is_some(),
            "seed {seed}: {} harmed, {:?}",
            outcome.harmed,
            outcome.halt_reasons
        );
    }
}

#[test]
fn a_release_that_cuts_devices_off_comes_back_by_its_deadline() {
    let cut = "release = { contact_deadline = \"5min\" }\nfault = { harm = \"cut_off\", hits = [{share = 1.0}], onset = [\"10s\", \"20s\"] }";
    let outcome = fared(&world(600_000, cut), ours("default"), 1).outcome;
    assert!(outcome.harmed <= 10 && outcome.halted_at_ms.is_some(), "{} harmed", outcome.harmed);
    assert_eq!((outcome.need_hands, outcome.back), (0, outcome.harmed));
}

#[test]
fn a_halt_that_orders_back_brings_back_those_who_were_well_too() {
    let fault =
        "fault = { harm = \"errors\", hits = [{share = 0.2}], onset = [\"5s\", \"30s\"], lab_is_spared = true }";
    let world = world(600_000, fault);
    for (on_halt, all_return) in [("hold", false), ("revert", true)] {
        let text =
            tidegate_sim::catalogue::POLICIES[0].1.replace("on_halt = \"hold\"", &format!("on_halt = \"{on_halt}\""));
        let policy = tidegate_domain::policy::Policy::parse(&text).unwrap();
        let outcome = fared(&world, tidegate_sim::compare::Entrant::Policy(Box::new(policy)), 1).outcome;
        assert!(outcome.halted_at_ms.is_some());
        let still_on_it = outcome.course.points.last().unwrap().updated;
        assert_eq!(still_on_it == 0, all_return, "{on_halt}: {still_on_it} run it at the end");
    }
}

#[test]
fn a_fault_of_one_value_is_blamed_on_that_value() {
    let fault = "fault = { harm = \"errors\", hits = [{where = {os = \"linux\"}, share = 0.3}], onset = [\"5s\", \"30s\"], lab_is_spared = true }";
    let (mut found, mut innocent) = (0, 0);
    for seed in 1..6 {
        let outcome = fared(&world(600_000, fault), ours("default"), seed).outcome;
        assert!(outcome.halted_at_ms.is_some(), "seed {seed}");
        found += u32::from(outcome.blamed.iter().any(|name| name == "os = linux"));
        innocent += u32::from(
            outcome.blamed.iter().any(|name| ["os = windows", "os = mac", "os = old"].contains(&name.as_str())),
        );
    }
    println!("blamed in {found} of 5 halts, somebody innocent in {innocent}");
    assert!(found >= 4 && innocent == 0, "{found} found, {innocent} innocent");
}

#[test]
fn a_release_that_destroys_what_must_stay_is_halted_by_the_first_device_that_says_so() {
    let fault =
        "fault = { harm = \"destroys\", hits = [{share = 0.001}], onset = [\"1min\", \"10min\"], beyond_repair = 1.0 }";
    for seed in 1..4 {
        let outcome = fared(&world(600_000, fault), ours("default"), seed).outcome;
        assert!(
            outcome.halt_kinds.iter().any(|kind| kind == "invariant_broken"),
            "seed {seed}: {:?}",
            outcome.halt_kinds
        );
        assert!(outcome.harmed <= 5, "seed {seed}: {}", outcome.harmed);
    }
}
