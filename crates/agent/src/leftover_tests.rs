//! Real process groups: those that a payload left are ended, those that only have its number are not.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;

/// A group whose first process is the test's child, as a payload is the agent's.
struct Payload {
    leader: Child,
    group: os::Group,
}

impl Payload {
    /// Runs a script that says a line once everybody whom it starts is there.
    fn start(script: &str, dir: &PackageDir, run: bool) -> Payload {
        let mut command = Command::new("bash");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
        os::own_group(&mut command);
        command.env("MARK", dir.mark()).env_remove(RUN_VARIABLE);
        if run {
            command.env(RUN_VARIABLE, dir.run());
        }
        let mut leader = command.spawn().unwrap();
        BufReader::new(leader.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        let group = os::group_led_by(leader.id()).unwrap();
        dir.write_payload(group.clone()).unwrap();
        Payload { leader, group }
    }

    /// The leader dies alone, and somebody takes note of it.
    fn lose_leader(&mut self) {
        self.leader.kill().unwrap();
        self.leader.wait().unwrap();
        assert!(os::group_has_members(&self.group), "its worker lives on");
    }

    fn lives(&self) -> bool {
        os::group_has_members(&self.group)
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        os::kill(self.group.leader());
        let _ = self.leader.wait();
    }
}

fn package() -> (tempfile::TempDir, PackageDir) {
    let folder = tempfile::tempdir().unwrap();
    let dir = PackageDir::new(folder.path());
    dir.make().unwrap();
    std::fs::write(dir.mark(), "").unwrap();
    (folder, dir)
}

const WORKER: &str = "sleep 600 & echo; wait";
const MARKED_WORKER: &str = "exec 100< \"$MARK\"; sleep 600 & echo; wait";

#[test]
fn workers_that_outlive_their_leader_are_ended_if_they_carry_the_open_mark_or_the_variable() {
    for (script, run) in [(MARKED_WORKER, false), (WORKER, true)] {
        let (_folder, dir) = package();
        let mut payload = Payload::start(script, &dir, run);
        payload.lose_leader();
        end(&dir);
        assert!(!payload.lives(), "{script}");
    }
}

#[test]
fn a_group_whose_leader_is_gone_and_that_carries_nothing_is_left_alone() {
    let (_folder, dir) = package();
    let mut innocent = Payload::start(WORKER, &dir, false);
    innocent.lose_leader();
    end(&dir);
    assert!(innocent.lives(), "the number alone shows nothing: it may have been given out anew");
}

#[test]
fn a_leader_of_the_same_number_with_another_start_or_boot_is_left_alone_and_the_right_one_is_ended() {
    let (_folder, dir) = package();
    let payload = Payload::start(MARKED_WORKER, &dir, true);
    let right = payload.group.clone();
    for other in [
        os::Group { started: right.started + 1, ..right.clone() },
        os::Group { started: right.started - 1, ..right.clone() },
        os::Group { boot: "00000000-0000-0000-0000-000000000000".to_owned(), ..right.clone() },
    ] {
        dir.write_payload(other).unwrap();
        end(&dir);
        assert!(payload.lives());
    }
    dir.write_payload(right).unwrap();
    end(&dir);
    assert!(!payload.lives(), "by its leader alone");
}

#[test]
fn a_leftover_that_does_not_listen_is_killed_in_bounded_time() {
    let (_folder, dir) = package();
    let payload = Payload::start("trap '' TERM; sleep 600 & echo; wait; sleep 600", &dir, false);
    let asked = Instant::now();
    end(&dir);
    assert!(!payload.lives());
    assert!(asked.elapsed() < ASKED + KILLED, "{:?}", asked.elapsed());
}

#[test]
fn what_was_kept_is_garbage_or_nothing_and_nobody_is_ended() {
    let (folder, dir) = package();
    for garbage in ["", "{", "{\"format\":1,\"payload\":{\"boot\":\"\",\"leader\":0,\"started\":0}}"] {
        std::fs::write(folder.path().join("payload.json"), garbage).unwrap();
        end(&dir);
    }
}
