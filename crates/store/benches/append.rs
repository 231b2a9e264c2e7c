//! How close appends come to what SQLite and the disk can do: `cargo bench -p tidegate-store`.
//!
//! Prints rates and ratios; it judges nothing, since disks differ.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use tidegate_control::contract::{Fence, NewEntry, Request, Seq, StoreEpoch, Table};
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_store::{OpenOptions, SqliteStore};

const ROWS: u64 = 10_000;
const BATCHES: u64 = 10;
const SINGLES: u64 = 300;
const BODY_BYTES: usize = 300;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let syncs = syncs_per_s(&folder.path().join("sync"));
    let bare = runtime.block_on(bare_rows_per_s(&folder.path().join("bare.db")));
    let (batched, singles, read) = runtime.block_on(store_rates(&folder.path().join("store.db")));
    println!("append, batches of {ROWS}: {batched:>9.0} rows/s, {:.2} of a bare INSERT ({bare:.0})", batched / bare);
    println!("append, one by one:     {singles:>9.0} rows/s, {:.2} of the disk's syncs ({syncs:.0})", singles / syncs);
    println!("read in order:          {read:>9.0} rows/s");
}

/// Writes of one page, each made durable.
fn syncs_per_s(path: &Path) -> f64 {
    let mut file = File::create(path).unwrap();
    let begun = Instant::now();
    for _ in 0..SINGLES {
        file.write_all(&[0x5A; 4_096]).unwrap();
        file.sync_data().unwrap();
    }
    SINGLES as f64 / begun.elapsed().as_secs_f64()
}

/// The same columns and one unique index, with nothing checked.
async fn bare_rows_per_s(path: &Path) -> f64 {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    let mut connection = options.disable_statement_logging().connect().await.unwrap();
    let table = "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c TEXT, d TEXT UNIQUE, e INTEGER, f TEXT)";
    sqlx::raw_sql(table).execute(&mut connection).await.unwrap();
    let rows = |first: u64| {
        let row = |n| (n, "report", format!("device-{n:07}"), format!("device-{n:07}/1"), n, body(n));
        let rows: Vec<_> = (first..first + ROWS).map(row).collect();
        serde_json::to_string(&rows).unwrap()
    };
    let batches: Vec<String> = (0..BATCHES).map(|n| rows(1 + n * ROWS)).collect();
    let begun = Instant::now();
    for batch in batches {
        let insert = "INSERT INTO t SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 \
                      FROM json_each(?1)";
        sqlx::query(insert).bind(batch).execute(&mut connection).await.unwrap();
    }
    let rate = (ROWS * BATCHES) as f64 / begun.elapsed().as_secs_f64();
    connection.close().await.unwrap();
    rate
}

async fn store_rates(path: &Path) -> (f64, f64, f64) {
    let options = OpenOptions { fresh_epoch: StoreEpoch::from_bytes([1; 16]), size_max_bytes: None };
    let store = SqliteStore::open(path, options).await.unwrap();
    let (now, ttl) = (WallTime::from_ms(1), Elapsed::from_s(60));
    store.perform(Request::Acquire { holder: "bench".to_owned(), now, ttl }).await.unwrap();
    let batches: Vec<Vec<NewEntry>> = (0..BATCHES).map(|n| entries(n * ROWS, ROWS)).collect();
    let begun = Instant::now();
    for (entries, n) in batches.into_iter().zip(0..) {
        append(&store, n * ROWS, entries).await;
    }
    let batched = (ROWS * BATCHES) as f64 / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    for n in ROWS * BATCHES..ROWS * BATCHES + SINGLES {
        append(&store, n, entries(n, 1)).await;
    }
    let singles = SINGLES as f64 / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let mut after = Seq::ZERO;
    loop {
        let reply = store.perform(Request::Read { after, limit: 10_000 }).await.unwrap();
        match reply.into_entries().unwrap().last() {
            Some(entry) => after = entry.seq,
            None => break,
        }
    }
    let read = after.as_u64() as f64 / begun.elapsed().as_secs_f64();
    store.close().await;
    (batched, singles, read)
}

async fn append(store: &SqliteStore, expected: u64, entries: Vec<NewEntry>) {
    let request = Request::Append { fence: Fence::from_u64(1), expected: Seq::from_u64(expected), entries };
    store.perform(request).await.unwrap();
}

fn entries(after: u64, count: u64) -> Vec<NewEntry> {
    let entry = |n: u64| NewEntry {
        table: if n.is_multiple_of(50) { Table::Decisions } else { Table::Reports },
        kind: "report".to_owned(),
        subject: format!("device-{n:07}"),
        unique_key: Some(format!("device-{n:07}/1")),
        at: WallTime::from_ms(n),
        body: body(n).into(),
    };
    (after + 1..=after + count).map(entry).collect()
}

fn body(n: u64) -> String {
    let start = format!("{{\"device\":\"device-{n:07}\",\"state\":\"proving\",\"signature\":\"");
    let rest = BODY_BYTES - start.len() - 2;
    format!("{start}{}\"}}", "x".repeat(rest))
}
