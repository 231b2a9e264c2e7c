//! The logrank process held against its null, against a slow release, and against the ways of entering that break it.
#![allow(clippy::unwrap_used)]

use super::super::chance::Dice;
use super::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn at_equal_rates_every_next_report_leaves_the_expectation_where_it_was(
        past in proptest::collection::vec(any::<bool>(), 0..12), treated in 13..1_000_u32, control in 13..1_000_u32,
        faster in 0.0..=1.0_f64,
    ) {
        let (mut before, mut unreported) = (LogrankProcess::new(), Unreported { treated, control });
        for treated in past {
            before.enter(if treated { Side::Treated } else { Side::Control }, &mut unreported).unwrap();
        }
        let share = f64::from(unreported.treated) / f64::from(unreported.treated + unreported.control);
        let growth = |side| {
            let (mut after, mut left) = (before.clone(), unreported);
            after.enter(side, &mut left).unwrap();
            (after.ln_e() - before.ln_e()).exp()
        };
        let mean = |rate: f64| rate * growth(Side::Treated) + (1.0 - rate) * growth(Side::Control);
        prop_assert!((mean(share) - 1.0).abs() < 1e-9, "{}", mean(share));
        prop_assert!(mean(share + faster * (1.0 - share)) <= 1.0 + 1e-9, "reporting sooner is no evidence");
    }
}

/// How the ties of a slot are entered.
#[derive(Clone, Copy)]
enum Ties {
    AtRandom,
    ControlFirst,
}

/// Seconds from one check-in of a device to its next.
const CHECK_IN_S: f64 = 60.0;

/// The first check-in at or after `from_s`, in seconds of age, of a device whose check-ins fall on `phase_s`.
fn first_check_in_s(phase_s: f64, from_s: f64) -> f64 {
    phase_s + ((from_s - phase_s) / CHECK_IN_S).ceil().max(0.0) * CHECK_IN_S
}

/// The sides of one block's first reports: ages in seconds, cut into slots of two check-ins, ties as told.
fn in_slots(dice: &mut Dice, reports: &[(f64, Side)], ties: Ties) -> Vec<Side> {
    let mut keyed: Vec<(u64, f64, Side)> = reports
        .iter()
        .map(|(age_s, side)| {
            let place = match ties {
                Ties::AtRandom => dice.uniform(),
                Ties::ControlFirst => f64::from(u32::from(*side == Side::Treated)),
            };
            ((age_s / (2.0 * CHECK_IN_S)).floor() as u64, place, *side)
        })
        .collect();
    keyed.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    keyed.iter().map(|(_, _, side)| *side).collect()
}

/// Of `runs` runs of `blocks` blocks of 10 treated and 40 control, the share whose e-value ever reaches 1 / `level`, and
/// the median of the blocks that it took. `age_s` draws the age of one device's first report.
fn crossings(
    runs: u32,
    blocks: u32,
    level: f64,
    ties: Ties,
    mut age_s: impl FnMut(&mut Dice, Side) -> f64,
) -> (f64, usize) {
    let mut dice = Dice::new(31);
    let mut taken = Vec::new();
    for _ in 0..runs {
        let mut process = LogrankProcess::new();
        for block in 0..blocks {
            let sides = (0..50).map(|device| if device < 10 { Side::Treated } else { Side::Control });
            let reports: Vec<(f64, Side)> = sides.map(|side| (age_s(&mut dice, side), side)).collect();
            let mut unreported = Unreported { treated: 10, control: 40 };
            let crossed = in_slots(&mut dice, &reports, ties).into_iter().any(|side| {
                process.enter(side, &mut unreported).unwrap();
                process.ln_e() >= -level.ln()
            });
            if crossed {
                taken.push(block as usize + 1);
                break;
            }
        }
    }
    taken.sort_unstable();
    (taken.len() as f64 / f64::from(runs), taken.get(taken.len() / 2).copied().unwrap_or(0))
}

/// An age in seconds, exponential with this mean.
fn exponential_s(dice: &mut Dice, mean_s: f64) -> f64 {
    -(1.0 - dice.uniform()).ln() * mean_s
}

#[test]
fn a_release_that_reports_as_soon_as_control_is_called_slow_no_more_often_than_alpha() {
    let (strict, _) = crossings(10_000, 10, 1e-3, Ties::AtRandom, |dice, _| exponential_s(dice, 300.0));
    let (loose, _) = crossings(4_000, 10, 0.05, Ties::AtRandom, |dice, _| exponential_s(dice, 300.0));
    println!("clean release: {strict} of runs reach 1000, {loose} reach 20");
    assert!(strict <= 1e-3 && loose <= 0.05);
}

#[test]
fn a_release_that_reports_later_is_found() {
    for (slower, blocks_max) in [(1.5, 80), (3.0, 15), (20.0, 5)] {
        let mean_s = |side| if side == Side::Treated { slower * 300.0 } else { 300.0 };
        let (found, median) = crossings(400, 400, 1e-3, Ties::AtRandom, |dice, side| exponential_s(dice, mean_s(side)));
        println!("{slower} times as slow: found in {found} of runs, in the median after {} treated", 10 * median);
        assert!(found == 1.0 && median <= blocks_max, "{slower}: {found}, {median} blocks");
    }
}

#[test]
fn a_restart_makes_a_good_release_slow_unless_reports_count_from_the_end_of_its_allowance() {
    let (restart_s, allowance_s) = (90.0, 120.0_f64);
    let phase_s = |dice: &mut Dice| CHECK_IN_S * dice.uniform();
    // What the device is able to say, and when: the treated are away while they restart.
    let away_s = |side| if side == Side::Treated { restart_s } else { 0.0 };
    let (without, median) = crossings(1_000, 5, 1e-3, Ties::AtRandom, |dice, side| {
        let phase_s = phase_s(dice);
        first_check_in_s(phase_s, away_s(side))
    });
    let (with, _) = crossings(4_000, 5, 0.05, Ties::AtRandom, |dice, side| {
        let phase_s = phase_s(dice);
        first_check_in_s(phase_s, allowance_s.max(away_s(side))) - allowance_s
    });
    let (arrival, _) = crossings(1_000, 5, 1e-3, Ties::ControlFirst, |dice, side| {
        let phase_s = phase_s(dice);
        first_check_in_s(phase_s, allowance_s.max(away_s(side))) - allowance_s
    });
    println!(
        "called slow: without the allowance {without} (after {} treated), with it {with} at 0.05, ties control first {arrival}",
        10 * median
    );
    assert!(without > 0.99 && with <= 0.05 && arrival > 0.99);
}

#[test]
fn a_report_from_a_side_without_unreported_devices_is_refused_and_changes_nothing() {
    let (mut process, mut unreported) = (LogrankProcess::new(), Unreported { treated: 1, control: 2 });
    process.enter(Side::Treated, &mut unreported).unwrap();
    let before = (process.clone(), unreported);
    assert_eq!(process.enter(Side::Treated, &mut unreported).unwrap_err().kind(), "nobody_unreported");
    assert_eq!((process.clone(), unreported), before);
    for left in [1, 0] {
        process.enter(Side::Control, &mut unreported).unwrap();
        assert_eq!(unreported, Unreported { treated: 0, control: left });
    }
    assert_eq!(process, before.0, "once one side has reported completely, the rest says nothing");
}

#[test]
fn a_billion_reports_stay_finite_and_come_back_bit_for_bit() {
    for (treated, control) in [(u32::MAX, u32::MAX), (1, u32::MAX), (u32::MAX, 1)] {
        for side in [Side::Treated, Side::Control] {
            let mut one = LogrankProcess::new();
            one.enter(side, &mut Unreported { treated, control }).unwrap();
            // A billion such reports, and a thousand more.
            let mut process = LogrankProcess { ln_points: one.ln_points.map(|ln_e| 1e9 * ln_e) };
            (0..1_000).for_each(|_| process.enter(side, &mut Unreported { treated, control }).unwrap());
            assert!(process.ln_e().is_finite() && process.ln_points.iter().all(|ln_e| ln_e.is_finite()));
            let text = serde_json::to_string(&process).unwrap();
            let back: LogrankProcess = serde_json::from_str(&text).unwrap();
            assert_eq!(back.ln_points.map(f64::to_bits), process.ln_points.map(f64::to_bits));
        }
    }
    assert!(serde_json::from_str::<LogrankProcess>(r#"{"ln_points":[0,0,0,0,0],"more":1}"#).is_err());
}
