//! P8: closing is cheap. A halt needs neither room on the disk nor a planner that moves.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tidegate_control::command::PersonsHalt;
use tidegate_server::drill::PARK_VARIABLE;
use tidegate_wire::device::{CheckInAnswer, Offer};
use ureq::http::Method;

use crate::child::Process;
use crate::fleet::{Api, Fleet, Running, until};
use crate::log::whole_log;
use crate::played::{FAST_POLICY, Player, twelve};

const ROLLOUT: &str = "/rollouts/sensor-content.1";

/// A device of the lab whose place is open, with what it would ask.
struct Staged {
    player: Player,
    ask: serde_json::Value,
}

/// A rollout whose lab is open, and an operator of the least role.
fn opened(fleet: &mut Fleet, running: &Running) -> (Api, Staged) {
    let api = running.admin();
    let viewer = api.operator("viewer");
    let policy = fleet.apply_policy(&api, FAST_POLICY);
    let mut players = twelve(fleet, &running.base);
    assert!(players.iter_mut().all(Player::enrol));
    players.iter_mut().for_each(|player| drop(player.play().unwrap()));
    fleet.publish(&api, "1.0.0", "good");
    fleet.start_rollout(&api, "1.0.0", &policy);
    let player = players.remove(0);
    let answer: CheckInAnswer = until("an offer", || {
        let reply = player.call(Method::POST, "/check-in", player.presence().to_string().as_bytes()).unwrap();
        let answer: CheckInAnswer = serde_json::from_slice(&reply.body).unwrap();
        (!answer.offers.is_empty()).then_some(answer)
    });
    let path = format!("/offers/{}", answer.offers[0].rollout);
    let offer: Offer = serde_json::from_slice(&player.call(Method::GET, &path, b"").unwrap().body).unwrap();
    let ask = json!(player.go_request(offer.order.digest(), offer.permit.digest(), 1));
    (viewer, Staged { player, ask })
}

fn assert_halted_in_the_log(fleet: &Fleet, viewer: &Api, mut staged: Staged) {
    let running = fleet.start();
    let viewer = viewer.at(&running.base);
    until("the halt is in the log", || (viewer.get(ROLLOUT)["report"]["phase"] == "halted").then_some(()));
    assert_eq!(viewer.get("/incidents")[0]["rollout"], "sensor-content.1");
    staged.player.moved_to(&running.base);
    let reply = staged.player.post("/go", &staged.ask).unwrap();
    assert_eq!((reply.status, reply.kind().as_str()), (409, "rollout_not_running"));
    running.stop();
    let log = whole_log(&fleet.data());
    let halts = log.iter().filter(|entry| String::from_utf8_lossy(&entry.content.body).contains("by_person")).count();
    assert_eq!(halts, 1, "once, however often it was tried");
    assert!(!log.iter().any(|entry| entry.content.kind == "take"), "nobody took it");
}

/// A small file system at a folder, where this process may make one.
struct SmallDisk(Option<PathBuf>);

impl SmallDisk {
    fn at(folder: &Path) -> SmallDisk {
        std::fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(folder);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        if !mounted {
            println!("no leave to mount a small disk here: the store is bounded by its own setting instead");
        }
        SmallDisk(mounted.then(|| folder.to_owned()))
    }

    /// Fills it to the last byte; where there is none, the store's own bound stands for it.
    fn fill(&self) {
        let Some(folder) = &self.0 else { return };
        let mut filler = std::fs::File::create(folder.join("filler")).unwrap();
        for size in [1 << 16, 1 << 10, 1] {
            while filler.write_all(&vec![7; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        if let Some(folder) = &self.0 {
            std::fs::remove_file(folder.join("filler")).unwrap();
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            let _ = Command::new("umount").arg("-l").arg(folder).output();
        }
    }
}

#[test]
fn a_halt_works_with_the_disk_full() {
    let mut fleet = Fleet::found();
    let disk = SmallDisk::at(&fleet.data());
    let mut settings = fleet.settings();
    if disk.0.is_none() {
        settings.store_bytes_max = Some(512 << 10);
    }
    let running = Running::start(settings);
    let (viewer, staged) = opened(&mut fleet, &running);
    let admin = viewer.at(&running.base);
    disk.fill();
    // Whatever room is left in the store's own files is used up by enrolling the device again and again.
    let full = until("the store is full", || {
        let reply = staged.player.post("/enrol", &staged.player.enrolment).unwrap();
        (reply.status == 503).then_some(reply)
    });
    assert!(matches!(full.kind().as_str(), "store_full" | "store_unavailable"), "{full:?}");

    let reply = viewer.post(&format!("{ROLLOUT}/halt"), &json!({"reason": "looks bad"}));
    assert_eq!((reply.status, reply.json()["recorded"].as_bool()), (202, Some(false)), "{reply:?}");
    let go = staged.player.post("/go", &staged.ask).unwrap();
    assert_ne!(go.status, 200, "no go after a halt: {go:?}");
    let view = until("what is recorded can be read with the disk full", || {
        let reply = admin.call(Method::GET, ROLLOUT, b"");
        (reply.status == 200).then(|| reply.json())
    });
    assert_eq!(view["rollout"], "sensor-content.1");
    running.stop();
    disk.make_room();
    let mut staged = staged;
    let running = fleet.start();
    staged.player.moved_to(&running.base);
    // The enrolments above that were acknowledged changed the bearer token; the device asks for one that is good.
    assert!(staged.player.enrol());
    running.stop();
    assert_halted_in_the_log(&fleet, &viewer, staged);
    drop(disk);
}

#[test]
fn no_go_is_given_once_a_halt_stands_beside_the_log() {
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let (viewer, staged) = opened(&mut fleet, &running);
    let halt = PersonsHalt { by: "ada".parse().unwrap(), reason: "smoke".to_owned(), record: None };
    // As it is between the halt file and the log; the log could still take whatever comes.
    let app = running.server.as_ref().unwrap().app();
    app.halts.halt(&"sensor-content.1".parse().unwrap(), halt).unwrap();
    let reply = staged.player.post("/go", &staged.ask).unwrap();
    assert_eq!((reply.status, reply.kind().as_str()), (409, "rollout_not_running"), "{reply:?}");
    until("the halt is in the log", || (viewer.get(ROLLOUT)["report"]["phase"] == "halted").then_some(()));
    running.stop();
    assert!(!whole_log(&fleet.data()).iter().any(|entry| entry.content.kind == "take"), "nobody took it");
}

#[test]
fn a_halt_works_with_the_planner_stuck() {
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let (viewer, mut staged) = opened(&mut fleet, &running);
    running.stop();

    // The first append is the login code; the conduct loop then stands still at the next one, in the middle of a turn.
    let process = Process::start(&fleet, Some((PARK_VARIABLE, "before_append:2")));
    let base = process.base.clone().unwrap();
    let viewer = viewer.at(&base);
    staged.player.moved_to(&base);
    let reply = staged.player.post("/go", &staged.ask).unwrap();
    assert_eq!((reply.status, reply.kind().as_str()), (503, "timeout"), "the take is never recorded: {reply:?}");
    // More check-ins than the server has threads come in meanwhile: what is only read needs no conduct loop.
    std::thread::scope(|scope| {
        let player = &staged.player;
        let waiting: Vec<_> = (0..8)
            .map(|_| scope.spawn(move || player.call(Method::POST, "/check-in", b"{\"packages\": []}").unwrap().status))
            .collect();
        let reply = viewer.post(&format!("{ROLLOUT}/halt"), &json!({"reason": "looks bad"}));
        assert_eq!((reply.status, reply.json()["recorded"].as_bool()), (202, Some(false)), "{reply:?}");
        assert!(waiting.into_iter().all(|waiting| waiting.join().unwrap() == 200));
    });
    let go = staged.player.post("/go", &staged.ask).unwrap();
    assert_ne!(go.status, 200, "no go after a halt: {go:?}");
    drop(process);
    assert_halted_in_the_log(&fleet, &viewer, staged);
}
