//! The e-value of one block for one pair of guessed rates against a null hypothesis with a margin.
//! It never looks at more than one block and never keeps anything; the processes do.
//!
//! For guesses A (control) and B (treated) outside the null, let x and y = x + margin be the point of the null's edge
//! nearest in Kullback-Leibler divergence, weighted by the block's sizes na and nb. There
//! `na (x-A)/(x(1-x)) = -nb (y-B)/(y(1-y)) = c`, and the likelihood ratio of (A, B) to (x, y) has, for devices of
//! any failure probabilities with means pa and pb, an expectation of at most `exp(c ((pb - pa) - margin))`: each
//! device's factor is linear in its probability, and `1 + z <= exp z`. c is positive where B lies above the edge and
//! negative below it, so the expectation is at most 1 everywhere in the null.
//!
//! A block without control says nothing against a release: its treated may fail because everything does. It can speak
//! for one. Whatever the missing control would have been, it fails with a probability of 0 or more, so treated that are
//! worse by the margin fail with the margin or more: the edge's nearest point has x = 0, and each treated device's
//! factor, falling in its probability and 1 at the margin, expects at most 1.

use super::combine::ln_weighted_sum;
use super::counts::{BlockCounts, Exposure};

/// Points on each grid of guesses.
pub(super) const GRID_POINTS: usize = 24;

/// One pair of guessed event rates with its weight on the grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Guess {
    /// Event rate of control, A.
    pub(super) control: f64,
    /// Event rate of the treated, B.
    pub(super) treated: f64,
    /// Share of the grid's weight; a grid's weights add up to 1.
    pub(super) weight: f64,
}

/// Which side of `treated = control + margin` the null hypothesis takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Null {
    /// H0: treated <= control + margin. Evidence against it is a reason to halt.
    AtMost,
    /// H0: treated >= control + margin. Evidence against it is a reason to pass.
    AtLeast,
}

/// What each device of a block adds to ln of the block's e-value under one guess: the logarithms of the guess's rates
/// over those of the null's edge. They depend on the block's sizes and not on its outcome.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct DeviceTerms {
    control_event: f64,
    control_rest: f64,
    treated_event: f64,
    treated_rest: f64,
}

impl DeviceTerms {
    /// Nothing, whatever happens to the block's devices.
    const NOTHING: Self = Self { control_event: 0.0, control_rest: 0.0, treated_event: 0.0, treated_rest: 0.0 };

    /// The terms of each guess; all 0 for a guess in the null, where nobody was treated, and where nobody was control and
    /// the null is [`Null::AtMost`]. Finite for every block.
    pub(super) fn of<const GUESSES: usize>(
        guesses: &[Guess; GUESSES],
        null: Null,
        margin: f64,
        sizes: Exposure,
    ) -> [Self; GUESSES] {
        if sizes.treated == 0 {
            return [Self::NOTHING; GUESSES];
        }
        if sizes.control == 0 {
            return guesses.map(|guess| Self::without_control(guess, null, margin));
        }
        let mut searches = guesses.map(|guess| EdgeSearch::new(guess, null, margin, sizes));
        EdgeSearch::finish(&mut searches);
        searches.map(|search| if search.outside { Self::at_edge(&search) } else { Self::NOTHING })
    }

    fn without_control(guess: Guess, null: Null, margin: f64) -> Self {
        if null == Null::AtMost || guess.treated >= margin {
            return Self::NOTHING;
        }
        let (treated_event, treated_rest) = ln_ratios(guess.treated, margin, 1.0 - margin);
        Self { treated_event, treated_rest, ..Self::NOTHING }
    }

    fn at_edge(search: &EdgeSearch) -> Self {
        let EdgeSearch { guess, margin, .. } = *search;
        let control_edge = search.control_edge();
        let treated_edge = control_edge + margin;
        // Taken from the margin's own complement, which keeps its digits where the edge runs close to 1.
        let treated_edge_rest = ((1.0 - margin) - control_edge).max(f64::MIN_POSITIVE);
        let (control_event, control_rest) = ln_ratios(guess.control, control_edge, 1.0 - control_edge);
        let (treated_event, treated_rest) = ln_ratios(guess.treated, treated_edge, treated_edge_rest);
        Self { control_event, control_rest, treated_event, treated_rest }
    }

    /// ln of the e-value of a block of the sizes that the terms were made for.
    pub(super) fn ln_e(&self, block: BlockCounts) -> f64 {
        side_ln(block.control(), block.control_events(), self.control_event, self.control_rest)
            + side_ln(block.treated(), block.treated_events(), self.treated_event, self.treated_rest)
    }
}

/// ln of the weighted mean of e-values over a grid.
pub(super) fn ln_mean(grid: &[Guess; GRID_POINTS], ln_points: &[f64; GRID_POINTS]) -> f64 {
    ln_weighted_sum(grid.iter().zip(ln_points).map(|(guess, ln_e)| (guess.weight, *ln_e)))
}

/// ln of the ratios of `guess` to `edge` for a device with the event and for one without; `edge_rest` is 1 - edge.
fn ln_ratios(guess: f64, edge: f64, edge_rest: f64) -> (f64, f64) {
    let gap = guess - edge;
    // ln_1p keeps the digits where a large control draws the edge close to the guess.
    ((gap / edge).ln_1p(), (-gap / edge_rest).ln_1p())
}

/// ln of one side's likelihood ratio.
fn side_ln(size: u32, events: u32, ln_event: f64, ln_rest: f64) -> f64 {
    f64::from(events) * ln_event + f64::from(size - events) * ln_rest
}

/// The search for the x of the module's doc: the root between the guess and the edge of
/// `na (x-A) y(1-y) + nb (y-B) x(1-x)`, which has exactly one there and rises through it.
#[derive(Clone, Copy)]
struct EdgeSearch {
    guess: Guess,
    margin: f64,
    /// Shares of the block's devices; only their proportion matters, and as shares they cannot overflow.
    control: f64,
    treated: f64,
    /// Whether the guess lies outside the null; otherwise there is nothing to find.
    outside: bool,
    /// The root's bracket, with the point that is tried next and how far the last step went.
    low: f64,
    high: f64,
    x: f64,
    last_step: f64,
    found: bool,
}

impl EdgeSearch {
    fn new(guess: Guess, null: Null, margin: f64, sizes: Exposure) -> Self {
        let devices = f64::from(sizes.control) + f64::from(sizes.treated);
        let (control, treated) = (f64::from(sizes.control) / devices, f64::from(sizes.treated) / devices);
        let (outside, low, high) = match null {
            Null::AtMost => (guess.treated > guess.control + margin, guess.control, guess.treated - margin),
            Null::AtLeast => (
                guess.treated < guess.control + margin,
                (guess.treated - margin).max(0.0),
                guess.control.min(1.0 - margin),
            ),
        };
        let (x, last_step) = (low + (high - low) / 2.0, high - low);
        Self { guess, margin, control, treated, outside, low, high, x, last_step, found: !outside }
    }

    /// Brings all searches to their ends side by side: each step of one waits for its own last, and the processor works on
    /// the others meanwhile. None sees another, so each ends where it would have ended alone.
    fn finish(searches: &mut [Self]) {
        for _ in 0..ROOT_STEPS_MAX {
            searches.iter_mut().for_each(Self::step);
            if searches.iter().all(|search| search.found) {
                return;
            }
        }
    }

    /// The root, once found.
    fn control_edge(&self) -> f64 {
        self.x.max(f64::MIN_POSITIVE)
    }

    /// One of Newton's steps, replaced by halving whenever it would leave the bracket or gain too little.
    fn step(&mut self) {
        if self.found {
            return;
        }
        let (value, rise) = self.slope();
        if value == 0.0 {
            self.found = true;
            return;
        }
        if value < 0.0 {
            self.low = self.x;
        } else {
            self.high = self.x;
        }
        let newton = self.x - value / rise;
        let inside = newton > self.low && newton < self.high && (newton - self.x).abs() < self.last_step / 2.0;
        let next = if inside { newton } else { self.low + (self.high - self.low) / 2.0 };
        self.last_step = (next - self.x).abs();
        if self.last_step <= self.x * f64::EPSILON / 2.0 {
            self.found = true;
            return;
        }
        self.x = next;
    }

    /// The polynomial at x, and its derivative there.
    fn slope(&self) -> (f64, f64) {
        let (x, y) = (self.x, self.x + self.margin);
        let y_rest = (1.0 - self.margin) - x;
        let (x_part, y_part) = (x * (1.0 - x), y * y_rest);
        let (x_gap, y_gap) = (x - self.guess.control, y - self.guess.treated);
        let value = self.control * x_gap * y_part + self.treated * y_gap * x_part;
        let rise = self.control * (y_part + x_gap * (y_rest - y)) + self.treated * (x_part + y_gap * (1.0 - 2.0 * x));
        (value, rise)
    }
}

/// Halving alone reaches full precision in fewer steps than this from any bracket that a grid can give.
const ROOT_STEPS_MAX: u32 = 200;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn nearest_control_rate(guess: Guess, null: Null, margin: f64, sizes: Exposure) -> f64 {
        let mut search = [EdgeSearch::new(guess, null, margin, sizes)];
        EdgeSearch::finish(&mut search);
        search[0].control_edge()
    }

    /// The same root by halving alone on the quotient form.
    fn root_by_halving(guess: Guess, null: Null, margin: f64, na: f64, nb: f64) -> f64 {
        let (mut low, mut high) = match null {
            Null::AtMost => (guess.control, guess.treated - margin),
            Null::AtLeast => ((guess.treated - margin).max(0.0), guess.control.min(1.0 - margin)),
        };
        for _ in 0..2_000 {
            let x = low + (high - low) / 2.0;
            let y = x + margin;
            let slope = na * (x - guess.control) / (x * (1.0 - x)) + nb * (y - guess.treated) / (y * (1.0 - y));
            if slope < 0.0 {
                low = x;
            } else {
                high = x;
            }
        }
        low
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn the_nearest_point_is_the_root_that_plain_halving_finds(
            control in 1e-5..0.9_f64, treated in 1e-5..0.99_f64, margin in 1e-5..0.95_f64,
            na in 1..100_000_u32, nb in 1..100_000_u32,
        ) {
            let guess = Guess { control, treated, weight: 1.0 };
            let null = if treated > control + margin { Null::AtMost } else { Null::AtLeast };
            let found = nearest_control_rate(guess, null, margin, Exposure { treated: nb, control: na });
            let halved = root_by_halving(guess, null, margin, f64::from(na), f64::from(nb));
            prop_assert!((found - halved).abs() <= 1e-9 * halved + 1e-14, "{found} against {halved}");
        }

        #[test]
        fn searches_side_by_side_end_where_each_ends_alone(
            guesses in proptest::collection::vec((1e-5..0.9_f64, 1e-5..0.99_f64), 8), margin in 1e-5..0.95_f64,
            treated in 1..1_000_000_000_u32, control in 0..1_000_000_000_u32, turned: bool,
        ) {
            let null = if turned { Null::AtLeast } else { Null::AtMost };
            let guesses: Vec<Guess> =
                guesses.iter().map(|(control, treated)| Guess { control: *control, treated: *treated, weight: 1.0 }).collect();
            let guesses: [Guess; 8] = guesses.try_into().unwrap();
            let alone = guesses.map(|guess| DeviceTerms::of(&[guess], null, margin, Exposure { treated, control })[0]);
            prop_assert_eq!(DeviceTerms::of(&guesses, null, margin, Exposure { treated, control }), alone);
        }

        #[test]
        fn rounding_does_not_break_the_bound_in_blocks_of_a_billion(
            control in prop_oneof![Just(1e-4), Just(1e-2), 1e-4..0.5_f64], treated in 1e-4..0.99_f64,
            margin in prop_oneof![Just(5e-4), Just(5e-3), 1e-4..0.95_f64], part in 0.0..=1.0_f64,
            sizes in prop_oneof![
                Just((1_000_000_000, 1)), Just((1, 1_000_000_000)), Just((1_000_000_000, 1_000_000_000)),
                (1..1_000_000_000_u32, 1..1_000_000_000_u32),
            ],
        ) {
            let guess = Guess { control, treated, weight: 1.0 };
            let null = if treated > control + margin { Null::AtMost } else { Null::AtLeast };
            let x = nearest_control_rate(guess, null, margin, Exposure { treated: sizes.1, control: sizes.0 });
            let (y, y_rest) = (x + margin, (1.0 - margin) - x);
            // ln of the expectation when all of the block sit on the null's edge.
            let control_rate = part * (1.0 - margin);
            let side = |size: u32, rate: f64, guess: f64, edge: f64, rest: f64| {
                f64::from(size) * ((rate - edge) * (guess - edge) / (edge * rest)).max(-1.0).ln_1p()
            };
            let ln_mean = side(sizes.0, control_rate, control, x, 1.0 - x)
                + side(sizes.1, control_rate + margin, treated, y, y_rest);
            prop_assert!(ln_mean <= 1e-5, "{guess:?} {margin} {sizes:?}: {ln_mean:e}");
        }
    }

    fn ln_e_of_block(guess: Guess, null: Null, margin: f64, block: BlockCounts) -> f64 {
        DeviceTerms::of(&[guess], null, margin, block.exposure())[0].ln_e(block)
    }

    #[test]
    fn a_block_with_an_empty_side_or_a_guess_in_the_null_says_nothing_against_a_release() {
        let guess = Guess { control: 1e-3, treated: 1e-1, weight: 1.0 };
        let block = |treated, control| BlockCounts::new(treated, treated, control, 0).unwrap();
        assert_eq!(ln_e_of_block(guess, Null::AtMost, 5e-4, block(9, 0)), 0.0);
        assert_eq!(ln_e_of_block(guess, Null::AtMost, 5e-4, block(0, 9)), 0.0);
        assert_eq!(ln_e_of_block(guess, Null::AtLeast, 0.3, block(0, 9)), 0.0);
        assert_eq!(ln_e_of_block(guess, Null::AtLeast, 0.05, block(9, 0)), 0.0);
        assert_eq!(ln_e_of_block(guess, Null::AtMost, 0.2, block(9, 9)), 0.0);
        assert_eq!(ln_e_of_block(guess, Null::AtLeast, 5e-4, block(9, 9)), 0.0);
        assert!(ln_e_of_block(guess, Null::AtMost, 5e-4, block(9, 9)) > 0.0);
    }

    #[test]
    fn treated_without_control_speak_for_a_release_as_far_as_they_fail_less_than_the_margin() {
        let guess = Guess { control: 1e-3, treated: 0.05, weight: 1.0 };
        let ln_e = |events| ln_e_of_block(guess, Null::AtLeast, 0.3, BlockCounts::new(10, events, 0, 0).unwrap());
        assert!((ln_e(0) - 10.0 * (0.95_f64 / 0.7).ln()).abs() < 1e-12);
        assert!((ln_e(2) - ln_e(0) - 2.0 * ((0.05 / 0.3_f64).ln() - (0.95_f64 / 0.7).ln())).abs() < 1e-12);
        let with_many = ln_e_of_block(guess, Null::AtLeast, 0.3, BlockCounts::new(10, 0, 1_000, 0).unwrap());
        assert!((with_many - ln_e(0)).abs() < 0.1, "healthy control draws the edge to 0 too: {with_many}");
    }
}
