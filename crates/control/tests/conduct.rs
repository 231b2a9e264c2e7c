//! The conduct loop against the model store: nothing is acted upon that was not recorded.
#![allow(clippy::unwrap_used, clippy::panic)]

use tidegate_control::command::{Answer, Command, OnlineKey, OnlineSigner, Refusal};
use tidegate_control::conduct::{Conductor, Next, Ticket};
use tidegate_control::contract::{Reply, Request, StoreEpoch, StoreError};
use tidegate_control::model_store::ModelStore;
use tidegate_control::presence::Presence;
use tidegate_control::state::State;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, PackageName};
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_trust::keys::{PublicKey, SignatureBytes};

struct NoKeys;

impl OnlineSigner for NoKeys {
    fn public_key(&self, _: OnlineKey) -> PublicKey {
        panic!("nothing here is signed")
    }
    fn sign(&self, _: OnlineKey, _: &[u8]) -> Result<SignatureBytes, Refusal> {
        panic!("nothing here is signed")
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

/// One server on a store that others may share.
struct Server {
    conductor: Conductor,
    state: State,
    answers: Vec<(Ticket, Result<Answer, Refusal>)>,
}

impl Server {
    fn new(name: &str) -> Server {
        let conductor = Conductor::new(name.to_owned(), Elapsed::from_ms(250));
        Server { conductor, state: State::default(), answers: Vec::new() }
    }

    /// Works until it rests. `store` answers every request.
    fn work(&mut self, now: WallTime, store: &mut dyn FnMut(Request) -> Result<Reply, StoreError>) {
        for _ in 0..100 {
            match self.conductor.next(&mut self.state, &NoKeys, &Nobody, now) {
                Next::Ask(request) => {
                    let reply = store(request);
                    self.conductor.told(&mut self.state, now, reply).unwrap();
                }
                Next::Answer(answers) => self.answers.extend(answers),
                Next::Rest(_) => return,
            }
        }
        panic!("it never rests");
    }
}

fn at(ms: u64) -> WallTime {
    WallTime::from_ms(1_800_000_000_000 + ms)
}

fn login(n: u8) -> Command {
    Command::IssueLogin { code: Digest::of(&[n]), expires_at_ms: at(1_000_000) }
}

fn store() -> ModelStore {
    ModelStore::new(StoreEpoch::from_bytes([7; 16]))
}

#[test]
fn a_command_is_answered_after_it_is_recorded_and_a_restart_knows_it() {
    let mut store = store();
    let mut server = Server::new("a");
    server.work(at(0), &mut |request| store.perform(request));
    server.conductor.submit(1, login(1));
    server.work(at(1), &mut |request| store.perform(request));
    assert_eq!(server.answers, vec![(1, Ok(Answer::Done))]);

    let mut again = Server::new("a");
    again.work(at(2), &mut |request| store.perform(request));
    assert!(again.conductor.is_ready());
    assert_eq!(again.state, server.state);
    assert!(again.state.login_is_good(&Digest::of(&[1]), at(3)));
}

#[test]
fn a_failed_write_leaves_nothing_behind_and_is_told() {
    let mut store = store();
    let mut server = Server::new("a");
    server.work(at(0), &mut |request| store.perform(request));
    server.conductor.submit(1, login(1));
    server.work(at(1), &mut |request| match request {
        Request::Append { .. } => Err(StoreError::Full),
        other => store.perform(other),
    });
    let (_, answer) = server.answers.pop().unwrap();
    assert_eq!(answer.unwrap_err().kind, "store_full");
    assert!(!server.state.login_is_good(&Digest::of(&[1]), at(2)), "what was not recorded must not be seen");
    assert!(server.conductor.is_ready(), "a full disk stops writing, not reading");

    server.conductor.submit(2, login(2));
    server.work(at(2), &mut |request| store.perform(request));
    assert!(server.answers.pop().unwrap().1.is_err(), "refused at once, without touching the store again");
    server.conductor.submit(3, login(3));
    server.work(at(5_000), &mut |request| store.perform(request));
    server.conductor.submit(4, login(4));
    server.work(at(7_000), &mut |request| store.perform(request));
    assert_eq!(server.answers.pop(), Some((4, Ok(Answer::Done))), "room again: it goes on");
}

#[test]
fn a_server_that_lost_its_lease_writes_nothing_more() {
    let mut store = store();
    let mut old = Server::new("old");
    old.work(at(0), &mut |request| store.perform(request));
    // It stops for a minute; another one takes over.
    let mut new = Server::new("new");
    new.work(at(60_000), &mut |request| store.perform(request));
    assert!(new.conductor.is_ready());
    old.conductor.submit(1, login(1));
    old.work(at(60_001), &mut |request| store.perform(request));
    assert!(old.answers.pop().unwrap().1.is_err());
    assert!(!old.conductor.is_ready());
    new.conductor.submit(1, login(2));
    new.work(at(60_002), &mut |request| store.perform(request));
    assert_eq!(new.answers, vec![(1, Ok(Answer::Done))]);
}

#[test]
fn of_two_servers_one_waits() {
    let mut store = store();
    let (mut first, mut second) = (Server::new("first"), Server::new("second"));
    first.work(at(0), &mut |request| store.perform(request));
    second.work(at(1), &mut |request| store.perform(request));
    assert!(first.conductor.is_ready() && !second.conductor.is_ready());
    second.conductor.submit(1, login(1));
    second.work(at(2), &mut |request| store.perform(request));
    let refusal = second.answers.pop().unwrap().1.unwrap_err();
    assert!(refusal.detail.contains("first"), "{refusal}");
}
