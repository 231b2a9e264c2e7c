//! Whether the server's authenticated answers arrive, by the device's own uninterrupted clock. Nothing else is contact.

use std::time::{Duration, Instant};

/// So many intervals between check-ins may pass without an answer: one lost and the next late is no loss of contact.
const INTERVALS: u32 = 3;
/// And this much more, for slow networks.
const SLACK: Duration = Duration::from_secs(2);

/// When the last authenticated answer came.
#[derive(Debug)]
pub(crate) struct Contact {
    last: Option<Instant>,
}

impl Contact {
    /// None yet.
    pub(crate) fn none() -> Contact {
        Contact { last: None }
    }

    /// An authenticated answer came.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// Whether there is contact, given how often the device checks in.
    pub(crate) fn holds(&self, now: Instant, check_in: Duration) -> bool {
        let gap_max = check_in.saturating_mul(INTERVALS).saturating_add(SLACK);
        self.last.is_some_and(|last| now.saturating_duration_since(last) <= gap_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contact_is_lost_after_several_missed_answers_and_not_after_one() {
        let (mut contact, start) = (Contact::none(), Instant::now());
        let check_in = Duration::from_secs(10);
        assert!(!contact.holds(start, check_in));
        contact.heard(start);
        assert!(contact.holds(start + Duration::from_secs(31), check_in));
        assert!(!contact.holds(start + Duration::from_secs(33), check_in));
    }
}
