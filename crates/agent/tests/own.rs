//! The agent as a package like any other: it takes a good release of itself, and a bad one goes back without anybody's help.
//!
//! The unit is played here as systemd runs it: started again whenever it ends, and killed when it gives no sign of life.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_domain::digest::Digest;
use tidegate_trust::records::Report;

use crate::bench::Bench;
use crate::fleet::{DEVICE, PACKAGE, POLICY, Release};

const AGENT: &str = env!("CARGO_BIN_EXE_tidegate-agent");
/// How long the unit waits for a sign of life.
const PATIENCE: Duration = Duration::from_secs(3);

/// A service of the agent: `tidegate-guard agent`, with the packaged program behind it.
struct Unit {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Unit {
    fn start(bench: &Bench) -> Unit {
        let notify = bench.folder.path().join("manager");
        let socket = UnixDatagram::bind(&notify).unwrap();
        socket.set_nonblocking(true).unwrap();
        let words = [("--package-dir", bench.package()), ("--packaged", AGENT.into())];
        let own = ["--device", DEVICE, "--attr", "os=linux", "--data", bench.data().to_str().unwrap(), "--token"];
        let own: Vec<String> = own.iter().map(|word| (*word).to_owned()).collect();
        let (token, log) = (bench.folder.path().join("token.json"), bench.folder.path().join("log"));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                let log = fs::File::options().create(true).append(true).open(&log).unwrap();
                let mut guard = Command::new(env!("CARGO_BIN_EXE_tidegate-guard"));
                guard.arg("agent");
                for (flag, value) in &words {
                    guard.arg(flag).arg(value);
                }
                guard.arg("--").args(&own).arg(&token);
                guard.env("NOTIFY_SOCKET", &notify).env("WATCHDOG_USEC", PATIENCE.as_micros().to_string());
                guard.env("TIDEGATE_LOG", "debug,ureq=warn,rustls=warn");
                guard.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
                watch(guard.spawn().unwrap(), &socket, &stopped);
            }
        });
        Unit { stop, thread: Some(thread) }
    }
}

/// Until it has ended: by itself, because it gave no sign of life, or because the unit is stopped.
fn watch(mut agent: Child, socket: &UnixDatagram, stopped: &AtomicBool) {
    let (mut alive_at, mut bytes) = (Instant::now(), [0; 256]);
    while agent.try_wait().unwrap().is_none() {
        while socket.recv(&mut bytes).is_ok() {
            alive_at = Instant::now();
        }
        if alive_at.elapsed() > PATIENCE {
            let _ = agent.kill();
        }
        if stopped.load(Ordering::SeqCst) {
            let _ = Command::new("kill").arg(agent.id().to_string()).status();
        }
        thread::park_timeout(Duration::from_millis(20));
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A release of the agent: this script is its program.
fn offer(bench: &Bench, version: &str, script: &str, order_seq: u64) -> Release {
    let change = |manifest: &mut Value| {
        manifest["activation"] = json!({"kind": "agent"});
        manifest["files"][0]["executable"] = json!(true);
        (manifest["network"], manifest["contact_deadline"]) = (json!(true), json!("3s"));
    };
    let script = format!("#!/bin/sh\n{script}\n");
    bench.offer_changed(version, &[("tidegate-agent", script.as_bytes())], order_seq, POLICY, change)
}

fn good() -> String {
    format!("exec {AGENT} \"$@\"")
}

/// Waits for a report with this word.
fn heard(bench: &mut Bench, word: &str) -> Report {
    let find =
        |bench: &Bench| bench.server.with(|w| w.reports.values().find(|r| r.observation.word() == word).cloned());
    bench.wait_until(word, |bench| find(bench).is_some());
    find(bench).unwrap()
}

/// What runs now is the program that came with the system, kept as a release; the server has heard why.
fn assert_returned(bench: &mut Bench, bad: &Release, reason: &str) -> Digest {
    let returned = heard(bench, "returned");
    let said = serde_json::to_value(&returned.observation).unwrap();
    assert!(said.to_string().contains(reason), "{said}, {}", bench.log());
    let (current, fallback) = (bench.pointer("current").unwrap(), bench.pointer("fallback").unwrap());
    assert_eq!(current, fallback);
    assert_ne!(current, bad.digest);
    let kept = fs::read(bench.package().join("slots").join(current.hex()).join("tidegate-agent")).unwrap();
    assert_eq!(Digest::of(&kept), Digest::of(&fs::read(AGENT).unwrap()), "the packaged program");
    current
}

#[test]
fn an_agent_takes_a_good_release_of_itself_and_proves_it() {
    let mut bench = Bench::new();
    let runs = |bench: &Bench, which: &str| {
        let marks = fs::read_to_string(bench.folder.path().join("runs")).unwrap_or_default();
        marks.lines().filter(|line| *line == which).count()
    };
    let marks = bench.folder.path().join("runs").display().to_string();
    let good = offer(&bench, "1.0.0", &format!("echo first >> {marks}\n{}", good()), 1);
    let unit = Unit::start(&bench);
    heard(&mut bench, "proven");
    assert_eq!(bench.pointer("current"), Some(good.digest));
    assert_eq!(runs(&bench, "first"), 1, "what was proven is what runs");
    let parts = bench.server.with(|world| world.offer.clone().unwrap());
    bench.server.with(|world| world.fleet_proven.push(world.fleet.fleet_proven(&parts)));
    bench.wait_until("the release is the fallback", |bench| bench.pointer("fallback") == Some(good.digest));
    // A second release, from a slot and no longer from the packaged program, through restarts that belong to the proof.
    bench.server.with(|world| world.reports.clear());
    let policy = POLICY.replace("prove = { for = \"1s\" }", "prove = { for = \"1s\", restarts = 1 }");
    assert_ne!(policy, POLICY);
    let change = |manifest: &mut Value| {
        manifest["activation"] = json!({"kind": "agent"});
        manifest["files"][0]["executable"] = json!(true);
    };
    let script = format!("#!/bin/sh\necho second >> {marks}\nexec {AGENT} \"$@\"\n");
    let second = bench.offer_changed("2.0.0", &[("tidegate-agent", script.as_bytes())], 2, &policy, change);
    heard(&mut bench, "proven");
    assert_eq!(bench.pointer("current"), Some(second.digest));
    assert_eq!(runs(&bench, "second"), 2, "once, and the restart that belongs to the proof");
    assert_eq!(bench.pointer("fallback"), Some(good.digest));
    assert_eq!(bench.attempts()["count"], 0, "{}", bench.log());
    drop(unit);
    bench.assert_defined();
}

#[test]
fn an_agent_that_dies_at_its_start_goes_back_after_three_attempts() {
    let mut bench = Bench::new();
    let starts = bench.folder.path().join("starts");
    let bad = offer(&bench, "1.0.0", &format!("echo start >> {}\nexit 1", starts.display()), 1);
    let _unit = Unit::start(&bench);
    assert_returned(&mut bench, &bad, "crashed");
    assert_eq!(fs::read_to_string(starts).unwrap().lines().count(), 3);
}

#[test]
fn an_agent_that_cannot_read_its_state_goes_back() {
    let mut bench = Bench::new();
    // It finds the state of a later format.
    let script = format!(
        "cp -r {data} {data}-read && echo '{{\"format\": 99}}' > {data}-read/packages/{PACKAGE}/state.json\n\
         export TIDEGATE_OWN_DIR={data}-read/packages/{PACKAGE}\nexec {AGENT} \"$@\" --data {data}-read",
        data = bench.data().display()
    )
    .replace("exec", "set -- $(echo \"$@\" | sed 's/--data [^ ]*//')\nexec");
    let bad = offer(&bench, "1.0.0", &script, 1);
    let _unit = Unit::start(&bench);
    assert_returned(&mut bench, &bad, "crashed");
    assert!(bench.log().contains("state.json"), "it says what it cannot read: {}", bench.log());
}

#[test]
fn an_agent_that_cannot_talk_goes_back() {
    let mut bench = Bench::new();
    let bad = offer(&bench, "1.0.0", &format!("exec {AGENT} --endpoint http://127.0.0.1:9 \"$@\""), 1);
    let _unit = Unit::start(&bench);
    assert_returned(&mut bench, &bad, "contact_lost");
}

#[test]
fn an_agent_that_hangs_gives_no_sign_of_life_and_goes_back() {
    let mut bench = Bench::new();
    let bad = offer(&bench, "1.0.0", "exec sleep 600", 1);
    let _unit = Unit::start(&bench);
    assert_returned(&mut bench, &bad, "crashed");
}

#[test]
fn a_release_of_another_kind_is_no_agent_and_an_agent_is_no_payload() {
    let mut bench = Bench::new();
    bench.offer("1.0.0", b"exit 0\n", 1);
    let unit = Unit::start(&bench);
    let refused = heard(&mut bench, "refused");
    assert!(refused.detail.contains("the release is none"), "{}", refused.detail);
    drop(unit);
    let mut bench = Bench::new();
    offer(&bench, "1.0.0", &good(), 1);
    bench.start();
    let refused = heard(&mut bench, "refused");
    assert!(refused.detail.contains("tidegate-guard agent"), "{}", refused.detail);
    bench.stop();
}
