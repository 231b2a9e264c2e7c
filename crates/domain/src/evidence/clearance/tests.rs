//! The clearing process held against its null and against the figures it was designed with.
#![allow(clippy::unwrap_used)]

use super::super::chance::{Dice, binomial};
use super::super::projection::DeviceTerms;
use super::*;
use proptest::prelude::*;

fn share(value: f64) -> Share {
    Share::new(value).unwrap()
}

fn ln_e(delta: f64, treated: u32, events: u32, control: u32, control_events: u32) -> f64 {
    let mut process = ClearanceProcess::new(share(delta));
    process.enter(BlockCounts::new(treated, events, control, control_events).unwrap());
    process.ln_e()
}

#[test]
fn the_grid_spends_its_whole_weight_once() {
    assert!((C24.iter().map(|point| point.weight).sum::<f64>() - 1.0).abs() < 1e-12);
    for (place, point) in C24.iter().enumerate() {
        let multiple = [1.0, 2.0, 4.0, 10.0].get(place % 6).map(|multiple| point.control * multiple);
        let expected = multiple.unwrap_or(if place % 6 == 4 { 0.05 } else { 0.15 });
        assert!((point.treated / expected - 1.0).abs() < 1e-12);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_guess_expects_more_than_1_of_a_release_that_is_worse_by_delta(
        control in 0..=4_u32, treated in 1..=4_u32, base in 0.0..1.0_f64, exponent in 0.0..5.0_f64, part in 0.0..=1.0_f64,
        delta in prop_oneof![Just(5e-3), Just(0.02), Just(0.3), Just(0.9), 1e-4..0.99_f64],
    ) {
        for control_rate in [base * (1.0 - delta), 10_f64.powf(-exponent) * (1.0 - delta)] {
            let edge = control_rate + delta;
            for treated_rate in [edge.min(1.0), (edge + part * (1.0 - edge)).min(1.0)] {
                for point in C24 {
                    let mut mean = 0.0;
                    let terms = DeviceTerms::of(&[point], Null::AtLeast, delta, Exposure { treated, control })[0];
                    for control_events in 0..=control {
                        for events in 0..=treated {
                            let block = BlockCounts::new(treated, events, control, control_events).unwrap();
                            let chance =
                                binomial(control, control_events, control_rate) * binomial(treated, events, treated_rate);
                            mean += chance * terms.ln_e(block).exp();
                        }
                    }
                    prop_assert!(mean <= 1.0 + 1e-9, "{point:?} {control_rate} {treated_rate}: {mean}");
                }
            }
        }
    }
}

#[test]
fn a_release_that_is_worse_by_delta_clears_no_more_often_than_beta() {
    let mut dice = Dice::new(7);
    for (delta, base, size, control) in [
        (0.02, 0.02, 20, 20),
        (0.3, 0.01, 10, 10),
        (0.9, 0.01, 3, 3),
        (0.02, 0.0, 20, 0),
        (0.3, 0.0, 10, 0),
        (0.9, 0.0, 3, 0),
    ] {
        let runs = 3_000;
        let mut cleared = 0;
        for _ in 0..runs {
            let mut process = ClearanceProcess::new(share(delta));
            for _ in 0..20 {
                let (events, control_events) = (dice.events(size, base + delta), dice.events(control, base));
                process.enter(BlockCounts::new(size, events, control, control_events).unwrap());
                if process.cleared(share(0.01)) {
                    cleared += 1;
                    break;
                }
            }
        }
        println!("worse by {delta}, control {control}: cleared {cleared} of {runs}");
        assert!(f64::from(cleared) / f64::from(runs) <= 0.01);
    }
}

#[test]
fn a_ring_of_ten_clears_a_coarse_delta_and_fifty_a_finer_one() {
    for (treated, events, delta) in [(10_u32, 1, 0.9), (46, 1, 0.3), (50, 1, 0.3), (10, 0, 0.9)] {
        for control in [treated * 4, treated, treated.div_ceil(4)] {
            let smallest =
                (1..100).find(|percent| ln_e(f64::from(*percent) / 100.0, treated, events, control, 0) >= 100_f64.ln());
            println!(
                "{events} of {treated} failed, control {control}: e at {delta} is {:.3e}, smallest delta in % {smallest:?}",
                ln_e(delta, treated, events, control, 0).exp()
            );
            assert!(ln_e(delta, treated, events, control, 0) >= 100_f64.ln());
        }
    }
}

#[test]
fn fine_deltas_need_thousands_of_devices() {
    let needed = |delta: f64, ratio: u32| {
        (1..400_u32).map(|hundred| hundred * 100).find(|treated| {
            let events = (f64::from(*treated) * 1e-3).round() as u32;
            ln_e(delta, *treated, events, treated * ratio, events * ratio) >= 100_f64.ln()
        })
    };
    for delta in [0.002, 0.005] {
        println!(
            "devices that clear {delta} at base 1e-3, control 100/20/4/1: {:?}",
            [100, 20, 4, 1].map(|r| needed(delta, r))
        );
    }
    assert!(needed(0.002, 100).is_some_and(|count| (4_500..=8_000).contains(&count)));
    assert!(ln_e(0.002, 20, 0, 2_000, 0) < 100_f64.ln(), "twenty devices cannot clear 0.002");
}

#[test]
fn a_release_that_fails_never_clears() {
    assert!(ln_e(0.3, 50, 50, 50, 0) < 0.0);
    assert!(ln_e(0.005, 10_000, 200, 40_000, 40) < 0.0);
    assert!(!ClearanceProcess::new(share(0.9)).cleared(share(0.01)), "absence of evidence is no clearance");
    assert!(ln_e(0.005, 50, 1, 0, 0) < 0.0, "few devices without control clear no fine delta");
}

#[test]
fn a_billion_devices_stay_finite_and_come_back_bit_for_bit() {
    let billion = 1_000_000_000;
    for delta in [1e-9, 0.005, 0.3, 0.999_999] {
        for (treated, control) in [(billion, billion), (billion, 1), (1, billion), (billion, 0)] {
            for (events, control_events) in [(0, 0), (billion, 0), (0, billion), (billion, billion)] {
                let mut process = ClearanceProcess::new(share(delta));
                let block =
                    BlockCounts::new(treated, events.min(treated), control, control_events.min(control)).unwrap();
                (0..1_000).for_each(|_| process.enter(block));
                assert!(process.ln_e().is_finite() && process.ln_points.iter().all(|point| point.is_finite()));
                let text = serde_json::to_string(&process).unwrap();
                let back: ClearanceProcess = serde_json::from_str(&text).unwrap();
                assert_eq!(back.ln_points.map(f64::to_bits), process.ln_points.map(f64::to_bits));
                assert_eq!(back, process);
            }
        }
    }
}

#[test]
fn edges_found_once_serve_every_ring_of_the_same_delta_bit_for_bit() {
    let (mut simple, mut shared) = (ClearanceProcess::new(share(0.02)), ClearanceProcess::new(share(0.02)));
    for (treated, control) in [(10, 1_000), (1, 1), (30, 0), (0, 9), (250, 63)] {
        let edges = shared.edges(Exposure { treated, control });
        for (events, control_events) in [(0, 0), (treated / 3, control / 5), (treated, control)] {
            let block = BlockCounts::new(treated, events, control, control_events).unwrap();
            simple.enter(block);
            shared.enter_at(&edges, block);
            assert_eq!(shared.ln_points.map(f64::to_bits), simple.ln_points.map(f64::to_bits));
        }
    }
}
