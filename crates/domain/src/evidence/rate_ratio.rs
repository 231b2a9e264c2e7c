//! Events one at a time: on which side did it fall, and how many times as likely was that as chance has it?
//! It never counts what is at risk and never keeps anything; the processes do.
//!
//! Where a share r of all that is at risk is treated and the treated have the event at m times the rate of control, the
//! next event falls on the treated with probability `q = m r / (m r + 1 - r)`, and on either side alike with r. The
//! e-value of the event is q/r or (1-q)/(1-r). At m = 1 it expects 1 exactly; and as it is linear in the probability that
//! the treated have it, it expects at most 1 wherever the true ratio lies on the other side of 1 than m.

use serde::{Deserialize, Serialize};

use super::combine::ln_weighted_sum;

/// The side of a comparison that an event fell on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// A device that was given a go.
    Treated,
    /// A device of its control.
    Control,
}

/// Adds one event to `ln_points`, one a guessed ratio of rates. `treated` and `control` are what is at risk on each side,
/// in the same unit; where a side has nothing at risk, the event was certain to fall on the other and says nothing.
pub(super) fn add_event<const GUESSES: usize>(
    ratios: &[f64; GUESSES],
    ln_points: &mut [f64; GUESSES],
    side: Side,
    treated: f64,
    control: f64,
) {
    if treated <= 0.0 || control <= 0.0 {
        return;
    }
    let share = treated / (treated + control);
    for (ln_e, ratio) in ln_points.iter_mut().zip(ratios) {
        // q/r = m / (1 + (m-1) r) and (1-q)/(1-r) = 1 / (1 + (m-1) r).
        let ln_unlike = ((ratio - 1.0) * share).ln_1p();
        *ln_e += match side {
            Side::Treated => ratio.ln() - ln_unlike,
            Side::Control => -ln_unlike,
        };
    }
}

/// ln of the plain mean of e-values.
pub(super) fn ln_plain_mean<const GUESSES: usize>(ln_points: &[f64; GUESSES]) -> f64 {
    let weight = 1.0 / GUESSES as f64;
    ln_weighted_sum(ln_points.iter().map(|ln_e| (weight, *ln_e)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn e_of(ratio: f64, side: Side, treated: f64, control: f64) -> f64 {
        let mut ln_points = [0.0];
        add_event(&[ratio], &mut ln_points, side, treated, control);
        ln_points[0].exp()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn an_event_expects_1_at_equal_rates_and_no_more_on_the_other_side_of_them(
            ratio in prop_oneof![Just(2.0), Just(1_000.0), Just(0.02), Just(0.95), 1e-3..1e3_f64],
            treated in prop_oneof![1.0..1e3_f64, 1.0..1e19_f64], control in prop_oneof![1.0..1e3_f64, 1.0..1e19_f64],
            part in 0.0..=1.0_f64,
        ) {
            let share = treated / (treated + control);
            let (on_treated, on_control) =
                (e_of(ratio, Side::Treated, treated, control), e_of(ratio, Side::Control, treated, control));
            let mean = |probability: f64| probability * on_treated + (1.0 - probability) * on_control;
            prop_assert!((mean(share) - 1.0).abs() < 1e-9, "{}", mean(share));
            let in_null = if ratio > 1.0 { part * share } else { share + part * (1.0 - share) };
            prop_assert!(mean(in_null) <= 1.0 + 1e-9, "{}", mean(in_null));
        }

        #[test]
        fn the_short_form_is_the_ratio_of_likelihoods(
            ratio in prop_oneof![0.01..1.0_f64, 1.0..1e3_f64], treated in 1.0..1e6_f64, control in 1.0..1e6_f64,
        ) {
            let r = treated / (treated + control);
            let q = ratio * r / (ratio * r + 1.0 - r);
            let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
            prop_assert!(near(e_of(ratio, Side::Treated, treated, control), q / r));
            prop_assert!(near(e_of(ratio, Side::Control, treated, control), (1.0 - q) / (1.0 - r)));
        }
    }

    #[test]
    fn an_event_without_anything_at_risk_on_one_side_says_nothing() {
        for (treated, control) in [(0.0, 5.0), (5.0, 0.0), (0.0, 0.0)] {
            for side in [Side::Treated, Side::Control] {
                assert_eq!(e_of(1_000.0, side, treated, control), 1.0);
            }
        }
    }
}
