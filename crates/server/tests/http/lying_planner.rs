//! P1 on the go path: a planner that opens everything opens nothing, because whoever gives the go counts for himself.

use serde_json::json;
use tidegate_control::command::{OnlineKey, OnlineSigner as _};
use tidegate_control::conduct::LEASE_TTL;
use tidegate_control::contract::{LeaseAnswer, Request, StoreEpoch};
use tidegate_control::decision::{Decision, GateRecord};
use tidegate_control::state::State;
use tidegate_domain::rollout::fact::{Fact, RowCount};
use tidegate_domain::rollout::report::StepReport;
use tidegate_domain::time::Elapsed;
use tidegate_server::clock::now;
use tidegate_store::{OpenOptions, SqliteStore};
use tidegate_trust::keys::{PublicKey, SignatureBytes};
use tidegate_trust::records::{Permit, PermitKind, RosterCount};
use tidegate_trust::signed::Unverified;
use tidegate_wire::device::{CheckInAnswer, Offer};
use ureq::http::Method;

use crate::fleet::{Fleet, Running};
use crate::log::{Account, runtime, whole_log};
use crate::played::{FAST_POLICY, Player, twelve};

/// A server that takes no planning steps: what is in the log is all that is ever opened.
fn without_steps(fleet: &Fleet) -> Running {
    let mut settings = fleet.settings();
    settings.step_every = Elapsed::from_s(3_600);
    Running::start(settings)
}

#[test]
fn the_go_path_refuses_beyond_the_window_even_with_a_planner_that_lies() {
    // One ring: nothing but the window is in the way.
    let (head, _) = FAST_POLICY.split_once("[[rings]]").unwrap();
    let policy = format!("{head}[[rings]]\nname = \"broad\"\nsoak = \"200ms\"\nclear_hard = 0.9\nclear_silent = 0.9\n");
    assert_eq!(takes_of_a_lie(&policy, "window_full"), 4, "the window of four, no more");
}

#[test]
fn the_go_path_refuses_a_ring_that_is_not_reached_even_with_a_planner_that_lies() {
    assert_eq!(takes_of_a_lie(FAST_POLICY, "place_not_open"), 2, "the lab, no more");
}

/// How many of twelve devices get a go when a permit opens all places at once; the others must be refused with this word.
fn takes_of_a_lie(policy: &str, refusal: &str) -> usize {
    let mut fleet = Fleet::found();
    let running = without_steps(&fleet);
    let api = running.admin();
    let policy = fleet.apply_policy(&api, policy);
    let mut players = twelve(&fleet, &running.base);
    assert!(players.iter_mut().all(Player::enrol));
    players.iter_mut().for_each(|player| drop(player.play().unwrap()));
    fleet.publish(&api, "1.0.0", "good");
    fleet.start_rollout(&api, "1.0.0", &policy);
    running.stop();

    open_everything(&fleet);
    let running = without_steps(&fleet);
    players.iter_mut().for_each(|player| player.moved_to(&running.base));
    let mut taken = 0;
    for player in &players {
        let reply = player.call(Method::POST, "/check-in", player.presence().to_string().as_bytes()).unwrap();
        let answer: CheckInAnswer = serde_json::from_slice(&reply.body).unwrap();
        let path = format!("/offers/{}", answer.offers.first().expect("the lie offers it to everybody").rollout);
        let offer: Offer = serde_json::from_slice(&player.call(Method::GET, &path, b"").unwrap().body).unwrap();
        let asked = player.go_request(offer.order.digest(), offer.permit.digest(), 1);
        let reply = player.post("/go", &json!(asked)).unwrap();
        if reply.status == 200 {
            taken += 1;
        } else {
            assert_eq!((reply.status, reply.kind().as_str()), (409, refusal), "{reply:?}");
        }
    }
    running.stop();
    let account = Account::of(&whole_log(&fleet.data()));
    assert_eq!(account.takes.len(), taken, "what was refused is not recorded");
    taken
}

/// Appends a step that opens every place, with a permit that the gate key really signed.
fn open_everything(fleet: &Fleet) {
    let log = whole_log(&fleet.data());
    let mut state = State::default();
    log.iter().for_each(|entry| state.apply(entry).unwrap());
    let course = state.rollouts().values().next().unwrap();
    let rows = course.rollout.rows().iter().map(|row| RowCount {
        stratum: course.rollout.stratum(row.stratum).unwrap().clone(),
        addendum: 0,
        count: row.places.len() as u32,
    });
    let counts: Vec<RowCount> = rows.collect();
    let permit = Permit {
        fleet: fleet.fleet,
        order: course.order.digest(),
        kind: PermitKind::Open,
        step: 1,
        previous: None,
        counts: counts
            .iter()
            .map(|row| RosterCount { stratum: row.stratum.clone(), addendum: 0, count: row.count })
            .collect(),
        take_by_ms: now().after(Elapsed::from_s(600)),
        issued_at_ms: now(),
        ext: Default::default(),
    };
    let decision = Decision::Step {
        rollout: course.order_body.rollout.clone(),
        facts: vec![Fact::PermitIssued { step: 1, counts, take_by_ms: permit.take_by_ms }],
        records: vec![GateRecord::Permit(sign_with_gate_key(fleet, &permit))],
        report: Box::new(StepReport::of(&course.rollout, now())),
        serving_since_ms: None,
    };
    runtime().block_on(async {
        let options = OpenOptions { fresh_epoch: StoreEpoch::from_bytes([0; 16]), size_max_bytes: None };
        let store = SqliteStore::open(&fleet.data().join("tidegate.db"), options).await.unwrap();
        let head = store.perform(Request::Head).await.unwrap().into_head().unwrap();
        let holder = head.lease.unwrap().holder;
        let lease = store.perform(Request::Acquire { holder, now: now(), ttl: LEASE_TTL }).await.unwrap();
        let LeaseAnswer::Granted { fence, .. } = lease.into_lease().unwrap() else { panic!("the lease is held") };
        let entries = vec![decision.to_entry(now()).unwrap()];
        store.perform(Request::Append { fence, expected: head.last, entries }).await.unwrap();
        store.close().await;
    });
}

fn sign_with_gate_key(fleet: &Fleet, permit: &Permit) -> Unverified<Permit> {
    let keys = tidegate_server::ServerKeys::open(&fleet.folder.path().join("keys")).unwrap();
    let draft = Unverified::draft(permit).unwrap();
    let signature: SignatureBytes = keys.sign(OnlineKey::Gate, draft.bytes_to_sign()).unwrap();
    let public: PublicKey = keys.public_key(OnlineKey::Gate);
    draft.with_signature(&public, signature)
}
