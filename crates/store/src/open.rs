//! Opening a store: whose file it is, of which schema, and with which guarantees. Never touches a file of something else.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tidegate_control::contract::{StoreEpoch, StoreError};

use crate::fault;
use crate::schema::{self, Identity};

const READERS_MAX: u32 = 4;
/// How long a write waits for another process's write, and a read for a free connection.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// After a large write the write-ahead log shrinks back to this.
const LOG_BYTES_KEPT: &str = "67108864";

/// How to open a store for writing.
#[derive(Debug, Clone, Copy)]
pub struct OpenOptions {
    /// The name of the history if the store has to be created; drawn at random by the caller.
    pub fresh_epoch: StoreEpoch,
    /// The most bytes that the file may take (its write-ahead log comes on top), none for as many as there are.
    /// Beyond it every write is refused with [`StoreError::Full`].
    pub size_max_bytes: Option<u64>,
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is a database, of something else.
    #[error("{path:?} is not a store of Tidegate: it is a database of another program")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The store has another schema than this program writes.
    #[error(
        "{path:?} has schema version {found}, this program has {known}: use the program that wrote it, or a newer one"
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// The store's version.
        found: usize,
        /// This program's version.
        known: usize,
    },
    /// SQLite cannot keep a write-ahead log there.
    #[error("{path:?} lies on a file system without shared memory (journal mode {mode:?}): use a local disk")]
    NoWriteAheadLog {
        /// The file.
        path: PathBuf,
        /// What SQLite offers instead.
        mode: String,
    },
    /// The store could not be read or written.
    #[error("{path:?}: {source}")]
    Store {
        /// The file.
        path: PathBuf,
        /// What came in the way.
        source: StoreError,
    },
}

impl OpenError {
    /// One stable word for interfaces and metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            OpenError::Foreign { .. } => "store_foreign",
            OpenError::Schema { .. } => "store_schema",
            OpenError::NoWriteAheadLog { .. } => "store_no_write_ahead_log",
            OpenError::Store { source, .. } => source.kind(),
        }
    }
}

/// The writing connection and how to open it again.
pub(crate) async fn writer(
    path: &Path,
    options: OpenOptions,
) -> Result<(SqliteConnectOptions, SqliteConnection), OpenError> {
    let failed = |error| store_error(path, error);
    let connect = base(path).create_if_missing(true);
    let mut connection = connect.connect().await.map_err(failed)?;
    // Before anything is written: even switching to a write-ahead log would change a foreign file.
    admit(path, schema::identify(&mut connection).await.map_err(failed)?)?;
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode = WAL").fetch_one(&mut connection).await.map_err(failed)?;
    if mode != "wal" {
        return Err(OpenError::NoWriteAheadLog { path: path.to_owned(), mode });
    }
    admit(path, schema::migrate(&mut connection, options.fresh_epoch).await.map_err(failed)?)?;
    let Some(size_max_bytes) = options.size_max_bytes else {
        return Ok((connect, connection));
    };
    let page_bytes: i64 = sqlx::query_scalar("PRAGMA page_size").fetch_one(&mut connection).await.map_err(failed)?;
    let pages_max = size_max_bytes / page_bytes.unsigned_abs().max(1);
    // Above this SQLite ignores the bound, and at zero it only asks for it.
    let connect = connect.pragma("max_page_count", pages_max.clamp(1, 4_294_967_294).to_string());
    drop(connection.close().await);
    let connection = connect.connect().await.map_err(failed)?;
    Ok((connect, connection))
}

/// Whether an existing file can be read as a store.
pub(crate) async fn check_readable(path: &Path) -> Result<(), OpenError> {
    let failed = |error| store_error(path, error);
    let mut connection = base(path).read_only(true).connect().await.map_err(failed)?;
    match schema::identify(&mut connection).await.map_err(failed)? {
        Identity::Store(found) if found == schema::version() => Ok(()),
        Identity::Store(found) => Err(schema_error(path, found)),
        Identity::Empty | Identity::Foreign => Err(OpenError::Foreign { path: path.to_owned() }),
    }
}

/// Connections that cannot write.
pub(crate) async fn readers(path: &Path) -> Result<SqlitePool, OpenError> {
    let pool =
        SqlitePoolOptions::new().max_connections(READERS_MAX).acquire_timeout(WAIT_MAX).test_before_acquire(false);
    pool.connect_with(base(path).read_only(true)).await.map_err(|error| store_error(path, error))
}

fn base(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(WAIT_MAX)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", LOG_BYTES_KEPT)
        .disable_statement_logging()
}

fn admit(path: &Path, identity: Identity) -> Result<(), OpenError> {
    match identity {
        Identity::Foreign => Err(OpenError::Foreign { path: path.to_owned() }),
        Identity::Store(found) if found > schema::version() => Err(schema_error(path, found)),
        Identity::Empty | Identity::Store(_) => Ok(()),
    }
}

fn schema_error(path: &Path, found: usize) -> OpenError {
    OpenError::Schema { path: path.to_owned(), found, known: schema::version() }
}

fn store_error(path: &Path, error: sqlx::Error) -> OpenError {
    OpenError::Store { path: path.to_owned(), source: fault::of(error) }
}
