//! What a real server recorded, once more: whether its planner decides the same again, and when another policy would have halted.
//!
//! A history is the log as `tidegate store export` writes it. [`again`] steps through it and asks the planner at each recorded step;
//! [`world`] makes of one rollout what each device did after its go, and [`through`] lets another policy spread the release there.

pub mod again;
mod through;
mod world;

use std::io::BufRead;

use tidegate_control::contract::Entry;
use tidegate_control::history::{HistoryError, HistoryReader, LINE_BYTES_MAX};
use tidegate_control::state::{FoldError, State};
use tidegate_domain::ids::RolloutId;

pub use through::{Replayed, replay};
pub use world::Recorded;

/// The most bytes of a history: it is held in memory.
pub const BYTES_MAX: u64 = 4 << 30;

/// Why a history cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// A line is no entry.
    #[error("line {line}: {source}")]
    Line {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        source: HistoryError,
    },
    /// An entry says what this version cannot read.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// More than is held in memory.
    #[error("the history has more than {} GiB", BYTES_MAX >> 30)]
    TooLong,
    /// The rollout is not in it.
    #[error("rollout {wanted} is not in the history; {}", names(known))]
    UnknownRollout {
        /// Which one was asked for.
        wanted: String,
        /// Those that are.
        known: Vec<RolloutId>,
    },
}

fn names(rollouts: &[RolloutId]) -> String {
    let names: Vec<&str> = rollouts.iter().map(RolloutId::as_str).collect();
    if names.is_empty() { "there is none".to_owned() } else { format!("there are {}", names.join(", ")) }
}

/// A history.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    entries: Vec<Entry>,
}

impl History {
    /// Reads a history from its lines.
    ///
    /// # Errors
    /// When a line is no entry or not the next one.
    pub fn read(mut lines: impl BufRead) -> Result<History, ReplayError> {
        let (mut reader, mut entries, mut line) = (HistoryReader::default(), Vec::new(), String::new());
        let mut bytes = 0;
        loop {
            line.clear();
            let mut bounded = std::io::Read::take(&mut lines, LINE_BYTES_MAX as u64 + 2);
            if bounded.read_line(&mut line)? == 0 {
                return Ok(History { entries });
            }
            let wrong = |source| ReplayError::Line { line: entries.len() + 1, source };
            let entry = reader.read(line.trim_end_matches(['\n', '\r'])).map_err(wrong)?;
            entries.push(entry);
            bytes += line.len() as u64;
            if bytes > BYTES_MAX {
                return Err(ReplayError::TooLong);
            }
        }
    }

    /// The entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Everything that it says.
    ///
    /// # Errors
    /// When an entry cannot be folded.
    pub fn fold(&self) -> Result<State, ReplayError> {
        let mut state = State::default();
        self.entries.iter().try_for_each(|entry| state.apply(entry))?;
        Ok(state)
    }
}
