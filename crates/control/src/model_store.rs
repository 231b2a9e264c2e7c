//! The store's contract in memory: the reference that real stores are compared with, and the store of the simulator.
//!
//! Never used where something must outlive the process.

use std::collections::BTreeSet;

use crate::contract::bounds::{self, READ_BYTES_MAX};
use crate::contract::{
    Entry, Fence, Head, LeaseRecord, NewEntry, Reply, Request, Seq, Snapshot, StoreEpoch, StoreError, Table,
};

/// A store that lives as long as this value.
#[derive(Debug, Clone)]
pub struct ModelStore {
    epoch: StoreEpoch,
    lease: LeaseRecord,
    log: Vec<Entry>,
    unique_keys: BTreeSet<(Table, String)>,
    snapshot: Option<Snapshot>,
}

impl ModelStore {
    /// An empty store whose history has this name.
    pub fn new(epoch: StoreEpoch) -> ModelStore {
        let lease = LeaseRecord::default();
        ModelStore { epoch, lease, log: Vec::new(), unique_keys: BTreeSet::new(), snapshot: None }
    }

    /// Does one request.
    ///
    /// # Errors
    /// What the contract says of the request, never [`StoreError::Full`], [`StoreError::Corrupt`] or [`StoreError::Unavailable`].
    pub fn perform(&mut self, request: Request) -> Result<Reply, StoreError> {
        request.check()?;
        match request {
            Request::Acquire { holder, now, ttl } => Ok(Reply::Lease(self.lease.acquire(&holder, now, ttl))),
            Request::Renew { fence, now, ttl } => self.lease.renew(fence, now, ttl).map(Reply::Lease),
            Request::Release { fence } => self.lease.release(fence).map(|()| Reply::Done),
            Request::Append { fence, expected, entries } => self.append(fence, expected, entries),
            Request::Read { after, limit } => Ok(Reply::Entries(self.read(after, limit))),
            Request::Find { table, keys } => {
                let is_it = |entry: &&Entry| {
                    entry.content.table == table
                        && entry.content.unique_key.as_ref().is_some_and(|key| keys.contains(key))
                };
                Ok(Reply::Entries(self.log.iter().filter(is_it).cloned().collect()))
            }
            Request::SaveSnapshot { fence, snapshot } => self.save_snapshot(fence, snapshot),
            Request::LoadSnapshot => Ok(Reply::Snapshot(self.snapshot.clone())),
            Request::Head => Ok(Reply::Head(self.head())),
            Request::Prune { fence, reports } => self.prune(fence, &reports),
            Request::NewEpoch { fence, epoch } => {
                self.lease.admit(fence)?;
                self.epoch = epoch;
                Ok(Reply::Done)
            }
        }
    }

    fn append(&mut self, fence: Fence, expected: Seq, entries: Vec<NewEntry>) -> Result<Reply, StoreError> {
        self.lease.admit(fence)?;
        let found = self.last();
        if expected != found {
            return Err(StoreError::Conflict { expected, found });
        }
        let keys =
            |table| entries.iter().filter(move |entry| entry.table == table).filter_map(|e| e.unique_key.as_ref());
        for table in Table::ALL {
            if let Some(key) = keys(table).find(|key| self.unique_keys.contains(&(table, (*key).clone()))) {
                return Err(StoreError::Duplicate { table, key: key.clone() });
            }
        }
        for (content, n) in entries.into_iter().zip(1..) {
            self.unique_keys.extend(content.unique_key.clone().map(|key| (content.table, key)));
            self.log.push(Entry { seq: found.plus(n), content });
        }
        Ok(Reply::Appended { first: found.plus(1), last: self.last() })
    }

    fn read(&self, after: Seq, limit: u32) -> Vec<Entry> {
        let start = usize::try_from(after.as_u64()).unwrap_or(usize::MAX);
        let mut bytes = 0;
        // The entry that reaches the bound is still in.
        let goes_in = |entry: &&Entry| {
            let goes_in = bytes < READ_BYTES_MAX;
            bytes += entry.content.body.len();
            goes_in
        };
        self.log.iter().skip(start).take(limit as usize).take_while(goes_in).cloned().collect()
    }

    fn prune(&mut self, fence: Fence, reports: &[Seq]) -> Result<Reply, StoreError> {
        self.lease.admit(fence)?;
        let at = |seq: Seq| usize::try_from(seq.as_u64()).ok()?.checked_sub(1);
        let is_report = |seq: Seq| {
            at(seq).and_then(|at| self.log.get(at)).is_some_and(|entry| entry.content.table == Table::Reports)
        };
        if let Some(other) = reports.iter().find(|seq| !is_report(**seq)) {
            return Err(bounds::no_report(*other));
        }
        for seq in reports {
            let Some(entry) = at(*seq).and_then(|at| self.log.get_mut(at)) else { continue };
            let key = entry.content.unique_key.take();
            key.map(|key| self.unique_keys.remove(&(Table::Reports, key)));
            entry.content = NewEntry::pruned(entry.content.at);
        }
        Ok(Reply::Done)
    }

    fn save_snapshot(&mut self, fence: Fence, snapshot: Snapshot) -> Result<Reply, StoreError> {
        self.lease.admit(fence)?;
        let last = self.last();
        if snapshot.seq > last {
            return Err(StoreError::SnapshotAhead { seq: snapshot.seq, last });
        }
        if self.snapshot.as_ref().is_none_or(|kept| kept.seq <= snapshot.seq) {
            self.snapshot = Some(snapshot);
        }
        Ok(Reply::Done)
    }

    fn head(&self) -> Head {
        let snapshot = self.snapshot.as_ref().map(|snapshot| snapshot.seq);
        Head { last: self.last(), epoch: self.epoch, lease: self.lease.held(), snapshot }
    }

    /// The last entry; zero when there is none.
    pub fn last(&self) -> Seq {
        Seq::from_u64(self.log.len() as u64)
    }
}
