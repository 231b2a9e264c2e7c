//! Measured values, such as latency, memory or battery: an interval for their mean, to show, and the bound that makes
//! an event of a value, to halt by. An interval never halts anything; a bound never changes once a release has begun.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::share::Share;

/// The greatest magnitude of a value. Squares of what is smaller add up without overflow for longer than anybody measures.
pub const MAGNITUDE_MAX: f64 = 1e120;

/// The most values that one mean takes: the counts up to here are exact as floating-point numbers.
pub const VALUES_MAX: u64 = 1 << 53;

/// Why a value or a setting was refused.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum ValueError {
    /// An infinity or a not-a-number.
    #[error("{given} is not a finite number")]
    NotFinite {
        /// The number that was given.
        given: f64,
    },
    /// A value that is finite and absurd.
    #[error("{given} is out of range: values lie between -1e120 and 1e120")]
    OutOfRange {
        /// The number that was given.
        given: f64,
    },
    /// A `rho` that is not above 0, or whose size is absurd.
    #[error("{given} is no rho: it must lie between 1e-240 and 1e240")]
    Rho {
        /// The number that was given.
        given: f64,
    },
    /// More values than can be counted exactly.
    #[error("there are more values than 2^53")]
    TooMany,
    /// A stored sum of squared deviations that no values have.
    #[error("{given} is no sum of squared deviations of so many values")]
    SquaredDeviations {
        /// The number that was given.
        given: f64,
    },
    /// No values where some are needed.
    #[error("there are no values to take a quantile of")]
    Empty,
}

impl ValueError {
    /// The stable word for this error.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotFinite { .. } => "value_not_finite",
            Self::OutOfRange { .. } => "value_out_of_range",
            Self::Rho { .. } => "rho_out_of_range",
            Self::TooMany => "too_many_values",
            Self::SquaredDeviations { .. } => "squared_deviations_out_of_range",
            Self::Empty => "no_values",
        }
    }
}

fn checked(value: f64) -> Result<f64, ValueError> {
    if !value.is_finite() {
        Err(ValueError::NotFinite { given: value })
    } else if value.abs() > MAGNITUDE_MAX {
        Err(ValueError::OutOfRange { given: value })
    } else {
        Ok(value)
    }
}

/// The mean of the values so far, with an interval that may be looked at after every value.
///
/// - **Null hypothesis**: for every number m outside the interval, that m is the mean of the values.
/// - **Filtration**: values in the order in which they are observed; which is observed next depends on earlier ones only.
/// - **Units**: `mean` and the interval have the unit of the values, `rho` its square. The probability that the interval
///   ever leaves out the true mean is about `alpha`.
/// - **Source**: Robbins' normal mixture, `|S - n m| < sqrt((V + rho) ln((V + rho) / (rho alpha^2)))`, where S is the sum
///   of the n values and V the running sum of their squared deviations from the running mean (Waudby-Smith, Arbour,
///   Sinha, Kennedy and Ramdas's asymptotic confidence sequences).
///
/// **V is estimated, so the interval is valid only asymptotically**: early on, and as long as a rare great value has not
/// been seen, it is too narrow. It is there to be shown to people and decides nothing.
///
/// Costs the same for every value and holds four numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Sums", into = "Sums")]
pub struct MeanSoFar(Sums);

/// The same four numbers before they are checked; their form on disk.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sums {
    rho: f64,
    count: u64,
    mean: f64,
    /// V of [`MeanSoFar`]'s doc.
    squared_deviations: f64,
}

impl MeanSoFar {
    /// A mean of nothing. `rho`, fixed before the first value, settles at which V the interval is as narrow as any `rho`
    /// can make it: about 8 `rho` at an alpha of 0.05, 16 `rho` at 0.001. Any `rho` is as valid as another.
    ///
    /// # Errors
    /// [`ValueError::Rho`] for anything but a number from 1e-240 to 1e240.
    pub fn new(rho: f64) -> Result<Self, ValueError> {
        if (1e-240..=1e240).contains(&rho) {
            Ok(Self(Sums { rho, count: 0, mean: 0.0, squared_deviations: 0.0 }))
        } else {
            Err(ValueError::Rho { given: rho })
        }
    }

    /// Takes one more value.
    ///
    /// # Errors
    /// [`ValueError`] for a number that is not finite or beyond [`MAGNITUDE_MAX`], and beyond [`VALUES_MAX`] values; then
    /// nothing changes.
    pub fn observe(&mut self, value: f64) -> Result<(), ValueError> {
        let value = checked(value)?;
        let count = self.0.count + 1;
        if count > VALUES_MAX {
            return Err(ValueError::TooMany);
        }
        // Welford's step: nothing large is ever subtracted from something large.
        let before = value - self.0.mean;
        let mean = self.0.mean + before / count as f64;
        self.0 = Sums {
            rho: self.0.rho,
            count,
            mean,
            squared_deviations: self.0.squared_deviations + (before * (value - mean)).max(0.0),
        };
        Ok(())
    }

    /// How many values there are so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.count
    }

    /// The mean of the values so far; `None` before any.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.0.count > 0).then_some(self.0.mean)
    }

    /// The lowest and the highest mean that the values do not speak against at an error of `alpha`; `None` before two
    /// values, which have no spread. Always finite.
    #[must_use]
    pub fn interval(&self, alpha: Share) -> Option<(f64, f64)> {
        let Sums { rho, count, mean, squared_deviations } = self.0;
        if count < 2 {
            return None;
        }
        let spread = squared_deviations + rho;
        let ln_bound = spread.ln() - rho.ln() - 2.0 * alpha.get().ln();
        let reach = (spread * ln_bound).sqrt() / count as f64;
        Some((mean - reach, mean + reach))
    }
}

impl TryFrom<Sums> for MeanSoFar {
    type Error = ValueError;

    fn try_from(sums: Sums) -> Result<Self, ValueError> {
        let Self(Sums { rho, .. }) = Self::new(sums.rho)?;
        let mean = checked(sums.mean)?;
        // No value lies further from the mean than twice the greatest magnitude.
        let squares_max = 4.0 * MAGNITUDE_MAX * MAGNITUDE_MAX * sums.count as f64;
        if sums.count > VALUES_MAX {
            return Err(ValueError::TooMany);
        }
        if !(0.0..=squares_max).contains(&sums.squared_deviations) {
            return Err(ValueError::SquaredDeviations { given: sums.squared_deviations });
        }
        Ok(Self(Sums { rho, mean, ..sums }))
    }
}

impl From<MeanSoFar> for Sums {
    fn from(mean: MeanSoFar) -> Self {
        mean.0
    }
}

/// The bound that turns a measured value into an event: what 99 % of the control's values did not exceed before the release.
///
/// To halt, the share of treated above the bound is held against the share of control above it, in
/// [`HaltProcess`](super::HaltProcess). That stays valid however badly the bound was estimated, since both sides are
/// held against the same one and it was fixed before the first block; a poor bound costs power alone.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Quantile99(f64);

impl Quantile99 {
    /// The 99th percentile by nearest rank: the smallest of the n values that at least 99 % of them do not exceed, which
    /// is the one of rank `ceil(0.99 n)` in rising order. Of fewer than 100 values that is the greatest.
    ///
    /// # Errors
    /// [`ValueError`] without values, or for a value that is not finite or beyond [`MAGNITUDE_MAX`].
    pub fn of(values: impl IntoIterator<Item = f64>) -> Result<Self, ValueError> {
        let mut values = values.into_iter().map(checked).collect::<Result<Vec<f64>, ValueError>>()?;
        // ceil(0.99 n) = n - floor(n / 100), counted from 1.
        let place = (values.len() - values.len() / 100).checked_sub(1).ok_or(ValueError::Empty)?;
        let (_, bound, _) = values.select_nth_unstable_by(place, f64::total_cmp);
        Ok(Self(*bound))
    }

    /// The bound, in the unit of the values.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// Whether a value is an event: above the bound. What is not a number could not be measured and is one too, on either
    /// side: nobody is left out for want of data.
    #[must_use]
    pub fn is_exceeded_by(self, value: f64) -> bool {
        value.is_nan() || value > self.0
    }
}

impl TryFrom<f64> for Quantile99 {
    type Error = ValueError;

    fn try_from(value: f64) -> Result<Self, ValueError> {
        checked(value).map(Self)
    }
}

impl From<Quantile99> for f64 {
    fn from(bound: Quantile99) -> f64 {
        bound.0
    }
}

#[cfg(test)]
mod tests;
