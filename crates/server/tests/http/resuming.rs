//! A halted release goes on without the words of the devices that halted it, by an order that approvers sign too, and by no other.

use serde_json::{Value, json};
use tidegate_domain::digest::Digest;
use tidegate_domain::observation::{FailureReason, Observation};
use tidegate_trust::records::{KeyList, Order};
use tidegate_trust::signed::Unverified;
use ureq::http::Method;

use crate::fleet::{APPROVER_KEYS, Api, Fleet, ORDER_KEY, PACKAGE, Reply, Running, key, record, signed, until};
use crate::played::{FAST_POLICY, Player, twelve};

const ROLLOUT: &str = "/rollouts/sensor-content.1";

/// A fleet whose first rollout one device of the lab has halted: it says that what its owner forbids was done. Which one.
fn slandered(fleet: &mut Fleet, running: &Running, api: &Api) -> (Digest, Vec<Player>, usize) {
    let policy = fleet.apply_policy(api, FAST_POLICY);
    let mut players = twelve(fleet, &running.base);
    assert!(players.iter_mut().all(Player::enrol));
    players.iter_mut().for_each(|player| drop(player.play().unwrap()));
    fleet.publish(api, "1.0.0", "good");
    fleet.start_rollout(api, "1.0.0", &policy);
    let liar = until("one takes it", || {
        players.iter_mut().for_each(|player| drop(player.play().unwrap()));
        players.iter().position(|player| player.active.is_some())
    });
    let order = players[liar].active.as_ref().map(|active| active.order);
    let reason = FailureReason::InvariantBroken;
    players[liar].report(order, Observation::Failed { reason, attempt: 1 }, 10);
    players[liar].active = None;
    until("it is halted", || {
        players.iter_mut().for_each(|player| drop(player.play().unwrap()));
        (api.get(ROLLOUT)["report"]["phase"] == "halted").then_some(())
    });
    (policy, players, liar)
}

fn draft(api: &Api, policy: &Digest, resume: bool, without: &[&str]) -> Reply {
    let wanted =
        json!({"package": PACKAGE, "version": "1.0.0", "policy": policy, "resume": resume, "without": without});
    api.post("/rollouts/draft", &wanted)
}

/// What resuming without names gets once nobody is waited for any more.
fn heard_out(api: &Api, policy: &Digest, players: &mut [Player]) -> Reply {
    until("all are heard out", || {
        players.iter_mut().for_each(|player| drop(player.play().unwrap()));
        Some(draft(api, policy, true, &[])).filter(|reply| reply.kind() != "still_heard")
    })
}

fn refused(reply: &Reply) -> (u16, String) {
    (reply.status, reply.kind())
}

fn start(api: &Api, order: &Value, seeds: &[u8]) -> Reply {
    let order: Unverified<Order> = serde_json::from_value(order.clone()).unwrap();
    let order = seeds.iter().fold(order, |order, seed| signed(order, &key(*seed)));
    api.post("/rollouts", &json!({"order": order}))
}

#[test]
fn a_halted_release_goes_on_without_the_device_that_halted_it_once_two_approvers_sign() {
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let api = running.admin();
    let (policy, mut players, liar) = slandered(&mut fleet, &running, &api);
    let named = players[liar].id.clone();
    let well = players.iter().map(|player| player.id.clone()).find(|id| *id != named).unwrap();
    let all: Vec<String> = players.iter().take(4).map(|player| player.id.clone()).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();

    assert_eq!(refused(&draft(&api, &policy, false, &[])), (409, "release_halted".to_owned()));
    assert_eq!(refused(&draft(&api, &policy, false, &[&named])), (422, "without".to_owned()));
    let still = draft(&api, &policy, true, &[]);
    assert_eq!(refused(&still), (409, "still_heard".to_owned()), "those who took it have not been heard out");
    let still = heard_out(&api, &policy, &mut players);
    assert_eq!(refused(&still), (409, "still_halted".to_owned()));
    assert!(still.json()["detail"].as_str().unwrap().contains(&named), "{still:?}");
    assert_eq!(refused(&draft(&api, &policy, true, &[&well])), (409, "not_in_trouble".to_owned()));
    assert_eq!(refused(&draft(&api, &policy, true, &all)), (409, "quarantine_too_large".to_owned()));

    let made = draft(&api, &policy, true, &[&named]);
    assert_eq!(made.status, 200, "{made:?}");
    let answer = made.json();
    assert_eq!((&answer["approvals"], &answer["devices"]), (&json!(2), &json!(11)));
    let order = &answer["order"];
    assert_eq!(order["body"]["resumes"], json!({"halted": "sensor-content.1", "without": [named]}));
    let seq = api.seq();
    let [one, two, _] = APPROVER_KEYS;
    for seeds in [&[ORDER_KEY][..], &[ORDER_KEY, one], &[ORDER_KEY, one, one], &[one, two], &[ORDER_KEY, one, 4]] {
        assert_eq!(refused(&start(&api, order, seeds)), (403, "record_not_signed".to_owned()), "{seeds:?}");
    }
    assert_eq!(api.seq(), seq, "nothing was recorded");
    assert_eq!(start(&api, order, &[ORDER_KEY, one, two]).status, 201);

    // What a server that is started anew reads back is the same.
    let shown = api.get("/rollouts/sensor-content.2");
    running.stop();
    let running = fleet.start();
    let api = api.at(&running.base);
    players.iter_mut().for_each(|player| player.moved_to(&running.base));
    assert_eq!(api.get("/rollouts/sensor-content.2")["quarantined"], json!([named]));
    assert_eq!(shown["quarantined"], json!([named]));
    until("it is complete", || {
        players.iter_mut().for_each(|player| drop(player.play().unwrap()));
        (api.get("/rollouts/sensor-content.2")["report"]["phase"] == "completed").then_some(())
    });
    assert_eq!(players[liar].takes.len(), 1, "it is left out, and never offered the release again");
    assert_eq!(refused(&draft(&api, &policy, true, &[])), (409, "not_halted".to_owned()));
    running.stop();
}

#[test]
fn nobody_is_so_indispensable_an_approver_that_absence_would_decide() {
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let api = running.admin();
    let (policy, mut players, liar) = slandered(&mut fleet, &running, &api);
    let held: Unverified<KeyList> = serde_json::from_value(api.get("/trust")["key_list"].clone()).unwrap();
    let mut list = held.danger_unchecked_body().unwrap();
    (list.version, list.keys) = (2, list.keys.into_iter().rev().skip(1).collect());
    let body = json!(record(&list, &[1, 2])).to_string();
    let reply = api.call(Method::PUT, "/trust/key-list", body.as_bytes());
    assert_eq!(reply.status, 204, "{reply:?}");
    let (still, named) = (heard_out(&api, &policy, &mut players), players[liar].id.clone());
    assert_eq!(still.kind(), "too_few_approvers");
    let refusal = draft(&api, &policy, true, &[&named]);
    assert_eq!(refused(&refusal), (409, "too_few_approvers".to_owned()));
    running.stop();
}
