//! The file: whose it is, of which schema, full, read-only, damaged, edited by another program.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tidegate_control::contract::{NewEntry, Reply, Request, Seq, Snapshot, StoreEpoch, StoreError};
use tidegate_store::{OpenError, OpenOptions, SqliteStore};

use crate::{EPOCH, append, entry, head, lease, open, runtime, whole_log};

/// What another program does to the file.
async fn tamper(path: &Path, sql: &str) -> Result<(), sqlx::Error> {
    let mut connection = SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await?;
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
    connection.close().await?;
    done.map(|_| ())
}

#[test]
fn a_store_keeps_its_epoch_and_entries_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a name with blanks & ?signs#.db");
    runtime().block_on(async {
        let store = open(&path).await;
        let fence = lease(&store).await;
        append(&store, fence, 0, (1..=9).map(entry).collect()).await.unwrap();
        let before = head(&store).await;
        store.close().await;
        let options = OpenOptions { fresh_epoch: StoreEpoch::from_bytes([8; 16]), size_max_bytes: None };
        let store = SqliteStore::open(&path, options).await.unwrap();
        assert_eq!(head(&store).await, before);
        assert_eq!(before.epoch, EPOCH);
        assert!(lease(&store).await > fence);
    });
}

#[test]
fn a_newer_schema_is_refused_by_both_numbers_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    runtime().block_on(async {
        open(&path).await.close().await;
        tamper(&path, "PRAGMA user_version = 99").await.unwrap();
        let before = std::fs::read(&path).unwrap();
        let options = OpenOptions { fresh_epoch: EPOCH, size_max_bytes: None };
        for error in [
            SqliteStore::open(&path, options).await.unwrap_err(),
            SqliteStore::open_read_only(&path).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), "store_schema");
            assert!(error.to_string().contains("has schema version 99, this program has 2"), "{error}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), before);
    });
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        for (name, sql) in [
            ("tables", "CREATE TABLE bookmarks (id INTEGER PRIMARY KEY)"),
            ("marked", "PRAGMA application_id = 7; CREATE TABLE decisions (seq INTEGER)"),
            ("versioned", "PRAGMA user_version = 1; CREATE TABLE decisions (seq INTEGER)"),
        ] {
            let path = folder.path().join(name);
            tamper(&path, sql).await.unwrap();
            let before = std::fs::read(&path).unwrap();
            let options = OpenOptions { fresh_epoch: EPOCH, size_max_bytes: None };
            let error = SqliteStore::open(&path, options).await.unwrap_err();
            assert!(matches!(error, OpenError::Foreign { .. }), "{name}: {error}");
            assert_eq!(std::fs::read(&path).unwrap(), before, "{name}");
        }
        let path = folder.path().join("text");
        std::fs::write(&path, "not a database at all, only text that someone put here".repeat(100)).unwrap();
        let error = SqliteStore::open_read_only(&path).await.unwrap_err();
        assert_eq!(error.kind(), "store_corrupt");
    });
}

#[test]
fn a_path_that_cannot_be_opened_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions { fresh_epoch: EPOCH, size_max_bytes: None };
    runtime().block_on(async {
        let missing = folder.path().join("no/such/folder/store.db");
        let error = SqliteStore::open(&missing, options).await.unwrap_err();
        assert_eq!(error.kind(), "store_unavailable");
        assert!(error.to_string().contains("no/such/folder"), "{error}");
        assert!(SqliteStore::open(folder.path(), options).await.is_err());
        assert!(SqliteStore::open_read_only(&folder.path().join("none.db")).await.is_err());
        assert!(!folder.path().join("none.db").exists());
    });
}

#[test]
fn entries_cannot_be_changed_or_deleted_by_any_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    runtime().block_on(async {
        let store = open(&path).await;
        let fence = lease(&store).await;
        append(&store, fence, 0, (1..=9).map(entry).collect()).await.unwrap();
        for table in ["decisions", "reports"] {
            for sql in [
                format!("UPDATE {table} SET body = '{{}}'"),
                format!("UPDATE {table} SET seq = seq + 100"),
                format!("DELETE FROM {table}"),
            ] {
                let error = tamper(&path, &sql).await.unwrap_err();
                assert!(error.to_string().contains("append-only"), "{sql}: {error}");
            }
        }
        let pruned = "kind = 'pruned', subject = 'pruned', unique_key = NULL";
        for part in
            [format!("{pruned}, body = '1'"), format!("{pruned}, body = 'null', at_ms = 1"), "body = 'null'".to_owned()]
        {
            let error = tamper(&path, &format!("UPDATE reports SET {part}")).await.unwrap_err();
            assert!(error.to_string().contains("pruned as a whole"), "{part}: {error}");
        }
        assert!(tamper(&path, &format!("UPDATE decisions SET {pruned}, body = 'null'")).await.is_err());
        assert!(tamper(&path, "UPDATE lease SET fence = 0").await.unwrap_err().to_string().contains("never falls"));
        assert_eq!(whole_log(&store).await.len(), 9);
    });
}

#[test]
fn a_store_of_the_first_schema_is_brought_forward_with_all_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    runtime().block_on(async {
        let first = include_str!("../../migrations/0001_two_tables.sql");
        let rest = "INSERT INTO history (id, epoch) VALUES (1, zeroblob(16)); \
            INSERT INTO lease (id, fence, holder, renewed_ms, until_ms) VALUES (1, 0, NULL, 0, 0); \
            INSERT INTO reports (seq, kind, subject, unique_key, at_ms, body) VALUES (1, 'report', 'd1', 'd1/1', 5, '{}'); \
            PRAGMA application_id = 1414087749; PRAGMA user_version = 1";
        std::fs::File::create(&path).unwrap();
        tamper(&path, &format!("{first}; {rest}")).await.unwrap();
        assert!(SqliteStore::open_read_only(&path).await.is_err(), "who only reads brings nothing forward");
        let store = open(&path).await;
        let before = whole_log(&store).await;
        assert_eq!(before.len(), 1);
        let fence = lease(&store).await;
        let request = Request::Prune { fence, reports: vec![before[0].seq] };
        store.perform(request).await.unwrap();
        assert_eq!(whole_log(&store).await[0].content, NewEntry::pruned(before[0].content.at));
    });
}

#[test]
fn a_full_store_says_so_keeps_everything_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    runtime().block_on(async {
        let options = OpenOptions { fresh_epoch: EPOCH, size_max_bytes: Some(256 << 10) };
        let store = SqliteStore::open(&path, options).await.unwrap();
        let fence = lease(&store).await;
        let mut last = 0;
        let error = loop {
            match append(&store, fence, last, (last + 1..=last + 50).map(entry).collect()).await {
                Ok(appended) => last = appended,
                Err(error) => break error,
            }
        };
        assert_eq!((error.clone(), error.is_retryable()), (StoreError::Full, true));
        assert!(last >= 50);
        for _ in 0..3 {
            let again = append(&store, fence, last, (last + 1..=last + 50).map(entry).collect()).await;
            assert_eq!(again, Err(StoreError::Full));
            assert_eq!(whole_log(&store).await.len() as u64, last);
        }
        store.close().await;
        let store = open(&path).await;
        let fence = lease(&store).await;
        assert_eq!(append(&store, fence, last, (last + 1..=last + 50).map(entry).collect()).await, Ok(last + 50));
    });
}

#[test]
fn a_store_opened_for_reading_follows_the_writer_and_refuses_every_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    runtime().block_on(async {
        let store = open(&path).await;
        let reader = SqliteStore::open_read_only(&path).await.unwrap();
        let fence = lease(&store).await;
        append(&store, fence, 0, (1..=9).map(entry).collect()).await.unwrap();
        assert_eq!(whole_log(&reader).await, whole_log(&store).await);
        assert_eq!(head(&reader).await, head(&store).await);
        let snapshot = Snapshot { seq: Seq::ZERO, format: 1, bytes: vec![] };
        for request in [
            Request::Append { fence, expected: Seq::from_u64(9), entries: vec![entry(10)] },
            Request::SaveSnapshot { fence, snapshot },
            Request::Release { fence },
            Request::NewEpoch { fence, epoch: EPOCH },
        ] {
            assert_eq!(reader.perform(request).await, Err(StoreError::ReadOnly));
        }
        // Nobody writes any more, and nobody left a write-ahead log behind.
        reader.close().await;
        store.close().await;
        let reader = SqliteStore::open_read_only(&path).await.unwrap();
        assert_eq!(whole_log(&reader).await.len(), 9);
    });
}

#[test]
fn two_processes_with_one_store_cannot_both_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    runtime().block_on(async {
        let (one, two) = (open(&path).await, open(&path).await);
        let old = lease(&one).await;
        let new = lease(&two).await;
        let refused = append(&one, old, 0, vec![entry(1)]).await;
        assert_eq!(refused, Err(StoreError::Fenced { presented: old, latest: new }));
        assert_eq!(append(&two, new, 0, vec![entry(1)]).await, Ok(1));
        assert_eq!(head(&one).await, head(&two).await);
    });
}

#[test]
fn damage_is_reported_and_never_read_over() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let drop_guard = "DROP TRIGGER reports_no_delete; DROP TRIGGER decisions_no_delete;";
        for (name, sql) in [
            ("a lost entry", format!("{drop_guard} DELETE FROM reports WHERE seq = 5")),
            ("a lost first entry", format!("{drop_guard} DELETE FROM reports WHERE seq = 1")),
            ("a number twice", "INSERT INTO decisions VALUES (5, 'order', 'x', NULL, 1, '{}')".to_owned()),
        ] {
            let path = folder.path().join(name);
            let store = open(&path).await;
            let fence = lease(&store).await;
            append(&store, fence, 0, (1..=9).map(entry).collect()).await.unwrap();
            tamper(&path, &sql).await.unwrap();
            let read = store.perform(Request::Read { after: Seq::ZERO, limit: 100 }).await;
            assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{name}: {read:?}");
        }
        let path = folder.path().join("a changed snapshot");
        let store = open(&path).await;
        let fence = lease(&store).await;
        let snapshot = Snapshot { seq: Seq::ZERO, format: 1, bytes: vec![1, 2, 3] };
        store.perform(Request::SaveSnapshot { fence, snapshot: snapshot.clone() }).await.unwrap();
        tamper(&path, "UPDATE snapshot SET bytes = x'010204'").await.unwrap();
        let loaded = store.perform(Request::LoadSnapshot).await;
        assert!(matches!(loaded, Err(StoreError::Corrupt { .. })), "{loaded:?}");
        // The log is whole: a fold from the beginning brings a snapshot again.
        store.perform(Request::SaveSnapshot { fence, snapshot: snapshot.clone() }).await.unwrap();
        assert_eq!(store.perform(Request::LoadSnapshot).await, Ok(Reply::Snapshot(Some(snapshot))));
        store.close().await;
        let path = folder.path().join("an overwritten page");
        let store = open(&path).await;
        let fence = lease(&store).await;
        append(&store, fence, 0, (1..=200).map(entry).collect()).await.unwrap();
        store.close().await;
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4096..].fill(0xA5);
        std::fs::write(&path, bytes).unwrap();
        let options = OpenOptions { fresh_epoch: EPOCH, size_max_bytes: None };
        let kind = match SqliteStore::open(&path, options).await {
            Ok(store) => store.perform(Request::Read { after: Seq::ZERO, limit: 100 }).await.unwrap_err().kind(),
            Err(error) => error.kind(),
        };
        assert_eq!(kind, "store_corrupt");
    });
}
