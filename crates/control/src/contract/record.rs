//! What a store keeps: numbered entries of two tables, and snapshots of what they fold to.
//!
//! Plain data. Nothing here checks bounds; `Request::check` does, once, for every store.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tidegate_domain::time::WallTime;

/// The number of an entry: 1, 2, 3, … over both tables together, without gaps. Zero stands before the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(u64);

impl Seq {
    /// Before the first entry.
    pub const ZERO: Seq = Seq(0);

    /// The entry with this number.
    pub const fn from_u64(seq: u64) -> Seq {
        Seq(seq)
    }

    /// The number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The entry `n` places later; stops at the largest number.
    #[must_use]
    pub const fn plus(self, n: u64) -> Seq {
        Seq(self.0.saturating_add(n))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The kind of an entry of the reports table whose content is gone: only its number and its time are left.
pub const PRUNED: &str = "pruned";

/// The number of a grant of the lease. It rises with every grant and is presented with every write,
/// so that a writer that lost the lease without noticing cannot write any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(u64);

impl Fence {
    /// Before the first grant; holds nothing.
    pub const ZERO: Fence = Fence(0);

    /// The grant with this number.
    pub const fn from_u64(fence: u64) -> Fence {
        Fence(fence)
    }

    /// The number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of one history of a store, drawn at random when the history begins. Written as 32 lower-case hexadecimal
/// digits. A restored backup gets a new one, so that devices notice and send their last report again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct StoreEpoch([u8; 16]);

/// A text that is not the name of a history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a store epoch: expected 32 lower-case hexadecimal digits")]
pub struct StoreEpochError(String);

impl StoreEpoch {
    /// The history with this name. The caller draws the bytes at random.
    pub const fn from_bytes(bytes: [u8; 16]) -> StoreEpoch {
        StoreEpoch(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for StoreEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StoreEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for StoreEpoch {
    type Err = StoreEpochError;

    fn from_str(text: &str) -> Result<StoreEpoch, StoreEpochError> {
        let plain = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let number = Some(text).filter(|text| text.len() == 32 && text.bytes().all(plain));
        let number = number.and_then(|text| u128::from_str_radix(text, 16).ok());
        let refuse = || StoreEpochError(text.chars().take(40).collect());
        number.map(|number| StoreEpoch(number.to_be_bytes())).ok_or_else(refuse)
    }
}

impl From<StoreEpoch> for String {
    fn from(epoch: StoreEpoch) -> String {
        epoch.to_string()
    }
}

impl TryFrom<String> for StoreEpoch {
    type Error = StoreEpochError;

    fn try_from(text: String) -> Result<StoreEpoch, StoreEpochError> {
        text.parse()
    }
}

/// One of the two append-only tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// What people and the server decided: orders, permits, gate reports, halts, takes, enrolments, statements.
    Decisions,
    /// What devices said of themselves, signed by their keys.
    Reports,
}

impl Table {
    /// Both tables.
    pub const ALL: [Table; 2] = [Table::Decisions, Table::Reports];

    /// The table's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Table::Decisions => "decisions",
            Table::Reports => "reports",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a writer wants to add. The bounds are those of `contract::bounds`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// The table it goes to.
    pub table: Table,
    /// What sort of entry it is, one word: `order`, `permit`, `report`.
    pub kind: String,
    /// What it is about: a rollout's id, a device's id.
    pub subject: String,
    /// At most one entry of a table has this key: appending it again is refused. What must happen once carries one.
    pub unique_key: Option<String>,
    /// When the writer saw or decided it.
    pub at: WallTime,
    /// JSON, kept byte for byte.
    pub body: Vec<u8>,
}

impl NewEntry {
    /// What is left of a report of this time once its content is gone.
    pub fn pruned(at: WallTime) -> NewEntry {
        NewEntry {
            table: Table::Reports,
            kind: PRUNED.to_owned(),
            subject: PRUNED.to_owned(),
            unique_key: None,
            at,
            body: b"null".to_vec(),
        }
    }
}

/// What the store holds under one number; it never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub seq: Seq,
    /// What the writer gave.
    pub content: NewEntry,
}

/// The fold of every entry up to one number, as bytes that only its writer understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The last entry folded.
    pub seq: Seq,
    /// The writer's number for the shape of `bytes`; a reader that does not know it folds from the beginning.
    pub format: u32,
    /// The fold.
    pub bytes: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_reads_as_it_is_written_and_nothing_else_does() {
        let epoch = StoreEpoch::from_bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        assert_eq!(epoch.to_string(), "000102030405060708090a0b0c0d0eff");
        assert_eq!(epoch.to_string().parse(), Ok(epoch));
        let upper = epoch.to_string().to_uppercase();
        for text in ["", "00", upper.as_str(), "+00102030405060708090a0b0c0d0eff", &format!("{epoch}0")] {
            assert!(text.parse::<StoreEpoch>().is_err(), "{text:?}");
        }
    }
}
