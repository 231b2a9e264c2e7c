//! A ring that waits for a person: who may let it open, and that nothing opens before.

use serde_json::json;

use crate::fleet::{Fleet, until};
use crate::played::{FAST_POLICY, Player, twelve};

#[test]
fn a_ring_with_an_approval_opens_when_somebody_with_the_role_lets_it_and_not_before() {
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let api = running.admin();
    let asking = FAST_POLICY.replace("name = \"broad\"", "name = \"broad\"\napprove = \"approver\"");
    assert_ne!(asking, FAST_POLICY);
    let policy = fleet.apply_policy(&api, &asking);
    let mut players = twelve(&fleet, &running.base);
    assert!(players.iter_mut().all(Player::enrol));
    players.iter_mut().for_each(|player| drop(player.play().unwrap()));
    fleet.publish(&api, "1.0.0", "good");
    let rollout = format!("/rollouts/{}", fleet.start_rollout(&api, "1.0.0", &policy));
    let mut play = || players.iter_mut().for_each(|player| drop(player.play().unwrap()));
    until("the lab has passed but for the approval", || {
        play();
        let shown = api.get(&rollout);
        let wanted = "needs a person: the next ring waits for its approval";
        (shown["reasons"][0] == wanted).then_some(())
    });
    for _ in 0..10 {
        play();
    }
    let shown = api.get(&rollout);
    assert_eq!(shown["report"]["rings"][1]["opened"], 0, "{shown}");

    let approve = |who: &crate::fleet::Api, ring: &str, reason: &str| {
        who.post(&format!("{rollout}/approve"), &json!({"ring": ring, "reason": reason}))
    };
    let refused = approve(&api.operator("publisher"), "broad", "looks fine");
    assert_eq!((refused.status, refused.kind().as_str()), (403, "role"), "{refused:?}");
    let approver = api.operator("approver");
    for (ring, reason, status, kind) in [
        ("nowhere", "fine", 404, "unknown_ring"),
        ("lab", "fine", 409, "no_approval_wanted"),
        ("broad", " ", 422, "reason"),
    ] {
        let refused = approve(&approver, ring, reason);
        assert_eq!((refused.status, refused.kind().as_str()), (status, kind), "{refused:?}");
    }
    let given = approve(&approver, "broad", "the lab was fine");
    assert_eq!(given.status, 200, "{given:?}");
    let seq = api.seq();
    assert_eq!(approve(&approver, "broad", "again").status, 200, "twice is once");
    until("the rollout is complete", || {
        play();
        (api.get(&rollout)["report"]["phase"] == "completed").then_some(())
    });
    assert!(api.seq() > seq);
    running.stop();
}
