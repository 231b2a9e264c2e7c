//! A share of one, strictly between 0 and 1: a probability, a margin or an error rate.
//! It never holds 0, 1, an infinity or a not-a-number, so its logarithm is finite on both sides.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A number strictly between 0 and 1, without unit.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(f64);

/// Why a number is not a [`Share`].
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("{given} is not a share: it must lie strictly between 0 and 1")]
pub struct ShareError {
    /// The number that was given.
    pub given: f64,
}

impl ShareError {
    /// The stable word for this error.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        "share_out_of_range"
    }
}

impl Share {
    /// One half.
    pub const HALF: Share = Share(0.5);

    /// Takes a number strictly between 0 and 1.
    ///
    /// # Errors
    /// [`ShareError`] for anything else. A number so near 0 that `1 - number` is 1 is still accepted.
    pub fn new(value: f64) -> Result<Self, ShareError> {
        if value > 0.0 && value < 1.0 { Ok(Self(value)) } else { Err(ShareError { given: value }) }
    }

    /// The shares of two significant digits from 1e-12 to 0.99 in rising order, by their index from 0: 1.0e-12, 1.1e-12, ...
    /// 9.9e-12, 1.0e-11, ... 0.99. `None` beyond the last one.
    #[must_use]
    pub fn two_digit(index: u32) -> Option<Self> {
        let decade = i32::try_from(index / 90).ok().filter(|decade| *decade < 12)?;
        Self::new(f64::from(10 + index % 90) / 10_f64.powi(13 - decade)).ok()
    }

    /// The number itself.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Share {
    type Error = ShareError;

    fn try_from(value: f64) -> Result<Self, ShareError> {
        Self::new(value)
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> f64 {
        share.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_numbers_strictly_between_0_and_1_are_shares() {
        for good in [f64::MIN_POSITIVE, 5e-4, 0.5, 1.0 - f64::EPSILON] {
            assert_eq!(Share::new(good).unwrap().get().to_bits(), good.to_bits());
        }
        for bad in [0.0, -0.0, 1.0, -0.1, 1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Share::new(bad).unwrap_err().kind(), "share_out_of_range");
        }
    }

    #[test]
    fn a_stored_share_out_of_range_is_refused() {
        assert_eq!(serde_json::from_str::<Share>("0.25").unwrap(), Share::new(0.25).unwrap());
        for bad in ["0", "1", "-1", "1e400", "null", "\"0.5\""] {
            assert!(serde_json::from_str::<Share>(bad).is_err(), "{bad}");
        }
    }
}
