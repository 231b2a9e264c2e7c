//! Old reports go when nothing that is known follows from them, and only then.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use tidegate_control::contract::{Entry, Table};
use tidegate_domain::time::Elapsed;
use tidegate_server::{PruneReport, prune, rebuild};

use crate::fleet::{Api, until};
use crate::log::{runtime, whole_log};
use crate::world::{World, world};

fn pruned(data: &Path, age: Elapsed, dry_run: bool) -> Result<PruneReport, String> {
    runtime().block_on(prune(data, age, dry_run, &|_, _, _| {})).map_err(|error| format!("{error:#}"))
}

fn names(report: &PruneReport) -> Vec<&str> {
    report.concluded.keys().map(|id| id.as_str()).collect()
}

fn contents(log: &[Entry], kind: &str) -> usize {
    log.iter().filter(|entry| entry.content.kind == kind).count()
}

/// What is known of devices, apart from when they were heard of over the wire.
fn devices(api: &Api) -> BTreeMap<String, Value> {
    let listed = api.get("/devices");
    let known = listed.as_array().unwrap().iter();
    known.map(|device| (device["device"].as_str().unwrap().to_owned(), device["said"].clone())).collect()
}

/// Three rollouts: one completed, one that a person halted after devices took it, one completed. The last player says that it runs the
/// first release although it took the later ones.
fn three() -> (World, [String; 3]) {
    let mut world = world();
    let first = world.start("1.0.0");
    world.completes(&first);
    let second = world.start("2.0.0");
    until("some took it", || {
        world.play();
        (world.taken(&second) > 2).then_some(())
    });
    assert_eq!(world.api.post(&format!("{second}/halt"), &json!({"reason": "looks wrong"})).status, 200);
    let third = world.start("3.0.0");
    world.completes(&third);
    until("everybody took it", || {
        world.play();
        let taken = world.players.iter().filter(|player| player.takes.len() > 1).count();
        (taken == world.players.len()).then_some(())
    });
    (world, [first, second, third])
}

#[test]
fn reports_of_rollouts_that_concern_nobody_go_and_what_is_known_stays() {
    let (world, [first, second, third]) = three();
    let World { fleet, running, api, mut players, policy } = world;
    let data = fleet.data();
    assert!(pruned(&data, Elapsed::ZERO, true).unwrap_err().contains("another server uses it"));
    let (known, incidents) = (devices(&api), api.get("/incidents"));
    assert_eq!(incidents.as_array().unwrap().len(), 1);
    running.stop();
    let before = whole_log(&data);

    let young = pruned(&data, Elapsed::from_s(3_600), false).unwrap();
    assert_eq!((names(&young), young.reports), (Vec::new(), 0), "what is younger stays");
    let plan = pruned(&data, Elapsed::ZERO, true).unwrap();
    assert_eq!(names(&plan), [&first[10..], &second[10..]]);
    let stays: Vec<&str> = plan.kept.iter().map(|kept| kept.rollout.as_str()).collect();
    assert_eq!(stays, [&third[10..]], "what everybody runs");
    assert_eq!(whole_log(&data), before, "a plan changes nothing");
    let done = pruned(&data, Elapsed::ZERO, false).unwrap();
    assert_eq!(done, plan);
    assert!(done.reports > 24 && done.bytes > 24 * 500, "{done:?}");

    let after = whole_log(&data);
    assert_eq!(after.len(), before.len() + 2, "two conclusions");
    assert_eq!(contents(&after, "pruned") as u64, done.reports);
    for (was, is) in before.iter().zip(&after) {
        let content = is.content.kind == "pruned";
        assert_eq!((was.seq, was.content.at), (is.seq, is.content.at));
        assert!(content && was.content.table == Table::Reports || was == is, "{was:?} {is:?}");
    }
    assert!(runtime().block_on(rebuild(&data)).unwrap().identical);

    let running = fleet.start();
    let api = api.at(&running.base);
    assert_eq!(devices(&api), known);
    let shown = api.get("/incidents");
    assert_eq!(shown[0]["devices"], incidents[0]["devices"]);
    assert_eq!(api.get("/rollouts").as_array().unwrap().len(), 1);
    let concluded = api.get("/concluded");
    assert_eq!(concluded[0]["phase"], "completed");
    assert_eq!((&concluded[0]["taken"], &concluded[0]["proven"]), (&json!(12), &json!(12)), "{concluded}");
    assert_eq!((&concluded[1]["phase"], &concluded[1]["incident"]), (&json!("halted"), &shown[0]["incident"]));
    let gone = api.call(ureq::http::Method::GET, &first, b"");
    assert_eq!((gone.status, gone.kind().as_str()), (410, "concluded_rollout"));
    assert_eq!(api.get(&third)["report"]["phase"], "completed");

    // Numbers of orders go on, and so does everything else.
    players.iter_mut().for_each(|player| player.moved_to(&running.base));
    let mut world = World { running, api, players, policy, fleet };
    let fourth = world.start("4.0.0");
    assert!(fourth.ends_with(".4"), "{fourth}");
    world.completes(&fourth);
    let World { fleet, running, .. } = world;
    running.stop();
    let again = pruned(&data, Elapsed::ZERO, false).unwrap();
    assert_eq!(names(&again), [&third[10..]]);
    assert!(again.reports > 11, "{again:?}");
    let none = pruned(&data, Elapsed::ZERO, false).unwrap();
    assert_eq!((none.reports, names(&none)), (0, Vec::new()), "{none:?}");
    fleet.start().stop();
}

#[test]
fn a_rollout_that_still_concerns_somebody_stays() {
    let (mut world, [first, second, _]) = three();
    let release = world.api.get("/packages/sensor-content")["releases"][0]["release"].clone();
    let who = world.players[0].id.clone();
    let player = &mut world.players[0];
    player.runs = Some(serde_json::from_value(release).unwrap());
    player.report(None, tidegate_domain::observation::Observation::Healthy, 0);
    world.play();
    let data = world.fleet.data();
    world.running.stop();
    let plan = pruned(&data, Elapsed::ZERO, false).unwrap();
    assert_eq!(names(&plan), [&second[10..]]);
    let kept = plan.kept.iter().find(|kept| kept.rollout.as_str() == &first[10..]).unwrap();
    assert_eq!(kept.why, format!("its release is in use, running or as the fallback, on 1 device: {who}"));
    assert!(plan.reports > 0);
    assert!(runtime().block_on(rebuild(&data)).unwrap().identical);
}
