//! What one block contributes to one process: how many were treated, how many were control, how many of each
//! had the event. It never says which devices they were, and never holds more events than devices.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The sizes of one block in one age band, in devices: known before anything is known of its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// Devices that are given a go.
    pub treated: u32,
    /// Devices that are their control.
    pub control: u32,
}

/// One block's outcome for one signal (hard failure or silence) in one age band. All four are devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Counts", into = "Counts")]
pub struct BlockCounts(Counts);

/// The same four numbers before they are checked; their form on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counts {
    treated: u32,
    treated_events: u32,
    control: u32,
    control_events: u32,
}

/// Why four numbers are not a block's counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CountsError {
    /// More treated devices had the event than were treated.
    #[error("treated_events is {events}, but only {size} devices of the block were treated")]
    TreatedEvents {
        /// The devices said to have had the event.
        events: u32,
        /// The treated devices.
        size: u32,
    },
    /// More control devices had the event than were control.
    #[error("control_events is {events}, but the block has only {size} control devices")]
    ControlEvents {
        /// The devices said to have had the event.
        events: u32,
        /// The control devices.
        size: u32,
    },
}

impl CountsError {
    /// The stable word for this error.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TreatedEvents { .. } => "treated_events_exceed_size",
            Self::ControlEvents { .. } => "control_events_exceed_size",
        }
    }
}

impl BlockCounts {
    /// A block of `treated` devices of which `treated_events` had the event, and of `control` devices of which
    /// `control_events` had it. Sizes are those at risk at the band's start.
    ///
    /// # Errors
    /// [`CountsError`] when a side has more events than devices.
    pub fn new(treated: u32, treated_events: u32, control: u32, control_events: u32) -> Result<Self, CountsError> {
        if treated_events > treated {
            return Err(CountsError::TreatedEvents { events: treated_events, size: treated });
        }
        if control_events > control {
            return Err(CountsError::ControlEvents { events: control_events, size: control });
        }
        Ok(Self(Counts { treated, treated_events, control, control_events }))
    }

    /// The devices at risk on both sides.
    #[must_use]
    pub fn exposure(self) -> Exposure {
        Exposure { treated: self.0.treated, control: self.0.control }
    }

    /// The treated devices at risk.
    #[must_use]
    pub fn treated(self) -> u32 {
        self.0.treated
    }

    /// The treated devices that had the event.
    #[must_use]
    pub fn treated_events(self) -> u32 {
        self.0.treated_events
    }

    /// The control devices at risk.
    #[must_use]
    pub fn control(self) -> u32 {
        self.0.control
    }

    /// The control devices that had the event.
    #[must_use]
    pub fn control_events(self) -> u32 {
        self.0.control_events
    }
}

impl TryFrom<Counts> for BlockCounts {
    type Error = CountsError;

    fn try_from(counts: Counts) -> Result<Self, CountsError> {
        Self::new(counts.treated, counts.treated_events, counts.control, counts.control_events)
    }
}

impl From<BlockCounts> for Counts {
    fn from(block: BlockCounts) -> Self {
        block.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn more_events_than_devices_are_refused_on_either_side() {
        assert_eq!(BlockCounts::new(2, 3, 5, 0).unwrap_err().kind(), "treated_events_exceed_size");
        assert_eq!(BlockCounts::new(2, 0, 5, 6).unwrap_err().kind(), "control_events_exceed_size");
        assert!(BlockCounts::new(2, 2, 5, 5).is_ok());
        assert!(BlockCounts::new(0, 0, 0, 0).is_ok());
    }

    #[test]
    fn stored_counts_are_checked_again() {
        let block = BlockCounts::new(4, 1, 16, 2).unwrap();
        let text = serde_json::to_string(&block).unwrap();
        assert_eq!(text, r#"{"treated":4,"treated_events":1,"control":16,"control_events":2}"#);
        assert_eq!(serde_json::from_str::<BlockCounts>(&text).unwrap(), block);
        for bad in [
            r#"{"treated":4,"treated_events":5,"control":16,"control_events":2}"#,
            r#"{"treated":4,"treated_events":1,"control":16,"control_events":2,"more":1}"#,
            r#"{"treated":4,"treated_events":-1,"control":16,"control_events":2}"#,
        ] {
            assert!(serde_json::from_str::<BlockCounts>(bad).is_err(), "{bad}");
        }
    }
}
