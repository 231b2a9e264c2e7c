//! The schema and how it moves forward. Never backward: a store of a newer schema is refused, not guessed at.

use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tidegate_control::contract::StoreEpoch;

/// In order; a store's schema version says how many of them it has had. One that has shipped is never edited.
const MIGRATIONS: &[&str] =
    &[include_str!("../migrations/0001_two_tables.sql"), include_str!("../migrations/0002_pruned_reports.sql")];

/// What SQLite keeps in the file's header to tell whose it is: `TIDE`.
const APPLICATION_ID: i64 = 0x5449_4445;

/// What a file turns out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// A database with nothing in it.
    Empty,
    /// A store with this schema version.
    Store(usize),
    /// A database of something else.
    Foreign,
}

/// The schema version that this program writes.
pub(crate) const fn version() -> usize {
    MIGRATIONS.len()
}

pub(crate) async fn identify(connection: &mut SqliteConnection) -> Result<Identity, sqlx::Error> {
    let application: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    let objects: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *connection).await?;
    Ok(match (application, usize::try_from(version)) {
        (APPLICATION_ID, Ok(version)) if version > 0 => Identity::Store(version),
        (0, Ok(0)) if objects == 0 => Identity::Empty,
        _ => Identity::Foreign,
    })
}

/// Makes what is missing, in one transaction, and says what the store is afterwards.
pub(crate) async fn migrate(
    connection: &mut SqliteConnection,
    fresh_epoch: StoreEpoch,
) -> Result<Identity, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    // Asked again under the write lock: another process may have been here in between.
    let found = identify(&mut transaction).await?;
    let done = match found {
        Identity::Empty => 0,
        Identity::Store(done) if done < MIGRATIONS.len() => done,
        Identity::Store(_) | Identity::Foreign => return Ok(found),
    };
    for migration in MIGRATIONS.iter().skip(done) {
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
    }
    if found == Identity::Empty {
        let epoch = fresh_epoch.as_bytes().as_slice();
        sqlx::query("INSERT INTO history (id, epoch) VALUES (1, ?1)").bind(epoch).execute(&mut *transaction).await?;
        let lease = "INSERT INTO lease (id, fence, holder, renewed_ms, until_ms) VALUES (1, 0, NULL, 0, 0)";
        sqlx::query(lease).execute(&mut *transaction).await?;
    }
    let marks = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {}", MIGRATIONS.len());
    sqlx::raw_sql(AssertSqlSafe(marks)).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Identity::Store(MIGRATIONS.len()))
}
