//! What SQLite reports, in the contract's words. Never guesses from messages, only from result codes.

use sqlx::error::DatabaseError;
use tidegate_control::contract::StoreError;

// https://www.sqlite.org/rescode.html
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const NO_MEMORY: u32 = 7;
const READ_ONLY: u32 = 8;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const NOT_A_DATABASE: u32 = 26;
const CONSTRAINT_UNIQUE: u32 = 2067;
/// The shared-memory file beside the write-ahead log could not be made longer: in practice, a full disk.
const IO_SHARED_MEMORY_SIZE: u32 = 4874;

pub(crate) fn of(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(database) => of_code(code(database.as_ref()), database.message()),
        sqlx::Error::PoolTimedOut => StoreError::Unavailable { retryable: true, why: error.to_string() },
        sqlx::Error::RowNotFound
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. } => corrupt(error.to_string()),
        // A connection's thread is gone: the next request gets another connection.
        sqlx::Error::WorkerCrashed => StoreError::Unavailable { retryable: true, why: error.to_string() },
        _ => StoreError::Unavailable { retryable: false, why: error.to_string() },
    }
}

pub(crate) fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|database| code(database) == CONSTRAINT_UNIQUE)
}

pub(crate) fn corrupt(why: impl Into<String>) -> StoreError {
    StoreError::Corrupt { why: why.into() }
}

fn of_code(code: u32, message: &str) -> StoreError {
    if code == IO_SHARED_MEMORY_SIZE {
        return StoreError::Full;
    }
    // The low byte is the primary result code.
    match code & 0xff {
        FULL => StoreError::Full,
        READ_ONLY => StoreError::ReadOnly,
        CORRUPT | NOT_A_DATABASE => corrupt(format!("SQLite code {code}: {message}")),
        primary => {
            let retryable = matches!(primary, BUSY | LOCKED | NO_MEMORY);
            StoreError::Unavailable { retryable, why: format!("SQLite code {code}: {message}") }
        }
    }
}

fn code(error: &dyn DatabaseError) -> u32 {
    error.code().and_then(|code| code.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_codes_become_the_contracts_words() {
        for (code, kind, retryable) in [
            (13, "store_full", true),
            (4874, "store_full", true),
            (8, "store_read_only", false),
            (1032, "store_read_only", false),
            (11, "store_corrupt", false),
            (779, "store_corrupt", false),
            (26, "store_corrupt", false),
            (5, "store_unavailable", true),
            (517, "store_unavailable", true),
            (10, "store_unavailable", false),
            (14, "store_unavailable", false),
            (0, "store_unavailable", false),
        ] {
            let error = of_code(code, "");
            assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "code {code}");
        }
    }
}
