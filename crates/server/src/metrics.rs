//! What the server counts: atomics on the way, read when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;

/// What is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Check-ins answered.
    pub check_ins: AtomicU64,
    /// Go requests answered with a go; a repeated one counts again.
    pub takes: AtomicU64,
    /// Go requests refused.
    pub takes_refused: AtomicU64,
    /// Reports received; a repeated one counts again.
    pub reports: AtomicU64,
    /// Enrolments answered; a repeated one counts again.
    pub enrolments: AtomicU64,
    /// Lines of the account that a webhook's receiver has.
    pub webhooks: AtomicU64,
    /// Attempts to deliver one that failed.
    pub webhooks_refused: AtomicU64,
    /// Bytes of artifacts sent.
    pub artifact_bytes: AtomicU64,
    /// Answers by the first digit of their status, from 1 to 5.
    answers: [AtomicU64; 5],
}

impl Metrics {
    /// A request was answered.
    pub(crate) fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.answers.get(class) {
            count(counter);
        }
    }

    /// Answers so far by the first digit of their status, from 1 to 5.
    pub(crate) fn answers(&self) -> impl Iterator<Item = u64> + '_ {
        self.answers.iter().map(|counter| counter.load(Ordering::Relaxed))
    }
}

/// Counts one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
