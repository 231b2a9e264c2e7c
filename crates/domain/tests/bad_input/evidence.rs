//! What the statistics do with numbers that are none and with counts beyond all fleets: a typed error, or a finite answer.

use tidegate_domain::evidence::{
    BlockCounts, ClearanceProcess, ControlRatio, DeviceTime, Exposure, FleetShape, ForecastWindow, HaltForecast,
    HaltProcess, LogrankProcess, MAGNITUDE_MAX, MeanSoFar, Quantile99, RareEventProcess, Share, Side, Suspect,
    Unreported, Weights, block_size_max, clears, control_count, could_clear, lab, ln_weighted_sum,
    smallest_delta_that_clears, threshold, treated_with_control_max,
};

const NO_NUMBERS: [f64; 3] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
const COUNTS: [u32; 5] = [0, 1, 3, 1_000_000_000, u32::MAX];

fn share(value: f64) -> Share {
    Share::new(value).unwrap()
}

#[test]
fn no_constructor_takes_what_is_no_number() {
    for bad in NO_NUMBERS {
        assert_eq!(Share::new(bad).unwrap_err().kind(), "share_out_of_range");
        assert_eq!(Share::try_from(bad).unwrap_err().kind(), "share_out_of_range");
        assert_eq!(MeanSoFar::new(bad).unwrap_err().kind(), "rho_out_of_range");
        let mut mean = MeanSoFar::new(1.0).unwrap();
        mean.observe(3.0).unwrap();
        let before = mean;
        assert_eq!(mean.observe(bad).unwrap_err().kind(), "value_not_finite");
        assert_eq!(mean, before, "a value that is refused changes nothing");
        assert_eq!(Quantile99::of([1.0, bad, 2.0]).unwrap_err().kind(), "value_not_finite");
        assert_eq!(Quantile99::try_from(bad).unwrap_err().kind(), "value_not_finite");
        assert_eq!(Suspect::new("a", bad).unwrap_err().kind(), "ln_e_not_finite");
    }
    for bad in [-1.0, -0.0, 0.0, 1.0, 1e300] {
        assert_eq!(Share::new(bad).unwrap_err().kind(), "share_out_of_range", "{bad}");
    }
    for bad in [-1.0, 0.0, 1e-300, 1e300] {
        assert_eq!(MeanSoFar::new(bad).unwrap_err().kind(), "rho_out_of_range", "{bad}");
    }
    for bad in [2.0 * MAGNITUDE_MAX, -2.0 * MAGNITUDE_MAX, f64::MAX] {
        assert_eq!(MeanSoFar::new(1.0).unwrap().observe(bad).unwrap_err().kind(), "value_out_of_range", "{bad}");
        assert_eq!(Quantile99::of([bad]).unwrap_err().kind(), "value_out_of_range", "{bad}");
    }
}

#[test]
fn nothing_stored_holds_what_is_no_number_or_a_negative_count() {
    for bad in ["null", "1e999", "-1e999", "\"nan\"", "-1"] {
        assert!(serde_json::from_str::<Share>(bad).is_err(), "{bad}");
    }
    for bad in ["null", "1e999", "\"nan\""] {
        assert!(serde_json::from_str::<Quantile99>(bad).is_err(), "{bad}");
        let mean = format!("{{\"rho\":1.0,\"count\":1,\"mean\":{bad},\"squared_deviations\":0.0}}");
        assert!(serde_json::from_str::<MeanSoFar>(&mean).is_err(), "{mean}");
        let process =
            serde_json::to_string(&HaltProcess::new(share(0.1))).unwrap().replacen("[0.0", &format!("[{bad}"), 1);
        assert!(serde_json::from_str::<HaltProcess>(&process).is_err(), "{process}");
    }
    for field in ["treated", "treated_events", "control", "control_events"] {
        for bad in ["-1", "4294967296", "1.5", "null", "1e999"] {
            let counts = r#"{"treated":4,"treated_events":1,"control":4,"control_events":1}"#;
            let text = counts.replacen(
                &format!("\"{field}\":{}", if field.ends_with("events") { 1 } else { 4 }),
                &format!("\"{field}\":{bad}"),
                1,
            );
            assert_ne!(text, counts);
            assert!(serde_json::from_str::<BlockCounts>(&text).is_err(), "{text}");
        }
    }
    for bad in [r#"{"treated":-1,"control":1}"#, r#"{"treated":1,"control":4294967296}"#] {
        assert!(serde_json::from_str::<Unreported>(bad).is_err(), "{bad}");
    }
}

#[test]
fn counts_beyond_all_fleets_overflow_nothing_and_stay_finite() {
    let mut entered = 0;
    for margin in [f64::MIN_POSITIVE, 1e-12, 5e-4, 0.5, 1.0 - f64::EPSILON] {
        let (mut halt, mut clear) = (HaltProcess::new(share(margin)), ClearanceProcess::new(share(margin)));
        for treated in COUNTS {
            for control in COUNTS {
                for (hit, of) in [(0, 0), (treated, 0), (0, control), (treated, control), (treated / 2, control / 3)] {
                    let block = BlockCounts::new(treated, hit, control, of).unwrap();
                    let (mut alone, mut alone_clear) =
                        (HaltProcess::new(share(margin)), ClearanceProcess::new(share(margin)));
                    alone.enter(block);
                    alone_clear.enter(block);
                    halt.enter(block);
                    clear.enter(block);
                    entered += 1;
                    let all = [alone.ln_e(), alone_clear.ln_e(), halt.ln_e(), clear.ln_e()];
                    assert!(all.iter().all(|ln_e| ln_e.is_finite()), "{margin} {block:?}: {all:?}");
                }
            }
        }
        let worst = BlockCounts::new(u32::MAX, u32::MAX, u32::MAX, 0).unwrap();
        (0..10_000).for_each(|_| halt.enter(worst));
        assert!(halt.ln_e().is_finite(), "{margin}: {}", halt.ln_e());
    }
    assert_eq!(entered, 5 * 125);
    for size in COUNTS {
        assert!(COUNTS.iter().all(|failures| lab::ln_e(size, *failures).is_finite()));
        for pool in COUNTS {
            assert!(u64::from(control_count(size, pool)) * 4 <= u64::from(pool));
            assert!(ControlRatio::ALL.iter().all(|ratio| ratio.controls_for(size) >= size / 4));
        }
        assert!(treated_with_control_max(size) <= size && block_size_max(size) > 0);
    }
}

#[test]
fn processes_over_time_stay_finite_for_all_times_and_sides() {
    let times = [0, 1, 1_000_000_000, u64::MAX];
    let mut rare = RareEventProcess::new();
    for treated_ms in times {
        for control_ms in times {
            for side in [Side::Treated, Side::Control] {
                rare.enter(side, DeviceTime { treated_ms, control_ms });
                assert!(rare.ln_e().is_finite(), "{treated_ms} {control_ms} {side:?}");
            }
        }
    }
    let mut logrank = LogrankProcess::new();
    for treated in COUNTS {
        for control in COUNTS {
            for (side, left) in [(Side::Treated, treated), (Side::Control, control)] {
                let mut unreported = Unreported { treated, control };
                assert_eq!(logrank.enter(side, &mut unreported).is_ok(), left > 0);
                assert!(logrank.ln_e().is_finite());
            }
        }
    }
}

#[test]
fn forecasts_answer_for_any_settings_and_foretell_no_halt_from_what_is_no_number() {
    let forecast = HaltForecast {
        tolerate: share(5e-4),
        threshold: threshold(share(1e-3), share(0.1)),
        weight: 0.25,
        ratio: ControlRatio::Hundred,
        block_size: 3,
    };
    assert_eq!(forecast.failures_to_halt(), Some(3));
    for bad in NO_NUMBERS.into_iter().chain([-1.0, 0.0]) {
        assert_eq!(HaltForecast { weight: bad, ..forecast }.failures_to_halt(), None, "weight {bad}");
        assert_eq!(HaltForecast { threshold: bad, ..forecast }.failures_to_halt(), None, "threshold {bad}");
    }
    for block_size in COUNTS {
        for ratio in ControlRatio::ALL {
            let failures = HaltForecast { block_size, ratio, ..forecast }.failures_to_halt();
            assert_eq!(failures.is_none(), block_size == 0, "{block_size} {ratio:?}");
        }
    }
    let most = Exposure { treated: u32::MAX, control: u32::MAX };
    for beta in [f64::MIN_POSITIVE, 1.0 - f64::EPSILON] {
        for rate in [f64::MIN_POSITIVE, 1.0 - f64::EPSILON] {
            let blocks = [most; 4];
            let _ =
                (clears(&blocks, share(0.5), share(beta), share(rate)), could_clear(&blocks, share(0.5), share(beta)));
            let _ = smallest_delta_that_clears(&blocks, share(beta), share(rate));
        }
    }
    let window = ForecastWindow { initial_all: u32::MAX, initial_stratum: u32::MAX, growth: u32::MAX };
    let blocks = FleetShape::new(&[1_000_000_000, 1_000_000_000], 1_000_000_000, 64).unwrap().blocks_through(1, window);
    let treated: u64 = blocks.unwrap().iter().map(|block| u64::from(block.treated)).sum();
    assert_eq!(treated, 2_000_000_000);
}

#[test]
fn weights_and_their_sums_stay_finite_and_within_one() {
    let weights = Weights::for_scopes(&[u32::MAX; 9], u32::MAX);
    let each: Vec<f64> =
        (0..9).map(|place| weights.value_of_attribute(place)).chain([weights.all(), weights.stratum()]).collect();
    assert!(each.iter().all(|weight| (0.0..=0.25).contains(weight)), "{each:?}");
    let sum = ln_weighted_sum(each.iter().flat_map(|weight| [(*weight, 1e300), (*weight, -1e300)]));
    assert!(sum.is_finite() && sum > 9e299, "{sum}");
}
