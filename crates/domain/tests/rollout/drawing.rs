//! The drawing of a rollout's phases in `docs/rollout-states.md`, made by applying every fact in every phase, so that it cannot lie.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};

use tidegate_domain::observation::Observation;
use tidegate_domain::policy::Policy;
use tidegate_domain::rollout::Rollout;
use tidegate_domain::rollout::fact::{Escalation, Fact};
use tidegate_domain::rollout::reason::HaltReason;
use tidegate_domain::roster::rosters;
use tidegate_domain::time::{Elapsed, WallTime};

use crate::fleet::demo_candidates;
use crate::schedule::identity;

const NOW: WallTime = WallTime::from_ms(1_000_000);

fn facts() -> Vec<Fact> {
    let by = || "ada".parse().unwrap();
    vec![
        Fact::Took { device: "device-00".parse().unwrap() },
        Fact::Observed {
            device: "device-00".parse().unwrap(),
            observation: Observation::Healthy,
            age_ms: 0,
            numbers: BTreeMap::new(),
        },
        Fact::TroubledElsewhere { device: "device-00".parse().unwrap() },
        Fact::BrokenBefore { device: "device-00".parse().unwrap() },
        Fact::MovedOn { device: "device-00".parse().unwrap() },
        Fact::PermitIssued { step: 1, counts: Vec::new(), take_by_ms: NOW },
        Fact::ReturnIssued { step: 1, counts: Vec::new() },
        Fact::Lapsed { step: 1 },
        Fact::AddendumIssued { number: 1, places: Vec::new() },
        Fact::BlockOpened { tick: 1, stratum: "other".parse().unwrap(), lab: false, controls: Vec::new() },
        Fact::BandEntered { block: 1, band: 1, deaf: false },
        Fact::RingPassed { ring: 0 },
        Fact::Completed,
        Fact::HoldbackEnded,
        Fact::ScopeHalted { scopes: Vec::new(), reasons: Vec::new() },
        Fact::Halted { reasons: vec![HaltReason::ByPerson { by: by(), reason: "smoke".to_owned() }] },
        Fact::Paused { by: by(), reason: String::new() },
        Fact::Resumed { by: by(), reason: String::new() },
        Fact::Approved { ring: 1, by: by(), reason: String::new(), places: Some(1), until_ms: None },
        Fact::Escalated { why: Escalation::Stalled },
    ]
}

/// The stable word of a fact. Exhaustive: a new fact must be drawn too.
fn word(fact: &Fact) -> &'static str {
    match fact {
        Fact::Took { .. } => "took",
        Fact::Observed { .. } => "observed",
        Fact::TroubledElsewhere { .. } => "troubled_elsewhere",
        Fact::BrokenBefore { .. } => "broken_before",
        Fact::MovedOn { .. } => "moved_on",
        Fact::PermitIssued { .. } => "permit_issued",
        Fact::ReturnIssued { .. } => "return_issued",
        Fact::Lapsed { .. } => "lapsed",
        Fact::AddendumIssued { .. } => "addendum_issued",
        Fact::BlockOpened { .. } => "block_opened",
        Fact::BandEntered { .. } => "band_entered",
        Fact::RingPassed { .. } => "ring_passed",
        Fact::Completed => "completed",
        Fact::HoldbackEnded => "holdback_ended",
        Fact::ScopeHalted { .. } => "scope_halted",
        Fact::Halted { .. } => "halted",
        Fact::Paused { .. } => "paused",
        Fact::Resumed { .. } => "resumed",
        Fact::Approved { .. } => "approved",
        Fact::Escalated { .. } => "escalated",
    }
}

fn start() -> Rollout {
    let policy = Policy::parse(include_str!("../../../../policies/demo.toml")).unwrap();
    let digest = tidegate_domain::digest::Digest::of(b"seed");
    let rosters = rosters(&policy, &digest, demo_candidates());
    Rollout::start(identity(NOW, Elapsed::from_s(3_600), Elapsed::from_s(1)), policy, rosters, |_| true)
}

fn drawing() -> String {
    let mut reached = BTreeMap::from([("running", start())]);
    let (mut edges, mut stays): (BTreeSet<_>, BTreeMap<_, BTreeSet<_>>) = (BTreeSet::new(), BTreeMap::new());
    loop {
        let before = reached.len();
        for (from, rollout) in reached.clone() {
            for fact in facts() {
                let mut after = rollout.clone();
                after.apply(&fact, NOW);
                let to = after.phase().word();
                if to == from {
                    stays.entry(from).or_default().insert(word(&fact));
                } else {
                    edges.insert((from, to, word(&fact)));
                    reached.entry(to).or_insert(after);
                }
            }
        }
        if reached.len() == before {
            break;
        }
    }
    let mut text = String::from(
        "# The phases of a rollout\n\nDrawn by a test from the code: it applies every fact in every phase. `UPDATE_DOCS=1 cargo test -p \
         tidegate-domain` draws it anew.\n\n```mermaid\nstateDiagram-v2\n    [*] --> running: an order is accepted\n",
    );
    for (from, to, fact) in &edges {
        text += &format!("    {from} --> {to}: {fact}\n");
    }
    for phase in reached.keys().filter(|phase| !edges.iter().any(|(from, ..)| from == *phase)) {
        text += &format!("    {phase} --> [*]\n");
    }
    text += "```\n\nFacts that leave the phase as it is:\n\n| Phase | Facts |\n|---|---|\n";
    for (phase, facts) in &stays {
        let facts: Vec<&str> = facts.iter().copied().collect();
        text += &format!("| {phase} | {} |\n", facts.join(", "));
    }
    text += "\nA halt is for good. A completed rollout still lets late devices in, under the same window, until it is halted or expires.\n";
    text
}

#[test]
fn the_drawing_of_the_phases_is_what_the_code_does() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rollout-states.md");
    let drawn = drawing();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &drawn).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(kept, drawn, "docs/rollout-states.md has drifted: UPDATE_DOCS=1 draws it anew");
}
