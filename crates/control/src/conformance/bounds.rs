//! Cases of the bounds: what is beyond one is refused by name and changes nothing, what is at one is admitted.

use tidegate_domain::time::{Elapsed, WallTime};

use super::trial::{Outcome, Promise, Trial, acquire, append, at, decision, departure, entry, report, same};
use crate::contract::bounds as max;
use crate::contract::{Fence, NewEntry, Request, Seq, StoreError, Table};

pub(super) const CASES: &[(&str, Promise)] = &[
    ("entries beyond a bound are refused by name", entries),
    ("leases and reads beyond a bound are refused by name", leases_and_reads),
    ("entries at every bound are admitted", at_the_bounds),
];

fn entries(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    let good = || report("d1", None);
    let large = "1".repeat(max::BODY_BYTES_MAX);
    let large_entry = entry(Table::Reports, "report", "d1", None, &large);
    let batches = [
        ("entries", vec![]),
        ("entries of an append", vec![good(); max::BATCH_ENTRIES_MAX + 1]),
        ("bytes of an append", vec![large_entry; max::BATCH_BYTES_MAX / max::BODY_BYTES_MAX + 1]),
    ];
    for (what, batch) in batches {
        refused(trial, what, append(fence, 0, &batch))?;
    }
    let entries = [
        ("bytes of a body", NewEntry { body: format!("{large}1").into(), ..good() }),
        ("bytes of kind", NewEntry { kind: "k".repeat(max::KIND_BYTES_MAX + 1), ..good() }),
        ("subject", NewEntry { subject: "s".repeat(max::SUBJECT_BYTES_MAX + 1), ..good() }),
        ("unique_key", NewEntry { unique_key: Some("u".repeat(max::UNIQUE_KEY_BYTES_MAX + 1)), ..good() }),
        ("kind", NewEntry { kind: String::new(), ..good() }),
        ("kind", NewEntry { kind: "Order".to_owned(), ..good() }),
        ("subject", NewEntry { subject: String::new(), ..good() }),
        ("subject", NewEntry { subject: "a\0b".to_owned(), ..good() }),
        ("unique_key", NewEntry { unique_key: Some(String::new()), ..good() }),
        ("unique_key", NewEntry { unique_key: Some("é".to_owned()), ..good() }),
        ("at", NewEntry { at: WallTime::from_ms(u64::MAX), ..good() }),
    ];
    for (what, entry) in entries {
        refused(trial, what, append(fence, 0, &[decision("x.1", None), entry]))?;
    }
    for body in [&b""[..], b"{", b"{} {}", b"{'a':1}", b"\"\n\"", b"\"\0\"", b"\"\xff\"", b"\xef\xbb\xbf{}", b"NaN"] {
        refused(trial, "body", append(fence, 0, &[NewEntry { body: body.to_vec(), ..good() }]))?;
    }
    trial.holds(&[])
}

fn leases_and_reads(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    let long = "h".repeat(max::HOLDER_BYTES_MAX + 1);
    for holder in ["", "a b", long.as_str()] {
        refused(trial, "holder", acquire(holder, 0))?;
    }
    let too_long = max::LEASE_TTL_MAX.plus(Elapsed::from_ms(1));
    for ttl in [Elapsed::ZERO, too_long, Elapsed::from_ms(u64::MAX)] {
        refused(trial, "ttl", Request::Acquire { holder: "a".to_owned(), now: at(0), ttl })?;
        refused(trial, "ttl", Request::Renew { fence, now: at(0), ttl })?;
    }
    let (now, ttl) = (WallTime::from_ms(u64::MAX), max::LEASE_TTL_MAX);
    refused(trial, "now", Request::Acquire { holder: "a".to_owned(), now, ttl })?;
    refused(trial, "now", Request::Renew { fence, now, ttl })?;
    let find = |count: usize| Request::Find { table: Table::Reports, keys: vec!["k".to_owned(); count] };
    refused(trial, "keys", find(0))?;
    refused(trial, "keys to find", find(max::FOUND_ENTRIES_MAX + 1))?;
    refused(trial, "limit", Request::Read { after: Seq::ZERO, limit: 0 })?;
    for limit in [max::READ_ENTRIES_MAX + 1, u32::MAX] {
        refused(trial, "entries of a read", Request::Read { after: Seq::ZERO, limit })?;
    }
    Ok(())
}

fn at_the_bounds(trial: &mut Trial<'_, '_>) -> Outcome {
    let holder = "h".repeat(max::HOLDER_BYTES_MAX);
    let request = Request::Acquire { holder, now: max::TIME_MAX, ttl: max::LEASE_TTL_MAX };
    same("the longest lease at the last instant", &trial.ask(request).is_ok(), &true)?;
    let fence: Fence = trial.head("the lease")?.lease.map(|lease| lease.fence).unwrap_or_default();
    let longest = NewEntry {
        table: Table::Decisions,
        kind: "k".repeat(max::KIND_BYTES_MAX),
        subject: "s".repeat(max::SUBJECT_BYTES_MAX),
        unique_key: Some("u".repeat(max::UNIQUE_KEY_BYTES_MAX)),
        at: max::TIME_MAX,
        body: format!("\"{}\"", r#"\"\\"#.repeat(1_000)).into(),
    };
    let mut batch = vec![report("d1", None); max::BATCH_ENTRIES_MAX - 1];
    batch.push(longest);
    trial.append(fence, 0, &batch)?;
    trial.holds(&batch)
}

/// Refused for this field, with nothing changed.
fn refused(trial: &mut Trial<'_, '_>, due: &'static str, request: Request) -> Outcome {
    let before = trial.head(due)?;
    match trial.ask(request) {
        Err(StoreError::TooLarge { what, .. } | StoreError::Invalid { what, .. }) => same("the field", &what, &due)?,
        other => return Err(departure("beyond a bound", &other, due)),
    }
    same("the head afterwards", &trial.head(due)?, &before)
}
