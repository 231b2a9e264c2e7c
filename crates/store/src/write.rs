//! Writes, each inside a transaction that the caller began and ends. The fence is looked at in that same transaction.

use sqlx::SqliteConnection;
use tidegate_control::contract::bounds::no_report;
use tidegate_control::contract::{Fence, LeaseRecord, NewEntry, Reply, Request, Seq, Snapshot, StoreError, Table};
use tidegate_domain::digest::Digest;

use crate::fault::{self, corrupt};
use crate::read::{self, Standing};

/// One statement a table and batch: row by row through the driver is five to ten times slower.
const fn insert(table: Table) -> &'static str {
    match table {
        Table::Decisions => {
            "INSERT INTO decisions (seq, kind, subject, unique_key, at_ms, body) \
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?1)"
        }
        Table::Reports => {
            "INSERT INTO reports (seq, kind, subject, unique_key, at_ms, body) \
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?1)"
        }
    }
}

/// The first key of a batch that its table has already.
const fn find_duplicate(table: Table) -> &'static str {
    match table {
        Table::Decisions => {
            "SELECT unique_key FROM json_each(?1) JOIN decisions ON unique_key = value ->> 3 ORDER BY key LIMIT 1"
        }
        Table::Reports => {
            "SELECT unique_key FROM json_each(?1) JOIN reports ON unique_key = value ->> 3 ORDER BY key LIMIT 1"
        }
    }
}

/// Fast before small. JSON gets to about a sixth.
const ZSTD_LEVEL: i32 = 1;
/// The first number of a list that is no report's.
const FIND_OTHER: &str = "\
    SELECT value FROM json_each(?1) WHERE value NOT IN (SELECT seq FROM reports) ORDER BY key LIMIT 1";
/// What is left is what [`NewEntry::pruned`] says.
const PRUNE: &str = "\
    UPDATE reports SET kind = 'pruned', subject = 'pruned', unique_key = NULL, body = 'null' \
    WHERE seq IN (SELECT value FROM json_each(?1))";
const SAVE_LEASE: &str = "UPDATE lease SET fence = ?1, holder = ?2, renewed_ms = ?3, until_ms = ?4";
const SAVE_SNAPSHOT: &str = "\
    INSERT INTO snapshot (id, seq, format, sha256, bytes) VALUES (1, ?1, ?2, ?3, ?4) \
    ON CONFLICT (id) DO UPDATE SET seq = ?1, format = ?2, sha256 = ?3, bytes = ?4";

/// Number, kind, subject, unique key, milliseconds, body: what [`insert`] takes apart.
type Row<'a> = (u64, &'a str, &'a str, Option<&'a str>, u64, &'a str);

/// Packs what is packed in the store. Before the writer is taken: nobody waits for that.
pub(crate) fn packed(mut request: Request) -> Result<Request, StoreError> {
    if let Request::SaveSnapshot { snapshot, .. } = &mut request {
        let packed = zstd::bulk::compress(&snapshot.bytes, ZSTD_LEVEL).map_err(|error| corrupt(error.to_string()))?;
        snapshot.bytes = packed;
    }
    Ok(request)
}

pub(crate) async fn perform(connection: &mut SqliteConnection, request: Request) -> Result<Reply, StoreError> {
    let mut standing = read::standing(&mut *connection).await?;
    let before = standing.lease.clone();
    let reply = match request {
        Request::Acquire { holder, now, ttl } => Reply::Lease(standing.lease.acquire(&holder, now, ttl)),
        Request::Renew { fence, now, ttl } => Reply::Lease(standing.lease.renew(fence, now, ttl)?),
        Request::Release { fence } => {
            standing.lease.release(fence)?;
            Reply::Done
        }
        Request::Append { fence, expected, entries } => {
            standing.lease.admit(fence)?;
            append(connection, standing.last, expected, &entries).await?
        }
        Request::Prune { fence, reports } => {
            standing.lease.admit(fence)?;
            prune(connection, &reports).await?
        }
        Request::SaveSnapshot { fence, snapshot } => save_snapshot(connection, &standing, fence, snapshot).await?,
        Request::NewEpoch { fence, epoch } => {
            standing.lease.admit(fence)?;
            let epoch = epoch.as_bytes().as_slice();
            sqlx::query("UPDATE history SET epoch = ?1")
                .bind(epoch)
                .execute(&mut *connection)
                .await
                .map_err(fault::of)?;
            Reply::Done
        }
        // The store answers these from its readers and never sends them here.
        Request::Head | Request::LoadSnapshot | Request::Read { .. } | Request::Find { .. } => {
            return Err(StoreError::WrongReply { wanted: "an answer to a write" });
        }
    };
    if standing.lease != before {
        save_lease(connection, &standing.lease).await?;
    }
    Ok(reply)
}

async fn append(
    connection: &mut SqliteConnection,
    found: Seq,
    expected: Seq,
    entries: &[NewEntry],
) -> Result<Reply, StoreError> {
    if expected != found {
        return Err(StoreError::Conflict { expected, found });
    }
    for table in Table::ALL {
        let numbered = entries.iter().zip(1..).filter(|(entry, _)| entry.table == table);
        let rows =
            numbered.map(|(entry, n)| row(found.plus(n), entry)).collect::<Result<Vec<Row<'_>>, StoreError>>()?;
        if !rows.is_empty() {
            let batch = serde_json::to_string(&rows).map_err(|error| corrupt(error.to_string()))?;
            insert_batch(connection, table, &batch).await?;
        }
    }
    Ok(Reply::Appended { first: found.plus(1), last: found.plus(entries.len() as u64) })
}

async fn insert_batch(connection: &mut SqliteConnection, table: Table, batch: &str) -> Result<(), StoreError> {
    let error = match sqlx::query(insert(table)).bind(batch).execute(&mut *connection).await {
        Ok(_) => return Ok(()),
        Err(error) if fault::is_duplicate(&error) => error,
        Err(error) => return Err(fault::of(error)),
    };
    let found = sqlx::query_scalar(find_duplicate(table)).bind(batch).fetch_optional(connection).await;
    let key: Option<String> = found.map_err(fault::of)?;
    // A clash that is not of keys is one of numbers.
    Err(key.map_or_else(|| corrupt(error.to_string()), |key| StoreError::Duplicate { table, key }))
}

async fn prune(connection: &mut SqliteConnection, reports: &[Seq]) -> Result<Reply, StoreError> {
    // Numbers that SQLite cannot count are nobody's.
    if let Some(beyond) = reports.iter().find(|seq| i64::try_from(seq.as_u64()).is_err()) {
        return Err(no_report(*beyond));
    }
    let numbers = serde_json::to_string(reports).map_err(|error| corrupt(error.to_string()))?;
    let other = sqlx::query_scalar::<_, i64>(FIND_OTHER).bind(&numbers).fetch_optional(&mut *connection).await;
    if let Some(other) = other.map_err(fault::of)? {
        return Err(no_report(Seq::from_u64(u64::try_from(other).unwrap_or_default())));
    }
    sqlx::query(PRUNE).bind(&numbers).execute(&mut *connection).await.map_err(fault::of)?;
    Ok(Reply::Done)
}

async fn save_snapshot(
    connection: &mut SqliteConnection,
    standing: &Standing,
    fence: Fence,
    snapshot: Snapshot,
) -> Result<Reply, StoreError> {
    standing.lease.admit(fence)?;
    if snapshot.seq > standing.last {
        return Err(StoreError::SnapshotAhead { seq: snapshot.seq, last: standing.last });
    }
    if standing.snapshot.is_some_and(|kept| kept > snapshot.seq) {
        return Ok(Reply::Done);
    }
    let digest = Digest::of(&snapshot.bytes);
    let query = sqlx::query(SAVE_SNAPSHOT).bind(signed(snapshot.seq.as_u64())?).bind(snapshot.format);
    let query = query.bind(digest.as_bytes().as_slice()).bind(snapshot.bytes);
    query.execute(connection).await.map_err(fault::of)?;
    Ok(Reply::Done)
}

async fn save_lease(connection: &mut SqliteConnection, lease: &LeaseRecord) -> Result<(), StoreError> {
    let query = sqlx::query(SAVE_LEASE).bind(signed(lease.fence.as_u64())?).bind(lease.holder.as_deref());
    let query = query.bind(signed(lease.renewed.as_ms())?).bind(signed(lease.until.as_ms())?);
    query.execute(connection).await.map_err(fault::of)?;
    Ok(())
}

fn row(seq: Seq, entry: &NewEntry) -> Result<Row<'_>, StoreError> {
    let body = std::str::from_utf8(&entry.body).map_err(|error| corrupt(error.to_string()))?;
    Ok((seq.as_u64(), &entry.kind, &entry.subject, entry.unique_key.as_deref(), entry.at.as_ms(), body))
}

fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| corrupt(format!("{number} is beyond what SQLite can count")))
}
