//! Whose word counts for a release, and orders that no evidence could carry through.

use serde_json::json;
use tidegate_domain::digest::Digest;
use ureq::http::Method;

use crate::fleet::{Api, Fleet, PACKAGE, Reply, http_agent, request, until};
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
    let hasty = fleet.apply_policy(&api, &FAST_POLICY.replace("take_within = \"20s\"", "take_within = \"300ms\""));
    let reply = draft(&api, "1.0.0", &hasty);
    assert_eq!((reply.status, reply.kind().as_str()), (409, "cannot_pass"), "{reply:?}");
    assert!(reply.json()["detail"].as_str().unwrap().contains("pace.take_within"), "{reply:?}");
    let coarse = fleet.apply_policy(&api, FAST_POLICY);
    assert_eq!(draft(&api, "1.0.0", &coarse).status, 200);
    running.stop();
}

#[test]
fn a_lab_that_falls_silent_calls_a_person_once_and_halts_nothing_by_itself() {
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let api = running.admin();
    let policy = fleet.apply_policy(&api, FAST_POLICY);
    let mut players = enrolled(&fleet, &running.base);
    fleet.publish(&api, "1.0.0", "good");
    let rollout = format!("/rollouts/{}", fleet.start_rollout(&api, "1.0.0", &policy));
    let calls = || {
        let text = request(&http_agent(), Method::GET, &format!("{}/metrics", running.base), &[], b"").unwrap().body;
        let text = String::from_utf8(text).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("tidegate_operator_calls_total ")).unwrap();
        line.parse::<u64>().unwrap()
    };
    assert_eq!(calls(), 0);
    // Whoever takes it is never heard of again.
    until("a person is called", || {
        for player in players.iter_mut().filter(|player| player.takes.is_empty()) {
            player.prove_for = std::time::Duration::from_secs(3_600);
            player.play().unwrap();
        }
        (calls() > 0).then_some(())
    });
    let shown = api.get(&rollout);
    assert_eq!(shown["report"]["phase"], "running", "{shown}");
    assert!(shown["reasons"][0].as_str().unwrap().starts_with("needs a person"), "{shown}");
    let seq = api.seq();
    until("further steps were taken", || {
        players.iter_mut().filter(|player| player.takes.is_empty()).for_each(|player| drop(player.play()));
        (api.seq() == seq && calls() == 1).then_some(())
    });
    running.stop();
}
