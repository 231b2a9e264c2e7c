//! The ways in which a release takes effect, each up to proven, and back where it fails; and a proof with restarts.

use serde_json::{Value, json};

use crate::bench::{BAD, Bench, GOOD, probed};
use crate::fleet::POLICY;

fn reason(bench: &Bench) -> Value {
    let failed = bench.server.wait_for_report("failed");
    serde_json::to_value(&failed.observation).unwrap()["reason"].clone()
}

#[test]
fn a_proof_with_restarts_makes_them_and_they_are_no_attempts() {
    let mut bench = Bench::new();
    let policy = POLICY.replace("for = \"1s\"", "for = \"3s\", restarts = 4");
    let release = bench.offer_changed("1.0.0", &[("start", GOOD)], 1, &policy, probed);
    bench.start();
    let proven = bench.server.wait_for_report("proven");
    assert_eq!(serde_json::to_value(&proven.observation).unwrap()["restarts"], 4);
    assert_eq!(bench.pointer("current"), Some(release.digest), "more restarts than attempts, and still here");
}

#[test]
fn a_hook_is_run_at_the_activation_and_its_failure_returns_the_package() {
    let mut bench = Bench::new();
    let hook = |script: &'static str| {
        move |manifest: &mut Value| {
            manifest["activation"] = json!({"kind": "hook", "command": ["/bin/sh", "{slot}/start", script]});
            manifest["probes"] =
                json!([{"kind": "exec", "command": ["/bin/sh", "-c", "test -e {run}/done"], "timeout": "2s"}]);
        }
    };
    let good = bench.offer_changed(
        "1.0.0",
        &[("start", b"touch {run}/done; touch \"$TIDEGATE_RUN/done\"\n")],
        1,
        POLICY,
        hook("x"),
    );
    bench.start();
    bench.server.wait_for_report("proven");
    assert_eq!(bench.pointer("current"), Some(good.digest));
    bench.server.with(|world| world.reports.clear());
    bench.offer_changed("2.0.0", &[("start", b"exit 3\n")], 2, POLICY, hook("y"));
    assert_eq!(reason(&bench), "activation_failed");
    bench.server.wait_for_report("returned");
    assert_eq!(
        bench.pointer("current"),
        Some(bench.factory),
        "the fallback, not the release that only this device proved"
    );
}

#[test]
fn a_signal_makes_the_running_payload_read_its_content_again() {
    // This payload reads through the link that keeps its name, and says that it is well for whatever it read last.
    const READER: &[u8] = b"say() { cp \"$TIDEGATE_ACTIVE/health.json\" \"$TIDEGATE_RUN/health.json\"; }
trap say HUP
say
while :; do sleep 0.05; done
";
    let mut bench = Bench::new();
    let well: &[u8] = b"{\"ready\": true}";
    let first = bench.offer_files("1.0.0", &[("start", READER), ("health.json", well)], 1);
    bench.start();
    bench.server.wait_for_report("proven");
    bench.server.with(|world| world.fleet_proven = vec![world.fleet.fleet_proven(world.offer.as_ref().unwrap())]);
    bench.wait_until("the fallback moved", |b| b.pointer("fallback") == Some(first.digest));
    bench.server.with(|world| world.reports.clear());
    let signalled = |manifest: &mut Value| {
        probed(manifest);
        manifest["activation"] = json!({"kind": "signal", "signal": "hup"});
        manifest["downtime"] = json!("3s");
    };
    let newer: &[u8] = b"{\"ready\": true, \"version\": \"2\"}";
    let second = bench.offer_changed("2.0.0", &[("start", READER), ("health.json", newer)], 2, POLICY, signalled);
    bench.server.wait_for_report("proven");
    assert_eq!(bench.pointer("current"), Some(second.digest));
    let said = std::fs::read(bench.package().join("run/health.json")).unwrap();
    assert_eq!(said, newer, "the payload that ran before read the new content");
    bench.server.with(|world| world.reports.clear());
    let sick: &[u8] = b"{\"ready\": false}";
    bench.offer_changed("3.0.0", &[("start", READER), ("health.json", sick)], 3, POLICY, signalled);
    assert_eq!(reason(&bench), "probe_failed");
    bench.server.wait_for_report("returned");
    assert_eq!(bench.pointer("current"), Some(first.digest));
}

/// A service of its own, as a service manager would run it: no child of the agent, and it goes on without one. It ends by itself.
const RESTART: &[u8] = b"kill \"$(cat \"$TIDEGATE_RUN/service.pid\")\" 2>/dev/null
cp \"$TIDEGATE_SLOT/word\" \"$TIDEGATE_RUN/serving\"
setsid sh -c 'echo $$ > \"$TIDEGATE_RUN/service.pid\"; . \"$TIDEGATE_SLOT/word\"; exec sleep 120' < /dev/null > /dev/null 2>&1 &
";

#[test]
fn a_service_is_restarted_on_the_new_release_outlives_its_agent_and_is_restarted_on_the_old_one() {
    let mut bench = Bench::new();
    let offer = |bench: &Bench, version: &str, word: &[u8], order_seq: u64| {
        let change = |manifest: &mut Value| {
            manifest["activation"] = json!({"kind": "restart", "command": ["/bin/sh", "{slot}/restart"]});
            let is_well = "kill -0 $(cat {run}/service.pid) && cmp -s {run}/serving {slot}/word";
            manifest["probes"] = json!([{"kind": "exec", "command": ["/bin/sh", "-c", is_well], "timeout": "2s"}]);
        };
        bench.offer_changed(version, &[("restart", RESTART), ("word", word)], order_seq, POLICY, change)
    };
    let served = |bench: &Bench| {
        let read = |name: &str| std::fs::read_to_string(bench.package().join("run").join(name)).unwrap_or_default();
        (read("service.pid"), read("serving"))
    };
    let first = offer(&bench, "1.0.0", b"true", 1);
    bench.start();
    bench.server.wait_for_report("proven");
    bench.server.with(|world| world.fleet_proven = vec![world.fleet.fleet_proven(world.offer.as_ref().unwrap())]);
    bench.wait_until("the fallback moved", |b| b.pointer("fallback") == Some(first.digest));
    let before = served(&bench);
    assert_eq!(before.1, "true");
    bench.kill();
    bench.start();
    bench.server.with(|world| world.reports.clear());
    offer(&bench, "2.0.0", b"exit 1", 2);
    assert_eq!(reason(&bench), "probe_failed");
    bench.server.wait_for_report("returned");
    assert_eq!(bench.pointer("current"), Some(first.digest));
    let after = served(&bench);
    assert!(after.1 == "true" && after.0 != before.0, "{before:?} {after:?}");
    bench.stop();
    assert!(std::path::Path::new("/proc").join(after.0.trim()).exists(), "no agent, and it runs on");
    let ended = std::process::Command::new("kill").arg(after.0.trim()).status().unwrap();
    assert!(ended.success());
}

#[test]
fn a_device_whose_fallback_fails_as_well_asks_for_hands_and_goes_on_trying() {
    let mut bench = Bench::new();
    bench.offer("1.0.0", BAD, 1);
    bench.start();
    bench.server.wait_for("the go", |world| world.taken.then_some(()));
    // What the fallback needs disappears while the release is tried.
    let start = bench.package().join("slots").join(bench.factory.hex()).join("start");
    std::fs::write(&start, BAD).unwrap();
    let asked = bench.server.wait_for_report("needs_hands");
    assert_eq!((asked.current, asked.order.is_some()), (Some(bench.factory), true));
    std::fs::write(&start, GOOD).unwrap();
    bench.server.wait_for_report("returned");
}
