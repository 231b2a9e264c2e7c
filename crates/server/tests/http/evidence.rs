//! Whose word counts for a release, and orders that no evidence could carry through.

use serde_json::json;
use tidegate_domain::digest::Digest;

use crate::fleet::{Api, Fleet, PACKAGE, Reply};
use crate::played::{FAST_POLICY, Player, twelve};

fn draft(api: &Api, version: &str, policy: &Digest) -> Reply {
    api.post("/rollouts/draft", &json!({"package": PACKAGE, "version": version, "policy": policy}))
}

fn enrolled(fleet: &Fleet, base: &str) -> Vec<Player> {
    let mut players = twelve(fleet, base);
    assert!(players.iter_mut().all(Player::enrol));
    players.iter_mut().for_each(|player| drop(player.play().unwrap()));
    players
}

#[test]
fn devices_enrolled_after_a_release_was_published_cannot_carry_it_alone() {
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let api = running.admin();
    let policy = fleet.apply_policy(&api, FAST_POLICY);
    fleet.publish(&api, "1.0.0", "good");
    enrolled(&fleet, &running.base);
    let reply = draft(&api, "1.0.0", &policy);
    assert_eq!((reply.status, reply.kind().as_str()), (409, "no_evidence"), "{reply:?}");
    fleet.publish(&api, "1.0.1", "better");
    assert_eq!(draft(&api, "1.0.1", &policy).status, 200, "for what is published now their word counts");
    running.stop();
}

#[test]
fn an_order_that_could_pass_on_no_report_is_refused_with_what_would_do() {
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let api = running.admin();
    enrolled(&fleet, &running.base);
    fleet.publish(&api, "1.0.0", "good");
    let fine = fleet.apply_policy(&api, &FAST_POLICY.replace("clear_hard = 0.9", "clear_hard = 0.0005"));
    let seq = api.seq();
    let reply = draft(&api, "1.0.0", &fine);
    assert_eq!((reply.status, reply.kind().as_str()), (409, "cannot_pass"), "{reply:?}");
    let detail = reply.json()["detail"].as_str().unwrap().to_owned();
    for words in ["ring `broad`", "10 places", "0.0005", "even if none fails", "would do"] {
        assert!(detail.contains(words), "{detail}");
    }
    assert_eq!(api.seq(), seq, "nothing was recorded");
    let coarse = fleet.apply_policy(&api, FAST_POLICY);
    assert_eq!(draft(&api, "1.0.0", &coarse).status, 200);
    running.stop();
}
