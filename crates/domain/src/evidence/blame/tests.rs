//! The blame held against innocents that share their controls, and against a culprit among them.
#![allow(clippy::unwrap_used)]

use super::super::chance::Dice;
use super::super::{BlockCounts, DeviceTime, Exposure, HaltProcess, RareEventProcess, Side};
use super::*;
use proptest::prelude::*;

fn share(value: f64) -> Share {
    Share::new(value).unwrap()
}

fn suspects(ln_es: &[f64]) -> Vec<Suspect<usize>> {
    ln_es.iter().enumerate().map(|(name, ln_e)| Suspect::new(name, *ln_e).unwrap()).collect()
}

fn names_blamed(ln_es: &[f64], alpha: f64) -> Vec<usize> {
    let accused = blamed(&suspects(ln_es), share(alpha));
    accused.into_iter().filter(|accused| accused.blamed).map(|accused| accused.name).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_blamed_are_the_largest_group_whose_weakest_member_suffices(
        ln_es in proptest::collection::vec(prop_oneof![-5.0..12.0_f64, (0..8).prop_map(f64::from)], 0..40),
        alpha in 1e-3..0.5_f64,
    ) {
        let accused = blamed(&suspects(&ln_es), share(alpha));
        let total = ln_es.len() as f64;
        let group = |k: usize| accused.get(k - 1).is_some_and(|weakest| weakest.ln_e >= (total / (alpha * k as f64)).ln());
        // Where the two sides differ by rounding alone, both answers are right.
        let near = |k: usize| (accused[k - 1].ln_e - (total / (alpha * k as f64)).ln()).abs() < 1e-12;
        prop_assume!(!(1..=ln_es.len()).any(near));
        let largest = (1..=ln_es.len()).rev().find(|k| group(*k)).unwrap_or(0);
        let ranks: Vec<(f64, bool)> = accused.iter().map(|accused| (accused.ln_e, accused.blamed)).collect();
        prop_assert!(ranks.is_sorted_by(|a, b| a.0 >= b.0));
        prop_assert!(ranks.iter().enumerate().all(|(place, (_, blamed))| *blamed == (place < largest)));
        let mut names: Vec<usize> = accused.iter().map(|accused| accused.name).collect();
        names.sort_unstable();
        prop_assert_eq!(names, (0..ln_es.len()).collect::<Vec<_>>(), "everybody is listed once");
    }
}

#[test]
fn two_together_need_less_than_one_alone() {
    let e = |value: f64| value.ln();
    assert_eq!(names_blamed(&[e(1.0), e(79.0), e(1.0), e(1.0)], 0.05), [] as [usize; 0]);
    assert_eq!(names_blamed(&[e(1.0), e(81.0), e(1.0), e(1.0)], 0.05), [1]);
    assert_eq!(names_blamed(&[e(41.0), e(45.0), e(1.0), e(1.0)], 0.05), [1, 0]);
}

#[test]
fn ties_stand_by_name_and_are_blamed_together_or_not_at_all() {
    assert_eq!(names_blamed(&[5.0, 5.0, 0.0, 5.0], 0.05), [0, 1, 3]);
    assert_eq!(names_blamed(&[3.2, 3.2, 0.0, 3.2], 0.05), [] as [usize; 0]);
    let turned = [("b", 5.0), ("a", 5.0), ("c", 9.0)].map(|(name, ln_e)| Suspect::new(name, ln_e).unwrap());
    let order: Vec<&str> = blamed(&turned, share(0.05)).into_iter().map(|accused| accused.name).collect();
    assert_eq!(order, ["c", "a", "b"]);
}

#[test]
fn nobody_is_blamed_among_none_and_numbers_that_are_none_are_refused() {
    assert!(blamed::<u8>(&[], share(0.05)).is_empty());
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(Suspect::new("x", bad).unwrap_err().kind(), "ln_e_not_finite");
    }
    assert_eq!(names_blamed(&[f64::MAX, f64::MIN, 1e12], f64::MIN_POSITIVE), [0, 2]);
}

const SUSPECTS: usize = 8;

/// Crashes of eight suspects' devices, all held against one control that has as much device-time as each of them; the first
/// `culprits` crash four times as often as control, the innocent exactly as often. The suspects are judged after
/// every crash until somebody is blamed: the moment that is worst for the innocent. Returns that judgement, and
/// whether the e-value of some innocent reached 1 / `alpha` by itself.
fn judged_at_the_first_blame(dice: &mut Dice, culprits: usize, alpha: f64) -> (Vec<Accused<usize>>, bool) {
    let at_risk = DeviceTime { treated_ms: 1, control_ms: 1 };
    let mut processes = vec![RareEventProcess::new(); SUSPECTS];
    let (mut accused, mut passed_alone) = (Vec::new(), false);
    for _ in 0..400 {
        let rates: [f64; SUSPECTS + 1] = std::array::from_fn(|name| if name < culprits { 4.0 } else { 1.0 });
        let mut place = dice.uniform() * rates.iter().sum::<f64>();
        let crashed = rates.iter().position(|rate| {
            place -= rate;
            place < 0.0
        });
        match crashed.and_then(|name| processes.get_mut(name)) {
            Some(process) => process.enter(Side::Treated, at_risk),
            // Control's: all suspects lose by it together, as they gain together when control has luck.
            None => processes.iter_mut().for_each(|process| process.enter(Side::Control, at_risk)),
        }
        let ln_es: Vec<f64> = processes.iter().map(RareEventProcess::ln_e).collect();
        passed_alone |= ln_es.iter().skip(culprits).any(|ln_e| *ln_e >= -alpha.ln());
        accused = blamed(&suspects(&ln_es), share(alpha));
        if accused[0].blamed {
            break;
        }
    }
    (accused, passed_alone)
}

#[test]
fn innocents_that_share_their_controls_are_blamed_no_more_often_than_alpha() {
    let (mut dice, alpha, runs) = (Dice::new(51), 0.1, 2_000);
    for culprits in [0, 2] {
        let (mut false_shares, mut alone) = (0.0, 0);
        for _ in 0..runs {
            let (accused, passed_alone) = judged_at_the_first_blame(&mut dice, culprits, alpha);
            let names: Vec<usize> =
                accused.iter().filter(|accused| accused.blamed).map(|accused| accused.name).collect();
            let innocent = names.iter().filter(|name| **name >= culprits).count();
            false_shares += innocent as f64 / names.len().max(1) as f64;
            alone += u32::from(passed_alone);
        }
        let (rate, alone) = (false_shares / f64::from(runs), f64::from(alone) / f64::from(runs));
        println!("{culprits} culprits of 8: false share of the blame {rate} at {alpha}; judged one by one {alone}");
        assert!(rate <= alpha && (culprits > 0 || alone > alpha));
    }
}

/// Eight attribute values against the same controls, of which the first fails at 10 % and the rest, like control, at 1 %.
#[test]
fn a_planted_culprit_ranks_first_and_is_blamed_alone() {
    let mut dice = Dice::new(52);
    let (runs, mut first, mut alone) = (200, 0, 0);
    for _ in 0..runs {
        let mut processes = vec![HaltProcess::new(share(5e-4)); SUSPECTS];
        let edges = processes[0].edges(Exposure { treated: 10, control: 40 });
        for _ in 0..40 {
            let control_events = dice.events(40, 0.01);
            for (name, process) in processes.iter_mut().enumerate() {
                let events = dice.events(10, if name == 0 { 0.1 } else { 0.01 });
                process.enter_at(&edges, BlockCounts::new(10, events, 40, control_events).unwrap());
            }
        }
        let ln_es: Vec<f64> = processes.iter().map(HaltProcess::ln_e).collect();
        let accused = blamed(&suspects(&ln_es), share(0.05));
        first += u32::from(accused[0].name == 0 && accused[0].blamed);
        alone += u32::from(accused.iter().filter(|accused| accused.blamed).count() == 1);
    }
    println!("of {runs} planted culprits {first} rank first and are blamed, {alone} alone");
    assert!(first >= 190 && alone >= 190);
}
