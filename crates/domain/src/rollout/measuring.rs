//! The means of the numbers that a release declares, of those who took it and of control: shown to people, judged by nobody.
//!
//! What halts is the share of devices that are outside a number's bounds (see [`gate`](super::gate)).

use serde::{Deserialize, Serialize};

use super::Rollout;
use super::hearing::Heard;
use super::place::{PlaceRef, Stage};
use crate::evidence::{MeanSoFar, Share};
use crate::ids::NumberName;
use crate::release::{WatchedNumber, Worse};

/// The error of the intervals that are shown.
const SHOWN_ALPHA: f64 = 0.05;

/// The means of one number so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    name: NumberName,
    treated: MeanSoFar,
    control: MeanSoFar,
}

/// The mean of a number over devices of one side, each counted once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanReport {
    /// How many devices.
    pub devices: u64,
    /// Their mean, in the number's own unit.
    pub mean: f64,
    /// The interval around it at an error of 1 in 20, whenever it is looked at (valid for many devices only); none before two of them.
    pub interval: Option<(f64, f64)>,
}

/// A number that the release declares, as it is with the release and without.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumberReport {
    /// The number.
    pub name: NumberName,
    /// Over those who took the release; none before any was heard.
    pub treated: Option<MeanReport>,
    /// Over their control.
    pub control: Option<MeanReport>,
    /// The bound that was learnt from control, where the release declares none and enough was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learnt: Option<LearntBound>,
}

/// A bound that was learnt from control.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LearntBound {
    /// On which side of it values are bad.
    pub worse: Worse,
    /// The bound, in the number's own unit.
    pub bound: f64,
}

impl Rollout {
    /// Takes what a device says in numbers with its first healthy word of band 2. Later words of it are its own past, and say nothing of
    /// other devices. To be called before the word itself is taken.
    pub(super) fn measure(&mut self, at: PlaceRef, heard: &Heard<'_>) {
        let Some((_, place)) = self.place(at) else { return };
        let (seen, is_treated) = match &place.stage {
            Stage::Taken(taken) => (taken.seen, true),
            Stage::Control { seen, .. } => (*seen, false),
            Stage::Waiting | Stage::Open { .. } | Stage::Lapsed => return,
        };
        if seen.healthy[1] || self.horizons().band_of(heard.age) != Some(1) {
            return;
        }
        if !is_treated {
            self.learn(heard.numbers);
        }
        for measured in &mut self.measured {
            let Some(thousandths) = heard.numbers.get(&measured.name) else { continue };
            let side = if is_treated { &mut measured.treated } else { &mut measured.control };
            // More values than can be counted change nothing any more.
            let _ = side.observe(*thousandths as f64 / 1e3);
        }
    }

    /// The numbers that the release declares, as they are with it and without.
    pub(super) fn number_reports(&self) -> Vec<NumberReport> {
        let report = |measured: &Measured| NumberReport {
            name: measured.name.clone(),
            treated: mean_report(&measured.treated),
            control: mean_report(&measured.control),
            learnt: self.learnt_bound(&measured.name).map(|(worse, bound)| LearntBound { worse, bound }),
        };
        self.measured.iter().map(report).collect()
    }
}

impl Measured {
    /// Of every number that a manifest declares.
    pub(super) fn of_all(numbers: &[WatchedNumber]) -> Vec<Measured> {
        let of = |number: &WatchedNumber| {
            let mean = MeanSoFar::new(expected_spread(number).powi(2)).ok()?;
            Some(Measured { name: number.name.clone(), treated: mean, control: mean })
        };
        numbers.iter().filter_map(of).collect()
    }
}

/// Roughly how far values lie apart, from the bounds alone: at what number of devices the interval is narrowest hangs on it, not its validity.
fn expected_spread(number: &WatchedNumber) -> f64 {
    let bounds = [number.at_least, number.at_most];
    let greatest = bounds.into_iter().flatten().map(i64::unsigned_abs).max().unwrap_or(0);
    (greatest as f64 / 10.0).max(0.1)
}

fn mean_report(so_far: &MeanSoFar) -> Option<MeanReport> {
    let interval = Share::new(SHOWN_ALPHA).ok().and_then(|alpha| so_far.interval(alpha));
    so_far.mean().map(|mean| MeanReport { devices: so_far.count(), mean, interval })
}
