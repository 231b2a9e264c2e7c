//! Devices that are held back and devices that leave the fleet: nothing is given to them, and nothing else is kept from anybody.

use serde_json::{Value, json};
use ureq::http::Method;

use crate::fleet::{PACKAGE, until};
use crate::played::Player;
use crate::world::world;
use tidegate_wire::device::Offer;

#[test]
fn in_a_freeze_nothing_opens_and_after_it_all_goes_on() {
    let mut world = world();
    let hold = world.hold(&json!({"reason": "year end"}));
    let rollout = world.start("1.0.0");
    for _ in 0..10 {
        world.play();
    }
    let shown = world.api.get(&rollout);
    assert_eq!((shown["permit_step"].as_u64(), world.taken(&rollout)), (Some(0), 0), "{shown}");
    let named = |reason: &Value| reason.as_str().unwrap().contains("hold 1 keeps devices back (all devices): year end");
    assert!(shown["reasons"].as_array().unwrap().iter().any(named), "{shown}");
    assert_eq!(
        world.api.operator("publisher").post(&format!("/holds/{hold}/lift"), &json!({"reason": "x"})).status,
        403
    );
    world.lift(hold);
    world.completes(&rollout);
    world.running.stop();
}

#[test]
fn a_device_that_is_held_when_it_asks_gets_no_go_and_gets_it_when_it_is_let_go() {
    let mut world = world();
    let rollout = world.start("1.0.0");
    let id = rollout.strip_prefix("/rollouts/").unwrap().to_owned();
    let offered = |player: &Player| {
        let reply = player.call(Method::GET, &format!("/offers/{id}"), b"").unwrap();
        (reply.status == 200).then(|| serde_json::from_slice::<Offer>(&reply.body).unwrap())
    };
    let (at, offer) = until("somebody is offered it", || {
        world.players.iter().enumerate().find_map(|(at, player)| Some((at, offered(player)?)))
    });
    let device = world.players[at].id.clone();
    let hold = world.hold(&json!({"devices": [device], "reason": "certified as it is"}));
    let go = |player: &Player, nonce| {
        let asked = player.go_request(offer.order.digest(), offer.permit.digest(), nonce);
        player.post("/go", &serde_json::to_value(&asked).unwrap()).unwrap()
    };
    let refused = go(&world.players[at], 1);
    assert_eq!((refused.status, refused.kind().as_str()), (409, "held"), "{refused:?}");
    assert!(world.players[at].play().unwrap().offers.is_empty(), "a held device is offered nothing");
    assert_eq!(world.api.get(&format!("/devices/{device}"))["held_by"], json!([hold]));
    world.lift(hold);
    assert_eq!(go(&world.players[at], 2).status, 200);
    world.running.stop();
}

#[test]
fn a_part_of_the_fleet_is_held_and_the_rest_goes_on() {
    let mut world = world();
    let hold = world.hold(&json!({"select": "os == \"windows\"", "package": PACKAGE, "reason": "network works"}));
    let other = world.hold(&json!({"package": "another", "reason": "of no concern here"}));
    let past = json!({"from_ms": 1, "until_ms": 2, "reason": "over"});
    assert_eq!(world.api.post("/holds", &past).kind(), "until");
    assert_eq!(world.api.post("/holds", &json!({"select": "os = 1", "reason": "x"})).kind(), "selector");
    assert_eq!(world.api.post("/holds", &json!({"devices": ["nobody"], "reason": "x"})).kind(), "unknown_device");
    let never = json!({"windows": {"zone": "UTC", "weekly": ["someday"]}, "reason": "x"});
    assert_eq!(world.api.post("/holds", &never).kind(), "windows");
    let rollout = world.start("1.0.0");
    let (held, free): (Vec<usize>, Vec<usize>) =
        (0..world.players.len()).partition(|at| world.players[*at].id.contains("windows"));
    assert!(!held.is_empty() && !free.is_empty());
    until("one that is free has proven it", || {
        world.play();
        free.iter().any(|at| world.players[*at].active.as_ref().is_some_and(|active| active.over)).then_some(())
    });
    assert!(held.iter().all(|at| world.players[*at].takes.is_empty()));
    let listed = world.api.get("/holds");
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    world.lift(hold);
    world.completes(&rollout);
    world.lift(other);
    world.running.stop();
}

#[test]
fn outside_its_maintenance_windows_a_device_is_held() {
    let mut world = world();
    // All the week but for the day that begins in two days.
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let ahead = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(48);
    let day = days[usize::try_from(ahead.to_zoned(jiff::tz::TimeZone::UTC).weekday().to_monday_zero_offset()).unwrap()];
    let windows = json!({"zone": "UTC", "weekly": [format!("{day} 00:00-00:00")]});
    let shut = world.hold(&json!({"windows": windows, "reason": "maintenance windows"}));
    let rollout = world.start("1.0.0");
    for _ in 0..5 {
        world.play();
    }
    assert_eq!(world.taken(&rollout), 0);
    world.lift(shut);
    let open = json!({"zone": "Europe/Amsterdam", "weekly": ["mon-sun 00:00-00:00"]});
    world.hold(&json!({"windows": open, "reason": "always open"}));
    world.completes(&rollout);
    world.running.stop();
}

#[test]
fn holds_and_retirements_outlive_a_restart_and_stand_in_the_account() {
    let mut world = world();
    let hold = world.hold(&json!({"reason": "year end"}));
    let device = world.players[3].id.clone();
    let gone = world.api.post(&format!("/devices/{device}/retire"), &json!({"reason": "sold"}));
    assert_eq!(gone.json()["retired"]["reason"], "sold", "{gone:?}");
    world.running.stop();
    world.running = world.fleet.start();
    let api = world.api.at(&world.running.base);
    world.api = api;
    world.players.iter_mut().for_each(|player| player.moved_to(&world.running.base));
    world.play();
    let rollout = world.start("1.0.0");
    for _ in 0..5 {
        world.play();
    }
    assert_eq!(world.taken(&rollout), 0);
    world.lift(hold);
    let said = |query: &str| {
        let part = world.api.get(&format!("/log?{query}"));
        part["lines"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line["what"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        said("who=admin"),
        ["operator", "held", "device_retired", "hold_lifted"].map(str::to_owned).to_vec(),
        "{:?}",
        said("")
    );
    assert_eq!(said(&format!("about={device}&what=device_retired")).len(), 1);
    assert_eq!(said("what=device_enrolled").len(), 12);
    assert!(said("since_ms=99999999999999").is_empty());
    assert_eq!(world.api.call(Method::GET, "/log?what=nonsense", b"").kind(), "query_malformed");
    world.running.stop();
}

#[test]
fn a_retired_device_is_nobody_and_its_id_may_come_back_with_another_key() {
    let mut world = world();
    let rollout = world.start("1.0.0");
    let id = rollout.strip_prefix("/rollouts/").unwrap().to_owned();
    let at = world.players.iter().position(|player| player.id.starts_with("broad")).unwrap();
    let device = world.players[at].id.clone();
    let retired = world.api.post(&format!("/devices/{device}/retire"), &json!({"reason": "re-installed"}));
    assert_eq!(retired.status, 200, "{retired:?}");
    assert_eq!(world.api.post(&format!("/devices/{device}/retire"), &json!({"reason": "again"})).status, 200);
    let acts = world.api.get("/log?what=device_retired");
    assert_eq!(acts["lines"].as_array().unwrap().len(), 1, "twice is once: {acts}");
    let presence = world.players[at].presence();
    let refused = world.players[at].post("/check-in", &presence).unwrap();
    assert_eq!((refused.status, refused.kind().as_str()), (403, "device_retired"), "{refused:?}");
    let again = world.players[at].post("/enrol", &world.players[at].enrolment).unwrap();
    assert_eq!((again.status, again.kind().as_str()), (409, "device_retired"), "{again:?}");

    // Installed anew under its old id: it checks in, and the rollout that counted on the old one counts on nobody.
    let (ring, os) = device.split_once('-').map(|(ring, rest)| (ring, rest.split_once('-').unwrap().0)).unwrap();
    let token = world.fleet.token(ring, 20);
    let mut anew = Player::with_id(&world.fleet, &token, 77, device.clone(), (ring, os));
    anew.moved_to(&world.running.base);
    assert!(anew.enrol());
    let answer = anew.play().unwrap();
    assert!(answer.offers.is_empty() && answer.health_wanted.is_empty());
    let offer = anew.call(Method::GET, &format!("/offers/{id}"), b"").unwrap();
    assert_eq!((offer.status, offer.kind().as_str()), (404, "unknown_offer"));
    world.players[at] = anew;
    until("the others have proven it", || {
        world.play();
        (world.taken(&rollout) >= 6).then_some(())
    });
    assert!(world.players[at].takes.is_empty());
    world.running.stop();
}

#[test]
fn a_device_that_is_two_machines_is_held_until_it_is_enrolled_anew() {
    let mut world = world();
    let (twin, other) = (&world.players[0], &world.players[1]);
    let says = |player: &Player, run: u64| {
        let mut said = player.presence();
        said["run"] = json!(run);
        assert_eq!(player.post("/check-in", &said).unwrap().status, 200);
    };
    let held = |device: &str| world.api.get(&format!("/devices/{device}"))["held_by"].as_array().map_or(0, Vec::len);
    // Restarts, one of them with a request that came late.
    for run in [1, 2, 1, 2, 3, 4, 5] {
        says(other, run);
    }
    for run in [7, 8, 7, 8, 7, 8] {
        says(twin, run);
    }
    until("the device is held", || (held(&twin.id) == 1).then_some(()));
    for run in [7, 8, 7, 8, 7, 8] {
        says(twin, run);
    }
    assert_eq!((held(&twin.id), held(&other.id)), (1, 0));
    let listed = world.api.get("/holds");
    assert_eq!(listed.as_array().unwrap().len(), 1, "held once: {listed}");
    assert_eq!(listed[0]["by"], "tidegate");
    assert!(listed[0]["reason"].as_str().unwrap().contains("two machines use this device's key"), "{listed}");
    let id = twin.id.clone();
    let rollout = world.start("1.0.0");
    for _ in 0..20 {
        world.play();
    }
    assert!(world.taken(&rollout) > 0, "the others take it");
    assert!(world.players[0].takes.is_empty(), "{id} takes nothing");
    world.running.stop();
}
