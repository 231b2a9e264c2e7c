//! The fleet as it was counted last, and whose turn it is to count it again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_console::fleet::Census;

/// Counts are not made anew more often than this, nor so often that more than a twentieth of the time goes into them.
const AGAIN: Duration = Duration::from_secs(5);

/// The last counts.
#[derive(Debug, Default)]
pub(crate) struct Counted(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    census: Option<Arc<Census>>,
    /// When counting ended and how long it took.
    made: Option<(Instant, Duration)>,
    counting: bool,
}

impl Counted {
    /// Whether whoever asks is to count now: the counts are old, and nobody is at it.
    pub(crate) fn begins(&self) -> bool {
        let mut held = self.held();
        let is_old = held.made.is_none_or(|(at, took)| at.elapsed() > AGAIN.max(took * 20));
        let begins = is_old && !held.counting;
        held.counting |= begins;
        begins
    }

    /// What was counted, and how long that took; none where it could not be, and the counts before stay.
    pub(crate) fn ends(&self, census: Option<Census>, took: Duration) {
        let mut held = self.held();
        held.counting = false;
        held.made = Some((Instant::now(), took));
        if let Some(census) = census {
            held.census = Some(Arc::new(census));
        }
    }

    /// The last counts.
    pub(crate) fn last(&self) -> Option<Arc<Census>> {
        self.held().census.clone()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_counts_at_a_time_and_not_again_at_once() {
        let counted = Counted::default();
        assert!(counted.begins() && !counted.begins(), "somebody is at it");
        counted.ends(Some(Census { devices: 7, ..Census::default() }), Duration::from_millis(1));
        assert!(!counted.begins(), "they are new");
        counted.ends(None, Duration::from_millis(1));
        assert_eq!(counted.last().unwrap().devices, 7, "what could not be counted leaves the counts before");
    }
}
