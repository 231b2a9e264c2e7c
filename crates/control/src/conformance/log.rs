//! Cases of the log: numbers without gaps, all or nothing, compare and swap, unique keys, bodies byte for byte.

use super::trial::{Outcome, Promise, Trial, append, decision, entry, report, same};
use crate::contract::bounds::{BODY_BYTES_MAX, READ_BYTES_MAX};
use crate::contract::{Entry, NewEntry, Seq, StoreError, Table};

pub(super) const CASES: &[(&str, Promise)] = &[
    ("a new store holds nothing", empty),
    ("numbers have no gaps across tables and appends", no_gaps),
    ("an append that is refused leaves nothing behind", all_or_nothing),
    ("a writer that has not folded everything is refused", compare_and_swap),
    ("a unique key is admitted once in each table", unique_keys),
    ("entries without a unique key never clash", no_keys),
    ("a read goes on page by page and ends with nothing", pages),
    ("a read of large bodies ends early and loses none", large_bodies),
    ("bodies come back byte for byte", verbatim),
    ("entries are found by their keys, in their own table alone", found),
];

fn found(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    let all = [
        decision("x.1", Some("d1/1")),
        report("d1", Some("d1/1")),
        report("d1", Some("d1/2")),
        report("d2", None),
        report("d1", Some("d1/3")),
    ];
    trial.append(fence, 0, &all)?;
    let numbers = |trial: &mut Trial<'_, '_>, table, keys: &[&str]| -> Result<Vec<u64>, super::Departure> {
        let found = trial.find(table, keys)?;
        Ok(found.iter().map(|entry| entry.seq.as_u64()).collect())
    };
    same("two reports", &numbers(trial, Table::Reports, &["d1/3", "none", "d1/1"])?, &vec![2, 5])?;
    same("a decision", &numbers(trial, Table::Decisions, &["d1/1", "d1/2"])?, &vec![1])?;
    same("nothing", &numbers(trial, Table::Reports, &["", "d1/%", "d2"])?, &Vec::new())?;
    let whole = trial.find(Table::Reports, &["d1/2"])?;
    same("its content", &whole.first().map(|entry| &entry.content), &all.get(2))
}

fn empty(trial: &mut Trial<'_, '_>) -> Outcome {
    let head = trial.head("a new store")?;
    same("a new store", &(head.last, head.lease, head.snapshot), &(Seq::ZERO, None, None))?;
    same("its snapshot", &trial.snapshot()?, &None)?;
    trial.holds(&[])
}

fn no_gaps(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    let mut all = Vec::new();
    for size in [1, 7, 2, 64, 1] {
        let row = |n: usize| if n.is_multiple_of(3) { decision("x.1", None) } else { report(&format!("d{n}"), None) };
        let batch: Vec<NewEntry> = (all.len()..all.len() + size).map(row).collect();
        trial.append(fence, all.len() as u64, &batch)?;
        all.extend(batch);
    }
    trial.holds(&all)
}

fn all_or_nothing(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    let first = [decision("x.1", Some("order/1")), report("d1", Some("d1/1"))];
    trial.append(fence, 0, &first)?;
    let second = [decision("x.2", Some("order/2")), report("d1", Some("d1/2")), report("d1", Some("d1/1"))];
    let duplicate = StoreError::Duplicate { table: Table::Reports, key: "d1/1".to_owned() };
    trial.refuses("a duplicate in the last place", append(fence, 2, &second), &duplicate)?;
    trial.holds(&first)?;
    trial.append(fence, 2, &second[..2])?;
    trial.holds(&[&first[..], &second[..2]].concat())
}

fn compare_and_swap(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    let entries = [decision("x.1", None), report("d1", None)];
    trial.append(fence, 0, &entries)?;
    for expected in [0, 1, 3, u64::MAX] {
        let conflict = StoreError::Conflict { expected: Seq::from_u64(expected), found: Seq::from_u64(2) };
        trial.refuses("an append elsewhere than at the end", append(fence, expected, &entries), &conflict)?;
    }
    trial.holds(&entries)
}

fn unique_keys(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    let both = [decision("x.1", Some("k")), report("d1", Some("k"))];
    trial.append(fence, 0, &both)?;
    for (table, again) in [(Table::Decisions, decision("x.2", Some("k"))), (Table::Reports, report("d2", Some("k")))] {
        let duplicate = StoreError::Duplicate { table, key: "k".to_owned() };
        trial.refuses("the key again", append(fence, 2, &[again]), &duplicate)?;
    }
    let twice = [report("d1", Some("m")), decision("x.3", Some("m")), report("d3", Some("m"))];
    let duplicate = StoreError::Duplicate { table: Table::Reports, key: "m".to_owned() };
    trial.refuses("a key twice in one append", append(fence, 2, &twice), &duplicate)?;
    let near =
        [report("d1", Some("K")), report("d1", Some("k/")), report("d1", Some("k%")), report("d1", Some("'k\"\\"))];
    trial.append(fence, 2, &near)?;
    trial.holds(&[&both[..], &near[..]].concat())
}

fn no_keys(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    let same_entry = [report("d1", None), report("d1", None), decision("x.1", None), decision("x.1", None)];
    trial.append(fence, 0, &same_entry)?;
    trial.holds(&same_entry)
}

fn pages(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    let row = |n: u64| if n.is_multiple_of(2) { decision("x.1", None) } else { report(&format!("d{n}"), None) };
    trial.append(fence, 0, &(1..=23).map(row).collect::<Vec<_>>())?;
    let mut after = 0;
    for due in [10, 10, 3, 0] {
        let page = trial.read(after, 10)?;
        let numbers: Vec<u64> = page.iter().map(|entry| entry.seq.as_u64()).collect();
        same("the numbers of a page", &numbers, &(after + 1..=after + due).collect())?;
        after += due;
    }
    same("a read from beyond the end", &trial.read(24, 10)?, &Vec::new())?;
    same("a read from beyond everything", &trial.read(u64::MAX, 10)?, &Vec::new())?;
    let one = Entry { seq: Seq::from_u64(12), content: row(12) };
    same("a read of one", &trial.read(11, 1)?, &vec![one])
}

fn large_bodies(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    let body = format!("\"{}\"", "é".repeat((BODY_BYTES_MAX - 2) / 2));
    let large = entry(Table::Reports, "report", "d1", None, &body);
    let page = READ_BYTES_MAX / BODY_BYTES_MAX;
    for n in 0..page + 1 {
        trial.append(fence, n as u64, std::slice::from_ref(&large))?;
    }
    trial.append(fence, page as u64 + 1, &[decision("x.1", None)])?;
    let first = trial.read(0, 100)?;
    same("the entries of the first page", &first.len(), &page)?;
    same("a large body", &first.iter().all(|entry| entry.content == large), &true)?;
    same("the entries of the second page", &trial.read(page as u64, 100)?.len(), &2)
}

fn verbatim(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    let bodies = [
        "null",
        "0",
        "-1.50E+0400",
        "18446744073709551616",
        "\"\"",
        " \t\r\n{ \"b\" : 1 ,\n\"a\":[ ] } \n",
        r#"{"a":1,"a":2}"#,
        r#""\u0000 \ud800 \uD83C\udf0a \/ \\ \" \b\f\n\r\t""#,
        "\"\u{7f}\u{80}\u{a0}\u{2028}\u{2029}\u{feff}\u{fffd}\u{ffff}\u{e000}\u{10ffff}\"",
        "\"é e\u{301} 水門 🌊 '; DROP TABLE reports; -- $.a ?1 %s\"",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    ];
    let row = |(body, table): (&str, _)| entry(table, "report", "d1", None, body);
    let entries: Vec<NewEntry> = bodies.iter().flat_map(|body| Table::ALL.map(|table| row((body, table)))).collect();
    trial.append(fence, 0, &entries)?;
    trial.holds(&entries)
}
