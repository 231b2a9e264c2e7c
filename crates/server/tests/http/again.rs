//! Idempotence: whatever is asked twice gets the same answer, and has no second effect.

use serde_json::json;
use tidegate_domain::digest::Digest;
use tidegate_domain::observation::Observation;
use tidegate_wire::device::{CheckInAnswer, Offer};
use ureq::http::Method;

use crate::fleet::{Api, Fleet, PACKAGE, tuf, until};
use crate::played::{FAST_POLICY, Player, twelve};

/// Asks twice; the second time must change nothing and answer the same.
fn twice(api: &Api, what: &str, mut ask: impl FnMut() -> (u16, Vec<u8>)) -> Vec<u8> {
    let first = ask();
    assert!((200..300).contains(&first.0), "{what}: {first:?}");
    let seq = api.seq();
    let second = ask();
    assert_eq!(second, first, "{what}: another answer");
    assert_eq!(api.seq(), seq, "{what}: a second effect");
    first.1
}

#[test]
fn repeated_requests_get_the_same_answer_and_have_no_second_effect() {
    let mut fleet = Fleet::found();
    // No planning steps, so that nothing else is recorded meanwhile.
    let mut settings = fleet.settings();
    settings.step_every = tidegate_domain::time::Elapsed::from_s(3_600);
    let running = crate::fleet::Running::start(settings);
    let api = running.admin();

    let mut players = twelve(&fleet, &running.base);
    assert!(players.iter_mut().all(Player::enrol));
    let devices = api.get("/devices");
    assert!(players.iter_mut().all(Player::enrol), "a lost answer is asked for again");
    assert_eq!(api.get("/devices"), devices, "nobody joined twice");
    assert_eq!(api.get("/status")["devices"], json!(12));

    publishing(&mut fleet, &api);
    let policy = json!({"policy": fleet.policy_record(FAST_POLICY)}).to_string();
    twice(&api, "policy", || {
        let reply = api.call(Method::POST, "/policies", policy.as_bytes());
        (reply.status, reply.body)
    });
    players.iter_mut().for_each(|player| drop(player.play().unwrap()));

    let order = fleet.order(&api, "1.0.0", &Digest::of(FAST_POLICY.as_bytes()));
    let order = json!({"order": order}).to_string();
    let view = twice(&api, "order", || {
        let reply = api.call(Method::POST, "/rollouts", order.as_bytes());
        let mut view = reply.json();
        // When the view was made, and what follows from that, is not part of the answer's meaning.
        view["report"]["at_ms"] = json!(0);
        (reply.status, view.to_string().into_bytes())
    });
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&view).unwrap()["rollout"], json!("sensor-content.1"));
    running.stop();

    // Now with steps: the lab's places open.
    let running = fleet.start();
    let api = api.at(&running.base);
    players.iter_mut().for_each(|player| player.moved_to(&running.base));
    testimony(&api, &mut players[0]);
    stopping(&api);
    running.stop();
}

fn publishing(fleet: &mut Fleet, api: &Api) {
    let (role, release) = fleet.stage(api, "1.0.0", "good");
    fleet.role = Some(role.clone());
    let file = tuf(role, &[4, 5]);
    twice(api, "release", || {
        let reply = api.call(Method::PUT, &format!("/metadata/packages/{PACKAGE}"), &file);
        (reply.status, reply.body)
    });
    twice(api, "artifact", || {
        let reply = api.call(Method::PUT, &format!("/artifacts/{}", Digest::of(b"good").hex()), b"good");
        (reply.status, reply.body)
    });
    assert_eq!(api.get("/packages/sensor-content")["releases"].as_array().unwrap().len(), 1);
    let shown = api.get("/packages/sensor-content")["releases"][0]["release"].clone();
    assert_eq!(shown, json!(release));
}

fn testimony(api: &Api, player: &mut Player) {
    let presence = player.presence().to_string();
    let answer: CheckInAnswer = until("an offer", || {
        let reply = player.call(Method::POST, "/check-in", presence.as_bytes()).unwrap();
        let answer: CheckInAnswer = serde_json::from_slice(&reply.body).unwrap();
        (!answer.offers.is_empty()).then_some(answer)
    });
    let seq = api.seq();
    for _ in 0..3 {
        let reply = player.call(Method::POST, "/check-in", presence.as_bytes()).unwrap();
        let again: CheckInAnswer = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(again.offers, answer.offers);
    }
    assert_eq!(api.seq(), seq, "check-ins write nothing");

    let path = format!("/offers/{}", answer.offers[0].rollout);
    let offer: Offer = serde_json::from_slice(&player.call(Method::GET, &path, b"").unwrap().body).unwrap();
    let (order, permit) = (offer.order.digest(), offer.permit.digest());
    let taken = |api: &Api| api.get("/rollouts/sensor-content.1")["report"]["rings"][0]["taken"].clone();
    for nonce in [1, 1, 2] {
        let asked = player.go_request(order, permit, nonce);
        let reply = player.post("/go", &json!(asked)).unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
        let nonce = asked.danger_unchecked_body().unwrap().nonce;
        assert_eq!(reply.json()["body"]["nonce"], json!(nonce), "the go echoes the nonce of this request");
        assert_eq!(taken(api), json!(1), "taken once");
    }

    let seq = player.last_seq + 1;
    let reports = [
        player.signed_report(seq, Some(order), Observation::Healthy, 10),
        player.signed_report(seq + 1, Some(order), Observation::Proven { restarts: 0 }, 400),
    ];
    let body = json!({"reports": reports});
    for sent in [&body, &body, &json!({"reports": [reports[0]]})] {
        let reply = player.post("/reports", sent).unwrap();
        assert_eq!((reply.status, reply.json()), (200, json!({"acknowledged_seq": seq + 1})));
        let proven = api.get("/rollouts/sensor-content.1")["report"]["rings"][0]["proven"].clone();
        assert_eq!(proven, json!(1), "proven once");
    }
}

fn stopping(api: &Api) {
    let reason = json!({"reason": "looks bad"});
    for verb in ["pause", "pause", "halt", "halt"] {
        let reply = api.post(&format!("/rollouts/sensor-content.1/{verb}"), &reason);
        assert_eq!(reply.status, 200, "{verb}: {reply:?}");
        if verb == "pause" {
            let reasons = reply.json()["reasons"].to_string();
            assert!(reasons.contains("paused by admin: looks bad"), "{reasons}");
        }
    }
    assert_eq!(api.get("/incidents").as_array().unwrap().len(), 1, "one halt, one incident");
    let reply = api.post("/rollouts/sensor-content.1/resume", &reason);
    assert_eq!((reply.status, reply.kind().as_str()), (409, "rollout_over"), "a halt is for good");
}
