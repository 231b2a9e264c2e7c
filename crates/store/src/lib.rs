//! Durable records: SQLite behind the store's contract.
//!
//! [`SqliteStore`] does what `tidegate_control::contract` says, on one file and its write-ahead log. What it has
//! acknowledged is on disk (`synchronous = FULL`); what it has not is there whole or not at all. It folds nothing,
//! draws no random number and reads no clock: what it stores are numbers, words and bodies that it does not understand.

mod fault;
mod open;
mod read;
mod schema;
mod write;

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tidegate_control::contract::{Reply, Request, StoreError};
use tokio::sync::Mutex;

pub use open::{OpenError, OpenOptions};

/// A store in one SQLite file. Several processes may have it open; the lease says which of them writes.
#[derive(Debug)]
pub struct SqliteStore {
    /// None when opened for reading only.
    writer: Option<Writer>,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens the store in this file, creates it where there is none, and brings an older schema up to date.
    ///
    /// # Errors
    /// [`OpenError`]: the file is something else, of a newer schema, damaged, or not to be had.
    pub async fn open(path: &Path, options: OpenOptions) -> Result<SqliteStore, OpenError> {
        let (options, connection) = open::writer(path, options).await?;
        let readers = open::readers(path).await?;
        Ok(SqliteStore { writer: Some(Writer { options, connection: Mutex::new(Some(connection)) }), readers })
    }

    /// Opens an existing store to read it, also while another process writes. Every request that writes is refused with
    /// [`StoreError::ReadOnly`].
    ///
    /// # Errors
    /// [`OpenError`], also when there is no store or its schema is not exactly this program's.
    pub async fn open_read_only(path: &Path) -> Result<SqliteStore, OpenError> {
        open::check_readable(path).await?;
        Ok(SqliteStore { writer: None, readers: open::readers(path).await? })
    }

    /// Does one request. Writes queue behind each other, reads do not wait for writes. Dropping the future before it
    /// answers leaves the request done whole or not at all.
    ///
    /// # Errors
    /// [`StoreError`], as the contract says.
    pub async fn perform(&self, request: Request) -> Result<Reply, StoreError> {
        request.check()?;
        match request {
            Request::Read { after, limit } => read::entries(&self.readers, after, limit).await.map(Reply::Entries),
            Request::Find { table, keys } => read::find(&self.readers, table, &keys).await.map(Reply::Entries),
            Request::LoadSnapshot => read::snapshot(&self.readers).await.map(Reply::Snapshot),
            Request::Head => Ok(Reply::Head(read::standing(&self.readers).await?.into_head())),
            Request::Acquire { .. }
            | Request::Renew { .. }
            | Request::Release { .. }
            | Request::Append { .. }
            | Request::SaveSnapshot { .. }
            | Request::Prune { .. }
            | Request::NewEpoch { .. } => {
                let writer = self.writer.as_ref().ok_or(StoreError::ReadOnly)?;
                writer.perform(write::packed(request)?).await
            }
        }
    }

    /// Writes a copy as it stands at one instant into a new file, whoever writes meanwhile. Beside it nothing is left.
    ///
    /// # Errors
    /// [`StoreError`], also when the file is there already.
    pub async fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let path = path.to_str().ok_or(StoreError::Invalid {
            what: "path of the copy",
            found: path.display().to_string().chars().take(80).collect(),
            rule: "UTF-8",
        })?;
        sqlx::query("VACUUM INTO ?1").bind(path).execute(&self.readers).await.map_err(fault::of)?;
        Ok(())
    }

    /// Gives the room of what was pruned back to the file system. Needs as much room as the store has, for a while.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn compact(&self) -> Result<(), StoreError> {
        let writer = self.writer.as_ref().ok_or(StoreError::ReadOnly)?;
        let mut place = writer.connection.lock().await;
        // As in `Writer::perform`: a connection that failed is not used again.
        let mut connection = match place.take() {
            Some(connection) => connection,
            None => writer.options.connect().await.map_err(fault::of)?,
        };
        sqlx::raw_sql("VACUUM").execute(&mut connection).await.map_err(fault::of)?;
        *place = Some(connection);
        Ok(())
    }

    /// Closes every connection in order, which also folds the write-ahead log into the file. Dropping the store instead
    /// loses nothing; the next one to open it does that work.
    pub async fn close(self) {
        self.readers.close().await;
        if let Some(connection) = self.writer.and_then(|writer| writer.connection.into_inner()) {
            // What fails here is tidying up; everything acknowledged is on disk already.
            drop(connection.close().await);
        }
    }
}

#[derive(Debug)]
struct Writer {
    options: SqliteConnectOptions,
    connection: Mutex<Option<SqliteConnection>>,
}

impl Writer {
    async fn perform(&self, request: Request) -> Result<Reply, StoreError> {
        let mut place = self.connection.lock().await;
        // Taken out, so that a connection that was left in the middle of something (a dropped future, a failed
        // rollback) is never used again: SQLite rolls back when it closes, and the next write opens another.
        let mut connection = match place.take() {
            Some(connection) => connection,
            None => self.options.connect().await.map_err(fault::of)?,
        };
        let (reply, reusable) = transact(&mut connection, request).await;
        if reusable {
            *place = Some(connection);
        }
        reply
    }
}

/// One transaction that takes the write lock at once; also says whether the connection is as it was before.
async fn transact(connection: &mut SqliteConnection, request: Request) -> (Result<Reply, StoreError>, bool) {
    let mut transaction = match connection.begin_with("BEGIN IMMEDIATE").await {
        Ok(transaction) => transaction,
        Err(error) => return (Err(fault::of(error)), false),
    };
    match write::perform(&mut transaction, request).await {
        Ok(reply) => match transaction.commit().await {
            Ok(()) => (Ok(reply), true),
            Err(error) => (Err(fault::of(error)), false),
        },
        Err(error) => (Err(error), transaction.rollback().await.is_ok()),
    }
}
