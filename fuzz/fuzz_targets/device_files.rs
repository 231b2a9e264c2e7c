//! A device's own files, garbled in any way: they are read as what they say or not at all, the guard still decides, an unproven
//! release is never started more often than it may be, and the machine goes on from whatever state was read.
#![no_main]
#![allow(dead_code)]

#[path = "../../crates/agent/src/drill.rs"]
mod drill;
#[path = "../../crates/agent/src/durable.rs"]
mod durable;
#[path = "../../crates/agent/src/layout.rs"]
mod layout;
#[path = "../../crates/agent/src/os/mod.rs"]
mod os;
#[path = "../../crates/agent/src/outbox.rs"]
mod outbox;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use layout::PackageDir;
use libfuzzer_sys::fuzz_target;
use outbox::Outbox;
use serde_json::json;
use tempfile::TempDir;
use tidegate_domain::device::guard::{ATTEMPTS_MAX, Attempts, GuardDecision, GuardFacts, decide};
use tidegate_domain::device::{Event, Machine, State, Trial};
use tidegate_domain::digest::Digest;
use tidegate_domain::observation::{FailureReason, RefusalReason};
use tidegate_domain::time::Elapsed;
use tidegate_fuzz::{bounded, folder, golden, seed};

/// What stands in the files, one after the other, with this byte between: it is in no text.
const BETWEEN: u8 = 0xff;
const FILES: [&str; 8] = [
    "current",
    "fallback",
    "kept",
    "attempts.json",
    "state.json",
    "outbox/numbers.json",
    "outbox/last.json",
    "outbox/report-00000000000000000001.json",
];

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = folder();
    fs::create_dir_all(folder.path().join("outbox")).unwrap();
    folder
});

fuzz_target!(init: seeds(), |data: &[u8]| {
    let mut parts = data.split(|byte| *byte == BETWEEN);
    for file in FILES {
        let _ = fs::remove_file(FOLDER.path().join(file));
        if let Some(part) = parts.next() {
            fs::write(FOLDER.path().join(file), part).unwrap();
        }
    }
    let dir = PackageDir::new(FOLDER.path());
    bounded(data.len(), || guard_decides(&dir));
    machine_goes_on(&dir, parts.next().unwrap_or_default());
    outbox_is_read(&FOLDER.path().join("outbox"));
});

fn guard_decides(dir: &PackageDir) {
    let mut facts = GuardFacts { pointers: dir.pointers(), attempts: dir.attempts() };
    let named: Vec<Digest> = facts.pointers.named().collect();
    let trusted = facts.attempts.as_ref().filter(|held| held.proven || held.planned).map(|held| held.slot);
    if let Some(attempts) = &facts.attempts {
        dir.write_attempts(attempts, "").unwrap();
        assert_eq!(dir.attempts().as_ref(), Some(attempts));
    }
    let mut starts = 0;
    for _ in 0..20 {
        match decide(&facts) {
            GuardDecision::Start { slot, attempts, .. } => {
                assert!(named.contains(&slot), "a slot is started that no pointer names");
                let unproven = !facts.pointers.is_fallback_or_kept(slot) && trusted != Some(slot);
                starts += u32::from(unproven);
                assert!(starts <= ATTEMPTS_MAX, "an unproven release is started {starts} times");
                facts.attempts = Some(attempts);
            }
            GuardDecision::ReturnTo { slot, attempts } => {
                assert!(named.contains(&slot) && facts.pointers.current != Some(slot), "a return that goes nowhere");
                facts.pointers.current = Some(slot);
                facts.attempts = Some(attempts);
            }
            GuardDecision::NothingToStart => return,
        }
    }
}

fn machine_goes_on(dir: &PackageDir, events: &[u8]) {
    let Ok(Some((mut machine, unsent))) = dir.machine() else { return };
    dir.write_machine(&machine, &unsent).unwrap();
    assert_eq!(dir.machine().unwrap(), Some((machine.clone(), unsent)), "written and read again");
    let _ = machine.resume(true);
    let _ = machine.resume(false);
    for byte in events.iter().take(64) {
        if let Ok(step) = machine.step(&event(*byte, &machine)) {
            machine = step.machine;
        }
    }
    dir.write_machine(&machine, &[]).unwrap();
    let (read, _) = dir.machine().unwrap().unwrap();
    assert_eq!(read, Machine { healthy: false, ..machine });
}

fn event(byte: u8, machine: &Machine) -> Event {
    let order = machine.order().unwrap_or(Digest::of(b"order"));
    let detail = String::new();
    match byte % 16 {
        0 => Event::Offered(Box::new(trial(byte))),
        1 => Event::Refused { order, reason: RefusalReason::DiskFull, detail },
        2 => Event::Fetched,
        3 => Event::GoGiven,
        4 => Event::GoDenied,
        5 => Event::Halted { order },
        6 => Event::Started { attempt: u32::from(byte) << 24 },
        7 => Event::Healthy,
        8 => Event::ProbeFailed { detail },
        9 => Event::Exited { detail },
        10 => Event::ActivationFailed { detail },
        11 => Event::ReturnedByGuard { attempt: u32::from(byte >> 4) },
        12 => Event::Exhausted,
        13 => Event::Tick { passed: Elapsed::from_ms(u64::MAX >> (byte >> 4)), in_contact: byte & 16 != 0 },
        14 => Event::FleetProven { order, release: Digest::of(&[byte >> 4]) },
        _ => Event::RevertOrdered { order },
    }
}

fn outbox_is_read(dir: &Path) {
    let mut outbox = Outbox::open(dir.to_owned(), 7);
    assert!(outbox.len() <= 1 && outbox.first().len() == outbox.len());
    let next = outbox.next_number();
    assert!(next == u64::MAX || next > u64::try_from(outbox.len()).unwrap(), "a number is used twice");
    let again = Outbox::open(dir.to_owned(), 7).next_number();
    assert!(again == u64::MAX || again > next, "a number that was given out is given out again");
}

fn trial(n: u8) -> Trial {
    Trial {
        rollout: "p.1".parse().unwrap(),
        order: Digest::of(b"order"),
        permit: Digest::of(b"permit"),
        release: Digest::of(&[n >> 4]),
        version: "1".parse().unwrap(),
        prove_for: Elapsed::from_s(60),
        prove_restarts: 1,
        downtime: Elapsed::from_s(8),
        contact_deadline: (n & 16 != 0).then(|| Elapsed::from_s(9)),
    }
}

fn seeds() {
    let slot = |n: u8| format!("{}\n", Digest::of(&[n])).into_bytes();
    let attempts = Attempts::of_taken(Digest::of(&[2]), Digest::of(b"order"), 5);
    let numbers = json!({"format": 1, "unused_from": 257});
    let states = |trial: Box<Trial>| {
        [
            State::Idle {},
            State::Fetching { trial: trial.clone() },
            State::Staged { trial: trial.clone() },
            State::Activating { trial: trial.clone(), attempt: 1, waited: Elapsed::ZERO, silent: Elapsed::ZERO },
            State::Proving {
                trial: trial.clone(),
                attempt: 1,
                elapsed: Elapsed::from_s(3),
                restarts: 0,
                restarting: false,
                probe_failures: 1,
                waited: Elapsed::ZERO,
                silent: Elapsed::ZERO,
            },
            State::Proven { trial: trial.clone(), attempt: 1, probe_failures: 0 },
            State::Reverting { trial: trial.clone(), reason: FailureReason::Crashed, attempt: 3 },
            State::Reverted { trial, reason: FailureReason::ContactLost, attempt: 3, silent: Some(Elapsed::ZERO) },
        ]
    };
    for (n, state) in states(Box::new(trial(16))).into_iter().enumerate() {
        let machine = Machine { state, ..Machine::new(Elapsed::from_s(60)) };
        let unsent =
            json!({"order": Digest::of(b"order"), "observation": {"kind": "healthy"}, "detail": "", "age_ms": 1});
        let files = [
            slot(2),
            slot(1),
            slot(7),
            serde_json::to_vec(&json!({"format": 1, "attempts": attempts})).unwrap(),
            serde_json::to_vec(&json!({"format": 1, "machine": machine, "unsent": [unsent]})).unwrap(),
            serde_json::to_vec(&numbers).unwrap(),
            golden("report"),
            golden("report"),
            (0..32).map(|i: u8| i.wrapping_mul(29)).filter(|byte| *byte != BETWEEN).collect(),
        ];
        seed(&n.to_string(), files.join(&BETWEEN));
    }
}
