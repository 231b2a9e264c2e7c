//! Why a store refuses, each reason with what it found, so that a caller can tell a lost lease from a full disk.

use super::record::{Fence, Seq, Table};

/// Why a request was not done. Whatever the reason, nothing of the request was written, except perhaps
/// after [`StoreError::Unavailable`]: the caller then asks for the head to know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The lease has gone to another writer, or was released.
    #[error("fence {presented} does not hold the lease (the latest fence given is {latest}): acquire it again")]
    Fenced {
        /// The fence of the request.
        presented: Fence,
        /// The highest fence ever given.
        latest: Fence,
    },
    /// The writer has not folded all that is in the log, or more than is in it.
    #[error("the writer has folded entries up to {expected}, the log ends at {found}: read the rest first")]
    Conflict {
        /// Where the writer thinks that the log ends.
        expected: Seq,
        /// Where it ends.
        found: Seq,
    },
    /// An entry with this key is there already, or twice in the same append.
    #[error("{table} already has an entry with the key {key:?}")]
    Duplicate {
        /// The table.
        table: Table,
        /// The key.
        key: String,
    },
    /// A snapshot of entries that are not in the log.
    #[error("a snapshot at {seq} is ahead of the log, which ends at {last}")]
    SnapshotAhead {
        /// The snapshot's last entry.
        seq: Seq,
        /// The log's last entry.
        last: Seq,
    },
    /// More than the contract admits.
    #[error("{what} is {found}, at most {max} is admitted")]
    TooLarge {
        /// The field and its unit.
        what: &'static str,
        /// What the request has.
        found: u64,
        /// The bound.
        max: u64,
    },
    /// A field that is not what it has to be.
    #[error("{what} is {found:?}: expected {rule}")]
    Invalid {
        /// The field.
        what: &'static str,
        /// What the request has, cut to 80 characters.
        found: String,
        /// What would be right.
        rule: &'static str,
    },
    /// No space left where the store writes.
    #[error("no space left for the store")]
    Full,
    /// The store was opened for reading only, or lies on something that cannot be written.
    #[error("the store can only be read")]
    ReadOnly,
    /// What is stored contradicts itself.
    #[error("the store is damaged: {why}")]
    Corrupt {
        /// What was found.
        why: String,
    },
    /// The store could not be asked, or did not answer.
    #[error("the store is not available: {why}")]
    Unavailable {
        /// Whether asking again later can help.
        retryable: bool,
        /// What the store said.
        why: String,
    },
    /// A store answered with the wrong sort of reply: a defect of that store.
    #[error("the store gave a reply of the wrong sort, {wanted} was due")]
    WrongReply {
        /// The sort that was due.
        wanted: &'static str,
    },
}

impl StoreError {
    /// One stable word for interfaces and metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            StoreError::Fenced { .. } => "store_fenced",
            StoreError::Conflict { .. } => "store_conflict",
            StoreError::Duplicate { .. } => "store_duplicate",
            StoreError::SnapshotAhead { .. } => "store_snapshot_ahead",
            StoreError::TooLarge { .. } => "store_too_large",
            StoreError::Invalid { .. } => "store_invalid",
            StoreError::Full => "store_full",
            StoreError::ReadOnly => "store_read_only",
            StoreError::Corrupt { .. } => "store_corrupt",
            StoreError::Unavailable { .. } => "store_unavailable",
            StoreError::WrongReply { .. } => "store_wrong_reply",
        }
    }

    /// Whether the same request, unchanged, may be done later: the store was busy, or its disk full.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, StoreError::Full | StoreError::Unavailable { retryable: true, .. })
    }
}
