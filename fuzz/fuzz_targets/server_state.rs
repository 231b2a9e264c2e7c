//! What a server reads back from its store: entries that fold or are refused, and snapshots that are the state that they were made
//! of.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tidegate_control::contract::{Entry, NewEntry, Seq, Snapshot, Table};
use tidegate_control::decision::{Decision, REPORT, TAKE};
use tidegate_control::state::{SNAPSHOT_FORMAT, State};
use tidegate_domain::digest::Digest;
use tidegate_domain::time::WallTime;
use tidegate_fuzz::{bounded, golden, read_json, seed};

// Each line is an entry: `D` a decision, `T` a take, `R` a report. A line `S` is a snapshot.
fuzz_target!(init: seeds(), |data: &[u8]| {
    let mut state = State::default();
    for line in data.split(|byte| *byte == b'\n').take(64) {
        let Some((kind, body)) = line.split_first() else { continue };
        let (table, kind) = match kind {
            b'D' => {
                read_json::<Decision>(body);
                (Table::Decisions, "decision")
            }
            b'T' => (Table::Reports, TAKE),
            b'R' => (Table::Reports, REPORT),
            _ => {
                snapshot_is_read(body);
                continue;
            }
        };
        let content = NewEntry {
            table,
            kind: kind.to_owned(),
            subject: String::new(),
            unique_key: None,
            at: WallTime::from_ms(1_000 * (state.last().as_u64() + 1)),
            body: body.to_vec(),
        };
        let entry = Entry { seq: state.last().plus(1), content };
        if state.apply(&entry).is_err() {
            // A store that holds such an entry is not read on.
            break;
        }
    }
    survives_a_snapshot(&state);
});

fn survives_a_snapshot(state: &State) {
    let snapshot = state.to_snapshot().expect("a state can be written");
    let read = State::from_snapshot(&snapshot).expect("a snapshot can be read");
    assert_eq!(read.as_ref(), Some(state), "a snapshot is the state that it was made of");
}

fn snapshot_is_read(bytes: &[u8]) {
    let seq = serde_json::from_slice::<Value>(bytes).ok().and_then(|value| value["last"].as_u64()).unwrap_or_default();
    let snapshot = Snapshot { seq: Seq::from_u64(seq), format: SNAPSHOT_FORMAT, bytes: bytes.to_vec() };
    if let Ok(Some(state)) = bounded(bytes.len(), || State::from_snapshot(&snapshot)) {
        survives_a_snapshot(&state);
    }
}

fn seeds() {
    let record = |kind: &str| -> Value { serde_json::from_slice(&golden(kind)).unwrap() };
    let digest = Digest::of(b"x");
    let decisions = [
        json!({"decision": "metadata", "files": {"1.root.json": "{}"}}),
        json!({"decision": "key_list", "record": record("key-list")}),
        json!({"decision": "envelope", "record": record("envelope")}),
        json!({"decision": "policy", "record": record("policy")}),
        json!({"decision": "login_issued", "code": digest, "expires_at_ms": 9}),
        json!({"decision": "operator", "operator": "ann", "role": "admin", "token": digest, "code": digest}),
        json!({"decision": "enrolled", "token": record("enrolment-token"), "enrolment": record("enrolment"), "bearer": digest}),
        json!({"decision": "started", "order": record("order"), "absent": []}),
        json!({"decision": "operator_removed", "operator": "ann"}),
    ];
    let line = |word: &str, value: &Value| format!("{word}{value}\n");
    let journey: String = decisions.iter().map(|decision| line("D", decision)).collect();
    let all = format!("{journey}{}{}", line("T", &record("go-request")), line("R", &record("report")));
    for (n, decision) in decisions.iter().enumerate() {
        seed(&n.to_string(), line("D", decision));
    }
    seed("journey", all);
    seed("empty", format!("S{}", serde_json::to_value(State::default()).unwrap()));
    let mut state = State::default();
    for (n, decision) in decisions.iter().enumerate() {
        let content = NewEntry {
            table: Table::Decisions,
            kind: String::new(),
            subject: String::new(),
            unique_key: None,
            at: WallTime::from_ms(n as u64),
            body: decision.to_string().into_bytes(),
        };
        if state.apply(&Entry { seq: state.last().plus(1), content }).is_err() {
            break;
        }
    }
    seed("snapshot", format!("S{}", serde_json::to_value(&state).unwrap()));
}
