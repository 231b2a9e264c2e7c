//! Scenarios: what a fleet lives through, each named as the sentence that must stay true.

use std::collections::BTreeMap;

use tidegate_domain::observation::{FailureReason, Observation};
use tidegate_domain::policy::{Policy, WindowRule};
use tidegate_domain::rollout::fact::{Escalation, Fact};
use tidegate_domain::rollout::place::Stage;
use tidegate_domain::rollout::reason::{Verdict, WaitReason};
use tidegate_domain::rollout::scope::Tally;
use tidegate_domain::rollout::{Phase, Rollout};
use tidegate_domain::roster::Candidate;
use tidegate_domain::time::Elapsed;

use crate::demonstration::halted_for;
use crate::fleet::{Fleet, Nature, candidate};

/// 60 devices of one stratum without a lab.
pub(crate) fn plain(rest: &str) -> (Policy, Vec<Candidate>) {
    let text = format!(
        r#"
        name = "plain"
        rings = [{{name = "broad", soak = "1s", clear_hard = 0.9, clear_silent = 0.9}}]
        [window]
        unproven_share_max = 1.0
        [prove]
        for = "4s"
        [pace]
        check_in = "1s"
        take_within = "10s"
        {rest}
        "#
    );
    (Policy::parse(&text).unwrap(), (0..60).map(|i| candidate(format!("d{i}"), &[], None)).collect())
}

fn fleet(policy: &Policy, candidates: Vec<Candidate>, nature: Nature, seed: u64) -> Fleet {
    Fleet::new(policy, candidates, Elapsed::from_s(1), Elapsed::from_ms(250), nature, seed)
}

fn escalations(fleet: &Fleet) -> Vec<Escalation> {
    let why = |(_, fact): &(u64, Fact)| if let Fact::Escalated { why } = fact { Some(*why) } else { None };
    fleet.log.iter().filter_map(why).collect()
}

#[test]
fn a_window_full_of_silence_where_control_is_silent_too_waits_for_a_person() {
    let (policy, candidates) = plain("");
    let mut fleet = fleet(&policy, candidates, Nature { base_silence: 1.0, ..Nature::good() }, 1);
    fleet.run_for(Elapsed::from_s(30));
    assert_eq!(fleet.rollout.phase(), &Phase::Running, "{}", fleet.story());
    assert_eq!(escalations(&fleet), [Escalation::OnlySilent]);
    let waits = WaitReason::NeedsOperator { why: Escalation::OnlySilent };
    assert!(matches!(fleet.report().verdict, Verdict::Wait(reasons) if reasons.contains(&waits)));
    assert_eq!(fleet.harmed(), 3, "the stratum's first window and no more");
}

#[test]
fn a_release_that_silences_devices_while_control_speaks_halts_by_evidence() {
    let (policy, _) = plain("");
    let candidates = (0..600).map(|i| candidate(format!("d{i}"), &[], None)).collect();
    let mut fleet = fleet(&policy, candidates, Nature { silencing: 0.5, ..Nature::good() }, 2);
    fleet.run_until_over(Elapsed::from_s(300));
    assert!(halted_for(&fleet, "evidence"), "{}", fleet.story());
    assert!(fleet.harmed() < 60, "{} harmed", fleet.harmed());
}

#[test]
fn a_window_full_of_failed_and_silent_devices_is_exhausted_without_any_control() {
    let (policy, candidates) = plain("[strata]\nby = [\"os\"]\nlisted = [[\"never\"]]");
    let nature = Nature { silencing: 1.0, base_silence: 0.0, ..Nature::good() };
    let mut fleet = fleet(&policy, candidates, nature, 3);
    fleet.run_for(Elapsed::from_s(3));
    let (device, _) = fleet.rollout.taken().next().map(|(device, taken)| (device.clone(), taken.clone())).unwrap();
    let observation = Observation::Failed { reason: FailureReason::ProbeFailed, attempt: 3 };
    fleet.apply(Fact::Observed { device, observation, age_ms: 500, numbers: BTreeMap::new() });
    fleet.run_until_over(Elapsed::from_s(60));
    assert!(halted_for(&fleet, "window_exhausted"), "{}", fleet.story());
    assert_eq!(fleet.harmed(), 3);
}

/// A dozen devices in four strata, too small for control, that may all take it at once.
fn all_at_once(seed: u64, nature: Nature) -> Fleet {
    let (mut policy, _) = plain("[strata]\nby = [\"os\"]\nlisted = [[\"a\"], [\"b\"], [\"c\"], [\"d\"]]");
    (policy.window.initial_all, policy.window.initial_value, policy.window.initial_stratum) = (100, 100, 100);
    policy.rings[0].proven_share_min = Some(0.5);
    let candidates =
        (0..12).map(|i| candidate(format!("d{i}"), &[("os", ["a", "b", "c", "d"][i % 4])], None)).collect();
    fleet(&policy, candidates, nature, seed)
}

#[test]
fn a_fleet_whose_places_all_open_at_once_passes_without_any_control() {
    for seed in 0..50 {
        let mut fleet = all_at_once(seed, Nature::good());
        fleet.run_until_over(Elapsed::from_s(60));
        let is_control =
            |(_, fact): &(u64, Fact)| matches!(fact, Fact::BlockOpened { controls, .. } if !controls.is_empty());
        assert!(!fleet.log.iter().any(is_control));
        assert!(matches!(fleet.rollout.phase(), Phase::Completed { .. }), "seed {seed}\n{}", fleet.story());
        assert_eq!((fleet.proven(), fleet.calls), (12, 0), "seed {seed}");
    }
}

#[test]
fn evidence_that_is_complete_and_does_not_clear_calls_a_person_at_once_and_once() {
    let mut called = 0;
    for seed in 0..50 {
        let mut fleet = all_at_once(seed, Nature::crashing(0.4));
        fleet.run_for(Elapsed::from_s(12));
        // A stratum whose three devices all fail is wedged and halts; few failures clear; what lies between needs a person.
        let asks = escalations(&fleet) == [Escalation::CannotClear];
        called += u32::from(asks);
        assert_eq!(asks, fleet.rollout.phase() == &Phase::Running, "seed {seed}\n{}", fleet.story());
        fleet.run_for(Elapsed::from_s(5));
        assert!(fleet.calls <= 1, "seed {seed}");
    }
    assert!(called >= 10, "{called} of 50");
}

#[test]
fn a_rollout_that_nobody_takes_calls_a_person_once() {
    let (policy, candidates) = plain("");
    let devices: Vec<_> = candidates.iter().map(|candidate| candidate.device.clone()).collect();
    let mut fleet = fleet(&policy, candidates, Nature::good(), 4);
    fleet.let_take_nothing(&devices, true);
    fleet.run_for(Elapsed::from_s(600));
    assert_eq!(escalations(&fleet), [Escalation::Stalled], "{}", fleet.story());
    assert_eq!(fleet.calls, 1);
    assert_eq!(fleet.rollout.taken().count(), 0);
    assert!(fleet.rollout.rows().len() > 10, "lapsed places come back by addendum, again and again");
    fleet.apply(Fact::Resumed { by: "ada".parse().unwrap(), reason: String::new() });
    fleet.run_for(Elapsed::from_s(600));
    assert_eq!(fleet.calls, 2, "after a person has looked it may call again");
}

#[test]
fn a_ring_that_comes_through_after_a_stall_passes_without_a_person() {
    let (policy, candidates) = plain("");
    let devices: Vec<_> = candidates.iter().map(|candidate| candidate.device.clone()).collect();
    let mut fleet = fleet(&policy, candidates, Nature::good(), 8);
    fleet.let_take_nothing(&devices, true);
    fleet.run_for(Elapsed::from_s(600));
    assert_eq!(escalations(&fleet), [Escalation::Stalled], "{}", fleet.story());
    fleet.let_take_nothing(&devices, false);
    fleet.run_until_over(Elapsed::from_s(1_200));
    assert!(matches!(fleet.rollout.phase(), Phase::Completed { .. }), "{}", fleet.story());
    assert!(fleet.proven() >= 54, "nine in ten are enough");
}

#[test]
fn a_window_that_its_share_makes_narrow_halts_when_it_is_full_of_failures() {
    let (mut policy, mut candidates) = plain("");
    policy.window.unproven_share_max = 0.25;
    candidates.truncate(7);
    let mut fleet = fleet(&policy, candidates, Nature::crashing(1.0), 9);
    fleet.run_until_over(Elapsed::from_s(60));
    assert!(halted_for(&fleet, "window_exhausted"), "{}", fleet.story());
    assert_eq!(fleet.harmed(), 1, "a quarter of seven is one");
}

#[test]
fn a_good_release_calls_nobody_and_the_holdback_stays_shut_to_the_end() {
    let (policy, candidates) = plain("[holdback]\nshare = 0.2");
    for seed in 0..50 {
        let mut fleet = fleet(&policy, candidates.clone(), Nature::good(), seed);
        fleet.run_until_over(Elapsed::from_s(300));
        fleet.run_for(Elapsed::from_s(60));
        assert!(matches!(fleet.rollout.phase(), Phase::Completed { .. }), "seed {seed}\n{}", fleet.story());
        assert_eq!((fleet.proven(), fleet.calls), (48, 0), "seed {seed}");
        let shut = |fleet: &Fleet| {
            fleet.rollout.rows()[0].places[48..].iter().filter(|place| place.stage == Stage::Waiting).count()
        };
        assert_eq!(shut(&fleet), 12);
    }
}

#[test]
fn a_holdback_with_an_end_opens_that_long_after_the_rollout_is_complete_and_not_before() {
    let (policy, candidates) = plain("[holdback]\nshare = 0.2\nfor = \"2min\"");
    let mut fleet = fleet(&policy, candidates, Nature::good(), 1);
    fleet.run_until_over(Elapsed::from_s(300));
    let Phase::Completed { at_ms } = fleet.rollout.phase().clone() else { panic!("{}", fleet.story()) };
    while fleet.now().since(at_ms) < Elapsed::from_s(119) {
        fleet.step();
    }
    assert_eq!((fleet.proven(), fleet.rollout.taken().count()), (48, 48), "not a moment sooner");
    fleet.run_for(Elapsed::from_s(30));
    assert_eq!(fleet.proven(), 60, "{}", fleet.story());
    let tally = fleet.rollout.rings().next().unwrap().1;
    assert_eq!((tally.places, tally.opened, fleet.rollout.places_left()), (60, 60, 0));
}

#[test]
fn other_opens_when_nothing_else_is_left_to_open_in_the_ring() {
    let (policy, _) = plain("[strata]\nby = [\"os\"]\nlisted = [[\"linux\"], [\"windows\"]]");
    let os = |i: usize| ["linux", "windows", "plan9"][i % 3];
    let candidates: Vec<Candidate> = (0..60).map(|i| candidate(format!("d{i}"), &[("os", os(i))], None)).collect();
    for seed in 0..20 {
        let mut fleet = fleet(&policy, candidates.clone(), Nature::good(), seed);
        let mut other_opened = 0;
        while fleet.rollout.phase() == &Phase::Running && fleet.elapsed_s() < 300.0 {
            fleet.step();
            let opened = opened_by_stratum(&fleet.rollout);
            if opened["other"].0 > other_opened {
                other_opened = opened["other"].0;
                for stratum in ["linux", "windows"] {
                    assert_eq!(opened[stratum].0, opened[stratum].1, "seed {seed}: {stratum} at {opened:?}");
                }
            }
        }
        assert_eq!(fleet.proven(), 60, "seed {seed}\n{}", fleet.story());
    }
}

/// By stratum: places open, places.
fn opened_by_stratum(rollout: &Rollout) -> BTreeMap<String, (usize, usize)> {
    let of = |row: &tidegate_domain::rollout::Row| rollout.stratum(row.stratum).unwrap().to_string();
    rollout.rows().iter().map(|row| (of(row), (row.opened as usize, row.places.len()))).collect()
}

#[test]
fn a_failure_after_the_proof_takes_nothing_from_the_window_and_counts_as_failed() {
    let (policy, candidates) = plain("");
    let mut fleet = fleet(&policy, candidates, Nature::good(), 6);
    while fleet.proven() == 0 {
        fleet.step();
    }
    let before = fleet.rollout.scopes().all().unwrap().clone();
    let device = fleet.rollout.taken().find(|(_, taken)| taken.proven).map(|(device, _)| device.clone()).unwrap();
    let observation = Observation::Failed { reason: FailureReason::Crashed, attempt: 3 };
    fleet.apply(Fact::Observed { device: device.clone(), observation, age_ms: 3_600_000, numbers: BTreeMap::new() });
    let scope = fleet.rollout.scopes().all().unwrap();
    let harmed = Tally { harmed: before.main.harmed + 1, well: before.main.well - 1, ..before.main };
    assert_eq!(scope.main, harmed, "nothing that the window counts");
    assert_eq!(scope.bound(&policy.window, false), before.bound(&policy.window, false));
    assert_eq!(fleet.rollout.rings().next().unwrap().1.failed, 1);
    assert!(fleet.rollout.taken().any(|(id, taken)| *id == device && taken.proven && taken.failed.is_some()));
}

#[test]
fn devices_enrolled_after_the_release_widen_no_window_and_stand_as_no_control() {
    let (policy, candidates) = plain("");
    let mut fleet = fleet(&policy, candidates, Nature::good(), 7);
    fleet.enrol((0..30).map(|i| format!("late{i}")), 0);
    fleet.run_for(Elapsed::from_s(2));
    let taken = |fleet: &Fleet| fleet.rollout.taken().filter(|(id, _)| id.as_str().starts_with("late")).count();
    assert!(taken(&fleet) > 0, "they stand in the window like all others\n{}", fleet.story());
    fleet.run_until_over(Elapsed::from_s(300));
    fleet.run_for(Elapsed::from_s(60));
    assert_eq!(fleet.proven(), 90);
    let all = fleet.rollout.scopes().all().unwrap();
    assert_eq!((all.main.proven, all.main.proven_late), (90, 30));
    // Growth 1, or the bound would be that of the share.
    let window = WindowRule { growth: 1, ..policy.window };
    assert_eq!(all.bound(&window, false), 10 + 60);
    let is_late = |place: &&tidegate_domain::rollout::place::PlaceState| place.device.as_str().starts_with("late");
    assert!(fleet.rollout.rows().iter().flat_map(|row| &row.places).filter(is_late).all(|place| !place.was_control));
}

#[test]
fn a_fault_of_one_stratum_harms_its_first_three() {
    let (policy, _) = plain("[strata]\nby = [\"os\"]\nlisted = [[\"linux\"], [\"mac\"], [\"windows\"]]");
    let os = |i: usize| ["linux", "windows", "mac"][i % 3];
    let candidates: Vec<Candidate> = (0..90).map(|i| candidate(format!("d{i}"), &[("os", os(i))], None)).collect();
    for seed in 0..20 {
        let nature = Nature { crash: vec![("windows", 1.0)], ..Nature::good() };
        let mut fleet = fleet(&policy, candidates.clone(), nature, seed);
        fleet.run_until_over(Elapsed::from_s(300));
        fleet.run_for(Elapsed::from_s(20));
        assert!(halted_for(&fleet, "wedged"), "seed {seed}\n{}", fleet.story());
        assert_eq!(fleet.harmed(), 3, "seed {seed}");
    }
}

#[test]
fn devices_that_crash_long_after_their_proof_are_well_again_once_they_have_returned() {
    let (policy, candidates) = plain("");
    let nature = Nature { crash_age: Some(Elapsed::from_s(20)), ..Nature::crashing(1.0) };
    let mut fleet = fleet(&policy, candidates, nature, 9);
    fleet.run_for(Elapsed::from_s(120));
    let taken: Vec<_> = fleet.rollout.taken().map(|(_, taken)| taken.clone()).collect();
    assert!(taken.iter().all(|taken| taken.returned && taken.well), "every device is back on its fallback");
}
