//! What a rollout costs in a large fleet: `cargo bench -p tidegate-domain`.
//!
//! Prints times, and ratios against the least work that could be done: one pass over the places, one hash a level. Judges nothing.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types, missing_docs)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use tidegate_domain::digest::Digest;
use tidegate_domain::incident::Incident;
use tidegate_domain::policy::Policy;
use tidegate_domain::rollout::fact::{Fact, RowCount};
use tidegate_domain::rollout::place::Stage;
use tidegate_domain::rollout::planner::{Moment, plan};
use tidegate_domain::rollout::reason::HaltReason;
use tidegate_domain::rollout::{Identity, Rollout};
use tidegate_domain::roster::Place;
use tidegate_domain::roster::merkle::{Tree, proof};
use tidegate_domain::time::{Elapsed, WallTime};

const START: WallTime = WallTime::from_ms(1_000_000_000);

fn main() {
    for places in [100_000, 1_000_000] {
        println!("{places} places");
        proofs(places);
        planning(places);
    }
}

/// The fastest of several runs: what the code takes when nothing else is in its way.
fn least<T>(runs: u32, mut work: impl FnMut() -> T) -> Duration {
    let one = |_| {
        let begun = Instant::now();
        black_box(work());
        begun.elapsed()
    };
    (0..runs).map(one).min().unwrap()
}

/// What one of many calls takes.
fn each<T>(count: u32, mut work: impl FnMut(usize) -> T) -> Duration {
    least(5, || (0..count as usize).for_each(|i| drop(black_box(work(i))))) / count
}

fn show(what: &str, took: Duration, limit: &str, least: Duration) {
    let ratio = took.as_secs_f64() / least.as_secs_f64();
    println!("  {what:<44} {:>11.1} us  {ratio:>8.2} x {limit}", took.as_secs_f64() * 1e6);
}

fn proofs(places: usize) {
    let leaves: Vec<Digest> = (0..places).map(|i| Digest::of(&i.to_be_bytes())).collect();
    let pair = [[1_u8; 65], [2; 65]];
    let hash = each(10_000, |i| Digest::of(&pair[i % 2]));
    let tree = Tree::new(leaves.iter().copied());
    let built = least(3, || Tree::new(leaves.iter().copied()));
    show("tree over all places", built, "one hash a leaf", hash * u32::try_from(places).unwrap());
    let leaf = |at: usize| leaves.get(at).copied();
    let kept = each(1_000, |i| tree.proof(i * (places / 1_000), leaf));
    show("proof of one place", kept, "one hash a level", hash * places.ilog2());
    let anew = least(3, || proof(&leaves, places / 2));
    show("the same without a kept tree", anew, "one hash a level", hash * places.ilog2());
}

fn planning(places: usize) {
    let begun = Instant::now();
    let mut rollout = started(places);
    println!("  start of a rollout: {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
    let scan = least(5, || {
        let all = rollout.rows().iter().flat_map(|row| &row.places);
        all.filter(|place| matches!(place.stage, Stage::Control { .. })).count()
    });
    let first = least(3, || step(&rollout, START));
    show("planning step that opens the first window", first, "a pass over all places", scan);
    take_a_tenth(&mut rollout);
    let later = START.after(Elapsed::from_s(1));
    let idle = least(3, || step(&rollout, later));
    show("planning step with nothing to do", idle, "a pass over all places", scan);
    let copy = least(3, || rollout.clone());
    show("of that: the copy of the rollout", copy, "a pass over all places", scan);
    let judged = least(5, || rollout.verdict(later));
    show("verdict alone", judged, "a pass over all places", scan);
    let device = format!("device-{:08}", places / 20).parse().unwrap();
    let asked = each(1_000, |_| rollout.may_take(&device, later));
    println!("  go: place, phase and window of one device: {:.2} us", asked.as_secs_f64() * 1e6);
    let reasons = vec![HaltReason::ByPerson { by: "ada".parse().unwrap(), reason: "smoke".to_owned() }];
    rollout.apply(&Fact::Halted { reasons }, later);
    let mut incident = Incident::open(&rollout, later).unwrap();
    let observed = each(1_000, |_| incident.observe(&rollout, later));
    show("incident: one report's recount", observed, "a pass over all places", scan);
}

fn step(rollout: &Rollout, now: WallTime) -> usize {
    let moment = Moment {
        now,
        well_in_tick: &|_, _| true,
        present: &|_| true,
        joiners: Vec::new(),
        unproven_elsewhere: 0,
        shut: &|_| false,
        serving_since: WallTime::default(),
        unproven_everywhere_max: u32::MAX,
    };
    plan(rollout, &moment).next.len()
}

fn started(places: usize) -> Rollout {
    let text = "name = \"p\"\nwindow = { initial_all = 1000000 }\nrings = [{name = \"broad\", soak = \"1h\"}]\n\
                prove = { for = \"1h\" }\npace = { take_within = \"1d\", check_in = \"1min\" }";
    let policy = Policy::parse(text).unwrap();
    let stratum = policy.stratum_of(&Default::default());
    let place = |i| Place { device: format!("device-{i:08}").parse().unwrap(), stratum: stratum.clone(), ring: 0 };
    let digest = Digest::of(b"x");
    let identity = Identity {
        rollout: "p.1".parse().unwrap(),
        package: "p".parse().unwrap(),
        version: "1".parse().unwrap(),
        release: digest,
        policy: digest,
        order: digest,
        started_at_ms: START,
        expires_at_ms: START.after(Elapsed::from_s(86_400)),
        downtime: Elapsed::from_s(1),
        numbers: Vec::new(),
    };
    Rollout::start(identity, policy, BTreeMap::from([(stratum.clone(), (0..places).map(place).collect())]), |_| true)
}

/// Opens a fifth of all places; half of them are taken.
fn take_a_tenth(rollout: &mut Rollout) {
    let places = rollout.place_count();
    let stratum = rollout.stratum(0).unwrap().clone();
    let counts = vec![RowCount { stratum, addendum: 0, count: u32::try_from(places / 5).unwrap() }];
    let take_by_ms = START.after(Elapsed::from_s(3_600));
    rollout.apply(&Fact::PermitIssued { step: 1, counts, take_by_ms }, START);
    for i in 0..places / 10 {
        rollout.apply(&Fact::Took { device: format!("device-{i:08}").parse().unwrap() }, START);
    }
}
