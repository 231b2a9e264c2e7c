//! The main job: publish, spread by evidence, complete; and halt, with an incident.

use std::time::Duration;

use serde_json::json;

use crate::fleet::{Api, until};
use crate::played::{Player, Temper};
use crate::world::{World, world};

fn play_until(api: &Api, rollout: &str, players: &mut [Player], phase: &str) -> serde_json::Value {
    until(phase, || {
        players.iter_mut().for_each(|player| drop(player.play()));
        // The pace of the devices, not a wait for an event.
        std::thread::sleep(Duration::from_millis(100));
        let view = api.get(&format!("/rollouts/{rollout}"));
        println!("{} {} {}", view["report"]["phase"], view["report"]["rings"], view["reasons"]);
        (view["report"]["phase"] == phase).then_some(view)
    })
}

#[test]
fn a_good_release_reaches_every_device_and_a_bad_one_opens_an_incident() {
    let World { mut fleet, running, api, mut players, policy } = world();
    fleet.publish(&api, "1.0.0", "good");
    let rollout = fleet.start_rollout(&api, "1.0.0", &policy);
    let view = play_until(&api, &rollout, &mut players, "completed");
    assert!(players.iter().all(|player| player.takes.len() == 1), "everybody took it once");
    assert_eq!(view["first_window"], json!(2), "the lab, no more");

    fleet.publish(&api, "1.0.1", "bad");
    for player in &mut players {
        (player.temper, player.active) = (Temper::Fails, None);
    }
    let rollout = fleet.start_rollout(&api, "1.0.1", &policy);
    play_until(&api, &rollout, &mut players, "halted");
    let accused = api.get("/blame");
    let named: Vec<&serde_json::Value> =
        accused.as_array().unwrap().iter().filter(|one| one["named"] == true).collect();
    assert!(!named.is_empty() && named.iter().all(|one| one["rollout"] == rollout.as_str()), "{accused}");
    assert!(named.iter().all(|one| one["blamed"] == true), "{accused}");
    let incidents = api.get("/incidents");
    let id = incidents[0]["incident"].as_str().unwrap();
    let incident = until("restored", || {
        players.iter_mut().for_each(|player| drop(player.play()));
        let incident = api.get(&format!("/incidents/{id}"));
        (incident["state"] == "restored").then_some(incident)
    });
    assert_eq!(incident["exposed"], json!(2));
    assert_eq!(incident["back_without_hands"], json!(2));
    assert_eq!(incident["need_hands"], json!(0));
    let releases = api.get("/packages/sensor-content")["releases"].clone();
    assert_eq!(releases[1]["halted_by"], json!(rollout));
    running.stop();
}

#[test]
fn a_device_that_two_orders_have_reached_is_offered_the_later_one_only() {
    let World { mut fleet, running, api, mut players, policy } = world();
    fleet.publish(&api, "1.0.0", "first");
    let first = fleet.start_rollout(&api, "1.0.0", &policy);
    play_until(&api, &first, &mut players, "completed");
    // One that joins late looks and takes nothing.
    let mut late = Player::new(&fleet, &fleet.token("lab", 10), 77, "lab", "linux");
    late.moved_to(&running.base);
    assert!(late.enrol());
    late.report(None, tidegate_domain::observation::Observation::Healthy, 0);
    late.send().unwrap();
    let is_offered = |rollout: &str| {
        until("it is offered what was ordered last", || {
            let answer = late.post("/check-in", &late.presence()).unwrap().json();
            let offers = answer["offers"].as_array().unwrap();
            assert!(offers.len() <= 1, "{offers:?}");
            offers.first().is_some_and(|one| one["rollout"] == rollout).then_some(())
        });
    };
    is_offered(&first);
    players.iter_mut().for_each(|player| player.active = None);
    fleet.publish(&api, "2.0.0", "second");
    let second = fleet.start_rollout(&api, "2.0.0", &policy);
    is_offered(&second);
    running.stop();
}
