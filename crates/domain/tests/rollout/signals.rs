//! Signals besides failures and silence: crashes that a device comes through, numbers outside their bounds, and what no release may do.

use std::collections::BTreeMap;

use tidegate_domain::observation::{FailureReason, Observation};
use tidegate_domain::policy::Policy;
use tidegate_domain::release::Worse;
use tidegate_domain::rollout::Phase;
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::gate::{HaltReason, Signal};
use tidegate_domain::time::Elapsed;

use crate::fleet::{Fleet, Nature, candidate, demo_candidates};
use crate::scenarios::plain;

fn fleet(nature: Nature, seed: u64) -> Fleet {
    fleet_under(&plain("").0, nature, seed)
}

fn fleet_under(policy: &Policy, nature: Nature, seed: u64) -> Fleet {
    let candidates = (0..1_000).map(|i| candidate(format!("d{i}"), &[], None)).collect();
    Fleet::new(policy, candidates, Elapsed::from_s(1), Elapsed::from_ms(250), nature, seed)
}

/// The signal that halted it, if evidence did.
fn signal(fleet: &Fleet) -> Option<Signal> {
    let Phase::Halted { reasons, .. } = fleet.rollout.phase() else { return None };
    reasons.iter().find_map(|reason| match reason {
        HaltReason::Evidence { signal, .. } => Some(*signal),
        _ => None,
    })
}

#[test]
fn a_release_under_which_devices_crash_once_and_go_on_halts_by_their_first_crashes() {
    for seed in 0..10 {
        let mut fleet = fleet(Nature { stumbling: (0.3, 0.02), ..Nature::good() }, seed);
        fleet.run_until_over(Elapsed::from_s(300));
        assert_eq!(signal(&fleet), Some(Signal::Crash), "seed {seed}\n{}", fleet.story());
        let exposed = fleet.rollout.taken().count();
        assert!(exposed < 200, "seed {seed}: {exposed} exposed");
    }
}

#[test]
fn numbers_outside_their_bounds_on_more_treated_than_control_halt() {
    for seed in 0..10 {
        let mut fleet = fleet(Nature { off: (0.3, 0.02), ..Nature::good() }, seed);
        fleet.run_until_over(Elapsed::from_s(300));
        assert_eq!(signal(&fleet), Some(Signal::Number), "seed {seed}\n{}", fleet.story());
        let exposed = fleet.rollout.taken().count();
        assert!(exposed < 200, "seed {seed}: {exposed} exposed");
    }
}

/// A release that more than doubles a number which nobody gave a bound for.
#[test]
fn a_number_without_a_bound_is_held_against_what_control_says() {
    for seed in 0..10 {
        let worse = |worse| Nature { off: (0.8, 0.0), worse: Some(worse), ..Nature::good() };
        let mut high = fleet(worse(Worse::Above), seed);
        high.run_until_over(Elapsed::from_s(300));
        assert_eq!(signal(&high), Some(Signal::Number), "seed {seed}\n{}", high.story());
        let exposed = high.rollout.taken().count();
        assert!(exposed < 500, "seed {seed}: {exposed} exposed");
        let learnt = high.report().numbers[0].learnt.unwrap();
        assert!(learnt.worse == Worse::Above && (140.0..=149.0).contains(&learnt.bound), "seed {seed}: {learnt:?}");

        let mut low = fleet(worse(Worse::Below), seed);
        low.run_until_over(Elapsed::from_s(600));
        assert!(matches!(low.rollout.phase(), Phase::Completed { .. }), "seed {seed}\n{}", low.story());
        let learnt = low.report().numbers[0].learnt.unwrap();
        assert!(learnt.worse == Worse::Below && (100.0..110.0).contains(&learnt.bound), "seed {seed}: {learnt:?}");
    }
}

#[test]
fn numbers_that_are_as_common_without_the_release_halt_nothing_by_a_bound_that_is_learnt() {
    for seed in 0..40 {
        for worse in [Worse::Above, Worse::Below] {
            let nature = Nature { off: (0.0, 0.01), worse: Some(worse), ..Nature::good() };
            let mut fleet = fleet(nature, 1_000 + seed);
            fleet.run_until_over(Elapsed::from_s(600));
            assert!(matches!(fleet.rollout.phase(), Phase::Completed { .. }), "seed {seed}\n{}", fleet.story());
        }
    }
}

/// Devices stay well with the release itself, and something else on them fails.
#[test]
fn a_release_under_which_other_packages_fail_halts_and_one_under_which_they_fail_anyway_does_not() {
    for seed in 0..10 {
        let mut harmful = fleet(Nature { elsewhere: (0.3, 0.02), ..Nature::good() }, seed);
        harmful.run_until_over(Elapsed::from_s(300));
        assert_eq!(signal(&harmful), Some(Signal::Hard), "seed {seed}\n{}", harmful.story());
        assert_eq!(harmful.harmed(), 0, "seed {seed}: with the release itself all are well");
        let exposed = harmful.rollout.taken().count();
        assert!(exposed < 200, "seed {seed}: {exposed} exposed");
        let mut sound = fleet(Nature { elsewhere: (0.0, 0.02), ..Nature::good() }, 1_000 + seed);
        sound.run_until_over(Elapsed::from_s(600));
        assert!(matches!(sound.rollout.phase(), Phase::Completed { .. }), "seed {seed}\n{}", sound.story());
    }
}

/// All are healthy by the end of both bands, and those with the release are so later in the second.
#[test]
fn devices_that_are_healthy_again_later_than_control_halt_where_the_policy_watches_that_and_only_there() {
    let (mut unwatched, _) = plain("");
    unwatched.prove.duration = Elapsed::from_s(12);
    let mut watched = unwatched.clone();
    watched.gate.watch_lateness = true;
    for seed in 0..10 {
        let late = || Nature { lateness: Some(Elapsed::from_s(6)), ..Nature::good() };
        let mut fleet = fleet_under(&watched, late(), seed);
        fleet.run_until_over(Elapsed::from_s(300));
        assert_eq!(signal(&fleet), Some(Signal::Late), "seed {seed}\n{}", fleet.story());
        let exposed = fleet.rollout.taken().count();
        assert!(exposed < 300, "seed {seed}: {exposed} exposed");
        let mut unseen = fleet_under(&unwatched, late(), seed);
        unseen.run_until_over(Elapsed::from_s(600));
        assert!(matches!(unseen.rollout.phase(), Phase::Completed { .. }), "seed {seed}\n{}", unseen.story());
        // Restarts take up to the whole downtime, which is nobody's lateness.
        let mut sound = fleet_under(&watched, Nature { base_silence: 0.02, ..Nature::good() }, 1_000 + seed);
        sound.run_until_over(Elapsed::from_s(600));
        assert!(matches!(sound.rollout.phase(), Phase::Completed { .. }), "seed {seed}\n{}", sound.story());
    }
}

#[test]
fn crashes_and_numbers_that_are_as_common_without_the_release_halt_nothing() {
    for seed in 0..40 {
        let nature = Nature { stumbling: (0.0, 0.1), off: (0.0, 0.1), ..Nature::good() };
        let mut fleet = fleet(nature, 1_000 + seed);
        fleet.run_until_over(Elapsed::from_s(600));
        assert!(matches!(fleet.rollout.phase(), Phase::Completed { .. }), "seed {seed}\n{}", fleet.story());
    }
}

/// All crash once and go on: nobody has failed, and nobody is silent.
#[test]
fn first_crashes_in_the_lab_halt_before_any_device_fails_and_who_did_not_take_it_speaks_for_nobody() {
    let mut policy = Policy::parse(include_str!("../../../../policies/demo.toml")).unwrap();
    // Of the eight in the lab four take it at first. Four of four are enough, four of eight would not be.
    policy.window.initial_all = 4;
    for seed in 0..20 {
        let nature = Nature { stumbling: (1.0, 0.0), ..Nature::good() };
        let every = (Elapsed::from_s(3), Elapsed::from_ms(250));
        let mut fleet = Fleet::new(&policy, demo_candidates(), every.0, every.1, nature, seed);
        fleet.run_until_over(Elapsed::from_s(300));
        let Phase::Halted { reasons, .. } = fleet.rollout.phase() else { panic!("seed {seed}\n{}", fleet.story()) };
        let by_lab = reasons.iter().find_map(|reason| match reason {
            HaltReason::LabEvidence { size, failures, .. } => Some((*size, *failures)),
            _ => None,
        });
        assert_eq!(by_lab, Some((4, 4)), "seed {seed}: {reasons:?}");
        let tally = *fleet.rollout.rings().next().unwrap().1;
        assert_eq!((tally.places, tally.taken, tally.failed), (8, 4, 0), "seed {seed}");
    }
}

#[test]
fn one_device_on_which_something_forbidden_was_done_halts_at_once_also_after_completion() {
    for complete in [false, true] {
        let mut fleet = fleet(Nature::good(), 5);
        if complete {
            fleet.run_until_over(Elapsed::from_s(600));
            assert!(matches!(fleet.rollout.phase(), Phase::Completed { .. }));
        } else {
            fleet.run_for(Elapsed::from_s(8));
        }
        let device = fleet.rollout.taken().next().unwrap().0.clone();
        let observation = Observation::Failed { reason: FailureReason::InvariantBroken, attempt: 1 };
        fleet.apply(Fact::Observed { device: device.clone(), observation, age_ms: 5_000, numbers: BTreeMap::new() });
        fleet.step();
        let Phase::Halted { reasons, .. } = fleet.rollout.phase() else { panic!("{}", fleet.story()) };
        assert_eq!(reasons.first(), Some(&HaltReason::InvariantBroken { device }));
    }
}

#[test]
fn a_device_without_the_release_that_says_so_halts_nothing() {
    let mut fleet = fleet(Nature::good(), 6);
    fleet.run_for(Elapsed::from_s(4));
    let device = "d999".parse().unwrap();
    let observation = Observation::Failed { reason: FailureReason::InvariantBroken, attempt: 1 };
    assert!(fleet.rollout.taken().all(|(taken, _)| *taken != device));
    fleet.apply(Fact::Observed { device, observation, age_ms: 5_000, numbers: BTreeMap::new() });
    fleet.run_until_over(Elapsed::from_s(600));
    assert!(matches!(fleet.rollout.phase(), Phase::Completed { .. }), "{}", fleet.story());
}
