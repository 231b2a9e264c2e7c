//! The SQLite store against the contract, against crashes and against what disks and other programs do to it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod contract;
mod crash;
mod file;

use std::path::Path;

use tidegate_control::contract::{
    Entry, Fence, Head, LeaseAnswer, NewEntry, Reply, Request, Seq, StoreEpoch, StoreError, Table,
};
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_store::{OpenOptions, SqliteStore};

const EPOCH: StoreEpoch = StoreEpoch::from_bytes([7; 16]);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, OpenOptions { fresh_epoch: EPOCH, size_max_bytes: None }).await.unwrap()
}

/// The lease for a holder that comes back: at once, with a new fence.
async fn lease(store: &SqliteStore) -> Fence {
    let (now, ttl) = (WallTime::from_ms(1_000), Elapsed::from_s(60));
    let reply = store.perform(Request::Acquire { holder: "server".to_owned(), now, ttl }).await.unwrap();
    match reply.into_lease().unwrap() {
        LeaseAnswer::Granted { fence, .. } => fence,
        other => panic!("{other:?}"),
    }
}

async fn append(store: &SqliteStore, fence: Fence, expected: u64, entries: Vec<NewEntry>) -> Result<u64, StoreError> {
    let reply = store.perform(Request::Append { fence, expected: Seq::from_u64(expected), entries }).await?;
    Ok(reply.into_appended()?.1.as_u64())
}

async fn head(store: &SqliteStore) -> Head {
    store.perform(Request::Head).await.and_then(Reply::into_head).unwrap()
}

async fn whole_log(store: &SqliteStore) -> Vec<Entry> {
    let mut log: Vec<Entry> = Vec::new();
    loop {
        let after = log.last().map_or(Seq::ZERO, |entry| entry.seq);
        let page = store.perform(Request::Read { after, limit: 10_000 }).await.and_then(Reply::into_entries).unwrap();
        if page.is_empty() {
            return log;
        }
        log.extend(page);
    }
}

/// The entry that belongs under this number, and no other.
fn entry(seq: u64) -> NewEntry {
    let table = if seq.is_multiple_of(3) { Table::Decisions } else { Table::Reports };
    let body = format!("{{\"n\":{seq},\"filling\":\"{}\"}}", "~".repeat((seq % 700) as usize));
    NewEntry {
        table,
        kind: "report".to_owned(),
        subject: format!("device-{}", seq % 97),
        unique_key: seq.is_multiple_of(2).then(|| format!("key/{seq}")),
        at: WallTime::from_ms(seq),
        body: body.into(),
    }
}
