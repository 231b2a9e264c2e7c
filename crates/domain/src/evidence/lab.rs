//! The lab's own test. A lab has no control: its few devices are all treated, so it is judged against an absolute
//! rate that no lab should exceed. It never clears a release; a lab that cannot pass escalates, it does not halt.

use super::combine::ln_weighted_sum;

/// The failure probability that a sound release may have in a lab.
pub const TOLERATED_RATE: f64 = 0.02;

/// The guessed failure rates of a bad release, weighted alike.
const GUESSES: [f64; 4] = [0.1, 0.3, 0.6, 0.95];

/// ln of the lab's e-value when `size` devices have taken the release and `failures` of them are known to have failed.
/// More failures than devices count as all of them.
///
/// - **Null hypothesis**: each lab device fails with a probability of at most [`TOLERATED_RATE`], given the outcomes of
///   those that took the release before it.
/// - **Filtration**: lab devices in the order in which they took the release.
/// - **Units**: natural logarithm without unit; under the null it ever reaches `ln(1/a)` with probability `a` at most.
/// - **Source**: Wald's likelihood ratio against a one-sided null, averaged over four guesses.
///
/// It needs no state and no waiting. A device that has not taken the release says nothing yet: under the null its factor is 1 in expectation
/// whatever was seen so far, so that it may be left out. A device still pending is counted as healthy, so the value at any moment is at most
/// what the same devices give once all is known, and that is a supermartingale in the order of taking. Where the
/// controlled test may enter nothing early (an early failure could meet a control not yet heard of), here the late
/// answers can only add evidence. The price is paid in power alone: a device that never answers counts for the release.
#[must_use]
pub fn ln_e(size: u32, failures: u32) -> f64 {
    let failures = failures.min(size);
    ln_weighted_sum(GUESSES.iter().map(|guess| {
        let failed = f64::from(failures) * (guess / TOLERATED_RATE).ln();
        let healthy = f64::from(size - failures) * ((1.0 - guess) / (1.0 - TOLERATED_RATE)).ln();
        (0.25, failed + healthy)
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::evidence::{Share, chance, lab_threshold};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn no_sound_release_has_an_expected_e_above_1(size in 0..40_u32, rate in 0.0..=TOLERATED_RATE) {
            let mean: f64 = (0..=size).map(|f| chance::binomial(size, f, rate) * ln_e(size, f).exp()).sum();
            prop_assert!(mean <= 1.0 + 1e-9, "{mean}");
        }

        #[test]
        fn a_late_answer_never_takes_evidence_away(failures in 0..2_000_u32, healthy in 1..2_000_u32) {
            let size = failures + healthy;
            prop_assert!(ln_e(size, failures + 1) > ln_e(size, failures));
            prop_assert!(ln_e(size + 1, failures + 1) > ln_e(size, failures));
        }
    }

    #[test]
    fn a_lab_of_sound_devices_halts_no_more_often_than_its_share_of_alpha() {
        let mut dice = chance::Dice::new(11);
        let ln_limit = 100_f64.ln();
        let runs = 20_000;
        let mut halted = 0;
        for _ in 0..runs {
            let (mut failures, mut crossed) = (0, false);
            for size in 1..=100 {
                failures += dice.events(1, TOLERATED_RATE);
                crossed |= ln_e(size, failures) >= ln_limit;
            }
            halted += u32::from(crossed);
        }
        assert!(f64::from(halted) / f64::from(runs) <= 0.01, "{halted} of {runs}");
    }

    #[test]
    fn a_lab_halts_after_a_handful_of_bricks() {
        let limit = lab_threshold(Share::new(1e-3).unwrap(), Share::new(0.1).unwrap()).ln();
        let first = |size| (0..=size).find(|failures| ln_e(size, *failures) >= limit);
        assert_eq!(first(3), Some(3));
        assert_eq!((first(8), first(20)), (Some(5), Some(6)));
        println!("lab: failures that halt of 3 / 8 / 20 / 100: {:?}", [first(3), first(8), first(20), first(100)]);
    }

    #[test]
    fn huge_or_absurd_counts_stay_finite() {
        assert!(ln_e(u32::MAX, 0).is_finite() && ln_e(u32::MAX, u32::MAX).is_finite());
        assert_eq!(ln_e(3, 7), ln_e(3, 3));
        assert!(ln_e(0, 0).abs() < 1e-12);
    }
}
