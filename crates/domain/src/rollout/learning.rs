//! Bounds of numbers that the release declares without one: what the devices without the release do not leave.
//!
//! A bound is the 99th percentile of what control says in the first blocks, and is fixed when one of them closes. It holds for blocks of later
//! ticks alone, whose members said nothing that went into it, so that the test of them is valid however badly it was learnt: both sides of a
//! block are held against the same bound. It judges nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Rollout;
use super::hearing::Heard;
use super::place::{PlaceRef, Stage};
use crate::evidence::Quantile99;
use crate::ids::NumberName;
use crate::release::{WatchedNumber, Worse};
use crate::time::WallTime;

/// Fewer values of control fix no bound.
const VALUES_MIN: usize = 30;
/// More are not kept.
const VALUES_MAX: usize = 10_000;
/// So many of the worst are not believed, or a tenth where there are fewer than fifty: one broken device must not lift the bound out of reach.
const UNBELIEVED_MAX: usize = 5;

/// A bound that is learnt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Learning {
    name: NumberName,
    worse: Worse,
    stands: Bound,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stands", rename_all = "snake_case")]
enum Bound {
    /// What control said so far, turned so that high values are bad.
    Gathering { values: Vec<f64> },
    /// Fixed in a tick, and turned alike.
    Fixed { bound: Quantile99, in_tick: u64 },
}

impl Learning {
    /// Of every number that a manifest declares without a bound.
    pub(super) fn of_all(numbers: &[WatchedNumber]) -> Vec<Learning> {
        let of = |number: &WatchedNumber| {
            let stands = Bound::Gathering { values: Vec::new() };
            Some(Learning { name: number.name.clone(), worse: number.worse?, stands })
        };
        numbers.iter().filter_map(of).collect()
    }

    fn turned(&self, milli: i64) -> f64 {
        let value = milli as f64 / 1e3;
        match self.worse {
            Worse::Above => value,
            Worse::Below => -value,
        }
    }

    fn learn(&mut self, milli: i64) {
        let value = self.turned(milli);
        if let Bound::Gathering { values } = &mut self.stands
            && values.len() < VALUES_MAX
        {
            values.push(value);
        }
    }

    fn fix(&mut self, tick: u64) {
        if let Bound::Gathering { values } = &self.stands
            && values.len() >= VALUES_MIN
            && let Ok(bound) = Quantile99::of(believed(values))
        {
            self.stands = Bound::Fixed { bound, in_tick: tick };
        }
    }

    /// Whether a member of a block of this tick is outside; never before there is a bound. One that says no such number is.
    fn is_left_by(&self, milli: Option<i64>, tick: u64) -> bool {
        match self.stands {
            Bound::Fixed { bound, in_tick } if in_tick < tick => {
                milli.is_none_or(|milli| bound.is_exceeded_by(self.turned(milli)))
            }
            Bound::Fixed { .. } | Bound::Gathering { .. } => false,
        }
    }
}

fn believed(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.truncate(values.len() - UNBELIEVED_MAX.min(values.len() / 10));
    sorted
}

impl Rollout {
    /// Takes what a control says.
    pub(super) fn learn(&mut self, numbers: &BTreeMap<NumberName, i64>) {
        for learning in &mut self.learning {
            if let Some(milli) = numbers.get(&learning.name) {
                learning.learn(*milli);
            }
        }
    }

    /// Fixes the bounds that enough of control has said something to.
    pub(super) fn fix_bounds(&mut self, at: WallTime) {
        let tick = self.horizons().tick(at);
        self.learning.iter_mut().for_each(|learning| learning.fix(tick));
    }

    /// Goes on with the bounds that an earlier order of the same files learnt.
    pub(super) fn learn_from(&mut self, earlier: &Rollout) {
        for learning in &mut self.learning {
            let same = |held: &&Learning| held.name == learning.name && held.worse == learning.worse;
            if let Some(held) = earlier.learning.iter().find(same) {
                *learning = held.clone();
                // All blocks of this rollout come later, whatever its ticks are.
                if let Bound::Fixed { in_tick, .. } = &mut learning.stands {
                    *in_tick = 0;
                }
            }
        }
    }

    /// The bound of a number that was learnt, in its own unit.
    pub(super) fn learnt_bound(&self, name: &NumberName) -> Option<(Worse, f64)> {
        let learning = self.learning.iter().find(|learning| learning.name == *name)?;
        match learning.stands {
            Bound::Fixed { bound, .. } if learning.worse == Worse::Below => Some((Worse::Below, -bound.get())),
            Bound::Fixed { bound, .. } => Some((Worse::Above, bound.get())),
            Bound::Gathering { .. } => None,
        }
    }

    /// Whether what a member of a block says in numbers with a healthy word lies outside, or lacks a number: nobody is left out for want of
    /// data, on either side.
    pub(super) fn is_outside(&self, at: PlaceRef, heard: &Heard<'_>) -> bool {
        let numbers = heard.numbers;
        let said = |name: &NumberName| numbers.get(name).copied();
        let bounded = self.identity.numbers.iter().filter(|number| number.worse.is_none());
        let mut declared = bounded.map(|number| said(&number.name).is_none_or(|milli| number.is_left_by(milli)));
        if declared.any(|outside| outside) {
            return true;
        }
        // What is learnt is how devices are in band 2, when their start is over.
        if self.horizons().band_of(heard.age) != Some(1) {
            return false;
        }
        let tick = match self.place(at).map(|(_, place)| &place.stage) {
            Some(Stage::Taken(taken)) => self.horizons().tick(taken.at_ms),
            Some(Stage::Control { block, .. }) => self.blocks.get(*block).map_or(0, |block| block.of.tick),
            Some(Stage::Waiting | Stage::Open { .. } | Stage::Lapsed) | None => return false,
        };
        self.learning.iter().any(|learning| learning.is_left_by(said(&learning.name), tick))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learning(worse: Worse) -> Learning {
        let number = WatchedNumber { name: "n".parse().unwrap(), at_least: None, at_most: None, worse: Some(worse) };
        Learning::of_all(&[number]).remove(0)
    }

    #[test]
    fn a_bound_wants_thirty_values_and_holds_for_later_ticks_alone() {
        let mut learning = learning(Worse::Above);
        (1..30).for_each(|value| learning.learn(value * 1_000));
        learning.fix(7);
        assert!(!learning.is_left_by(Some(i64::MAX), 100) && !learning.is_left_by(None, 100), "29 values are too few");
        learning.learn(30_000);
        learning.fix(7);
        assert!(!learning.is_left_by(Some(i64::MAX), 7), "members of this tick went into it");
        // Of 1 to 30 the three greatest are not believed.
        assert!(!learning.is_left_by(Some(27_000), 8) && learning.is_left_by(Some(27_001), 8));
        assert!(learning.is_left_by(None, 8), "nobody is left out for want of data");
        let fixed = learning.clone();
        (0..1_000).for_each(|_| learning.learn(900_000));
        learning.fix(9);
        assert_eq!(learning, fixed, "once and for all");
    }

    #[test]
    fn a_few_devices_that_say_anything_do_not_lift_the_bound_out_of_reach() {
        let mut learning = learning(Worse::Above);
        (0..40).for_each(|value| learning.learn(100_000 + value));
        (0..4).for_each(|_| learning.learn(i64::MAX));
        learning.fix(1);
        assert!(learning.is_left_by(Some(101_000), 2));
    }

    #[test]
    fn low_is_bad_where_the_release_says_so_and_no_more_is_kept_than_anybody_needs() {
        let mut learning = learning(Worse::Below);
        (0..VALUES_MAX as i64 + 500).for_each(|value| learning.learn(value * 1_000));
        let Bound::Gathering { values } = &learning.stands else { panic!("not fixed yet") };
        assert_eq!(values.len(), VALUES_MAX);
        learning.fix(1);
        // Of 0 to 9,999 one in a hundred is less than 104, without the five least.
        assert!(learning.is_left_by(Some(103_000), 2) && !learning.is_left_by(Some(105_000), 2));
    }
}
