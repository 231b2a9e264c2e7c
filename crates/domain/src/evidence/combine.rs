//! Many tests at once: fixed weights over scopes, signals and bands, their weighted sum, and the thresholds that it
//! is held against. E-values are averaged here and never multiplied: they share controls.

use super::share::Share;

/// Processes of one scope: two signals (hard, silent) in two age bands.
pub const PROCESSES_PER_SCOPE: u32 = 4;

/// What [`ln_weighted_sum`] gives for a sum without terms: the least finite number, in place of minus infinity.
pub const LN_OF_NOTHING: f64 = f64::MIN;

/// The value that the weighted sum of e-values over all scopes but the lab must reach for a halt:
/// `1 / (alpha (1 - w_lab))`. `alpha` is the false-halt probability of a release over its whole life, `w_lab` the lab's
/// share of it.
#[must_use]
pub fn threshold(alpha: Share, w_lab: Share) -> f64 {
    1.0 / (alpha.get() * (1.0 - w_lab.get()))
}

/// The value that the lab's e-value must reach for a halt: `1 / (alpha w_lab)`.
#[must_use]
pub fn lab_threshold(alpha: Share, w_lab: Share) -> f64 {
    1.0 / (alpha.get() * w_lab.get())
}

/// ln of the sum of weight times e-value over `(weight, ln e)` pairs. Never overflows; always finite for finite input.
/// Pairs whose weight is not above 0 add nothing.
#[must_use]
pub fn ln_weighted_sum(terms: impl IntoIterator<Item = (f64, f64)>) -> f64 {
    let mut greatest = LN_OF_NOTHING;
    let mut scaled_sum = 0.0;
    for (weight, ln_e) in terms {
        if weight > 0.0 {
            let ln_term = weight.ln() + ln_e;
            if ln_term > greatest {
                scaled_sum = scaled_sum * (greatest - ln_term).exp() + 1.0;
                greatest = ln_term;
            } else {
                scaled_sum += (ln_term - greatest).exp();
            }
        }
    }
    if scaled_sum > 0.0 { greatest + scaled_sum.ln() } else { LN_OF_NOTHING }
}

/// The weight of each process of a rollout, by the kind of its scope. Over all scopes, signals and bands the weights
/// add up to exactly 1 (each is a multiple of 2^-40, so that no order of adding rounds).
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    all: f64,
    attributes: Vec<f64>,
    stratum: f64,
}

impl Weights {
    /// Weights for a policy whose stratifying attributes have `attribute_values` many values each, in the policy's order,
    /// and that has `strata` strata. Scope *all* has half; the first attribute's values share 0.15, the second's
    /// another 0.15, and the strata 0.2 together with any further attributes (equal parts for the strata and for each
    /// such attribute). What does not exist (0 values, 0 strata) leaves its part to *all*.
    #[must_use]
    pub fn for_scopes(attribute_values: &[u32], strata: u32) -> Self {
        let exists = |count: u32| u32::from(count > 0);
        let further = attribute_values.iter().skip(2).map(|count| exists(*count)).sum::<u32>();
        let sharers = further + exists(strata);
        let rest_part = if sharers > 0 { 0.2 / f64::from(sharers) } else { 0.0 };
        let attributes: Vec<f64> = attribute_values
            .iter()
            .enumerate()
            .map(|(place, count)| per_process(if place < 2 { 0.15 } else { rest_part }, *count))
            .collect();
        let stratum = per_process(rest_part, strata);
        let given = attribute_values.iter().zip(&attributes).map(|(count, weight)| f64::from(*count) * weight);
        let given = given.sum::<f64>() + f64::from(strata) * stratum;
        // Half, the parts of what does not exist, and what rounding left of the others: all of it exact.
        let all = 1.0 / f64::from(PROCESSES_PER_SCOPE) - given;
        Self { all, attributes, stratum }
    }

    /// Weight of one process (one signal in one band) of scope *all*.
    #[must_use]
    pub fn all(&self) -> f64 {
        self.all
    }

    /// Weight of one process of one value of the stratifying attribute at `place` (0 is the policy's first);
    /// 0 for an attribute that does not exist.
    #[must_use]
    pub fn value_of_attribute(&self, place: usize) -> f64 {
        self.attributes.get(place).copied().unwrap_or(0.0)
    }

    /// Weight of one process of one stratum.
    #[must_use]
    pub fn stratum(&self) -> f64 {
        self.stratum
    }
}

/// `part` split over `scopes` and their processes, rounded down to a multiple of 2^-40.
fn per_process(part: f64, scopes: u32) -> f64 {
    const UNITS: f64 = 1_099_511_627_776.0;
    if scopes == 0 {
        return 0.0;
    }
    (part / (f64::from(scopes) * f64::from(PROCESSES_PER_SCOPE)) * UNITS).floor() / UNITS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn total(weights: &Weights, attribute_values: &[u32], strata: u32) -> f64 {
        let mut sum = 0.0;
        for _ in 0..PROCESSES_PER_SCOPE {
            sum += weights.all();
            for (place, count) in attribute_values.iter().enumerate() {
                (0..*count).for_each(|_| sum += weights.value_of_attribute(place));
            }
            (0..strata).for_each(|_| sum += weights.stratum());
        }
        sum
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn the_weights_add_up_to_1_and_never_to_more(
            values in proptest::collection::vec(0..40_u32, 0..6), strata in 0..65_u32,
        ) {
            let weights = Weights::for_scopes(&values, strata);
            let sum = total(&weights, &values, strata);
            prop_assert_eq!(sum, 1.0);
            prop_assert!(weights.all() >= 0.125);
        }

        #[test]
        fn the_sum_in_logarithms_is_the_sum(terms in proptest::collection::vec((0.0..1.0_f64, -30.0..30.0_f64), 1..50)) {
            let plain: f64 = terms.iter().map(|(weight, ln_e)| weight * ln_e.exp()).sum();
            prop_assume!(plain > 0.0);
            prop_assert!((ln_weighted_sum(terms) - plain.ln()).abs() < 1e-12 * plain.ln().abs().max(1.0));
        }
    }

    #[test]
    fn half_goes_to_all_and_the_parts_of_what_is_absent_too() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-11, "{a} is not {b}");
        let two = Weights::for_scopes(&[3, 4], 12);
        near(two.all(), 0.5 / 4.0);
        near(two.value_of_attribute(0), 0.15 / 12.0);
        near(two.value_of_attribute(1), 0.15 / 16.0);
        near(two.stratum(), 0.2 / 48.0);
        let four = Weights::for_scopes(&[3, 4, 2, 5], 12);
        near(four.all(), 0.5 / 4.0);
        near(four.value_of_attribute(2), 0.2 / 3.0 / 8.0);
        near(four.value_of_attribute(3), 0.2 / 3.0 / 20.0);
        near(four.stratum(), 0.2 / 3.0 / 48.0);
        near(Weights::for_scopes(&[], 0).all(), 0.25);
        near(Weights::for_scopes(&[3], 3).all(), 0.65 / 4.0);
        near(Weights::for_scopes(&[3], 3).value_of_attribute(1), 0.0);
    }

    #[test]
    fn lab_and_fleet_together_spend_alpha_and_no_more() {
        let (alpha, w_lab) = (Share::new(1e-3).unwrap(), Share::new(0.1).unwrap());
        assert!((1.0 / threshold(alpha, w_lab) + 1.0 / lab_threshold(alpha, w_lab) - 1e-3).abs() < 1e-15);
        assert!((threshold(alpha, w_lab) - 1_111.111).abs() < 1e-3);
        assert!((lab_threshold(alpha, w_lab) - 10_000.0).abs() < 1e-6);
    }

    #[test]
    fn the_sum_is_finite_whatever_it_adds() {
        assert_eq!(ln_weighted_sum([]), LN_OF_NOTHING);
        assert_eq!(ln_weighted_sum([(0.0, 5.0), (-1.0, 5.0)]), LN_OF_NOTHING);
        let far = ln_weighted_sum([(0.5, 1e300), (0.5, -1e300), (0.25, 1e300)]);
        assert!((far - 1e300).abs() <= 1e290);
        assert!(ln_weighted_sum([(0.5, LN_OF_NOTHING), (0.5, LN_OF_NOTHING)]).is_finite());
    }
}
