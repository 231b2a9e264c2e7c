//! P6 over a restore: a backup is whole though the server goes on meanwhile, and a server that was put back from one opens nothing by itself.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tidegate_server::{RestoreReport, backup, rebuild, restore};

use crate::fleet::{Fleet, until};
use crate::log::runtime;
use crate::world::{World, world};

fn back_up(data: &Path, into: &Path, previous: Option<&Path>) -> Result<tidegate_server::About, String> {
    runtime().block_on(backup(data, into, previous, &|_, _, _| {})).map_err(|error| format!("{error:#}"))
}

fn put_back(from: &Path, data: &Path) -> Result<RestoreReport, String> {
    let restored = restore(from, data, |at| format!("{} ms", at.as_ms()), &|_, _, _| {});
    runtime().block_on(restored).map_err(|error| format!("{error:#}"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn a_restored_server_opens_nothing_until_a_person_lets_it_and_then_goes_on() {
    let World { mut fleet, running, api, mut players, policy } = world();
    fleet.publish(&api, "1.0.0", "good");
    let id = fleet.start_rollout(&api, "1.0.0", &policy);
    let rollout = format!("/rollouts/{id}");
    let (data, folder) = (fleet.data(), tempfile::tempdir().unwrap());
    let monday = folder.path().join("monday");
    // While the server serves.
    until("a device took it", || {
        players.iter_mut().for_each(|player| drop(player.play()));
        players.iter().any(|player| !player.takes.is_empty()).then_some(())
    });
    let about = back_up(&data, &monday, None).unwrap();
    assert!(about.entries > 0 && about.artifacts == 2, "{about:?}");
    assert!(back_up(&data, &monday, None).unwrap_err().contains("there is something already"));
    let before = api.get("/status")["store_epoch"].clone();
    until("it goes on", || {
        players.iter_mut().for_each(|player| drop(player.play()));
        (api.get(&rollout)["report"]["phase"] == "completed").then_some(())
    });
    running.stop();

    assert!(put_back(&monday, &data).unwrap_err().contains("holds something already"));
    fs::remove_dir_all(&data).unwrap();
    let report = put_back(&monday, &data).unwrap();
    assert_eq!(report.paused.iter().map(ToString::to_string).collect::<Vec<_>>(), [id.as_str()]);
    assert_eq!(report.about, about);
    let checked = runtime().block_on(rebuild(&data)).unwrap();
    assert!(checked.identical, "{checked:?}");

    let running = fleet.start();
    let api = running.admin();
    assert_ne!(api.get("/status")["store_epoch"], before, "devices see that it is another history");
    players.iter_mut().for_each(|player| player.moved_to(&running.base));
    let (shown, seen) = (api.get("/status"), api.get(&rollout));
    assert_eq!(shown["restored"]["from_ms"], about.made_at_ms.as_ms(), "{shown}");
    for _ in 0..10 {
        players.iter_mut().for_each(|player| assert!(player.play().unwrap().offers.is_empty()));
    }
    let later = api.get(&rollout);
    assert_eq!(later["permit_step"], seen["permit_step"], "nothing opens");
    assert!(
        later["report"]["phase"] == "paused" && later["reasons"][0].as_str().unwrap().contains("restored"),
        "{later}"
    );
    // A person looks, and halts what the server cannot know all about. The next order has a number that no lost one had.
    let resumed = api.post(&format!("{rollout}/resume"), &json!({"reason": "looked"}));
    assert_eq!(resumed.status, 200, "{resumed:?}");
    for _ in 0..10 {
        players.iter_mut().for_each(|player| drop(player.play().unwrap()));
    }
    let (held, later) = (api.get("/holds"), api.get(&rollout));
    assert!(held[0]["in_force"] == true && held[0]["means"] == 12, "{held}");
    assert_eq!(later["permit_step"], seen["permit_step"], "everybody is still held");
    assert_eq!(api.post(&format!("{rollout}/halt"), &json!({"reason": "put back from a backup"})).status, 200);
    assert_eq!(api.post("/holds/1/lift", &json!({"reason": "devices were heard of"})).status, 204);
    fleet.publish(&api, "1.0.1", "better");
    let next = fleet.start_rollout(&api, "1.0.1", &policy);
    let number: u64 = next.rsplit_once('.').unwrap().1.parse().unwrap();
    assert!(number > 1_000, "{next}");
    until("the next one is complete", || {
        players.iter_mut().for_each(|player| drop(player.play()));
        (api.get(&format!("/rollouts/{next}"))["report"]["phase"] == "completed").then_some(())
    });
    running.stop();
}

#[test]
fn a_backup_that_was_damaged_is_not_put_back_and_leaves_nothing_behind() {
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let api = running.admin();
    fleet.publish(&api, "1.0.0", "good");
    fleet.publish(&api, "1.0.1", "better");
    let (data, folder) = (fleet.data(), tempfile::tempdir().unwrap());
    let (monday, tuesday) = (folder.path().join("monday"), folder.path().join("tuesday"));
    assert_eq!(back_up(&data, &monday, None).unwrap().artifacts, 4);
    fleet.publish(&api, "1.0.2", "best");
    assert_eq!(back_up(&data, &tuesday, Some(&monday)).unwrap().artifacts, 6);
    running.stop();
    let place = folder.path().join("data");
    let refused = |from: &Path| {
        let problem = put_back(from, &place).unwrap_err();
        assert!(!place.exists(), "{problem}");
        problem
    };
    assert!(refused(folder.path()).contains("no backup"));
    let artifact = files(&monday.join("artifacts")).remove(0);
    let shared = tuesday.join(artifact.strip_prefix(&monday).unwrap());
    assert_eq!(fs::read(&artifact).unwrap(), fs::read(&shared).unwrap(), "linked");
    fs::remove_file(&artifact).unwrap();
    fs::write(&artifact, "goop").unwrap();
    assert!(refused(&monday).contains("the artifact is damaged"));
    fs::remove_file(&artifact).unwrap();
    assert!(refused(&monday).contains("3 artifacts of 4"));
    let mut records = fs::read(monday.join("tidegate.db")).unwrap();
    let half = records.len() / 2;
    records.truncate(half);
    fs::copy(&shared, &artifact).unwrap();
    fs::write(monday.join("tidegate.db"), records).unwrap();
    refused(&monday);
    fs::write(monday.join("backup.json"), "{").unwrap();
    assert!(refused(&monday).contains("no backup"));
    assert!(put_back(&tuesday, &place).is_ok());
}
