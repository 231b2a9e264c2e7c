//! Files of old releases are deleted when nothing needs them, and an operator who is confined to a package moves no other.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use ureq::http::Method;

use crate::fleet::{Fleet, OTHER, PACKAGE};
use crate::played::{FAST_POLICY, Player, twelve};
use crate::world::{World, world};

/// Every artifact's file: they lie in folders by the first digits of their digests.
fn files(fleet: &Fleet) -> Vec<PathBuf> {
    let inside = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let folders = inside(fleet.data().join("artifacts")).filter(|folder| !folder.ends_with("upload"));
    folders.flat_map(inside).collect()
}

/// As if everything had been uploaded two days ago.
fn age(fleet: &Fleet) {
    for path in files(fleet) {
        let old = SystemTime::now() - Duration::from_secs(2 * 86_400);
        File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    }
}

fn artifacts(fleet: &Fleet) -> usize {
    files(fleet).len()
}

#[test]
fn old_releases_lose_their_files_when_nothing_needs_them() {
    let mut world = world();
    let rollout = world.start("1.0.0");
    world.completes(&rollout);
    let first = world.api.get(&format!("/packages/{PACKAGE}"))["releases"][0]["release"].clone();
    let runs = json!({"packages": [{"package": PACKAGE, "state": "idle", "healthy": true, "current": first}]});
    assert_eq!(world.players[0].post("/check-in", &runs).unwrap().status, 200);
    let World { mut fleet, running, api, policy, .. } = world;
    for (version, content) in [("2.0.0", "two"), ("3.0.0", "three"), ("4.0.0", "four")] {
        fleet.publish(&api, version, content);
    }
    // Each a file and a manifest.
    assert_eq!(artifacts(&fleet), 8);
    let collect = |keep: u32, keep_ms: u64, dry: bool| {
        let body = json!({"keep_releases": keep, "keep_ms": keep_ms, "dry_run": dry});
        let reply = api.post("/artifacts/collect", &body);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    };
    assert_eq!(collect(1, 0, false)["artifacts"], 0, "what was uploaded today stays");
    age(&fleet);
    assert_eq!(collect(1, 60_000, false)["artifacts"], 0, "what was published lately stays");
    assert_eq!(api.post("/artifacts/collect", &json!({"keep_releases": 0, "keep_ms": 0})).kind(), "keep_releases");
    let plan = collect(1, 0, true);
    assert_eq!((&plan["artifacts"], &plan["kept"]), (&json!(4), &json!(4)), "{plan}");
    assert_eq!(plan["releases"], json!([format!("{PACKAGE} 2.0.0"), format!("{PACKAGE} 3.0.0")]));
    assert_eq!(artifacts(&fleet), 8, "a plan deletes nothing");
    let done = collect(1, 0, false);
    assert_eq!((&done["artifacts"], artifacts(&fleet)), (&json!(4), 4), "the newest, and the one that devices run");
    let told = api.get("/log?what=collected");
    assert!(told["lines"].to_string().contains("4 artifacts"), "{told}");
    // Its record stays. To order it again its files must be there again.
    let draft = json!({"package": PACKAGE, "version": "2.0.0", "policy": policy});
    let refused = api.post("/rollouts/draft", &draft);
    assert_eq!((refused.status, refused.kind().as_str()), (409, "artifact_missing"), "{refused:?}");
    fleet.stage(&api, "2.0.0", "two");
    assert_eq!(api.post("/rollouts/draft", &draft).status, 200);
    running.stop();
}

#[test]
fn an_operator_who_is_confined_to_a_package_moves_no_other() {
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let api = running.admin();
    let policy = fleet.apply_policy(&api, FAST_POLICY);
    let mut players = twelve(&fleet, &running.base);
    assert!(players.iter_mut().all(Player::enrol));
    players.iter_mut().for_each(|player| drop(player.play().unwrap()));
    let made = api.post("/operators", &json!({"operator": "pipeline", "role": "approver", "packages": [OTHER]}));
    assert_eq!(made.status, 201, "{made:?}");
    let confined = api.with_token(made.json()["token"].as_str().unwrap());
    let listed = api.get("/operators");
    assert!(listed.to_string().contains(&format!("\"packages\":[\"{OTHER}\"]")), "{listed}");
    let (role, _) = fleet.stage(&confined, "1.0.0", "x");
    let bytes = crate::fleet::tuf(role, &[4, 5]);
    let refused = confined.call(Method::PUT, &format!("/metadata/packages/{PACKAGE}"), &bytes);
    assert_eq!((refused.status, refused.kind().as_str()), (403, "another_package"), "{refused:?}");
    fleet.publish(&api, "1.0.0", "x");
    let is_refused = |path: &str, body: &Value| {
        let refused = confined.post(path, body);
        assert_eq!((refused.status, refused.kind().as_str()), (403, "another_package"), "{path}: {refused:?}");
    };
    // Closing is everybody's; what opens again is not.
    let why = json!({"reason": "a try"});
    is_refused("/rollouts", &json!({"order": fleet.order(&api, "1.0.0", &policy)}));
    let rollout = format!("/rollouts/{}", fleet.start_rollout(&api, "1.0.0", &policy));
    assert_eq!(confined.post(&format!("{rollout}/pause"), &why).status, 200);
    is_refused(&format!("{rollout}/resume"), &why);
    for hold in [json!({"reason": "all"}), json!({"reason": "it", "package": PACKAGE})] {
        let hold = api.post("/holds", &hold).json()["hold"].as_u64().unwrap();
        is_refused(&format!("/holds/{hold}/lift"), &why);
    }
    is_refused(&format!("/devices/{}/retire", players[0].id), &why);
    let draft = confined.post("/rollouts/draft", &json!({"package": PACKAGE, "version": "1.0.0", "policy": policy}));
    assert_eq!((draft.status, draft.kind().as_str()), (403, "another_package"), "{draft:?}");
    fleet.package = OTHER;
    fleet.role = None;
    fleet.publish(&confined, "1.0.0", "y");
    let too_many: Vec<String> = (0..201).map(|n| format!("p{n}")).collect();
    let refused = api.post("/operators", &json!({"operator": "x", "role": "viewer", "packages": too_many}));
    assert_eq!(refused.kind(), "packages", "{refused:?}");
    running.stop();
}
