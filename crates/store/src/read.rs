//! Reads: entries, the snapshot, where the store stands. Nothing read is trusted to be whole before it was looked at.

use std::io::Read as _;

use futures_util::TryStreamExt;
use sqlx::sqlite::SqliteExecutor;
use sqlx::{QueryBuilder, Sqlite};
use tidegate_control::contract::bounds::{READ_BYTES_MAX, SNAPSHOT_BYTES_MAX};
use tidegate_control::contract::{
    Entry, Fence, Head, LeaseRecord, NewEntry, Seq, Snapshot, StoreEpoch, StoreError, Table,
};
use tidegate_domain::digest::Digest;
use tidegate_domain::time::WallTime;

use crate::fault::{self, corrupt};

const ENTRIES: &str = "\
    SELECT 0, seq, kind, subject, unique_key, at_ms, body FROM decisions WHERE seq > ?1 \
    UNION ALL \
    SELECT 1, seq, kind, subject, unique_key, at_ms, body FROM reports WHERE seq > ?1 \
    ORDER BY seq LIMIT ?2";

const STANDING: &str = "\
    SELECT max(ifnull((SELECT max(seq) FROM decisions), 0), ifnull((SELECT max(seq) FROM reports), 0)), \
        fence, holder, renewed_ms, until_ms, epoch, (SELECT seq FROM snapshot) \
    FROM lease, history";

const SNAPSHOT: &str = "SELECT seq, format, sha256, bytes FROM snapshot";

type EntryRow = (i64, i64, String, String, Option<String>, i64, String);
type StandingRow = (i64, i64, Option<String>, i64, i64, Vec<u8>, Option<i64>);

/// Everything of which there is one.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) last: Seq,
    pub(crate) lease: LeaseRecord,
    pub(crate) snapshot: Option<Seq>,
    epoch: StoreEpoch,
}

impl Standing {
    pub(crate) fn into_head(self) -> Head {
        Head { last: self.last, epoch: self.epoch, lease: self.lease.held(), snapshot: self.snapshot }
    }
}

/// At most `limit` entries and about [`READ_BYTES_MAX`], without gaps.
pub(crate) async fn entries(
    executor: impl SqliteExecutor<'_>,
    after: Seq,
    limit: u32,
) -> Result<Vec<Entry>, StoreError> {
    // No entry has a number beyond SQLite's integers.
    let from = i64::try_from(after.as_u64()).unwrap_or(i64::MAX);
    let mut rows = sqlx::query_as::<_, EntryRow>(ENTRIES).bind(from).bind(limit).fetch(executor);
    let mut entries = Vec::new();
    let mut due = after;
    let mut bytes = 0;
    while bytes < READ_BYTES_MAX
        && let Some(row) = rows.try_next().await.map_err(fault::of)?
    {
        let entry = entry(row)?;
        due = due.plus(1);
        if entry.seq != due {
            return Err(corrupt(format!("entry {due} is due, entry {} was found", entry.seq)));
        }
        bytes += entry.content.body.len();
        entries.push(entry);
    }
    Ok(entries)
}

/// The entries of a table that have one of these keys, in the order of their numbers.
pub(crate) async fn find(
    executor: impl SqliteExecutor<'_>,
    table: Table,
    keys: &[String],
) -> Result<Vec<Entry>, StoreError> {
    let (number, name) = match table {
        Table::Decisions => (0, "decisions"),
        Table::Reports => (1, "reports"),
    };
    let mut query = QueryBuilder::<Sqlite>::new(format!(
        "SELECT {number}, seq, kind, subject, unique_key, at_ms, body FROM {name} WHERE unique_key IN ("
    ));
    let mut listed = query.separated(", ");
    for key in keys {
        listed.push_bind(key);
    }
    query.push(") ORDER BY seq");
    let rows = query.build_query_as::<EntryRow>().fetch_all(executor).await.map_err(fault::of)?;
    rows.into_iter().map(entry).collect()
}

pub(crate) async fn standing(executor: impl SqliteExecutor<'_>) -> Result<Standing, StoreError> {
    let row = sqlx::query_as::<_, StandingRow>(STANDING).fetch_one(executor).await.map_err(fault::of)?;
    let (last, fence, holder, renewed_ms, until_ms, epoch, snapshot) = row;
    let epoch = epoch.try_into().map_err(|_| corrupt("the epoch is not 16 bytes"))?;
    let lease = LeaseRecord {
        fence: Fence::from_u64(unsigned(fence)?),
        holder,
        renewed: WallTime::from_ms(unsigned(renewed_ms)?),
        until: WallTime::from_ms(unsigned(until_ms)?),
    };
    let snapshot = snapshot.map(unsigned).transpose()?.map(Seq::from_u64);
    Ok(Standing { last: Seq::from_u64(unsigned(last)?), lease, snapshot, epoch: StoreEpoch::from_bytes(epoch) })
}

pub(crate) async fn snapshot(executor: impl SqliteExecutor<'_>) -> Result<Option<Snapshot>, StoreError> {
    let row = sqlx::query_as::<_, (i64, i64, Vec<u8>, Vec<u8>)>(SNAPSHOT).fetch_optional(executor).await;
    let Some((seq, format, sha256, bytes)) = row.map_err(fault::of)? else {
        return Ok(None);
    };
    if Digest::of(&bytes).as_bytes().as_slice() != sha256 {
        return Err(corrupt("the snapshot is not what was saved: fold from the beginning"));
    }
    let bytes = unpacked(&bytes).map_err(|error| corrupt(format!("the snapshot: {error}: fold from the beginning")))?;
    let format = u32::try_from(format).map_err(|_| corrupt(format!("{format} is no snapshot format")))?;
    Ok(Some(Snapshot { seq: Seq::from_u64(unsigned(seq)?), format, bytes }))
}

fn unpacked(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    zstd::Decoder::new(bytes)?.take(SNAPSHOT_BYTES_MAX as u64).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

fn entry((table, seq, kind, subject, unique_key, at_ms, body): EntryRow) -> Result<Entry, StoreError> {
    let table = if table == 0 { Table::Decisions } else { Table::Reports };
    let at = WallTime::from_ms(unsigned(at_ms)?);
    let content = NewEntry { table, kind, subject, unique_key, at, body: body.into_bytes() };
    Ok(Entry { seq: Seq::from_u64(unsigned(seq)?), content })
}

fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| corrupt(format!("{number} where no number below zero can be")))
}
