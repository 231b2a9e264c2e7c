//! Events so rare that time counts, not devices: crashes per device-time of the treated against those of control.
//! It never halts anything by itself, never measures time, and never knows a device: that each counts once is its
//! caller's to keep.

use serde::{Deserialize, Serialize};

use super::rate_ratio::{Side, add_event, ln_plain_mean};

/// Guessed ratios of the treated's rate to control's, weighted alike.
const RATIOS: [f64; 5] = [2.0, 4.0, 10.0, 50.0, 1_000.0];

/// The time at risk in which an event fell, summed over the devices of each side, in milliseconds. Of one stratum and one
/// stretch of time, the same for both sides, such as a tick: what counts is the proportion at the moment of the event.
/// A device's time counts until its first event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceTime {
    /// Device-time of those that were given a go.
    pub treated_ms: u64,
    /// Device-time of their control.
    pub control_ms: u64,
}

/// The e-process of one scope on events per device-time.
///
/// - **Null hypothesis**: at every moment, the treated at risk have the event at no higher rate per device-time than
///   control at risk. There is no margin: an update that by itself fails a little belongs to
///   [`HaltProcess`](super::HaltProcess).
/// - **Filtration**: events in the order of their time, the sides of earlier events and the device-times known.
/// - **Units**: `ln_e` is a natural logarithm without unit; under the null, the probability that it ever reaches
///   `ln(1/a)` is at most `a` (Ville).
/// - **Source**: Lindon and Malek's anytime-valid inference for counting processes; e-values (not their logarithms)
///   averaged over five guessed ratios.
///
/// **Only a device's first crash of a release may be entered.** Devices differ, and a few crash again and again whatever
/// they run; by luck more of them are treated, and each of their crashes would be taken for news. Who has crashed
/// leaves the device-time too. First crashes are safe however unlike the devices are, where chance alone decided who is
/// treated: whoever crashes next is then treated with exactly the treated's share of those who are left.
///
/// Costs the same for every event and holds five numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RareEventProcess {
    /// ln of the product of the events' e-values, one a guess of [`RATIOS`], in its order.
    ln_points: [f64; RATIOS.len()],
}

impl RareEventProcess {
    /// A process that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters one event: a device's first. Where one side had no time at risk, nothing could be compared, and the event's
    /// e-value is 1.
    pub fn enter(&mut self, side: Side, at_risk: DeviceTime) {
        add_event(&RATIOS, &mut self.ln_points, side, at_risk.treated_ms as f64, at_risk.control_ms as f64);
    }

    /// ln of the e-value so far: the evidence that the treated have the event more often. 0 before any event.
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        ln_plain_mean(&self.ln_points)
    }
}

#[cfg(test)]
mod tests;
