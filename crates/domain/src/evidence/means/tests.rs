//! The interval held against the means that it must not leave out, and the bound against clean and slow releases.
#![allow(clippy::unwrap_used)]

use super::super::chance::Dice;
use super::super::{BlockCounts, HaltProcess};
use super::*;
use proptest::prelude::*;

fn share(value: f64) -> Share {
    Share::new(value).unwrap()
}

fn of_values(rho: f64, values: &[f64]) -> MeanSoFar {
    let mut mean = MeanSoFar::new(rho).unwrap();
    values.iter().for_each(|value| mean.observe(*value).unwrap());
    mean
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_interval_is_the_formula(values in proptest::collection::vec(-1e3..1e3_f64, 2..60), rho in 1e-3..1e6_f64) {
        let (n, sum) = (values.len() as f64, values.iter().sum::<f64>());
        let v: f64 = values.iter().map(|value| (value - sum / n).powi(2)).sum();
        let (low, high) = of_values(rho, &values).interval(share(0.05)).unwrap();
        let reach = ((v + rho) * ((v + rho) / (rho * 0.05 * 0.05)).ln()).sqrt();
        prop_assert!((n * (high - low) / 2.0 / reach - 1.0).abs() < 1e-9);
        prop_assert!((n * (high + low) / 2.0 - sum).abs() < 1e-9 * n * 1e3);
    }

    #[test]
    fn the_quantile_is_the_smallest_value_that_99_in_100_do_not_exceed(
        values in proptest::collection::vec(prop_oneof![-1e3..1e3_f64, (0..5).prop_map(f64::from)], 1..700),
    ) {
        let bound = Quantile99::of(values.iter().copied()).unwrap();
        let enough = |bound: f64| 100 * values.iter().filter(|value| **value <= bound).count() >= 99 * values.len();
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        prop_assert_eq!(sorted.iter().copied().find(|value| enough(*value)), Some(bound.get()));
        prop_assert!(100 * values.iter().filter(|value| bound.is_exceeded_by(**value)).count() <= values.len());
    }
}

/// Of `runs` runs, the share in which the interval at 5 % leaves out the true mean at any of the values from `from` on.
fn misses(seed: u64, runs: u32, from: u64, mean: f64, mut draw: impl FnMut(&mut Dice) -> f64) -> f64 {
    let mut dice = Dice::new(seed);
    let mut missed = 0;
    for _ in 0..runs {
        let mut so_far = MeanSoFar::new(100.0).unwrap();
        missed += u32::from((0..2_000).any(|_| {
            so_far.observe(draw(&mut dice)).unwrap();
            let interval = so_far.interval(share(0.05)).filter(|_| so_far.count() >= from);
            interval.is_some_and(|(low, high)| mean < low || mean > high)
        }));
    }
    f64::from(missed) / f64::from(runs)
}

#[test]
fn the_interval_leaves_out_the_true_mean_about_as_rarely_as_it_says() {
    let even = |dice: &mut Dice| 12_f64.sqrt() * dice.uniform();
    let skewed = |dice: &mut Dice| -(1.0 - dice.uniform()).ln();
    let rare = |dice: &mut Dice| if dice.uniform() < 0.001 { 1_000.0 } else { 0.0 };
    let shares = [
        misses(41, 2_000, 2, 3_f64.sqrt(), even),
        misses(42, 2_000, 2, 1.0, skewed),
        misses(43, 2_000, 100, 1.0, skewed),
        misses(44, 500, 2, 1.0, rare),
    ];
    println!(
        "left out at 5 %: even values {}, skewed {} (from the 100th on {}), rare great ones {}",
        shares[0], shares[1], shares[2], shares[3]
    );
    assert!(shares[0] <= 0.05 && shares[2] <= 0.05);
    assert!(shares[3] > 0.2, "what has not been seen is not known: that is why it halts nothing");
}

#[test]
fn the_interval_is_narrowest_about_where_it_says() {
    let reach = |rho: f64| {
        let stored = format!(r#"{{"rho":{rho},"count":1000,"mean":0,"squared_deviations":8000}}"#);
        serde_json::from_str::<MeanSoFar>(&stored).unwrap().interval(share(0.05)).unwrap().1
    };
    assert!(reach(1_000.0) < reach(500.0) && reach(1_000.0) < reach(2_000.0));
}

#[test]
fn a_billion_values_and_absurd_ones_stay_finite() {
    for (mean, squares) in [(0.0, 0.0), (-1e120, 1e249), (1e120, 4e249), (250.0, 1e15)] {
        for rho in [1e-240, 1.0, 1e240] {
            let stored =
                format!(r#"{{"rho":{rho:e},"count":1000000000,"mean":{mean:e},"squared_deviations":{squares:e}}}"#);
            let mut so_far: MeanSoFar = serde_json::from_str(&stored).unwrap();
            for value in [1e120, -1e120, 0.0, f64::MIN_POSITIVE] {
                (0..1_000).for_each(|_| so_far.observe(value).unwrap());
                for alpha in [f64::MIN_POSITIVE, 0.05, 1.0 - f64::EPSILON] {
                    let (low, high) = so_far.interval(share(alpha)).unwrap();
                    assert!(low.is_finite() && high.is_finite() && low <= high, "{so_far:?}");
                }
            }
            let back: MeanSoFar = serde_json::from_str(&serde_json::to_string(&so_far).unwrap()).unwrap();
            assert_eq!(back, so_far);
        }
    }
    let mut far = MeanSoFar::new(1.0).unwrap();
    (0..100_000).for_each(|number| far.observe(1e15 + f64::from(number % 2)).unwrap());
    assert!((far.0.squared_deviations / 25_000.0 - 1.0).abs() < 0.2, "{}", far.0.squared_deviations);
}

#[test]
fn numbers_that_are_none_are_refused_and_change_nothing() {
    let mut so_far = of_values(1.0, &[1.0, 2.0]);
    let before = so_far;
    for (bad, kind) in [
        (f64::NAN, "value_not_finite"),
        (f64::INFINITY, "value_not_finite"),
        (f64::NEG_INFINITY, "value_not_finite"),
        (-1.1e120, "value_out_of_range"),
    ] {
        assert_eq!(so_far.observe(bad).unwrap_err().kind(), kind);
        assert_eq!(Quantile99::of([1.0, bad]).unwrap_err().kind(), kind);
    }
    assert_eq!(so_far, before);
    for rho in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300, 1e-300] {
        assert_eq!(MeanSoFar::new(rho).unwrap_err().kind(), "rho_out_of_range");
    }
    assert_eq!(Quantile99::of([]).unwrap_err().kind(), "no_values");
    let mut full: MeanSoFar =
        serde_json::from_str(r#"{"rho":1,"count":9007199254740992,"mean":0,"squared_deviations":0}"#).unwrap();
    assert_eq!(full.observe(1.0).unwrap_err().kind(), "too_many_values");
    for bad in [
        r#"{"rho":0,"count":1,"mean":0,"squared_deviations":0}"#,
        r#"{"rho":1,"count":1,"mean":0,"squared_deviations":-1}"#,
        r#"{"rho":1,"count":1,"mean":1e130,"squared_deviations":0}"#,
        r#"{"rho":1,"count":18446744073709551615,"mean":0,"squared_deviations":0}"#,
        r#"{"rho":1,"count":1,"mean":0,"squared_deviations":0,"more":1}"#,
    ] {
        assert!(serde_json::from_str::<MeanSoFar>(bad).is_err(), "{bad}");
    }
    assert!(serde_json::from_str::<Quantile99>("1e200").is_err());
}

#[test]
fn nothing_is_shown_before_there_is_a_spread() {
    let nothing = MeanSoFar::new(1.0).unwrap();
    assert_eq!((nothing.mean(), nothing.interval(share(0.05))), (None, None));
    let one = of_values(1.0, &[5.0]);
    assert_eq!((one.count(), one.mean(), one.interval(share(0.05))), (1, Some(5.0), None));
    assert!(of_values(1.0, &[5.0, 5.0]).interval(share(0.05)).is_some_and(|(low, high)| low < 5.0 && high > 5.0));
}

#[test]
fn the_share_above_the_bound_halts_a_slow_release_and_no_clean_one() {
    let mut dice = Dice::new(45);
    // Latencies with a long tail: most about a tenth of a second, some of many.
    let latency_s = |dice: &mut Dice, slower: f64| slower * 0.1 * (1.0 - dice.uniform()).powf(-0.7);
    let bound = Quantile99::of((0..5_000).map(|_| latency_s(&mut dice, 1.0))).unwrap();
    let mut halted = |slower: f64| {
        let mut process = HaltProcess::new(share(5e-4));
        (0..60).any(|_| {
            let mut above = |devices: u32, slower: f64| {
                (0..devices).map(|_| u32::from(bound.is_exceeded_by(latency_s(&mut dice, slower)))).sum()
            };
            let (events, control_events) = (above(25, slower), above(100, 1.0));
            process.enter(BlockCounts::new(25, events, 100, control_events).unwrap());
            process.ln_e() >= 1e3_f64.ln()
        })
    };
    let clean = (0..1_000).filter(|_| halted(1.0)).count();
    let slow = (0..200).filter(|_| halted(4.0)).count();
    println!("p99 {:.2} s: halted {clean} of 1000 clean releases, {slow} of 200 four times as slow", bound.get());
    assert!(clean <= 1 && slow == 200);
    assert!(
        bound.is_exceeded_by(f64::NAN) && bound.is_exceeded_by(f64::INFINITY) && !bound.is_exceeded_by(bound.get())
    );
}
