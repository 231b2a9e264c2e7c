//! What is counted in one ring.

use serde::{Deserialize, Serialize};

/// What is counted in one ring. Units: places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RingTally {
    /// Places without those held back.
    pub places: u32,
    /// Of them, devices that were enrolled after the release was published: no evidence.
    pub late: u32,
    /// Opened; a place that lapsed and whose device has a new one is not counted twice.
    pub opened: u32,
    /// Lapsed and not back.
    pub lapsed: u32,
    /// Given a go.
    pub taken: u32,
    /// Proven.
    pub proven: u32,
    /// Of the proven, those that are no evidence.
    pub proven_late: u32,
    /// Failed hard.
    pub failed: u32,
    /// Past a deadline without a healthy report, and not failed.
    pub silent: u32,
    /// Failed, silent, or crashed at least once.
    pub troubled: u32,
}
