//! Going on after a halt without the words of a few devices: what is left against the release without them, and what they still cost.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_domain::ids::DeviceId;
use tidegate_domain::observation::{FailureReason, Observation};
use tidegate_domain::policy::Policy;
use tidegate_domain::release::Worse;
use tidegate_domain::rollout::Phase;
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::gate::HaltReason;
use tidegate_domain::rollout::quarantine::reasons_left;
use tidegate_domain::time::Elapsed;

use crate::fleet::{Fleet, Nature, candidate};
use crate::scenarios::plain;

const STRATA: [&str; 3] = ["linux", "mac", "windows"];

/// Three strata in a policy with whatever the gate can watch.
fn watchful(more: &str) -> Policy {
    let strata =
        "[strata]\nby = [\"os\"]\nlisted = [[\"linux\"], [\"mac\"], [\"windows\"]]\n[gate]\nwatch_lateness = true\n";
    plain(&format!("{strata}{more}")).0
}

fn ordered(policy: &Policy, devices: usize, nature: Nature, seed: u64) -> Fleet {
    let candidates =
        (0..devices).map(|i| candidate(format!("d{i}"), &[("os", STRATA[i % 3])], None)).collect::<Vec<_>>();
    Fleet::new(policy, candidates, Elapsed::from_s(1), Elapsed::from_ms(250), nature, seed)
}

fn nobody() -> BTreeSet<DeviceId> {
    BTreeSet::new()
}

fn is_halted(fleet: &Fleet) -> bool {
    matches!(fleet.rollout.phase(), Phase::Halted { .. })
}

/// That all went through the gate once more comes to what it came to, to the last bit.
#[test]
fn without_nobody_the_evidence_is_what_it_was() {
    let mut policy = watchful("");
    let mut halted = 0;
    for seed in 0..12 {
        policy.halt = if seed % 2 == 0 { Default::default() } else { tidegate_domain::policy::HaltReach::Scope };
        let nature = Nature {
            crash: vec![("mac", 0.6)],
            base_failures: 0.01,
            base_silence: 0.02,
            stumbling: (0.05, 0.02),
            off: (0.1, 0.0),
            worse: Some(Worse::Above),
            ..Nature::good()
        };
        let mut first = ordered(&policy, 900, nature.clone(), seed);
        first.run_until_over(Elapsed::from_s(120));
        halted += u32::from(is_halted(&first) || !first.rollout.closed().is_empty());
        let again = |by_replay: bool| {
            let mut second = ordered(&policy, 900, nature.clone(), 1_000 + seed);
            if by_replay {
                second.rollout.quarantine([("elsewhere".parse().unwrap(), "linux".parse().unwrap())]);
            }
            second.rollout.go_on_from([&first.rollout]);
            let report = second.report();
            (report.ln_evidence.to_bits(), report.ln_halt.to_bits(), report.suspects)
        };
        assert_eq!(again(true), again(false), "seed {seed}\n{}", first.story());
    }
    assert!(halted >= 6, "{halted} of 12 halted");
}

/// Whoever is left out leaves what there would be had nobody ever counted what it said.
#[test]
fn without_somebody_the_evidence_is_what_it_would_have_been() {
    let mut unwatched = watchful("");
    // Lateness is entered again as it was.
    unwatched.gate.watch_lateness = false;
    let mut compared = 0;
    for seed in 0..6 {
        let nature = Nature { base_failures: 0.03, base_silence: 0.03, stumbling: (0.1, 0.05), ..Nature::good() };
        let of = |is_evidence: &dyn Fn(&DeviceId) -> bool, seed: u64| {
            let candidates = (0..900).map(|i| candidate(format!("d{i}"), &[("os", STRATA[i % 3])], None)).collect();
            let times = (Elapsed::from_s(1), Elapsed::from_ms(250));
            Fleet::with_evidence(&unwatched, candidates, times, nature.clone(), seed, is_evidence)
        };
        let mut first = of(&|_| true, seed);
        first.run_for(Elapsed::from_s(25));
        let never_control = |place: &tidegate_domain::rollout::place::PlaceState| !place.was_control;
        let taken = first.rollout.taken().map(|(device, _)| device.clone());
        let named =
            taken.filter(|device| first.rollout.place_of(device).is_some_and(|(_, _, place)| never_control(place)));
        for device in named.take(8).collect::<Vec<_>>() {
            let mut deaf = of(&|other| *other != device, seed);
            first.all.iter().for_each(|(at, fact)| deaf.rollout.apply(fact, *at));
            let mut second = of(&|_| true, 1_000 + seed);
            second.rollout.quarantine([(device.clone(), "linux".parse().unwrap())]);
            second.rollout.go_on_from([&first.rollout]);
            let (without, expected) = (second.report().ln_evidence, deaf.report().ln_evidence);
            assert!((without - expected).abs() < 1e-9, "seed {seed}, {device}: {without}, {expected}");
            compared += u32::from((expected - first.report().ln_evidence).abs() > 1e-9);
        }
    }
    assert!(compared >= 20, "{compared} made a difference");
}

#[test]
fn a_release_that_is_bad_stays_halted_whoever_is_named() {
    let policy = watchful("");
    let mut by_evidence = 0;
    for seed in 0..10 {
        let mut all_crash = ordered(&policy, 900, Nature::crashing(1.0), seed);
        all_crash.run_until_over(Elapsed::from_s(60));
        let two = all_crash.rollout.taken().map(|(device, _)| device.clone()).take(2).collect();
        assert!(!reasons_left([&all_crash.rollout], &two).is_empty(), "seed {seed}\n{}", all_crash.story());

        let mut some_crash = ordered(&policy, 900, Nature { base_silence: 0.02, ..Nature::crashing(0.3) }, seed);
        some_crash.run_until_over(Elapsed::from_s(300));
        let Phase::Halted { reasons, .. } = some_crash.rollout.phase() else { panic!("seed {seed}") };
        assert_eq!(reasons_left([&some_crash.rollout], &nobody()), *reasons, "seed {seed}");
        by_evidence += u32::from(reasons.iter().any(|reason| matches!(reason, HaltReason::Evidence { .. })));
        let well = some_crash.rollout.taken().filter(|(_, taken)| taken.proven).map(|(device, _)| device.clone());
        let left = reasons_left([&some_crash.rollout], &well.take(1).collect());
        assert!(!left.is_empty(), "seed {seed}: {reasons:?}");
    }
    assert!(by_evidence >= 3, "{by_evidence} of 10 halted by evidence");
}

/// Devices that lie: each says that a sound release failed.
fn slandered(policy: &Policy, liars: usize, lie: FailureReason, seed: u64) -> (Fleet, BTreeSet<DeviceId>) {
    let mut fleet = ordered(policy, 900, Nature::good(), seed);
    let mut lied = BTreeSet::new();
    while !is_halted(&fleet) && fleet.elapsed_s() < 120.0 {
        fleet.step();
        let new: Vec<DeviceId> = fleet.rollout.taken().map(|(device, _)| device.clone()).collect();
        for device in new {
            if lied.len() < liars && lied.insert(device.clone()) {
                let observation = Observation::Failed { reason: lie, attempt: 3 };
                fleet.apply(Fact::Observed { device, observation, age_ms: 100, numbers: BTreeMap::new() });
            }
        }
    }
    assert!(is_halted(&fleet), "seed {seed}\n{}", fleet.story());
    (fleet, lied)
}

#[test]
fn a_sound_release_that_a_few_devices_slander_goes_on_without_them() {
    let policy = watchful("");
    for (seed, (liars, lie)) in
        (0..5).flat_map(|seed| [(seed, (1, FailureReason::InvariantBroken)), (seed, (9, FailureReason::Crashed))])
    {
        let (mut first, lied) = slandered(&policy, liars, lie, seed);
        first.run_for(Elapsed::from_s(30));
        assert!(!reasons_left([&first.rollout], &nobody()).is_empty());
        assert_eq!(reasons_left([&first.rollout], &lied), [], "seed {seed}\n{}", first.story());
        assert!(lied.iter().all(|device| first.rollout.is_in_trouble(device)));
        let well = first.rollout.taken().find(|(device, _)| !lied.contains(*device)).map(|(device, _)| device);
        assert!(well.is_none_or(|device| !first.rollout.is_in_trouble(device)));

        let rest = |fleet: &mut Fleet| {
            let strata = lied.iter().map(|device| {
                let (_, row, _) = first.rollout.place_of(device).unwrap();
                (device.clone(), first.rollout.stratum(row.stratum).unwrap().clone())
            });
            fleet.rollout.quarantine(strata.collect::<Vec<_>>());
            fleet.rollout.go_on_from([&first.rollout]);
        };
        let mut second = ordered(&policy, 900, Nature::good(), 1_000 + seed);
        rest(&mut second);
        assert_eq!(second.rollout.quarantined(), &lied);
        second.step();
        let all = &second.report().windows[0];
        let opened: u32 = second.rollout.rows().iter().map(|row| row.opened).sum();
        assert_eq!(all.unproven, lied.len() as u32 + opened, "{all:?}");
    }
}

/// They have no place, and take the room of one in every window that holds them.
#[test]
fn whoever_is_left_out_takes_room_and_cannot_fill_a_window_with_failures() {
    let policy = watchful("");
    let opened = |left_out: &[&str]| {
        let mut fleet = ordered(&policy, 900, Nature::crashing(1.0), 1);
        let named = left_out.iter().enumerate();
        let named = named.map(|(i, os)| (format!("out{i}").parse().unwrap(), os.parse().unwrap()));
        fleet.rollout.quarantine(named.collect::<Vec<_>>());
        fleet.step();
        let by_row: Vec<u32> = fleet.rollout.rows().iter().map(|row| row.opened).collect();
        fleet.run_until_over(Elapsed::from_s(60));
        let Phase::Halted { reasons, .. } = fleet.rollout.phase() else { panic!("{}", fleet.story()) };
        (by_row, reasons.iter().all(|reason| matches!(reason, HaltReason::Wedged { .. })))
    };
    assert_eq!(opened(&[]), (vec![3, 3, 3], true));
    assert_eq!(opened(&["linux", "mac", "windows"]), (vec![2, 2, 2], true), "the places that are left wedge it");
    assert_eq!(opened(&["linux", "linux", "mac"]).0, [1, 2, 3], "and a bad release halts all the same");
}

#[test]
fn whoever_fills_a_first_window_alone_is_found_before_anybody_signs() {
    let policy = watchful("");
    let without = |left_out: &[&str]| {
        let mut fleet = ordered(&policy, 900, Nature::good(), 1);
        let named = left_out.iter().enumerate();
        let named = named.map(|(i, os)| (format!("out{i}").parse().unwrap(), os.parse().unwrap()));
        fleet.rollout.quarantine(named.collect::<Vec<_>>());
        fleet.rollout.without_room().map(ToString::to_string)
    };
    assert_eq!(without(&["linux", "linux", "mac"]), None);
    assert_eq!(without(&["mac", "mac", "mac"]), Some("stratum mac".to_owned()));
}

/// A device that is left out takes room for its values also where nobody else is of its stratum.
#[test]
fn room_is_taken_in_every_scope_that_would_have_held_the_device() {
    let two = "[strata]\nby = [\"os\", \"site\"]\nlisted = [[\"linux\", \"ams\"], [\"linux\", \"fra\"], [\"mac\", \"ams\"]]\n";
    let (policy, _) = plain(two);
    let candidates = (0..60).map(|i| candidate(format!("d{i}"), &[("os", "linux"), ("site", "fra")], None)).collect();
    let mut fleet = Fleet::new(&policy, candidates, Elapsed::from_s(1), Elapsed::from_ms(250), Nature::good(), 1);
    fleet.rollout.quarantine([("out".parse().unwrap(), "linux/ams".parse().unwrap())]);
    let rooms: BTreeMap<String, u32> =
        fleet.rollout.scopes().iter().map(|scope| (scope.name.to_string(), scope.quarantined)).collect();
    let expected = [("all devices", 1), ("os = linux", 1), ("site = fra", 0), ("stratum linux/fra", 0)];
    assert_eq!(rooms, expected.map(|(name, count)| (name.to_owned(), count)).into());
}
