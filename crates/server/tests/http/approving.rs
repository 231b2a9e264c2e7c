//! A ring that waits for a person: who may let it open, and that nothing opens before.

use serde_json::{Value, json};
use tidegate_domain::observation::Observation;
use tidegate_domain::time::Elapsed;
use tidegate_server::clock::now;
use tidegate_trust::records::Approval;

use crate::fleet::{APPROVER_KEYS, Api, Fleet, ORDER_KEY, Reply, Running, record, until};
use crate::played::{FAST_POLICY, Player, twelve};

/// A rollout whose second ring asks for an approval, and the twelve devices in it.
struct Asking {
    fleet: Fleet,
    running: Running,
    api: Api,
    players: Vec<Player>,
    rollout: String,
}

fn asking() -> Asking {
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
    Asking { fleet, running, api, players, rollout }
}

#[test]
fn a_ring_with_an_approval_opens_when_somebody_with_the_role_lets_it_and_not_before() {
    let Asking { fleet, running, api, mut players, rollout } = asking();
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

    let body = approval(&fleet, &shown, "broad");
    let send = |who: &Api, body: &Approval, key: u8, reason: &str| {
        who.post(&format!("{rollout}/approve"), &json!({"approval": record(body, &[key]), "reason": reason}))
    };
    let refused = |reply: Reply| (reply.status, reply.kind());
    let (approver, key) = (api.operator("approver"), APPROVER_KEYS[0]);
    let other = |change: &dyn Fn(&mut Approval)| {
        let mut other = body.clone();
        change(&mut other);
        other
    };
    // Not by a session or a token alone, not by whoever orders, not by any other key, not by somebody without the role.
    assert_eq!(refused(send(&api.operator("publisher"), &body, key, "fine")), (403, "role".to_owned()));
    for stranger in [ORDER_KEY, 99] {
        assert_eq!(refused(send(&approver, &body, stranger, "fine")), (403, "record_not_signed".to_owned()));
    }
    let unsigned = json!({"approval": record(&body, &[]), "reason": "fine"});
    let unsigned = approver.post(&format!("{rollout}/approve"), &unsigned);
    assert_eq!(refused(unsigned), (403, "record_not_signed".to_owned()));
    for (wrong, status, kind) in [
        (other(&|one| one.ring = "nowhere".parse().unwrap()), 404, "unknown_ring"),
        (other(&|one| one.ring = "lab".parse().unwrap()), 409, "no_approval_wanted"),
        (other(&|one| one.order = one.policy), 409, "approval_of_another"),
        (other(&|one| one.policy = one.order), 409, "approval_of_another"),
        (other(&|one| one.places -= 1), 409, "approval_of_another"),
        (other(&|one| one.expires_at_ms = one.issued_at_ms), 409, "approval_expired"),
        (
            other(&|one| one.expires_at_ms = one.issued_at_ms.after(Elapsed::from_s(8 * 86_400))),
            409,
            "approval_expired",
        ),
    ] {
        assert_eq!(refused(send(&approver, &wrong, key, "fine")), (status, kind.to_owned()), "{wrong:?}");
    }
    assert_eq!(refused(send(&approver, &body, key, " ")), (422, "reason".to_owned()));
    play();
    assert_eq!(api.get(&rollout)["report"]["rings"][1]["opened"], 0, "nothing opened by any of these");
    let confined = json!({"operator": "confined", "role": "approver", "packages": ["another"]});
    let confined = api.with_token(api.post("/operators", &confined).json()["token"].as_str().unwrap());
    assert_eq!(refused(send(&confined, &body, key, "fine")), (403, "another_package".to_owned()));
    let given = send(&approver, &body, key, "the lab was fine");
    assert_eq!(given.status, 200, "{given:?}");
    assert_eq!(send(&approver, &body, key, "again").status, 200, "twice is once");
    let told = api.get("/log?what=approved")["lines"].to_string();
    assert!(told.contains("a-approver") && told.contains("signed by key"), "whose key counts: {told}");

    // Who joins now is not among the places that were approved: those wait for another approval, the others do not.
    let token = fleet.token("broad", 100);
    let mut joiners: Vec<Player> = (60..63).map(|n| Player::new(&fleet, &token, n, "broad", "linux")).collect();
    joiners.iter_mut().for_each(|player| player.moved_to(&running.base));
    assert!(joiners.iter_mut().all(Player::enrol));
    joiners.iter_mut().for_each(|player| player.report(None, Observation::Healthy, 0));
    let mut play_all = || {
        play();
        joiners.iter_mut().for_each(|player| drop(player.play().unwrap()));
    };
    let broad = || api.get(&rollout)["report"]["rings"][1].clone();
    until("the rollout is complete and the joiners have their places", || {
        play_all();
        let places = broad()["places"].as_u64().unwrap();
        let done = api.get(&rollout)["report"]["phase"] == "completed";
        (done && places == u64::from(body.places) + 3).then_some(())
    });
    for _ in 0..10 {
        play_all();
    }
    assert_eq!(broad()["opened"], body.places, "no more than was approved");
    let more = approval(&fleet, &api.get(&rollout), "broad");
    assert_eq!(send(&approver, &more, key, "these too").status, 200);
    until("the joiners have it too", || {
        play_all();
        (broad()["taken"] == more.places).then_some(())
    });
    running.stop();
}

#[test]
fn an_approval_that_ends_before_its_ring_is_reached_lets_nothing_open() {
    let Asking { fleet, running, api, mut players, rollout } = asking();
    let mut body = approval(&fleet, &api.get(&rollout), "broad");
    body.expires_at_ms = now().after(Elapsed::from_ms(1_500));
    let ahead = json!({"approval": record(&body, &[APPROVER_KEYS[0]]), "reason": "ahead"});
    let ahead = api.post(&format!("{rollout}/approve"), &ahead);
    assert_eq!(ahead.status, 200, "{ahead:?}");
    until("the approval has ended", || (now() > body.expires_at_ms).then_some(()));
    until("the lab has passed but for another approval", || {
        players.iter_mut().for_each(|player| drop(player.play().unwrap()));
        let wanted = "needs a person: the next ring waits for its approval";
        (api.get(&rollout)["reasons"][0] == wanted).then_some(())
    });
    assert_eq!(api.get(&rollout)["report"]["rings"][1]["opened"], 0);
    running.stop();
}

/// What an approver would sign to let a ring open, from what the server shows.
pub(crate) fn approval(fleet: &Fleet, shown: &Value, ring: &str) -> Approval {
    let rings = shown["report"]["rings"].as_array().unwrap();
    let known = rings.iter().find(|one| one["name"] == ring).unwrap();
    Approval {
        fleet: fleet.fleet,
        order: shown["order"].as_str().unwrap().parse().unwrap(),
        policy: shown["policy"].as_str().unwrap().parse().unwrap(),
        ring: ring.parse().unwrap(),
        places: u32::try_from(known["places"].as_u64().unwrap()).unwrap(),
        issued_at_ms: now(),
        expires_at_ms: now().after(Elapsed::from_s(600)),
        ext: Default::default(),
    }
}
