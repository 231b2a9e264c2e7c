//! Policies that could never halt, or that leave nobody to protect: each is named with the setting and the nearest value that works.

use std::collections::BTreeMap;

use tidegate_domain::policy::Policy;
use tidegate_domain::policy_check::{FleetEstimate, PolicyCheck, PolicyProblem, Stop, StoppedBy, check};
use tidegate_domain::rollout::Phase;
use tidegate_domain::rollout::reason::Signal;
use tidegate_domain::roster::{Candidate, rosters};
use tidegate_domain::time::Elapsed;

use crate::dice::Dice;
use crate::fleet::{Fleet, Nature, candidate};

const LAB: &str = "{ name = \"lab\", lab = true, soak = \"4s\" }, ";

/// A policy of seconds with wide margins.
fn policy(lab: bool, rest: &str) -> Policy {
    let lab = if lab { LAB } else { "" };
    let text = format!(
        "name = \"p\"\nrings = [{lab}{{ name = \"all\", soak = \"4s\", clear_hard = 0.9, clear_silent = 0.9 }}]\n\
         [prove]\nfor = \"4s\"\n[pace]\ncheck_in = \"1s\"\ntake_within = \"10s\"\n{rest}"
    );
    Policy::parse(&text).unwrap()
}

/// So many devices of one stratum, the first `lab` of them in the lab.
fn candidates(devices: usize, lab: usize) -> Vec<Candidate> {
    (0..devices).map(|i| candidate(format!("d{i}"), &[], (i < lab).then_some("lab"))).collect()
}

fn check_on(policy: &Policy, candidates: Vec<Candidate>) -> PolicyCheck {
    let seed = tidegate_domain::digest::Digest::of(b"seed");
    let fleet = FleetEstimate::of_rosters(policy, &rosters(policy, &seed, candidates), Elapsed::from_s(1));
    check(policy, None, &fleet)
}

/// What a whole fleet makes of a release that breaks every device, from `stop.ring` on.
fn lived(policy: &Policy, candidates: Vec<Candidate>, stop: &Stop, seed: u64) -> Fleet {
    let spares_lab = stop.ring.as_str() != "lab" && policy.has_lab();
    let nature = match stop.signal {
        Signal::Hard => Nature { spares_lab, ..Nature::crashing(1.0) },
        Signal::Silent => Nature { spares_lab, silencing: 1.0, ..Nature::good() },
        Signal::Crash | Signal::Number | Signal::Late => panic!("no check foresees {:?}", stop.signal),
    };
    let mut fleet = Fleet::new(policy, candidates, Elapsed::from_s(1), Elapsed::from_ms(250), nature, seed);
    fleet.run_until_over(Elapsed::from_s(60));
    fleet
}

#[test]
fn what_the_rehearsal_says_is_what_a_whole_fleet_lives_through() {
    let (mut same, mut more, mut by_rule) = (0, 0, BTreeMap::new());
    for seed in 0..400_u64 {
        let mut dice = Dice::new(seed);
        let devices = *dice.pick(&[2, 3, 5, 12, 40, 60, 200]);
        let lab = if dice.chance(0.5) { dice.below(devices.min(9)) } else { 0 };
        let window = format!(
            "[window]\ninitial_all = {}\ninitial_stratum = {}\nunproven_share_max = {}\n{}",
            dice.between(1, 12),
            dice.between(1, 12),
            dice.pick(&["0.25", "0.6", "1.0"]),
            dice.pick(&["", "[gate]\ntolerate_silent = 0.4", "[gate]\nalpha = 0.1"]),
        );
        let policy = policy(lab > 0, &window);
        let candidates = candidates(devices as usize, lab as usize);
        for stop in check_on(&policy, candidates.clone()).stops {
            let fleet = lived(&policy, candidates.clone(), &stop, seed);
            let halted = matches!(fleet.rollout.phase(), Phase::Halted { .. });
            let foretold = !matches!(stop.by, StoppedBy::Window | StoppedBy::Nothing);
            let story =
                || format!("seed {seed}, {devices} devices, {lab} in the lab, {window}\n{stop:?}\n{}", fleet.story());
            *(if halted == foretold { &mut same } else { &mut more }) += 1;
            *by_rule.entry(format!("{:?}", stop.by)).or_insert(0) += 1;
            assert!(fleet.harmed() <= stop.exposed as usize, "{} harmed: {}", fleet.harmed(), story());
            // Takes of one window that fall into two ticks are two blocks with more controls: silence may halt where it was not foretold.
            assert!(halted == foretold || (halted && stop.signal == Signal::Silent), "{}", story());
        }
    }
    println!("{same} as foretold, {more} halted all the same, {by_rule:?}");
    assert!(more * 50 <= same && by_rule.len() == 6);
}

fn kinds(check: &PolicyCheck) -> Vec<&'static str> {
    check.problems.iter().map(PolicyProblem::kind).collect()
}

#[test]
fn a_setting_with_which_no_evidence_halts_is_named_with_the_nearest_value_that_does() {
    for (devices, lab, rest, signal, field) in [
        (1_000, 20, "tolerate_hard = 0.99", Some(Signal::Hard), "gate.tolerate_hard"),
        (1_000, 0, "tolerate_hard = 0.98", Some(Signal::Hard), "gate.tolerate_hard"),
        (1_000, 20, "tolerate_silent = 0.9", Some(Signal::Silent), "gate.tolerate_silent"),
        (20, 0, "tolerate_silent = 0.64", Some(Signal::Silent), "gate.tolerate_silent"),
        (20, 0, "alpha = 1e-300", Some(Signal::Hard), "gate.alpha"),
        (20, 0, "alpha = 1e-10", Some(Signal::Silent), "gate.alpha"),
        (24, 4, "lab_share = 0.999999999999", Some(Signal::Hard), "gate.lab_share"),
        (1_000, 8, "alpha = 1e-12", None, "gate.alpha"),
        (1_000, 3, "lab_share = 1e-6", None, "gate.lab_share"),
    ] {
        let with =
            |rest: &str| check_on(&policy(lab > 0, &format!("[gate]\n{rest}")), candidates(devices, lab)).problems;
        let problems = with(rest);
        let of_it = |problem: &&PolicyProblem| matches!(problem, PolicyProblem::EvidenceNeverHalts { signal: of, .. } if *of == signal);
        let Some(problem @ PolicyProblem::EvidenceNeverHalts { field: named, found, nearest, .. }) =
            problems.iter().find(of_it)
        else {
            panic!("{devices} devices, {rest}: {problems:?}")
        };
        println!("{devices} devices: {problem}");
        assert_eq!(named, field, "{rest}");
        assert!(!problem.is_final());
        assert!(
            problem.to_string().ends_with(&format!("policy field `{field}` is {found:?}; {nearest:?} would do")),
            "{problem}"
        );
        let name = field.trim_start_matches("gate.");
        let with_value = |value: f64| with(&format!("{name} = {value:e}")).iter().any(|problem| of_it(&problem));
        assert!(!with_value(*nearest), "{nearest} would not do");
        // One step of the second digit further away from what works.
        let step = 10_f64.powf(nearest.log10().floor() - 1.0) * if found > nearest { 1.0 } else { -1.0 };
        let farther = nearest + step;
        assert!(farther >= 1.0 || with_value(farther), "{farther} would do too, and is nearer");
    }
}

#[test]
fn settings_that_only_together_let_evidence_halt_are_named_together() {
    let rest = "alpha = 1e-9\nlab_share = 0.99\ntolerate_silent = 0.97";
    let problems = check_on(&policy(true, &format!("[gate]\n{rest}")), candidates(1_000, 20)).problems;
    let silent = problems.iter().filter_map(|problem| match problem {
        PolicyProblem::EvidenceNeverHalts { signal: Some(Signal::Silent), field, nearest, .. } => {
            Some(format!("{} = {nearest:e}", field.trim_start_matches("gate.")))
        }
        _ => None,
    });
    let (mut mended, named) = (rest.to_owned(), silent.collect::<Vec<_>>());
    assert!(!named.is_empty(), "{problems:?}");
    for line in &named {
        let field = line.split(" = ").next().unwrap();
        mended = mended
            .lines()
            .filter(|line| !line.starts_with(field))
            .chain([line.as_str()])
            .collect::<Vec<_>>()
            .join("\n");
    }
    assert_eq!(check_on(&policy(true, &format!("[gate]\n{mended}")), candidates(1_000, 20)).problems, [], "{mended}");
}

#[test]
fn a_fleet_too_small_for_evidence_is_not_blamed_on_the_policy() {
    for devices in [7, 12, 20] {
        let check = check_on(&policy(false, ""), candidates(devices, 0));
        assert_eq!(check.problems, [], "{devices} devices");
        assert_eq!(check.failures_to_halt.is_some(), devices == 20);
        let tolerant = check_on(&policy(false, "[gate]\ntolerate_hard = 0.9"), candidates(devices, 0)).problems;
        assert_eq!(tolerant.len(), usize::from(devices == 20), "{devices} devices: {tolerant:?}");
        let silent = check.stops.iter().find(|stop| stop.signal == Signal::Silent).unwrap();
        assert_eq!(silent.by, StoppedBy::Window, "{silent:?}");
        assert!(silent.exposed <= 3, "{silent:?}");
    }
}

#[test]
fn a_window_that_takes_in_everybody_at_once_is_named_with_the_widest_that_leaves_somebody() {
    let with = |initial_all: u32, devices| {
        let window = format!(
            "[window]\ninitial_all = {initial_all}\ninitial_value = 1000000\ninitial_stratum = 1000000\nunproven_share_max = 1.0"
        );
        check_on(&policy(false, &window), candidates(devices, 0))
    };
    let check = with(100, 7);
    let [problem @ PolicyProblem::OpensAll { places: 7, nearest: Some(nearest), .. }] = &check.problems[..] else {
        panic!("{check:#?}")
    };
    println!("{problem}");
    assert!(problem.to_string().ends_with("`window.initial_all` of 6 would do"), "{problem}");
    assert_eq!(with(*nearest, 7).problems, []);
    assert_eq!(kinds(&with(*nearest + 1, 7)), ["opens_all"]);
    // In a large fleet the first blocks leave control, and evidence halts before the window is full.
    let large = with(1_000_000, 1_000);
    assert_eq!(large.problems, [], "{large:#?}");
    assert!(large.stops.iter().all(|stop| stop.by == StoppedBy::Evidence && stop.exposed < 600), "{:?}", large.stops);
}

#[test]
fn a_ring_of_one_never_halts_and_two_are_enough() {
    for lab in [0, 1, 2] {
        let mut all = candidates(40, lab);
        if lab == 0 {
            all =
                (0..40).map(|i| candidate(format!("d{i}"), &[], Some(if i == 0 { "first" } else { "last" }))).collect();
        }
        let rings = if lab == 0 { "{ name = \"first\", soak = \"4s\" }" } else { LAB.trim_end_matches(", ") };
        let wide = ", clear_hard = 0.9, clear_silent = 0.9 }";
        let rings = rings.replace(" }", if lab == 0 { wide } else { " }" });
        let text = format!("name = \"p\"\nrings = [{rings}, {{ name = \"last\", soak = \"4s\"{wide}]\n");
        let check = check_on(&Policy::parse(&text).unwrap(), all);
        let never: Vec<_> = check.problems.iter().filter(|problem| problem.kind() == "never_halts").collect();
        match (lab, never[..].first()) {
            (0 | 1, Some(PolicyProblem::NeverHalts { places: 1, needed: Some(2), .. })) | (2, None) => {}
            (_, other) => panic!("{lab}: {other:?}"),
        }
    }
}

#[test]
fn an_order_that_ends_before_everybody_is_reached_is_named_with_the_life_that_it_needs() {
    let with = |order_life: &str| {
        let text = include_str!("../../../../policies/default.toml")
            .replace("order_life = \"90d\"", &format!("order_life = \"{order_life}\""));
        let policy = Policy::parse(&text).unwrap();
        let labelled = BTreeMap::from([("lab".parse().unwrap(), 20)]);
        check(&policy, None, &FleetEstimate::evenly(&policy, 1_000_000, &labelled, Elapsed::from_s(30)))
    };
    let short = with("1h");
    let [PolicyProblem::OrderEndsFirst { needed, .. }] = short.problems[..] else { panic!("{:?}", short.problems) };
    assert_eq!(with(&needed.to_string()).problems, []);
    assert_eq!(kinds(&with(&Elapsed::from_ms(needed.as_ms() - 1).to_string())), ["order_ends_first"]);
}
