//! Numbers that a release declares, with their bounds or to be held against those of control: evidence, where a probe would be a verdict on
//! one device.

use serde::{Deserialize, Serialize};

use crate::ids::NumberName;

/// The most that a release may declare.
const NUMBERS_MAX: usize = 8;

/// A number that the payload says (`X_TIDEGATE_NUMBER=NAME VALUE` at `$NOTIFY_SOCKET`), with the values that are well. Without a bound, one is
/// learnt from the devices that do not have the release: what 99 of 100 of them do not leave.
///
/// One device outside them is no failure. That more devices with the release are outside than devices without it is evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchedNumber {
    /// Which one.
    pub name: NumberName,
    /// The least that is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<i64>,
    /// The most that is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<i64>,
    /// Which way is bad, where the bound is learnt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worse: Option<Worse>,
}

/// Which values of a number are bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worse {
    /// High ones: latency, memory in use.
    Above,
    /// Low ones: battery, memory left.
    Below,
}

impl WatchedNumber {
    /// Whether a value, in thousandths, lies outside.
    pub fn is_left_by(&self, milli: i64) -> bool {
        let value = i128::from(milli);
        let milli_of = |bound: i64| i128::from(bound) * 1_000;
        self.at_least.is_some_and(|least| value < milli_of(least))
            || self.at_most.is_some_and(|most| value > milli_of(most))
    }

    fn problem(&self) -> Option<String> {
        let WatchedNumber { name, at_least, at_most, worse } = self;
        match (at_least, at_most, worse) {
            (None, None, None) => Some(format!(
                "number `{name}` has no bound: expected `at_least`, `at_most` or both, or `worse` (\"above\" or \"below\") for a bound \
                 that is learnt from control"
            )),
            (None, None, Some(_)) => None,
            (_, _, Some(_)) => Some(format!(
                "number `{name}` has both a bound and `worse`, which is for a bound to be learnt: expected one of them"
            )),
            (Some(least), Some(most), None) if least > most => {
                Some(format!("number `{name}` can never be well: at_least {least} is more than at_most {most}"))
            }
            _ => None,
        }
    }
}

/// What is wrong with a list of them.
pub(super) fn problem(numbers: &[WatchedNumber]) -> Option<String> {
    let twice = numbers.iter().enumerate().find(|(at, number)| numbers.iter().take(*at).any(|n| n.name == number.name));
    if numbers.len() > NUMBERS_MAX {
        return Some(format!("{} numbers: at most {NUMBERS_MAX}", numbers.len()));
    }
    if let Some((_, number)) = twice {
        return Some(format!("number `{}` stands twice", number.name));
    }
    numbers.iter().find_map(WatchedNumber::problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_outside_beyond_either_bound_and_no_size_overflows() {
        let number =
            WatchedNumber { name: "queue".parse().unwrap(), at_least: Some(-1), at_most: Some(i64::MAX), worse: None };
        assert!(number.is_left_by(-1_001) && !number.is_left_by(-1_000) && !number.is_left_by(i64::MAX));
        assert!(number.problem().is_none());
        let none = WatchedNumber { at_least: None, at_most: None, ..number.clone() };
        assert!(none.problem().unwrap().contains("no bound"));
        let never = WatchedNumber { at_least: Some(2), at_most: Some(1), ..number.clone() };
        assert!(never.problem().unwrap().contains("never"));
        let both = WatchedNumber { worse: Some(Worse::Above), ..number };
        assert!(both.problem().unwrap().contains("both a bound and `worse`"));
        let learnt = WatchedNumber { worse: Some(Worse::Below), ..none };
        assert!(learnt.problem().is_none() && !learnt.is_left_by(i64::MIN));
    }
}
