//! The store's contract: what a server may ask of its store and what the store answers, as plain data.
//!
//! Two append-only tables are the truth: decisions and reports. They share one sequence, so that folding the entries in
//! its order rebuilds everything else; snapshots of that fold only make a start fast. One writer at a time, by a fenced
//! lease, and only one that has folded everything before (compare and swap). No I/O here: a store takes a [`Request`]
//! and gives a [`Reply`]; [`crate::conformance`] says what every store has to do, [`crate::model_store`] does it in memory.

pub mod bounds;
mod error;
mod lease;
mod record;

use tidegate_domain::time::{Elapsed, WallTime};

pub use error::StoreError;
pub use lease::{Lease, LeaseAnswer, LeaseRecord};
pub use record::{Entry, Fence, NewEntry, PRUNED, Seq, Snapshot, StoreEpoch, StoreEpochError, Table};

/// What can be asked of a store. Each request is done whole or not at all, and is durable before it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Asks for the lease. Answer: [`Reply::Lease`].
    Acquire {
        /// The asker's name for itself, the same after a restart.
        holder: String,
        /// The asker's time.
        now: WallTime,
        /// For how long.
        ttl: Elapsed,
    },
    /// Keeps the lease. Answer: [`Reply::Lease`], granted with the same fence.
    Renew {
        /// The lease to keep.
        fence: Fence,
        /// The holder's time.
        now: WallTime,
        /// For how long from now.
        ttl: Elapsed,
    },
    /// Gives the lease back. Answer: [`Reply::Done`].
    Release {
        /// The lease to give back; no write with it is admitted afterwards.
        fence: Fence,
    },
    /// Adds entries, all or none. Answer: [`Reply::Appended`].
    Append {
        /// The writer's lease.
        fence: Fence,
        /// The last entry that the writer has folded; refused unless the log ends there.
        expected: Seq,
        /// In the order of their numbers.
        entries: Vec<NewEntry>,
    },
    /// Reads entries in order. Answer: [`Reply::Entries`], none at the log's end; may end before `limit`
    /// (see [`bounds::READ_BYTES_MAX`]).
    Read {
        /// Begins with the next one.
        after: Seq,
        /// At most this many, 1 to [`bounds::READ_ENTRIES_MAX`].
        limit: u32,
    },
    /// Finds entries of a table by their unique keys. Answer: [`Reply::Entries`], those that there are, in the order of their numbers.
    Find {
        /// The table.
        table: Table,
        /// The keys, 1 to [`bounds::FOUND_ENTRIES_MAX`].
        keys: Vec<String>,
    },
    /// Keeps a snapshot in place of an older one; one that is older than the one kept changes nothing. Answer: [`Reply::Done`].
    SaveSnapshot {
        /// The writer's lease.
        fence: Fence,
        /// The fold, not ahead of the log.
        snapshot: Snapshot,
    },
    /// Answer: [`Reply::Snapshot`], the one kept, if any.
    LoadSnapshot,
    /// Answer: [`Reply::Head`].
    Head,
    /// Takes the content of reports away, of all or of none; what is gone already stays so. Answer: [`Reply::Done`].
    Prune {
        /// The writer's lease.
        fence: Fence,
        /// Their numbers, 1 to [`bounds::BATCH_ENTRIES_MAX`].
        reports: Vec<Seq>,
    },
    /// Begins a new history on what is there, after a restore. Answer: [`Reply::Done`].
    NewEpoch {
        /// The writer's lease.
        fence: Fence,
        /// The new name, drawn at random by the caller.
        epoch: StoreEpoch,
    },
}

/// What a store answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Who has the lease.
    Lease(LeaseAnswer),
    /// The numbers that the entries got.
    Appended {
        /// Of the first.
        first: Seq,
        /// Of the last.
        last: Seq,
    },
    /// Entries in the order of their numbers; those of a read without gaps.
    Entries(Vec<Entry>),
    /// The snapshot kept.
    Snapshot(Option<Snapshot>),
    /// Where the store stands.
    Head(Head),
    /// It is done.
    Done,
}

/// Where a store stands, all read at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The last entry; zero when there is none.
    pub last: Seq,
    /// The history's name.
    pub epoch: StoreEpoch,
    /// Who holds the lease, expired or not.
    pub lease: Option<Lease>,
    /// The last entry folded into the snapshot kept.
    pub snapshot: Option<Seq>,
}

impl Request {
    /// Holds the request to the contract's bounds. Every store calls it first.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::Invalid`], or [`StoreError::Duplicate`] for a key that is twice in one append.
    pub fn check(&self) -> Result<(), StoreError> {
        match self {
            Request::Acquire { holder, now, ttl } => {
                bounds::check_text("holder", holder, bounds::HOLDER_BYTES_MAX)?;
                bounds::check_time("now", *now)?;
                bounds::check_ttl(*ttl)
            }
            Request::Renew { now, ttl, .. } => {
                bounds::check_time("now", *now)?;
                bounds::check_ttl(*ttl)
            }
            Request::Append { entries, .. } => bounds::check_entries(entries),
            Request::Read { limit: 0, .. } => Err(bounds::invalid("limit", "0", "at least 1")),
            Request::Read { limit, .. } => {
                bounds::at_most("entries of a read", *limit as usize, bounds::READ_ENTRIES_MAX as usize)
            }
            Request::Find { keys, .. } if keys.is_empty() => Err(bounds::invalid("keys", "[]", "at least one key")),
            Request::Find { keys, .. } => bounds::at_most("keys to find", keys.len(), bounds::FOUND_ENTRIES_MAX),
            Request::SaveSnapshot { snapshot, .. } => {
                bounds::at_most("bytes of a snapshot", snapshot.bytes.len(), bounds::SNAPSHOT_BYTES_MAX)
            }
            Request::Prune { reports, .. } if reports.is_empty() => {
                Err(bounds::invalid("reports", "[]", "at least one number"))
            }
            Request::Prune { reports, .. } => {
                bounds::at_most("reports to prune", reports.len(), bounds::BATCH_ENTRIES_MAX)
            }
            Request::Release { .. } | Request::LoadSnapshot | Request::Head | Request::NewEpoch { .. } => Ok(()),
        }
    }
}

impl Reply {
    /// The answer to [`Request::Acquire`] and [`Request::Renew`].
    ///
    /// # Errors
    /// [`StoreError::WrongReply`], as for all of these.
    pub fn into_lease(self) -> Result<LeaseAnswer, StoreError> {
        if let Reply::Lease(answer) = self { Ok(answer) } else { Err(StoreError::WrongReply { wanted: "lease" }) }
    }

    /// The first and the last number that [`Request::Append`] gave.
    ///
    /// # Errors
    /// [`StoreError::WrongReply`]
    pub fn into_appended(self) -> Result<(Seq, Seq), StoreError> {
        match self {
            Reply::Appended { first, last } => Ok((first, last)),
            _ => Err(StoreError::WrongReply { wanted: "appended" }),
        }
    }

    /// The answer to [`Request::Read`] and [`Request::Find`].
    ///
    /// # Errors
    /// [`StoreError::WrongReply`]
    pub fn into_entries(self) -> Result<Vec<Entry>, StoreError> {
        if let Reply::Entries(entries) = self { Ok(entries) } else { Err(StoreError::WrongReply { wanted: "entries" }) }
    }

    /// The answer to [`Request::LoadSnapshot`].
    ///
    /// # Errors
    /// [`StoreError::WrongReply`]
    pub fn into_snapshot(self) -> Result<Option<Snapshot>, StoreError> {
        match self {
            Reply::Snapshot(snapshot) => Ok(snapshot),
            _ => Err(StoreError::WrongReply { wanted: "snapshot" }),
        }
    }

    /// The answer to [`Request::Head`].
    ///
    /// # Errors
    /// [`StoreError::WrongReply`]
    pub fn into_head(self) -> Result<Head, StoreError> {
        if let Reply::Head(head) = self { Ok(head) } else { Err(StoreError::WrongReply { wanted: "head" }) }
    }
}
