//! The incident desk over HTTP: a case from halt to closure with its chronology, who needs hands, and a lesson that blocks the next release.

use serde_json::{Value, json};
use tidegate_domain::digest::Digest;
use tidegate_domain::observation::Observation;

use crate::fleet::{Api, PACKAGE, Reply, until};
use crate::played::Temper;
use crate::world::world;

const CAUSE: &str = r#"{"mechanism": "21 fields where 20 were passed", "trigger": "a new template", "not_caught": "the validator counted wrong", "contained_by": "the window"}"#;

/// Does something about an incident.
fn act(api: &Api, incident: &str, act: &Value) -> Reply {
    api.post(&format!("/incidents/{incident}/acts"), act)
}

fn refused(reply: &Reply) -> (u16, String) {
    (reply.status, reply.kind())
}

#[test]
fn a_halt_is_worked_to_its_closure_in_order_and_its_lesson_blocks_the_next_release() {
    let mut world = world();
    world.players.iter_mut().for_each(|player| player.temper = Temper::NeedsHands);
    let path = world.start("1.0.0");
    let id = format!("inc-{}", path.strip_prefix("/rollouts/").unwrap());
    let opened = until("it halted and somebody needs hands", || {
        world.play();
        Some(world.api.get("/incidents")).filter(|all| all[0]["need_hands"].as_u64().is_some_and(|count| count > 0))
    });
    assert_eq!((&opened[0]["stage"], &opened[0]["incident"]), (&json!("contained"), &json!(id)));
    let (viewer, api) = (world.api.operator("viewer"), world.api.clone());
    let does = |who: &Api, what: Value| {
        let reply = act(who, &id, &what);
        assert_eq!(reply.status, 200, "{what}: {reply:?}");
        reply.json()
    };
    // Nobody says that a halt is restored, and only a commander that something is explained.
    let reach = |stage: &str| json!({"act": "reach", "stage": stage, "at_ms": 1});
    assert_eq!(refused(&act(&api, &id, &reach("restored"))), (409, "chronology".to_owned()));
    does(&viewer, json!({"act": "role", "role": "commander", "operator": "a-viewer"}));
    let nobody = json!({"act": "role", "role": "scribe", "operator": "nobody"});
    assert_eq!(refused(&act(&api, &id, &nobody)), (404, "unknown_operator".to_owned()));
    does(&api, json!({"act": "note", "at_ms": 1_000, "text": "support has twelve calls"}));
    does(&api, json!({"act": "instruct", "select": "os == \"linux\"", "text": "boot the rescue disk"}));
    does(&api, json!({"act": "contact", "customer": "acme", "text": "Jo, +31 20 555"}));
    let task = json!({"act": "task", "text": "send somebody", "customer": "acme", "owner": "admin", "due_ms": 1});
    let shown = does(&api, task);
    assert_eq!(shown["case"]["tasks"][0]["owner"], "admin");
    assert_eq!(shown["case"]["notes"][0]["at_ms"], 1_000);
    assert!(shown["case"]["notes"][0]["recorded_at_ms"].as_u64().unwrap() > 1_000, "two kinds of time");
    let acme = shown["customers"].as_array().unwrap().iter().find(|one| one["customer"] == "acme").unwrap();
    assert_eq!((&acme["waiting"], &acme["contact"]), (&json!(1), &json!("Jo, +31 20 555")));
    let sheet = String::from_utf8(viewer.call(ureq::http::Method::GET, &format!("/incidents/{id}/hands"), b"").body);
    let sheet = sheet.unwrap();
    assert!(sheet.starts_with("\"device\",\"customer\",") && sheet.contains("boot the rescue disk"), "{sheet}");
    let of_blue = format!("/incidents/{id}/hands?customer=blue");
    let of_blue = String::from_utf8(viewer.call(ureq::http::Method::GET, &of_blue, b"").body).unwrap();
    assert!(!of_blue.contains("\"acme\""), "{of_blue}");

    // Somebody came; the devices say so.
    let order = world.players.iter().find_map(|player| player.active.clone()).unwrap().order;
    for player in world.players.iter_mut().filter(|player| player.active.is_some()) {
        let reason = tidegate_domain::observation::FailureReason::Crashed;
        player.report(Some(order), Observation::Returned { reason }, 900);
    }
    let restored = until("restored", || {
        world.play();
        Some(world.api.get(&format!("/incidents/{id}"))).filter(|one| one["stage"] == "restored")
    });
    assert!(restored["devices"].as_array().unwrap().iter().all(|one| one["well_at_ms"].is_u64()), "{restored}");

    // Explained with a cause and after it was restored; closed with its work done and something learnt.
    let now = || tidegate_domain::time::WallTime::from_ms(restored["restored_at_ms"].as_u64().unwrap()).as_ms();
    let reach = |stage: &str| json!({"act": "reach", "stage": stage, "at_ms": now()});
    assert_eq!(refused(&act(&viewer, &id, &reach("explained"))), (409, "work_left".to_owned()));
    does(&api, json!({"act": "explain", "cause": serde_json::from_str::<Value>(CAUSE).unwrap()}));
    assert_eq!(refused(&act(&api, &id, &reach("explained"))), (403, "not_commander".to_owned()));
    let too_early = json!({"act": "reach", "stage": "explained", "at_ms": now() - 1});
    assert_eq!(refused(&act(&viewer, &id, &too_early)), (422, "chronology".to_owned()));
    does(&viewer, reach("explained"));
    assert_eq!(refused(&act(&viewer, &id, &reach("closed"))), (409, "work_left".to_owned()));
    does(&api, json!({"act": "done", "task": 1, "words": "he was there"}));
    does(&api, json!({"act": "lesson", "text": "count the fields", "blocks": true}));
    assert_eq!(does(&viewer, reach("closed"))["stage"], "closed");

    // The lesson outlives the case and keeps the package's next release from being ordered.
    world.fleet.publish(&world.api, "2.0.0", "2.0.0");
    let draft = json!({"package": PACKAGE, "version": "2.0.0", "policy": world.policy});
    assert_eq!(refused(&world.api.post("/rollouts/draft", &draft)), (409, "lesson_open".to_owned()));
    // Who only looks says no such thing; to be done lets releases be ordered again.
    let counted = json!({"act": "done", "task": 2, "words": "the pipeline counts"});
    assert_eq!(refused(&act(&viewer, &id, &counted)), (403, "blocking_lesson".to_owned()));
    does(&api, counted);
    assert_eq!(world.api.post("/rollouts/draft", &draft).status, 200);
    assert_eq!(refused(&act(&api, &id, &json!({"act": "lesson", "text": "x"}))), (409, "case_closed".to_owned()));

    // All of it is in the log, and a server that starts anew knows it.
    let before = world.api.get(&format!("/incidents/{id}"));
    let lines = world.api.get("/log?what=incident")["lines"].as_array().unwrap().len();
    assert_eq!(lines, 11);
    let token = world.api.clone();
    world.running.stop();
    let again = world.fleet.start();
    assert_eq!(token.at(&again.base).get(&format!("/incidents/{id}")), before);
    again.stop();
}

#[test]
fn what_a_later_release_mends_is_restored_and_what_was_said_of_the_halted_one_stays() {
    let mut world = world();
    world.players.iter_mut().for_each(|player| player.temper = Temper::NeedsHands);
    let path = world.start("1.0.0");
    let incident = format!("/incidents/inc-{}", path.strip_prefix("/rollouts/").unwrap());
    until("it halted and somebody needs hands", || {
        world.play();
        let shown = world.api.get("/incidents");
        shown[0]["need_hands"].as_u64().is_some_and(|count| count > 0).then_some(())
    });
    let hurt = world.api.get(&incident)["need_hands"].as_u64().unwrap();
    // Somebody mends one by hand: it runs what it came with, and says so under no order.
    let by_hand = world.players.iter_mut().find(|player| player.active.is_some()).unwrap();
    (by_hand.temper, by_hand.active, by_hand.runs) = (Temper::Proves, None, Some(Digest::of(b"factory")));
    by_hand.report(None, Observation::Healthy, 0);
    by_hand.play().unwrap();
    assert_eq!(world.api.get(&incident)["need_hands"].as_u64(), Some(hurt - 1));
    let release = world.fleet.publish(&world.api, "2.0.0", "2.0.0");
    let mended = format!("/rollouts/{}", world.fleet.start_rollout(&world.api, "2.0.0", &world.policy));
    for player in &mut world.players {
        (player.temper, player.active, player.runs) = (Temper::Proves, None, Some(release));
    }
    world.completes(&mended);
    let shown = world.api.get(&incident);
    assert_eq!(
        (&shown["stage"], &shown["need_hands"], &shown["healed"]),
        (&json!("restored"), &json!(0), &json!(hurt))
    );
    assert_eq!(shown["back_without_hands"], 0, "{shown}");
    let devices = shown["devices"].as_array().unwrap();
    let said =
        devices.iter().filter(|one| one["trouble"]["what"] == "needs_hands: crashed" && one["state"] == "moved_on");
    assert_eq!(said.count() as u64, hurt, "{shown}");
    let token = world.api.clone();
    world.running.stop();
    let again = world.fleet.start();
    assert_eq!(token.at(&again.base).get(&incident), shown, "a server that starts anew knows it");
    again.stop();
}

#[test]
fn people_open_incidents_that_no_halt_did_and_say_each_stage() {
    let world = world();
    let viewer = world.api.operator("viewer");
    let open = |body: Value| viewer.post("/incidents", &body);
    assert_eq!(refused(&open(json!({"title": " "}))), (422, "text".to_owned()));
    assert_eq!(
        refused(&open(json!({"title": "x", "noticed_at_ms": 9_999_999_999_999_u64}))),
        (422, "chronology".to_owned())
    );
    assert_eq!(refused(&open(json!({"title": "x", "package": "nothing"}))), (404, "unknown_package".to_owned()));
    let opened = open(json!({"title": "logins fail", "noticed_at_ms": 5_000}));
    assert_eq!(opened.status, 201, "{opened:?}");
    assert_eq!(opened.json()["incident"], "inc-hand-1");
    assert_eq!(open(json!({"title": "again"})).json()["incident"], "inc-hand-2");
    assert_eq!(world.api.get("/status")["incidents_open"], 2);
    let role = json!({"act": "role", "role": "commander", "operator": "a-viewer"});
    assert_eq!(act(&viewer, "inc-hand-1", &role).status, 200);
    for (stage, at) in [("contained", 6_000), ("restored", 6_000)] {
        let reach = json!({"act": "reach", "stage": stage, "at_ms": at});
        assert_eq!(act(&viewer, "inc-hand-1", &reach).status, 200);
    }
    assert_eq!(world.api.get("/incidents/inc-hand-1")["restored_at_ms"], 6_000);
    assert_eq!(world.api.get("/status")["incidents_open"], 1);
    world.running.stop();
}
