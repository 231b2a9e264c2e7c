//! Counters for Prometheus: atomics on the way, text when asked.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Check-ins answered.
    pub check_ins: AtomicU64,
    /// Takes recorded.
    pub takes: AtomicU64,
    /// Go requests refused.
    pub takes_refused: AtomicU64,
    /// Reports recorded.
    pub reports: AtomicU64,
    /// Devices enrolled.
    pub enrolments: AtomicU64,
    /// Bytes of artifacts sent.
    pub artifact_bytes: AtomicU64,
}

/// Counts one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
