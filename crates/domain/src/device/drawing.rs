//! Draws the machine as it behaves into `docs/device-states.md`, and fails when the file shows another one.
// A test, and the drawing is its subject: it reads and writes one file.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};

use super::tests::{digest, tick, trial};
use super::*;

const HEAD: &str = "# What a device steps through with one package

Drawn by a test from the machine itself (`crates/domain/src/device`). To draw it anew:
`UPDATE_DOCS=1 cargo test --release -p tidegate-domain device_states_are_drawn`.

Every change of state is on disk before its effects are performed. A *guard* runs before each start of the payload and may return
the package by itself (`returned_by_guard`), also while no agent and no server runs. `offered`, `refused` and `halted` lead back to
`proven` instead of `idle` where a proven release runs. A halt changes nothing once a device took the release (after `staged`).

";

/// One machine in each state, on the brink of what time alone decides.
fn samples() -> Vec<Machine> {
    let network = Trial { contact_deadline: Some(Elapsed::from_s(8)), ..trial(1) };
    let mut all = vec![Machine::new(Elapsed::from_s(600))];
    let mut machine = all[0].clone();
    let path = [
        Event::Offered(Box::new(network)),
        Event::Fetched,
        Event::GoGiven,
        Event::Healthy,
        Event::ProbeFailed { detail: String::new() },
        Event::ProbeFailed { detail: String::new() },
        Event::Healthy,
        tick(4),
        Event::RevertOrdered { order: digest(101) },
        Event::Healthy,
    ];
    for event in path {
        machine = machine.step(&event).unwrap().machine;
        all.push(machine.clone());
    }
    all
}

fn events() -> Vec<Event> {
    let detail = String::new;
    vec![
        Event::Offered(Box::new(trial(2))),
        Event::Refused { order: digest(101), reason: RefusalReason::DiskFull, detail: detail() },
        Event::Fetched,
        Event::GoGiven,
        Event::GoDenied,
        Event::Halted { order: digest(101) },
        Event::Started { attempt: 2 },
        Event::Healthy,
        Event::ProbeFailed { detail: detail() },
        Event::Exited { detail: detail() },
        Event::InvariantBroken { detail: detail() },
        Event::ActivationFailed { detail: detail() },
        Event::ReturnedByGuard { attempt: 3 },
        Event::Exhausted,
        tick(4),
        Event::FleetProven { order: digest(101), release: digest(1) },
        Event::RevertOrdered { order: digest(101) },
    ]
}

fn drawing() -> String {
    let mut edges: BTreeMap<(usize, &str, &str), BTreeSet<&str>> = BTreeMap::new();
    for (i, machine) in samples().iter().enumerate() {
        for event in events() {
            let Ok(step) = machine.step(&event) else { continue };
            let (from, to) = (machine.state.word(), step.machine.state.word());
            if from != to {
                let place = samples().iter().position(|m| m.state.word() == from).unwrap_or(i);
                edges.entry((place, from, to)).or_default().insert(event.word());
            }
        }
    }
    let mut text = format!("{HEAD}```mermaid\nstateDiagram-v2\n    [*] --> idle\n");
    for ((_, from, to), words) in edges {
        let words: Vec<_> = words.into_iter().collect();
        text.push_str(&format!("    {from} --> {to}: {}\n", words.join(", ")));
    }
    text.push_str("```\n");
    text
}

#[test]
fn device_states_are_drawn() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/device-states.md");
    let drawn = drawing();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &drawn).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(kept, drawn, "docs/device-states.md shows another machine: draw it anew with UPDATE_DOCS=1");
}
