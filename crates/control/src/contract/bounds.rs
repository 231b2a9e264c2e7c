//! The bounds of the contract, the same for every store, and the checks that hold a request to them.
//!
//! Checked before a store is touched, so that no store ever sees a field that is too long or a body that is not JSON.

use std::collections::BTreeSet;

use serde::de::IgnoredAny;
use tidegate_domain::time::{Elapsed, WallTime};

use super::error::StoreError;
use super::record::{NewEntry, Seq};

/// Entries in one append.
pub const BATCH_ENTRIES_MAX: usize = 10_000;
/// Bytes of all bodies of one append.
pub const BATCH_BYTES_MAX: usize = 16 << 20;
/// Bytes of one body: a record of 1 MiB with room for what is said around it.
pub const BODY_BYTES_MAX: usize = 4 << 20;
/// Bytes of an entry's kind.
pub const KIND_BYTES_MAX: usize = 48;
/// Bytes of an entry's subject.
pub const SUBJECT_BYTES_MAX: usize = 200;
/// Bytes of an entry's unique key.
pub const UNIQUE_KEY_BYTES_MAX: usize = 256;
/// Bytes of a lease holder's name.
pub const HOLDER_BYTES_MAX: usize = 128;
/// The longest lease.
pub const LEASE_TTL_MAX: Elapsed = Elapsed::from_s(3_600);
/// Entries in one read.
pub const READ_ENTRIES_MAX: u32 = 10_000;
/// The most entries that are found by their keys at once.
pub const FOUND_ENTRIES_MAX: usize = 100;
/// A read ends with the entry whose body brings the sum of its bodies to this many bytes.
pub const READ_BYTES_MAX: usize = 16 << 20;
/// Bytes of a snapshot: a million devices are about 700 MiB.
pub const SNAPSHOT_BYTES_MAX: usize = 8 << 30;
/// The last instant of the year 9999.
pub const TIME_MAX: WallTime = WallTime::from_ms(253_402_300_799_999);

pub(super) fn check_entries(entries: &[NewEntry]) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Err(invalid("entries", "[]", "at least one entry"));
    }
    at_most("entries of an append", entries.len(), BATCH_ENTRIES_MAX)?;
    at_most("bytes of an append", entries.iter().map(|entry| entry.body.len()).sum(), BATCH_BYTES_MAX)?;
    let mut keys = BTreeSet::new();
    for entry in entries {
        check_entry(entry)?;
        if let Some(key) = &entry.unique_key
            && !keys.insert((entry.table, key))
        {
            return Err(StoreError::Duplicate { table: entry.table, key: key.clone() });
        }
    }
    Ok(())
}

fn check_entry(entry: &NewEntry) -> Result<(), StoreError> {
    at_most("bytes of a body", entry.body.len(), BODY_BYTES_MAX)?;
    check_kind(&entry.kind)?;
    check_text("subject", &entry.subject, SUBJECT_BYTES_MAX)?;
    if let Some(key) = &entry.unique_key {
        check_text("unique_key", key, UNIQUE_KEY_BYTES_MAX)?;
    }
    check_time("at", entry.at)?;
    let text = std::str::from_utf8(&entry.body).ok();
    if text.is_none_or(|text| serde_json::from_str::<IgnoredAny>(text).is_err()) {
        let found = String::from_utf8_lossy(entry.body.get(..320).unwrap_or(&entry.body));
        return Err(invalid("body", &found, "one JSON value in UTF-8"));
    }
    Ok(())
}

fn check_kind(kind: &str) -> Result<(), StoreError> {
    at_most("bytes of kind", kind.len(), KIND_BYTES_MAX)?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if kind.is_empty() || !kind.bytes().all(plain) {
        return Err(invalid("kind", kind, "a word of a-z, 0-9, underscore, hyphen"));
    }
    Ok(())
}

pub(super) fn check_text(what: &'static str, text: &str, bytes_max: usize) -> Result<(), StoreError> {
    if text.is_empty() || text.len() > bytes_max || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(invalid(what, text, "visible ASCII characters without blanks, at least one, within the bound"));
    }
    Ok(())
}

pub(super) fn check_time(what: &'static str, time: WallTime) -> Result<(), StoreError> {
    if time > TIME_MAX {
        return Err(invalid(what, &time.as_ms().to_string(), "milliseconds since 1970, before the year 10000"));
    }
    Ok(())
}

pub(super) fn check_ttl(ttl: Elapsed) -> Result<(), StoreError> {
    if ttl == Elapsed::ZERO || ttl > LEASE_TTL_MAX {
        return Err(invalid("ttl", &ttl.to_string(), "1ms to 1h"));
    }
    Ok(())
}

pub(super) fn at_most(what: &'static str, found: usize, max: usize) -> Result<(), StoreError> {
    if found > max {
        return Err(StoreError::TooLarge { what, found: found as u64, max: max as u64 });
    }
    Ok(())
}

/// Only reports are pruned.
pub fn no_report(seq: Seq) -> StoreError {
    invalid("number to prune", &seq.to_string(), "the number of an entry of the reports table")
}

pub(super) fn invalid(what: &'static str, found: &str, rule: &'static str) -> StoreError {
    StoreError::Invalid { what, found: found.chars().take(80).collect(), rule }
}
