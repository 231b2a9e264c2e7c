//! The forecasts held against the figures that the policies were designed with.
#![allow(clippy::unwrap_used)]

use super::super::{Weights, threshold};
use super::*;

fn share(value: f64) -> Share {
    Share::new(value).unwrap()
}

fn brick(ratio: ControlRatio, block_size: u32) -> Option<u32> {
    let threshold = threshold(share(1e-3), share(0.1));
    let weight = Weights::for_scopes(&[2, 2], 4).all();
    HaltForecast { tolerate: share(5e-4), threshold, weight, ratio, block_size }.failures_to_halt()
}

#[test]
fn a_handful_of_bricks_halts_at_every_ratio() {
    for ratio in ControlRatio::ALL {
        let row = [1, 3, 6, 10].map(|size| brick(ratio, size));
        println!(
            "bricks to halt in scope all at {ratio:?}, blocks of 1/3/6/10: {row:?}; 1000: {:?}",
            brick(ratio, 1_000)
        );
        assert!(row.iter().all(|failures| failures.is_some_and(|count| (2..=20).contains(&count))));
        assert!(brick(ratio, 1_000).is_some_and(|count| count <= 60), "of a wide block a few failures suffice");
    }
    assert!(brick(ControlRatio::Hundred, 10) <= brick(ControlRatio::Four, 10));
    assert!(brick(ControlRatio::Four, 10) <= brick(ControlRatio::Quarter, 10));
}

#[test]
fn what_can_never_halt_is_said_to_never_halt() {
    assert_eq!(brick(ControlRatio::Four, 0), None);
    let hidden = HaltForecast {
        tolerate: share(0.985),
        threshold: 1_000.0,
        weight: 0.125,
        ratio: ControlRatio::Four,
        block_size: 10,
    };
    assert_eq!(hidden.failures_to_halt(), None);
    assert_eq!(HaltForecast { tolerate: share(5e-4), weight: 0.0, ..hidden }.failures_to_halt(), None);
    assert!(HaltForecast { tolerate: share(5e-4), block_size: u32::MAX, ..hidden }.failures_to_halt().is_some());
}

const DEFAULT: ForecastWindow = ForecastWindow { initial_all: 10, initial_stratum: 3, growth: 2 };

fn smallest(shape: &FleetShape, ring: usize, base_rate: f64) -> Option<f64> {
    let blocks = shape.blocks_through(ring, DEFAULT).unwrap();
    smallest_delta_that_clears(&blocks, share(0.01), share(base_rate)).map(Share::get)
}

#[test]
fn small_rings_clear_only_coarse_deltas() {
    for (name, holdback, strata) in [("60 devices", 0, 4), ("a large fleet", 10_000, 4), ("a large fleet", 10_000, 1)] {
        let shape = FleetShape::new(&[10, 42], holdback, strata).unwrap();
        let found = [0, 1].map(|ring| smallest(&shape, ring, 1e-3));
        println!("{name}, {strata} strata: smallest delta {found:?}, blocks {:?}", shape.blocks_through(1, DEFAULT));
        for (ring, delta) in [(0, 0.9), (1, 0.3)] {
            let blocks = shape.blocks_through(ring, DEFAULT).unwrap();
            assert!(clears(&blocks, share(delta), share(0.01), share(1e-3)), "{name}, {strata} strata: {delta}");
            assert!(!clears(&blocks, share(0.005), share(0.01), share(1e-3)));
        }
    }
}

#[test]
fn blocks_open_every_device_once_within_the_window_and_use_each_control_once() {
    for (rings, holdback, strata) in [(vec![10, 42], 0, 4), (vec![85_000, 8_245_000], 85_000, 40), (vec![3, 3], 9, 64)]
    {
        let shape = FleetShape::new(&rings, holdback, strata).unwrap();
        let blocks = shape.blocks_through(rings.len() - 1, DEFAULT).unwrap();
        let sum = |of: fn(&Exposure) -> u32| blocks.iter().map(of).sum::<u32>();
        assert_eq!(sum(|block| block.treated), rings.iter().sum::<u32>());
        assert!(sum(|block| block.control) <= rings.iter().sum::<u32>() + holdback);
        assert!(blocks.iter().take(strata as usize).all(|block| block.treated <= 3));
    }
}

#[test]
fn a_fleet_of_millions_clears_the_default_deltas() {
    let shape = FleetShape::new(&[85_000, 8_245_000], 85_000, 40).unwrap();
    let found = [0, 1].map(|ring| (smallest(&shape, ring, 1e-3), smallest(&shape, ring, 0.02)));
    println!("8.3 million devices, hard and silent at each ring: {found:?}");
    for (hard, silent) in found {
        assert!(hard.unwrap() < 0.005 && silent.unwrap() < 0.02);
    }
}

#[test]
fn a_delta_that_clears_is_cleared_by_every_larger_one() {
    for (rings, holdback) in [(vec![10, 42], 0), (vec![30, 300], 5), (vec![200, 20_000], 200)] {
        let shape = FleetShape::new(&rings, holdback, 4).unwrap();
        for ring in 0..2 {
            let blocks = shape.blocks_through(ring, DEFAULT).unwrap();
            let cleared: Vec<bool> = (0..DELTA_STEPS)
                .step_by(7)
                .map(|step| clears(&blocks, delta_at(step).unwrap(), share(0.01), share(1e-3)))
                .collect();
            assert!(cleared.is_sorted(), "{rings:?} ring {ring}: {cleared:?}");
        }
    }
}

#[test]
fn shapes_that_no_policy_may_have_are_refused_and_stalled_windows_open_nothing() {
    assert_eq!(FleetShape::new(&[], 0, 4).unwrap_err().kind(), "rings_out_of_range");
    assert_eq!(FleetShape::new(&[1], 0, 0).unwrap_err().kind(), "strata_out_of_range");
    assert_eq!(FleetShape::new(&[1], 0, 65).unwrap_err().kind(), "strata_out_of_range");
    assert_eq!(FleetShape::new(&[u32::MAX], 1, 4).unwrap_err().kind(), "too_many_devices");
    let shape = FleetShape::new(&[1_000], 1_000, 1).unwrap();
    assert_eq!(shape.blocks_through(0, ForecastWindow { growth: 0, ..DEFAULT }), None);
    assert_eq!(shape.blocks_through(0, ForecastWindow { initial_all: 0, ..DEFAULT }), None);
    assert_eq!(shape.blocks_through(0, ForecastWindow { initial_stratum: 0, ..DEFAULT }), None);
    assert_eq!(shape.blocks_through(1, DEFAULT), None);
}

#[test]
fn a_device_alone_clears_a_coarse_delta_at_most_however_wide_the_numbers() {
    let at_once = ForecastWindow { initial_all: u32::MAX, initial_stratum: u32::MAX, growth: u32::MAX };
    let alone = FleetShape::new(&[1], 0, 1).unwrap().blocks_through(0, at_once).unwrap();
    assert_eq!(alone, [Exposure { treated: 1, control: 0 }]);
    assert_eq!(smallest_delta_that_clears(&alone, share(0.01), share(1e-3)), None);
    let few = [Exposure { treated: 3, control: 0 }; 3];
    let found = smallest_delta_that_clears(&few, share(0.01), share(1e-3)).map(Share::get);
    println!("nine devices without control clear {found:?}");
    assert!(found.is_some_and(|delta| delta > 0.5));
    assert!(!clears(&[], share(0.9), share(0.01), share(1e-3)));
    let widest = FleetShape::new(&[u32::MAX], 0, 64).unwrap();
    assert!(widest.blocks_through(0, at_once).is_some_and(|blocks| blocks.len() < 10_000));
    let most = Exposure { treated: u32::MAX, control: u32::MAX };
    assert!(clears(&[most; 3], share(0.001), share(0.01), share(1e-3)));
}
