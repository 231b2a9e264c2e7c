//! Durable records: SQLite behind the store's contract.
