//! The machine against a store that fails: what was not recorded is never known, and what was is known again.
#![allow(clippy::unwrap_used)]

use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, PackageName};
use tidegate_trust::keys::{PublicKey, SignatureBytes};

use super::*;
use crate::command::OnlineKey;
use crate::contract::StoreEpoch;
use crate::decision::OperatorRole;
use crate::model_store::ModelStore;
use crate::state::Operator;

/// Nobody: no command here signs anything.
struct NoKeys;

impl OnlineSigner for NoKeys {
    fn public_key(&self, _: OnlineKey) -> PublicKey {
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a".parse().unwrap()
    }

    fn sign(&self, _: OnlineKey, _: &[u8]) -> Result<SignatureBytes, Refusal> {
        Err(Refusal::new(Why::Unavailable, "key_unavailable", "no key"))
    }
}

struct Nobody;

impl Presence for Nobody {
    fn well_during(&self, _: &DeviceId, _: &PackageName, _: WallTime, _: WallTime) -> bool {
        false
    }

    fn heard_since(&self, _: &DeviceId, _: WallTime) -> bool {
        false
    }
}

type Given = Vec<(Ticket, Result<Answer, Refusal>)>;

/// A conductor with its store and clock.
struct Bench {
    store: ModelStore,
    conductor: Conductor,
    state: State,
    now: WallTime,
    /// What every write gets.
    fault: Option<StoreError>,
    /// Copies to keep that nobody has kept yet.
    keeping: Vec<Keeping>,
}

impl Bench {
    fn new() -> Bench {
        let store = ModelStore::new(StoreEpoch::from_bytes([1; 16]));
        let conductor = Conductor::new("server".to_owned(), Elapsed::from_ms(100));
        Bench {
            store,
            conductor,
            state: State::default(),
            now: WallTime::from_ms(1_000),
            fault: None,
            keeping: Vec::new(),
        }
    }

    /// Works until there is nothing to do; the answers given meanwhile.
    fn work(&mut self) -> Given {
        let mut given = Vec::new();
        loop {
            match self.conductor.next(&mut self.state, &NoKeys, &Nobody, self.now) {
                Next::Rest(_) => return given,
                Next::Tell(_) => {}
                Next::Keep(keeping) => self.keeping.push(*keeping),
                Next::Answer(answers) => given.extend(answers),
                Next::Ask(request) => {
                    let reads = matches!(request, Request::Read { .. } | Request::LoadSnapshot);
                    let reply = match &self.fault {
                        Some(fault) if !reads => Err(fault.clone()),
                        _ => self.store.perform(request),
                    };
                    self.conductor.told(&mut self.state, self.now, reply).unwrap();
                }
            }
        }
    }

    fn later(&mut self, ms: u64) {
        self.now = self.now.after(Elapsed::from_ms(ms));
    }
}

fn operator(name: &str) -> Command {
    Command::PutOperator {
        operator: name.parse().unwrap(),
        made: Operator { role: OperatorRole::Viewer, token: Digest::of(name.as_bytes()), packages: Default::default() },
    }
}

#[test]
fn a_command_is_answered_when_it_is_recorded() {
    let mut bench = Bench::new();
    bench.conductor.submit(1, operator("ann"));
    assert_eq!(bench.work(), [(1, Ok(Answer::Done))]);
    assert!(bench.conductor.is_ready() && bench.conductor.is_loaded());
    let mut again = State::default();
    let log = bench.store.perform(Request::Read { after: Seq::ZERO, limit: 10 }).unwrap().into_entries().unwrap();
    log.iter().for_each(|entry| again.apply(entry).unwrap());
    assert_eq!(again, bench.state);
}

#[test]
fn what_a_full_disk_kept_from_being_recorded_is_not_known_and_the_rest_can_be_read() {
    let mut bench = Bench::new();
    bench.conductor.submit(1, operator("ann"));
    bench.work();
    bench.fault = Some(StoreError::Full);
    bench.conductor.submit(2, operator("bob"));
    let refused = bench.work();
    assert_eq!(refused[0].1.as_ref().unwrap_err().kind, "store_full");
    assert!(!bench.conductor.is_ready() && bench.conductor.is_loaded(), "readable, not writable");
    let names: Vec<&str> = bench.state.operators().keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["ann"]);
    bench.conductor.submit(3, operator("cid"));
    assert_eq!(
        bench.work()[0].1.as_ref().unwrap_err().kind,
        "store_unavailable",
        "at once, not after the disk has room"
    );

    bench.fault = None;
    bench.later(2_000);
    bench.work();
    bench.conductor.submit(4, operator("bob"));
    assert_eq!(bench.work(), [(4, Ok(Answer::Done))]);
    assert_eq!(bench.state.operators().len(), 2);
}

#[test]
fn an_append_that_was_recorded_although_its_answer_was_lost_is_known_afterwards() {
    let mut bench = Bench::new();
    bench.work();
    bench.conductor.submit(1, operator("ann"));
    let Next::Ask(request @ Request::Append { .. }) =
        bench.conductor.next(&mut bench.state, &NoKeys, &Nobody, bench.now)
    else {
        unreachable!("a command that changes something leads to an append")
    };
    bench.store.perform(request).unwrap();
    let lost = StoreError::Unavailable { retryable: true, why: "the connection broke".to_owned() };
    bench.conductor.told(&mut bench.state, bench.now, Err(lost)).unwrap();
    assert_eq!(bench.work()[0].1.as_ref().unwrap_err().why, Why::Unavailable);
    bench.later(2_000);
    bench.work();
    assert!(bench.conductor.is_ready());
    assert_eq!(bench.state.operators().len(), 1, "what stands in the log is known");
}

#[test]
fn a_server_that_lost_the_lease_writes_nothing_and_reads_what_the_other_wrote() {
    let mut bench = Bench::new();
    bench.work();
    bench.later(60_000);
    let mut other = Bench { store: bench.store.clone(), ..Bench::new() };
    other.now = bench.now;
    other.conductor = Conductor::new("other".to_owned(), Elapsed::from_ms(100));
    other.conductor.submit(1, operator("ann"));
    other.work();
    bench.store = other.store.clone();
    bench.conductor.submit(1, operator("bob"));
    let refused = bench.work();
    assert_eq!(refused[0].1.as_ref().unwrap_err().why, Why::Unavailable);
    bench.later(1_500);
    bench.work();
    assert!(!bench.conductor.is_ready(), "the other holds it");
    assert_eq!(bench.state.operators().len(), 1, "and what the other wrote is known");
    bench.later(60_000);
    bench.work();
    assert!(bench.conductor.is_ready(), "until the other is gone");
}

#[test]
fn a_snapshot_is_kept_apart_and_nobody_waits_for_it() {
    let mut bench = Bench::new();
    bench.work();
    let fill = |bench: &mut Bench| {
        for ticket in 0..SNAPSHOT_EVERY_MIN {
            bench.conductor.submit(ticket, operator("ann"));
        }
        assert_eq!(bench.work().len() as u64, SNAPSHOT_EVERY_MIN);
    };
    fill(&mut bench);
    assert_eq!(bench.keeping.len(), 1);
    let at_its_time = bench.state.clone();
    // It is not kept yet, and meanwhile everything goes on; no second one is begun.
    fill(&mut bench);
    bench.conductor.submit(1, operator("bob"));
    assert_eq!(bench.work(), [(1, Ok(Answer::Done))]);
    assert_eq!(bench.keeping.len(), 1);
    let request = bench.keeping.remove(0).into_request().unwrap();
    bench.store.perform(request).unwrap();
    let kept = bench.store.perform(Request::LoadSnapshot).unwrap().into_snapshot().unwrap().unwrap();
    assert_eq!(State::from_snapshot(&kept), Ok(Some(at_its_time)));

    bench.conductor.kept();
    bench.work();
    assert_eq!(bench.keeping.len(), 1, "it is time for the next one");
    // Whoever starts now begins with the one that is kept.
    let mut other = Bench { store: bench.store.clone(), now: bench.now, ..Bench::new() };
    other.work();
    assert_eq!(other.state, bench.state);
}
