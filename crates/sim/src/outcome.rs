//! What became of a fleet under one policy: the truth, not what was reported.

use serde::{Deserialize, Serialize};

/// The most points that a course keeps; a longer one keeps every second.
const POINTS_MAX: usize = 1_024;

/// What became of a fleet.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Devices that were given the release.
    pub exposed: u32,
    /// Of them, those that the fault struck.
    pub harmed: u32,
    /// Of the harmed, those that do not come back by themselves.
    pub need_hands: u32,
    /// Of the harmed, those that are back on what they ran before.
    pub back: u32,
    /// When the fault first struck, in milliseconds after the start.
    pub first_harm_ms: Option<u64>,
    /// When it was halted.
    pub halted_at_ms: Option<u64>,
    /// The reasons' stable words.
    pub halt_kinds: Vec<String>,
    /// Why, in full.
    pub halt_reasons: Vec<String>,
    /// Which values and strata the evidence blamed when it was halted.
    pub blamed: Vec<String>,
    /// When a person was first called, and why.
    pub called: Option<(u64, String)>,
    /// When 95 of 100 devices that are not held back ran the release in health.
    pub fleet_done_ms: Option<u64>,
    /// When whoever spread it called it done.
    pub completed_at_ms: Option<u64>,
    /// What ln of the evidence must reach to halt; none where nobody weighs any.
    pub ln_halt: Option<f64>,
    /// Why the order was refused, where it was: nothing happened then.
    pub refused: Option<String>,
    /// By server, where there are any: the entries that it recorded.
    pub recorded: Vec<u64>,
    /// What must never happen and did. Anything here is a fault of Tidegate.
    pub broken: Vec<String>,
    /// The course of it.
    pub course: Course,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Course {
    every: u32,
    skipped: u32,
    /// Points in the order of time.
    pub points: Vec<Point>,
}

/// One instant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Milliseconds after the start.
    pub at_ms: u64,
    /// Exposed so far.
    pub exposed: u32,
    /// Harmed so far.
    pub harmed: u32,
    /// Running the release in health.
    pub updated: u32,
    /// ln of the evidence against the release; none where nobody weighs any.
    pub ln_evidence: Option<f64>,
}

impl Default for Course {
    fn default() -> Course {
        Course { every: 1, skipped: 0, points: Vec::new() }
    }
}

impl Course {
    pub(crate) fn note(&mut self, point: Point) {
        let same = |last: &Point| Point { at_ms: point.at_ms, ..*last } == point;
        self.skipped += 1;
        if self.points.last().is_some_and(same) || self.skipped < self.every {
            return;
        }
        self.skipped = 0;
        self.points.push(point);
        if self.points.len() > POINTS_MAX {
            let mut keep = false;
            self.points.retain(|_| {
                keep = !keep;
                keep
            });
            self.every = self.every.saturating_mul(2);
        }
    }
}

impl Outcome {
    /// From the first harm to the halt, in seconds. None where nothing was halted; zero where it was halted before any harm.
    pub fn halt_s(&self) -> Option<f64> {
        let halted = self.halted_at_ms?;
        Some(halted.saturating_sub(self.first_harm_ms.unwrap_or(halted)) as f64 / 1e3)
    }

    /// From the start to the whole fleet, in seconds. A release that was halted on its way did not come so far.
    pub fn fleet_done_s(&self) -> Option<f64> {
        self.fleet_done_ms.filter(|_| self.halted_at_ms.is_none()).map(|ms| ms as f64 / 1e3)
    }
}
