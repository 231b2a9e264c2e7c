//! Silence as time to an event: do the treated give their first healthy report later than control?
//! It never halts anything by itself and never sees a time: reports come in their order, and whoever is silent stays
//! among the unreported for good.
//!
//! # Why this is not the default
//!
//! It sees every delay and allows none. An update that restarts its device delays each first report, so the best of
//! releases is slow here, unless control restarts too. Before it may be used, time is therefore cut: reports count from
//! the end of the restart allowance on, on both sides (a device's first healthy report *after* it), in slots of two
//! check-ins, and within a slot in an order that the caller draws at random from its seed. The default for silence is
//! [`HaltProcess`](super::HaltProcess) on "no healthy report by the band's end", which needs none of that.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::rate_ratio::{Side, add_event, ln_plain_mean};

/// Guessed ratios of the rate at which the treated report to control's, weighted alike.
const RATIOS: [f64; 5] = [0.02, 0.2, 0.5, 0.8, 0.95];

/// The devices of one block that have not given their first healthy report. Reports take them out one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unreported {
    /// Devices that were given a go.
    pub treated: u32,
    /// Devices that are their control.
    pub control: u32,
}

/// A report from a side on which nobody was left to give one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a first report came from the {side:?} side, where no device was unreported")]
pub struct UnreportedError {
    /// The side of the report.
    pub side: Side,
}

impl UnreportedError {
    /// The stable word for this error.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        "nobody_unreported"
    }
}

/// The e-process of one scope on the time to the first healthy report.
///
/// - **Null hypothesis**: in every block and at every moment, the unreported treated report at no lower rate than the
///   unreported control.
/// - **Filtration**: reports in the order of their slots, blocks within a slot in the order in which they opened, and
///   within a block's slot an order drawn at random by the caller's seed. In the order of arrival, or with one side
///   first, ties would be evidence.
/// - **Units**: `ln_e` is a natural logarithm without unit; under the null, the probability that it ever reaches
///   `ln(1/a)` is at most `a` (Ville).
/// - **Source**: ter Schure, Pérez-Ortiz, Ly and Grünwald's anytime-valid logrank test; e-values (not their logarithms)
///   averaged over five guessed ratios.
///
/// Costs the same for every report and holds five numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogrankProcess {
    /// ln of the product of the reports' e-values, one a guess of [`RATIOS`], in its order.
    ln_points: [f64; RATIOS.len()],
}

impl LogrankProcess {
    /// A process that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters one device's first healthy report and takes the device out of its block's `unreported`. Once one side has
    /// reported completely, the rest says nothing.
    ///
    /// # Errors
    /// [`UnreportedError`] when nobody was left on that side; then nothing changes.
    pub fn enter(&mut self, side: Side, unreported: &mut Unreported) -> Result<(), UnreportedError> {
        let before = *unreported;
        let left = match side {
            Side::Treated => &mut unreported.treated,
            Side::Control => &mut unreported.control,
        };
        *left = left.checked_sub(1).ok_or(UnreportedError { side })?;
        add_event(&RATIOS, &mut self.ln_points, side, f64::from(before.treated), f64::from(before.control));
        Ok(())
    }

    /// Enters a whole block, whose reports a process of its own took: what several scopes count is worked out once.
    pub fn enter_block(&mut self, block: &LogrankProcess) {
        for (ln_e, of_block) in self.ln_points.iter_mut().zip(&block.ln_points) {
            *ln_e += of_block;
        }
    }

    /// ln of the e-value so far: the evidence that the treated report later. 0 before any report.
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        ln_plain_mean(&self.ln_points)
    }
}

#[cfg(test)]
mod tests;
