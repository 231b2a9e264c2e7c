//! Numbers that a release declares with their bounds: evidence, where a probe would be a verdict on one device.

use serde::{Deserialize, Serialize};

use crate::ids::NumberName;

/// The most that a release may declare.
const NUMBERS_MAX: usize = 8;

/// A number that the payload says (`X_TIDEGATE_NUMBER=NAME VALUE` at `$NOTIFY_SOCKET`), with the values that are well.
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
        let WatchedNumber { name, at_least, at_most } = self;
        match (at_least, at_most) {
            (None, None) => Some(format!("number `{name}` has no bound: expected `at_least`, `at_most` or both")),
            (Some(least), Some(most)) if least > most => {
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
        let number = WatchedNumber { name: "queue".parse().unwrap(), at_least: Some(-1), at_most: Some(i64::MAX) };
        assert!(number.is_left_by(-1_001) && !number.is_left_by(-1_000) && !number.is_left_by(i64::MAX));
        assert!(number.problem().is_none());
        let none = WatchedNumber { at_least: None, at_most: None, ..number.clone() };
        assert!(none.problem().unwrap().contains("no bound"));
        let never = WatchedNumber { at_least: Some(2), at_most: Some(1), ..number };
        assert!(never.problem().unwrap().contains("never"));
    }
}
