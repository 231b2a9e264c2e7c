//! The process on rare events held against its null, against the figures it was designed with, and against counting
//! every crash.
#![allow(clippy::unwrap_used)]

use super::super::chance::Dice;
use super::*;
use proptest::prelude::*;

/// One treated device for every four of control, an hour each.
const ONE_TO_FOUR: DeviceTime = DeviceTime { treated_ms: 3_600_000, control_ms: 4 * 3_600_000 };

fn entered(events: &[(Side, DeviceTime)]) -> RareEventProcess {
    let mut process = RareEventProcess::new();
    events.iter().for_each(|(side, at_risk)| process.enter(*side, *at_risk));
    process
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn at_equal_rates_every_next_event_leaves_the_expectation_where_it_was(
        past in proptest::collection::vec((any::<bool>(), 1..1_000_u64, 1..1_000_u64), 0..12),
        treated_ms in prop_oneof![1..1_000_u64, Just(1), Just(u64::MAX)],
        control_ms in prop_oneof![1..1_000_u64, Just(1), Just(u64::MAX)],
        lower in 0.0..=1.0_f64,
    ) {
        let side = |treated| if treated { Side::Treated } else { Side::Control };
        let past: Vec<(Side, DeviceTime)> = past
            .iter()
            .map(|(treated, treated_ms, control_ms)| {
                (side(*treated), DeviceTime { treated_ms: *treated_ms, control_ms: *control_ms })
            })
            .collect();
        let before = entered(&past);
        let at_risk = DeviceTime { treated_ms, control_ms };
        let share = treated_ms as f64 / (treated_ms as f64 + control_ms as f64);
        let growth = |side| {
            let mut after = before.clone();
            after.enter(side, at_risk);
            (after.ln_e() - before.ln_e()).exp()
        };
        let mean = |rate: f64| rate * growth(Side::Treated) + (1.0 - rate) * growth(Side::Control);
        prop_assert!((mean(share) - 1.0).abs() < 1e-9, "{}", mean(share));
        prop_assert!(mean(lower * share) <= 1.0 + 1e-9, "a release that crashes less is no evidence");
    }
}

/// Treated devices until the e-value reaches 1000, where each has the event with probability `treated_rate` and each of
/// its four controls with 0.1 %.
fn treated_to_halt(dice: &mut Dice, treated_rate: f64) -> u32 {
    let mut process = RareEventProcess::new();
    for treated in 1..100_000 {
        (0..dice.events(1, treated_rate)).for_each(|_| process.enter(Side::Treated, ONE_TO_FOUR));
        (0..dice.events(4, 1e-3)).for_each(|_| process.enter(Side::Control, ONE_TO_FOUR));
        if process.ln_e() >= 1e3_f64.ln() {
            return treated;
        }
    }
    u32::MAX
}

#[test]
fn bad_releases_halt_after_as_many_treated_as_designed() {
    let mut dice = Dice::new(21);
    for (treated_rate, figure) in [(0.1, 50.0), (0.05, 105.0), (0.01, 830.0)] {
        let runs = 1_501;
        let mut found: Vec<u32> = (0..runs).map(|_| treated_to_halt(&mut dice, treated_rate)).collect();
        found.sort_unstable();
        let median = f64::from(found[runs / 2]);
        println!("1:4, base 0.1 %, p1 {treated_rate}: designed {figure}, measured {median}");
        assert!(median / figure < 1.15 && figure / median < 1.15, "{treated_rate}: {median} for {figure}");
    }
}

/// Of `runs` runs, the share whose e-value ever reaches 1 / `level` in a run of events.
fn crossings(runs: u32, level: f64, mut events: impl FnMut() -> Vec<(Side, DeviceTime)>) -> f64 {
    let crosses = |events: &[(Side, DeviceTime)]| {
        let mut process = RareEventProcess::new();
        events.iter().any(|(side, at_risk)| {
            process.enter(*side, *at_risk);
            process.ln_e() >= -level.ln()
        })
    };
    let crossed = (0..runs).filter(|_| crosses(&events())).count();
    crossed as f64 / f64::from(runs)
}

#[test]
fn a_clean_release_is_halted_no_more_often_than_alpha() {
    for (seed, level, runs) in [(22, 1e-3, 20_000), (23, 0.05, 5_000)] {
        let mut dice = Dice::new(seed);
        let share = crossings(runs, level, || {
            let one = |dice: &mut Dice| {
                // The treated's part of the time at risk goes up and down as the rollout opens.
                let treated_ms = 1 + u64::from(dice.events(9, 0.5));
                let at_risk = DeviceTime { treated_ms, control_ms: 10 };
                let treated = dice.uniform() < treated_ms as f64 / (treated_ms as f64 + 10.0);
                (if treated { Side::Treated } else { Side::Control }, at_risk)
            };
            (0..200).map(|_| one(&mut dice)).collect()
        });
        println!("clean release: {share} of runs reach {}", 1.0 / level);
        assert!(share <= level);
    }
}

/// A clean rollout among unlike devices: three of them crash once an hour whatever they run, the others once in 2,000
/// hours. The first fifth is treated; which three are frail is chance.
const DEVICES: usize = 500;

fn side_of(device: usize) -> Side {
    if device < DEVICES / 5 { Side::Treated } else { Side::Control }
}

/// The crashes of two weeks in the order of their time, by device: every crash, or only the first of each.
fn crashes(dice: &mut Dice, every: bool) -> Vec<usize> {
    let hours = 14.0 * 24.0;
    let mut frail = Vec::new();
    while frail.len() < 3 {
        let device = (dice.uniform() * DEVICES as f64) as usize;
        if !frail.contains(&device) {
            frail.push(device);
        }
    }
    let mut crashes = Vec::new();
    for device in 0..DEVICES {
        let hourly = if frail.contains(&device) { 1.0 } else { 1.0 / 2_000.0 };
        let mut at = -(1.0 - dice.uniform()).ln() / hourly;
        while at < hours {
            crashes.push((at, device));
            at = if every { at - (1.0 - dice.uniform()).ln() / hourly } else { f64::INFINITY };
        }
    }
    crashes.sort_by(|a, b| a.0.total_cmp(&b.0));
    crashes.into_iter().map(|(_, device)| device).collect()
}

/// First crashes with the devices at risk at each: those that have not crashed.
fn first_crashes(dice: &mut Dice) -> Vec<(Side, DeviceTime)> {
    let treated_ms = DEVICES as u64 / 5;
    let mut left = DeviceTime { treated_ms, control_ms: 4 * treated_ms };
    let enter = |device| {
        let event = (side_of(device), left);
        match event.0 {
            Side::Treated => left.treated_ms -= 1,
            Side::Control => left.control_ms -= 1,
        }
        event
    };
    crashes(dice, false).into_iter().map(enter).collect()
}

#[test]
fn counting_every_crash_halts_clean_releases_and_counting_first_crashes_does_not() {
    let mut dice = Dice::new(24);
    let every = crossings(2_000, 1e-3, || {
        crashes(&mut dice, true).into_iter().map(|device| (side_of(device), ONE_TO_FOUR)).collect()
    });
    let first = crossings(10_000, 1e-3, || first_crashes(&mut dice));
    let first_loosely = crossings(4_000, 0.05, || first_crashes(&mut dice));
    println!(
        "false halts at 0.001: every crash {every}, first crashes {first}; at 0.05: first crashes {first_loosely}"
    );
    assert!(every > 0.3 && first <= 1e-3 && first_loosely <= 0.05);
}

#[test]
fn without_time_at_risk_on_one_side_nothing_is_said() {
    for (treated_ms, control_ms) in [(0, 1), (1, 0), (0, 0)] {
        let at_risk = DeviceTime { treated_ms, control_ms };
        let process = entered(&[(Side::Treated, at_risk), (Side::Control, at_risk)]);
        assert_eq!(process, RareEventProcess::new());
        assert!(process.ln_e().abs() < 1e-12);
    }
}

#[test]
fn a_billion_events_stay_finite_and_come_back_bit_for_bit() {
    let extremes = [(1, u64::MAX), (u64::MAX, 1), (u64::MAX, u64::MAX), (1, 1)];
    for (treated_ms, control_ms) in extremes {
        for side in [Side::Treated, Side::Control] {
            let one = entered(&[(side, DeviceTime { treated_ms, control_ms })]);
            // A billion such events, and a thousand more.
            let mut process = RareEventProcess { ln_points: one.ln_points.map(|ln_e| 1e9 * ln_e) };
            (0..1_000).for_each(|_| process.enter(side, DeviceTime { treated_ms, control_ms }));
            assert!(process.ln_e().is_finite() && process.ln_points.iter().all(|ln_e| ln_e.is_finite()));
            let text = serde_json::to_string(&process).unwrap();
            let back: RareEventProcess = serde_json::from_str(&text).unwrap();
            assert_eq!(back.ln_points.map(f64::to_bits), process.ln_points.map(f64::to_bits));
        }
    }
    for bad in [r#"{"ln_points":[0,0,0,0]}"#, r#"{"ln_points":[0,0,0,0,null]}"#, r#"{"ln_points":[0,0,0,0,0],"x":1}"#] {
        assert!(serde_json::from_str::<RareEventProcess>(bad).is_err(), "{bad}");
    }
}
