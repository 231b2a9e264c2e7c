//! A part of the fleet that is halted alone: what is closed stays closed, the rest goes on, and no bound is widened by it.

use tidegate_domain::ids::DeviceId;
use tidegate_domain::incident::{Incident, IncidentState, Restoration};
use tidegate_domain::rollout::Phase;
use tidegate_domain::rollout::fact::{Fact, RowCount};
use tidegate_domain::rollout::gate::HaltReason;
use tidegate_domain::rollout::place::Stage;
use tidegate_domain::rollout::scope::ScopeName;
use tidegate_domain::rollout::take::Take;
use tidegate_domain::time::Elapsed;

use crate::fleet::{Fleet, Nature};
use crate::six_strata;

/// 1,200 devices in six strata.
fn fleet(rest: &str, nature: Nature, seed: u64) -> Fleet {
    six_strata::fleet(rest, 1_200, nature, seed)
}

fn closed(fleet: &Fleet) -> Vec<String> {
    fleet.rollout.closed().iter().map(|closed| closed.scope.to_string()).collect()
}

/// P1 in the scope of all devices, counted from the places.
fn hold_window(fleet: &Fleet) {
    let report = fleet.report();
    for window in &report.windows {
        assert!(window.unproven <= window.bound, "{window:?}\n{}", fleet.story());
    }
}

const BRICK: &str = "mac/fra";

#[test]
fn a_fault_of_one_stratum_closes_it_alone_and_the_rest_is_completed() {
    for seed in 0..20 {
        let nature = Nature { crash: vec![(BRICK, 1.0)], base_failures: 0.002, ..Nature::good() };
        let mut fleet = fleet("halt = \"scope\"", nature, seed);
        while matches!(fleet.rollout.phase(), Phase::Running) && fleet.elapsed_s() < 900.0 {
            fleet.step();
            hold_window(&fleet);
        }
        assert!(matches!(fleet.rollout.phase(), Phase::Completed { .. }), "seed {seed}\n{}", fleet.story());
        assert_eq!(closed(&fleet), [format!("stratum {BRICK}")], "seed {seed}");
        assert!(fleet.calls >= 1, "a person is called");
        assert_eq!(of_closed(&fleet).0, 3, "seed {seed}: its first window");
        let others = fleet.rollout.taken().filter(|(device, _)| !is_of_it(device)).count();
        assert!(others >= 940, "seed {seed}: {others} of the others");
    }
}

#[test]
fn under_the_usual_policy_the_same_fault_halts_the_rollout() {
    let nature = Nature { crash: vec![(BRICK, 1.0)], ..Nature::good() };
    let mut fleet = fleet("", nature, 1);
    fleet.run_until_over(Elapsed::from_s(300));
    assert!(matches!(fleet.rollout.phase(), Phase::Halted { .. }), "{}", fleet.story());
    assert!(closed(&fleet).is_empty());
}

#[test]
fn a_fault_of_one_value_closes_its_strata_or_the_value_and_one_of_everybody_halts_all() {
    for seed in 0..10 {
        let nature = Nature { crash: vec![("mac/ams", 1.0), (BRICK, 1.0)], ..Nature::good() };
        let mut of_value = fleet("halt = \"scope\"", nature, seed);
        of_value.run_until_over(Elapsed::from_s(900));
        assert!(matches!(of_value.rollout.phase(), Phase::Completed { .. }), "seed {seed}\n{}", of_value.story());
        assert!(closed(&of_value).iter().all(|scope| scope.contains("mac")), "{:?}", closed(&of_value));
        let mut of_all = fleet("halt = \"scope\"", Nature::crashing(1.0), seed);
        of_all.run_until_over(Elapsed::from_s(900));
        assert!(matches!(of_all.rollout.phase(), Phase::Halted { .. }), "seed {seed}\n{}", of_all.story());
        assert!(of_all.harmed() <= 10, "seed {seed}: {}", of_all.harmed());
    }
}

#[test]
fn a_sound_release_closes_nothing() {
    for seed in 0..30 {
        let nature = Nature { base_failures: 0.01, base_silence: 0.02, ..Nature::good() };
        let mut fleet = fleet("halt = \"scope\"", nature, 500 + seed);
        fleet.run_until_over(Elapsed::from_s(900));
        assert!(closed(&fleet).is_empty(), "seed {seed}\n{}", fleet.story());
    }
}

/// Whether a device is of the stratum that breaks.
fn is_of_it(device: &DeviceId) -> bool {
    device.as_str()[1..].parse::<usize>().unwrap() % 6 == 3
}

#[test]
fn what_a_closed_part_leaves_behind_is_an_incident_of_its_own_and_grows_when_all_is_halted() {
    for seed in 0..10 {
        let nature = Nature { crash: vec![(BRICK, 1.0)], ..Nature::good() };
        let mut fleet = fleet("halt = \"scope\"", nature, seed);
        while closed(&fleet).is_empty() && fleet.elapsed_s() < 900.0 {
            assert_eq!(Incident::open(&fleet.rollout, fleet.now()), None, "seed {seed}: nothing is halted yet");
            fleet.step();
        }
        let mut incident = Incident::open(&fleet.rollout, fleet.now()).unwrap();
        assert_eq!(incident.opened_at_ms, fleet.rollout.closed()[0].at_ms);
        let (mut whole, mut grown) = (fleet.rollout.clone(), incident.clone());
        let reasons = vec![HaltReason::ByPerson { by: "ada".parse().unwrap(), reason: "enough".to_owned() }];
        whole.apply(&Fact::Halted { reasons }, fleet.now());
        grown.observe(&whole, fleet.now());
        assert_eq!((grown.parts.len(), grown.reasons.len()), (0, incident.reasons.len() + 1), "seed {seed}: {grown:?}");
        assert_eq!(grown.devices.exposed as usize, whole.taken().count(), "seed {seed}");
        fleet.run_for(Elapsed::from_s(120));
        incident.observe(&fleet.rollout, fleet.now());
        assert!(matches!(incident.state, IncidentState::Restored { .. }), "seed {seed}: {incident:?}");
        assert_eq!(incident.parts.iter().map(ToString::to_string).collect::<Vec<_>>(), closed(&fleet), "seed {seed}");
        let of_it = fleet.rollout.taken_of_halted().map(|(device, _)| device).filter(|device| is_of_it(device)).count();
        let counts =
            Restoration { exposed: 3, harmed: 3, healed: 3, restored: 3, back_without_hands: 3, needs_hands: 0 };
        assert_eq!((incident.devices, of_it), (counts, 3), "seed {seed}: of the part alone");
        let all = fleet.rollout.taken().count();
        assert!(all > 3 && fleet.rollout.taken_of_halted().count() == 3, "seed {seed}");
    }
}

/// Devices of the closed stratum that took the release, and those of them that are well on it.
fn of_closed(fleet: &Fleet) -> (usize, Vec<DeviceId>) {
    let of_it = || fleet.rollout.taken().filter(|(device, _)| is_of_it(device));
    (of_it().count(), of_it().filter(|(_, taken)| taken.failed.is_none()).map(|(device, _)| device.clone()).collect())
}

#[test]
fn nobody_of_a_closed_part_takes_the_release_any_more_and_who_is_well_on_it_is_ordered_back() {
    let (mut ordered_back, mut closings) = (0, 0);
    for seed in 0..30 {
        let nature = Nature { crash: vec![(BRICK, 0.8)], ..Nature::good() };
        let mut fleet = fleet("halt = \"scope\"\non_halt = \"revert\"", nature, seed);
        while closed(&fleet).is_empty() && fleet.rollout.phase() == &Phase::Running && fleet.elapsed_s() < 900.0 {
            fleet.step();
        }
        // Evidence whose greatest part is that of all devices halts them all.
        if closed(&fleet).is_empty() {
            assert!(matches!(fleet.rollout.phase(), Phase::Halted { .. }), "{}", fleet.story());
            continue;
        }
        closings += 1;
        let (taken, _) = of_closed(&fleet);
        for device in (0..1_200).map(|i| format!("d{i}").parse().unwrap()).filter(is_of_it) {
            assert_ne!(fleet.rollout.may_take(&device, fleet.now()), Ok(Take::New), "{device}");
        }
        let all = fleet.rollout.taken().count();
        fleet.run_for(Elapsed::from_s(30));
        let (later, well) = of_closed(&fleet);
        assert_eq!(later, taken, "seed {seed}");
        assert!(fleet.rollout.taken().count() > all, "the others went on");
        for device in well {
            let (at, row, _) = fleet.rollout.place_of(&device).unwrap();
            assert!(fleet.rollout.is_to_return(row, at.index), "{device}\n{}", fleet.story());
            ordered_back += 1;
        }
        let elsewhere = fleet.rollout.rows().iter().filter(|row| row.returning > 0);
        assert!(elsewhere.clone().all(|row| fleet.rollout.is_closed(usize::from(row.stratum))));
    }
    assert!(ordered_back > 0 && closings > 3, "{ordered_back} ordered back in {closings} closings");
}

#[test]
fn a_place_that_was_open_when_its_part_was_closed_gives_no_go_and_no_permit_opens_another() {
    let mut fleet = fleet("halt = \"scope\"", Nature::good(), 9);
    fleet.step();
    let open = |fleet: &Fleet| {
        let places = fleet.rollout.rows().iter().flat_map(|row| &row.places);
        let open = places.filter(|place| matches!(place.stage, Stage::Open { .. }) && is_of_it(&place.device));
        open.map(|place| place.device.clone()).collect::<Vec<_>>()
    };
    let device = open(&fleet).remove(0);
    assert_eq!(fleet.rollout.may_take(&device, fleet.now()), Ok(Take::New));
    let scope = ScopeName::Stratum { stratum: BRICK.parse().unwrap() };
    let reasons = vec![HaltReason::Wedged { scope: scope.clone(), failed: 3, places: 3 }];
    fleet.apply(Fact::ScopeHalted { scopes: vec![scope], reasons });
    assert!(fleet.rollout.may_take(&device, fleet.now()).is_err());
    let before = open(&fleet).len();
    let count = RowCount { stratum: BRICK.parse().unwrap(), addendum: 0, count: 100 };
    let take_by_ms = fleet.now().after(Elapsed::from_s(60));
    fleet.apply(Fact::PermitIssued { step: 99, counts: vec![count], take_by_ms });
    assert_eq!(open(&fleet).len(), before, "whatever a permit says");
}

#[test]
fn half_of_a_fleet_is_no_part_of_it() {
    let mut halted = 0;
    for seed in 0..30 {
        let broken = ["linux/ams", "linux/fra", "mac/ams", "mac/fra"].map(|stratum| (stratum, 0.5));
        let mut fleet = fleet("halt = \"scope\"", Nature { crash: broken.to_vec(), ..Nature::good() }, seed);
        fleet.run_until_over(Elapsed::from_s(900));
        let strata = (0..6).filter(|stratum| fleet.rollout.is_closed(*stratum)).count();
        assert!(strata < 3, "seed {seed}: {strata} of six strata closed\n{}", fleet.story());
        halted += u32::from(matches!(fleet.rollout.phase(), Phase::Halted { .. }));
    }
    assert_eq!(halted, 30);
}

#[test]
fn who_is_well_in_a_closed_part_is_ordered_back_after_the_rest_is_completed_too() {
    let mut fleet = fleet("halt = \"scope\"\non_halt = \"revert\"", Nature::good(), 4);
    while of_closed(&fleet).1.len() < 6 {
        fleet.step();
    }
    let scope = ScopeName::Stratum { stratum: BRICK.parse().unwrap() };
    let reasons = vec![HaltReason::Wedged { scope: scope.clone(), failed: 3, places: 3 }];
    fleet.apply(Fact::ScopeHalted { scopes: vec![scope], reasons });
    fleet.apply(Fact::Completed);
    fleet.step();
    let ordered = fleet.rollout.rows().iter().filter(|row| row.returning > 0).count();
    assert_eq!(ordered, 1, "its own roster alone\n{}", fleet.story());
}

#[test]
fn what_was_closed_stays_closed_when_the_same_files_are_ordered_again() {
    let bricks = || Nature { crash: vec![(BRICK, 1.0)], ..Nature::good() };
    let mut first = fleet("halt = \"scope\"", bricks(), 1);
    first.run_until_over(Elapsed::from_s(900));
    assert_eq!(closed(&first), [format!("stratum {BRICK}")]);
    let mut second = fleet("halt = \"scope\"", bricks(), 2);
    second.rollout.go_on_from([&first.rollout]);
    second.run_until_over(Elapsed::from_s(900));
    assert!(matches!(second.rollout.phase(), Phase::Completed { .. }), "{}", second.story());
    assert_eq!(second.harmed(), 0, "nobody of the closed part takes it again");
}
