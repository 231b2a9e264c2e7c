//! P8: whoever holds a halt key can halt without an account at the server. The signature is the authority; nothing else counts.

use serde_json::json;
use tidegate_domain::digest::Digest;
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_server::clock::now;
use tidegate_server::drill::PARK_VARIABLE;
use tidegate_trust::keys::{ListedKey, Scope};
use tidegate_trust::records::{Halt, KeyList};
use tidegate_trust::signed::Unverified;
use tidegate_wire::device::CheckInAnswer;
use ureq::http::Method;

use crate::child::Process;
use crate::fleet::{Api, Fleet, ORDER_KEY, Reply, Running, key, public, record, until};
use crate::log::whole_log;
use crate::played::{FAST_POLICY, Player, twelve};

const HALT_KEY: u8 = 20;
const EXPIRED_KEY: u8 = 21;
const ROLLOUT: &str = "/rollouts/sensor-content.1";

/// A rollout that runs, in a fleet whose key list has a halt key and one past its life; and the order's digest.
fn running_rollout(fleet: &mut Fleet, running: &Running) -> (Api, Vec<Player>, Digest) {
    let api = running.admin();
    let held: Unverified<KeyList> = serde_json::from_value(api.get("/trust")["key_list"].clone()).unwrap();
    let mut list = held.danger_unchecked_body().unwrap();
    list.version = 2;
    list.keys.push(halt_key(HALT_KEY, now().after(Elapsed::from_s(3_600))));
    list.keys.push(halt_key(EXPIRED_KEY, WallTime::from_ms(now().as_ms() - 1_000)));
    let reply = api.call(Method::PUT, "/trust/key-list", json!(record(&list, &[1, 2])).to_string().as_bytes());
    assert_eq!(reply.status, 204, "{reply:?}");
    let policy = fleet.apply_policy(&api, FAST_POLICY);
    let mut players = twelve(fleet, &running.base);
    assert!(players.iter_mut().all(Player::enrol));
    players.iter_mut().for_each(|player| drop(player.play().unwrap()));
    fleet.publish(&api, "1.0.0", "good");
    fleet.start_rollout(&api, "1.0.0", &policy);
    until("the lab is open", || (api.get(ROLLOUT)["permit_step"] != 0).then_some(()));
    let target = Api::nobody(&running.base).get("/halts/sensor-content.1");
    assert_eq!(target["order"], api.get(ROLLOUT)["order"]);
    (api, players, serde_json::from_value(target["order"].clone()).unwrap())
}

fn halt_key(seed: u8, not_after_ms: WallTime) -> ListedKey {
    ListedKey {
        public_key: public(&key(seed)),
        holder: "night shift".to_owned(),
        scopes: [Scope::Halt].into(),
        not_before_ms: WallTime::from_ms(0),
        not_after_ms,
    }
}

fn halt(fleet: Digest, order: Digest) -> Halt {
    let reasons = vec!["smoke".to_owned()];
    Halt { fleet, order, reasons, issued_at_ms: now(), ext: Default::default() }
}

fn send(nobody: &Api, halt: &Halt, seeds: &[u8]) -> Reply {
    nobody.post("/halts", &json!({"halt": record(halt, seeds)}))
}

#[test]
fn a_halt_key_halts_without_a_login_and_devices_hear_its_record() {
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let (api, players, order) = running_rollout(&mut fleet, &running);
    let nobody = Api::nobody(&running.base);
    let signed = halt(fleet.fleet, order);
    let reply = send(&nobody, &signed, &[HALT_KEY]);
    assert_eq!((reply.status, reply.json()), (200, json!({"rollout": "sensor-content.1", "recorded": true})));
    let view = api.get(ROLLOUT);
    assert_eq!(view["report"]["phase"], "halted");
    let short = public(&key(HALT_KEY)).id().short().to_owned();
    assert_eq!(view["reasons"], json!([format!("key-{short}: smoke")]));
    assert_eq!(api.get("/incidents").as_array().unwrap().len(), 1);

    // The lab's devices get the very record, and both the halt key's and the gate key's word for it.
    let told = players.iter().find_map(|player| {
        let reply = player.call(Method::POST, "/check-in", player.presence().to_string().as_bytes()).unwrap();
        serde_json::from_slice::<CheckInAnswer>(&reply.body).unwrap().halts.pop()
    });
    let told = told.expect("a device with an open place hears of the halt");
    assert_eq!(told.digest(), record(&signed, &[]).digest());
    let list: Unverified<KeyList> = serde_json::from_value(api.get("/trust")["key_list"].clone()).unwrap();
    let list = list.danger_unchecked_body().unwrap();
    for scope in [Scope::Halt, Scope::Gate] {
        list.verify(told.clone(), &[scope], now()).unwrap();
    }

    let seq = api.seq();
    for again in [send(&nobody, &signed, &[HALT_KEY]), nobody.post("/halts", &json!({"halt": told}))] {
        assert_eq!((again.status, again.json()["recorded"].as_bool()), (200, Some(true)), "{again:?}");
    }
    assert_eq!(api.seq(), seq, "played back, it changes nothing");
    running.stop();
}

#[test]
fn what_no_live_halt_key_of_this_fleet_signed_halts_nothing() {
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let (api, _, order) = running_rollout(&mut fleet, &running);
    let nobody = Api::nobody(&running.base);
    let right = halt(fleet.fleet, order);
    let refused = |reply: Reply, status: u16, kind: &str, what: &str| {
        assert_eq!((reply.status, reply.kind().as_str()), (status, kind), "{what}: {reply:?}");
    };
    refused(send(&nobody, &right, &[ORDER_KEY]), 403, "record_not_signed", "another scope");
    refused(send(&nobody, &right, &[EXPIRED_KEY]), 403, "record_not_signed", "past its life");
    refused(send(&nobody, &right, &[99]), 403, "record_not_signed", "a key that nobody lists");
    refused(send(&nobody, &right, &[]), 403, "record_not_signed", "no signature");
    let foreign = halt(Digest::of(b"another fleet"), order);
    refused(send(&nobody, &foreign, &[HALT_KEY]), 403, "record_of_another_fleet", "another fleet");
    let elsewhere = halt(fleet.fleet, Digest::of(b"another order"));
    refused(send(&nobody, &elsewhere, &[HALT_KEY]), 404, "unknown_order", "another order");
    let mut changed = json!(record(&right, &[HALT_KEY]));
    changed["body"]["reasons"] = json!(["something else"]);
    refused(nobody.post("/halts", &json!({"halt": changed})), 403, "record_not_signed", "changed after signing");
    let long = Halt { reasons: vec!["x".repeat(20_000)], ..right.clone() };
    refused(send(&nobody, &long, &[HALT_KEY]), 413, "body_too_large", "a long body");
    assert_eq!(api.get(ROLLOUT)["report"]["phase"], "running");
    assert_eq!(send(&nobody, &right, &[HALT_KEY]).status, 200, "the right one still counts");
    running.stop();
}

#[test]
fn a_signed_halt_works_with_the_planner_stuck_and_keeps_its_record() {
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let (api, _, order) = running_rollout(&mut fleet, &running);
    running.stop();
    // The first append is the login code; the conduct loop stands still at the next one.
    let process = Process::start(&fleet, Some((PARK_VARIABLE, "before_append:2")));
    let nobody = Api::nobody(process.base.as_ref().unwrap());
    let signed = halt(fleet.fleet, order);
    let reply = send(&nobody, &signed, &[HALT_KEY]);
    assert_eq!((reply.status, reply.json()["recorded"].as_bool()), (202, Some(false)), "{reply:?}");
    drop(process);
    let running = fleet.start();
    let api = api.at(&running.base);
    until("the halt is in the log", || (api.get(ROLLOUT)["report"]["phase"] == "halted").then_some(()));
    running.stop();
    let digest = public(&key(HALT_KEY)).id().as_str().to_owned();
    let log = whole_log(&fleet.data());
    let bodies = log.iter().map(|entry| String::from_utf8_lossy(&entry.content.body));
    let kept = bodies.filter(|body| body.contains("tidegate/halt/v1") && body.contains(&digest));
    assert_eq!(kept.count(), 1, "once, with the halt key's signature");
}
