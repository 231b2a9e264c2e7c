//! The course of a rollout in a few hundred points, from what its steps saw.

use serde::{Deserialize, Serialize};
use tidegate_domain::rollout::report::StepReport;
use tidegate_domain::time::WallTime;

/// The most points that are kept; a longer course keeps every second.
const POINTS_MAX: usize = 256;

/// How a rollout stood at an instant. Units: places.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When.
    pub at_ms: WallTime,
    /// Given a go.
    pub taken: u32,
    /// Proven.
    pub proven: u32,
    /// Failed or silent.
    pub harmed: u32,
    /// ln of the evidence against the release.
    pub ln_evidence: f64,
}

/// Points in the order of time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Points(Vec<Point>);

impl Points {
    /// Takes up what a step saw, where it is something new.
    pub(super) fn note(&mut self, report: &StepReport) {
        let sum =
            |count: fn(&tidegate_domain::rollout::report::RingReport) -> u32| report.rings.iter().map(count).sum();
        let point = Point {
            at_ms: report.at_ms,
            taken: sum(|ring| ring.taken),
            proven: sum(|ring| ring.proven),
            harmed: sum(|ring| ring.failed.saturating_add(ring.silent)),
            ln_evidence: report.ln_evidence,
        };
        if self.0.last().is_some_and(|last| Point { at_ms: point.at_ms, ..*last } == point) {
            return;
        }
        if self.0.len() >= POINTS_MAX {
            let mut index = 0;
            self.0.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
        self.0.push(point);
    }

    /// All of them.
    pub fn as_slice(&self) -> &[Point] {
        &self.0
    }
}
