//! The policies that ship: they parse, keep the safe bounds, say what their comments claim, and pass their own check.

use std::collections::BTreeMap;

use tidegate_domain::envelope::Envelope;
use tidegate_domain::policy::{GateRule, Pace, Policy, Prove, WindowRule};
use tidegate_domain::policy_check::{FleetEstimate, PolicyProblem, check};
use tidegate_domain::rollout::reason::Signal;
use tidegate_domain::roster::rosters;
use tidegate_domain::time::Elapsed;

use crate::fleet::demo_candidates;

const DEFAULT: &str = include_str!("../../../../policies/default.toml");
const EXPEDITED: &str = include_str!("../../../../policies/expedited.toml");
const DEMO: &str = include_str!("../../../../policies/demo.toml");
const DANGER_DEMO: &str = include_str!("../../../../policies/danger-demo-envelope.toml");

fn safe() -> Envelope {
    Envelope::parse("name = \"safe\"\nrings_required = [\"lab\", \"canary\"]").unwrap()
}

fn million(policy: &Policy) -> FleetEstimate {
    let labelled = BTreeMap::from([("lab".parse().unwrap(), 20)]);
    FleetEstimate::evenly(policy, 1_000_000, &labelled, Elapsed::from_s(30))
}

#[test]
fn the_default_policy_is_the_defaults_and_keeps_the_safe_bounds() {
    let policy = Policy::parse(DEFAULT).unwrap();
    assert_eq!(policy.window, WindowRule::default());
    assert_eq!(policy.prove, Prove::default());
    assert_eq!(policy.pace, Pace::default());
    assert_eq!(policy.gate, GateRule::default());
    assert_eq!(safe().admits(&policy), Ok(()));
    let check = check(&policy, Some(&safe()), &million(&policy));
    assert_eq!(check.problems, [], "{check:#?}");
    println!("default on a million: {check:#?}");
    // One stratum: its initial 3 rules.
    assert_eq!((check.first_window, check.failures_to_wedge), (3, 3));
    assert!(check.failures_to_halt.is_some_and(|failures| failures <= 3));
}

#[test]
fn the_expedited_policy_differs_in_proof_soak_and_patience_alone() {
    let (mut expedited, default) = (Policy::parse(EXPEDITED).unwrap(), Policy::parse(DEFAULT).unwrap());
    assert_eq!(safe().admits(&expedited), Ok(()));
    assert_eq!(check(&expedited, Some(&safe()), &million(&expedited)).problems, []);
    assert!(expedited.prove.duration < default.prove.duration);
    expedited.name = default.name.clone();
    expedited.prove = default.prove.clone();
    expedited.pace = default.pace.clone();
    for (ring, of_default) in expedited.rings.iter_mut().zip(&default.rings) {
        assert!(ring.soak <= of_default.soak);
        ring.soak = of_default.soak;
    }
    assert_eq!(expedited, default);
}

#[test]
fn every_line_of_the_default_policy_that_sets_something_is_explained() {
    let mut explained = false;
    for line in DEFAULT.lines() {
        if line.starts_with('#') {
            explained = true;
        } else if line.is_empty() {
            explained = false;
        }
        let sets = line.contains(" = ") && !line.starts_with('#');
        assert!(!sets || explained || line.starts_with("name"), "{line}");
    }
}

#[test]
fn the_demo_policy_passes_the_check_on_its_own_fleet_and_says_what_will_happen() {
    let policy = Policy::parse(DEMO).unwrap();
    let envelope = Envelope::parse(DANGER_DEMO).unwrap();
    let seed = tidegate_domain::digest::Digest::of(b"seed");
    let fleet = FleetEstimate::of_rosters(&policy, &rosters(&policy, &seed, demo_candidates()), Elapsed::from_s(3));
    let check = check(&policy, Some(&envelope), &fleet);
    assert_eq!(check.problems, [], "{check:#?}");
    println!("demo: {check:#?}");
    assert_eq!((check.devices, check.first_window, check.failures_to_wedge), (60, 8, 2));
    assert_eq!(check.rings.iter().map(|ring| ring.places).collect::<Vec<_>>(), [8, 10, 42]);
    let seconds = check.time_to_whole_fleet.as_ms() / 1_000;
    assert!((40..=80).contains(&seconds), "{seconds} s");
}

#[test]
fn a_policy_that_could_never_pass_is_refused_with_the_nearest_that_could() {
    let policy = Policy::parse(&DEMO.replace("clear_hard = 0.9", "clear_hard = 0.005")).unwrap();
    let seed = tidegate_domain::digest::Digest::of(b"seed");
    let fleet = FleetEstimate::of_rosters(&policy, &rosters(&policy, &seed, demo_candidates()), Elapsed::from_s(3));
    let problems = check(&policy, None, &fleet).problems;
    let [PolicyProblem::CannotClear { ring, delta, delta_min: Some(nearest), .. }] = problems.as_slice() else {
        panic!("{problems:?}")
    };
    assert_eq!((ring.as_str(), *delta), ("canary", 0.005));
    let text = problems[0].to_string();
    assert!(text.contains("10 places cannot clear hard failures below 0.005") && text.ends_with("would do"), "{text}");
    let mended = DEMO.replace("clear_hard = 0.9", &format!("clear_hard = {nearest}"));
    assert_eq!(check(&Policy::parse(&mended).unwrap(), None, &fleet).problems, []);
}

#[test]
fn each_signal_is_held_against_its_own_rate_and_named_with_its_own_margin() {
    let text = "name = \"p\"\nrings = [{ name = \"all\", soak = \"1h\", clear_hard = 0.02, clear_silent = 0.02 }]\n";
    let check_of = |rest: &str| {
        let policy = Policy::parse(&format!("{text}{rest}")).unwrap();
        let fleet = FleetEstimate::evenly(&policy, 2_000, &BTreeMap::new(), Elapsed::from_s(30));
        check(&policy, None, &fleet)
    };
    let normal = check_of("");
    let [PolicyProblem::CannotClear { signal: Signal::Silent, delta_min: Some(nearest), .. }] = normal.problems[..]
    else {
        panic!("2 % of silence hides 2 % more of it in 2,000 devices: {:?}", normal.problems)
    };
    let text_of_it = normal.problems[0].to_string();
    assert!(text_of_it.contains("silence below 0.02 at the base rate that the policy assumes; "), "{text_of_it}");
    let [ring] = &normal.rings[..] else { panic!() };
    assert_eq!(ring.delta_min_silent, Some(nearest));
    assert!(ring.delta_min_hard < ring.delta_min_silent, "{ring:?}");
    assert_eq!(check_of("[gate]\nbase_rate_silent = 0.001").problems, [], "a fleet that is never silent");
    let failing = check_of("[gate]\nbase_rate = 0.02\nbase_rate_silent = 0.001").problems;
    assert!(matches!(failing[..], [PolicyProblem::CannotClear { signal: Signal::Hard, .. }]), "{failing:?}");
}

#[test]
fn a_policy_outside_the_envelope_on_nobody_or_on_a_lab_of_one_is_refused() {
    let policy = Policy::parse(DEMO).unwrap();
    let kinds = |fleet: &FleetEstimate, envelope: Option<&Envelope>| {
        check(&policy, envelope, fleet).problems.iter().map(PolicyProblem::kind).collect::<Vec<_>>()
    };
    let nobody = FleetEstimate { strata: BTreeMap::new(), downtime: Elapsed::ZERO };
    assert_eq!(kinds(&nobody, None), ["no_devices", "empty_ring", "empty_ring", "empty_ring"]);
    let seed = tidegate_domain::digest::Digest::of(b"seed");
    let all = demo_candidates();
    let of = |candidates| FleetEstimate::of_rosters(&policy, &rosters(&policy, &seed, candidates), Elapsed::ZERO);
    assert_eq!(kinds(&of(all.clone()), Some(&safe())), ["outside_envelope"; 7], "each bound that it leaves");
    assert_eq!(kinds(&of(all[7..].to_vec()), None), ["never_halts"]);
    assert!(kinds(&of(all[..12].to_vec()), None).contains(&"no_control"));
    assert!(kinds(&of(all[..12].to_vec()), None).contains(&"cannot_clear"));
}

#[test]
fn an_estimate_spreads_devices_by_label_and_share() {
    let policy = Policy::parse(&DEMO.replace("name = \"canary\"", "name = \"canary\"\nshare = 0.1")).unwrap();
    let labelled = BTreeMap::from([("lab".parse().unwrap(), 8)]);
    let fleet = FleetEstimate::evenly(&policy, 108, &labelled, Elapsed::ZERO);
    let strata: Vec<_> = fleet.strata.values().cloned().collect();
    assert_eq!(strata, [vec![2, 3, 23], vec![2, 3, 23], vec![2, 2, 22], vec![2, 2, 22]]);
}
