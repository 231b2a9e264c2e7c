//! `on_halt = "revert"`: after a halt every device that took the release is ordered back, a few at a time, and the incident stays open until
//! the last one is.

use std::time::Duration;

use serde_json::json;
use tidegate_domain::observation::{FailureReason, Observation};
use tidegate_trust::records::PermitKind;
use tidegate_wire::device::{CheckInAnswer, Offer};
use ureq::http::Method;

use crate::fleet::{Fleet, PACKAGE, until};
use crate::played::{FAST_POLICY, Player, twelve};

/// Checks in on the release; the offer that orders the device back, if there is one.
fn ordered_back(player: &Player, release: &serde_json::Value) -> Option<Offer> {
    let said = json!({"packages": [{"package": PACKAGE, "state": "proven", "healthy": true, "current": release}]});
    let answer: CheckInAnswer = serde_json::from_slice(&player.post("/check-in", &said).unwrap().body).unwrap();
    let rollout = answer.reverts.first()?;
    let reply = player.call(Method::GET, &format!("/offers/{rollout}"), b"").unwrap();
    Some(serde_json::from_slice(&reply.body).unwrap())
}

#[test]
fn a_halt_orders_everybody_back_a_window_at_a_time() {
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let api = running.admin();
    let policy = fleet.apply_policy(&api, &FAST_POLICY.replace("[strata]", "on_halt = \"revert\"\n[strata]"));
    let mut players = twelve(&fleet, &running.base);
    assert!(players.iter_mut().all(Player::enrol));
    players.iter_mut().for_each(|player| drop(player.play().unwrap()));
    fleet.publish(&api, "1.0.0", "good");
    let rollout = fleet.start_rollout(&api, "1.0.0", &policy);
    until("most have taken it", || {
        players.iter_mut().for_each(|player| drop(player.play()));
        std::thread::sleep(Duration::from_millis(100));
        (players.iter().filter(|player| !player.takes.is_empty()).count() >= 10).then_some(())
    });
    api.post(&format!("/rollouts/{rollout}/halt"), &json!({"reason": "it is not what we thought"}));
    let release = api.get(&format!("/rollouts/{rollout}"))["release"].clone();
    players.retain(|player| !player.takes.is_empty());
    let taken = players.len();

    let mut at_once_most = 0;
    while !players.is_empty() {
        let ordered = until("somebody is ordered back", || {
            let ordered: Vec<usize> =
                (0..players.len()).filter(|index| ordered_back(&players[*index], &release).is_some()).collect();
            (!ordered.is_empty()).then_some(ordered)
        });
        at_once_most = at_once_most.max(ordered.len());
        assert_eq!(api.get(&format!("/incidents/inc-{rollout}"))["state"], "open", "somebody is still out");
        // One of them returns; the others wait.
        let mut player = players.remove(ordered[0]);
        let offer = ordered_back(&player, &release).unwrap();
        let permit = offer.permit.danger_unchecked_body().unwrap();
        assert_eq!((permit.kind, permit.order), (PermitKind::Revert, offer.order.digest()));
        let reason = FailureReason::Reverted;
        player.report(Some(offer.order.digest()), Observation::Failed { reason, attempt: 1 }, 1_000);
        player.report(Some(offer.order.digest()), Observation::Returned { reason }, 1_100);
        player.play().unwrap();
        until("it is not ordered again", || ordered_back(&player, &release).is_none().then_some(()));
    }
    let incident = until("restored", || {
        let incident = api.get(&format!("/incidents/inc-{rollout}"));
        (incident["state"] == "restored").then_some(incident)
    });
    assert_eq!(
        (&incident["exposed"], &incident["harmed"]),
        (&json!(taken), &json!(0)),
        "to return on order is no harm"
    );
    assert!(at_once_most < taken, "{at_once_most} of {taken} at once is no pace");
    running.stop();
}
