//! What a device does with releases, payloads and servers that are wrong: it says clearly what is wrong, and its working release runs on.

use std::fs;

use serde_json::{Value, json};

use crate::bench::{Bench, GOOD, probed};
use crate::fleet::POLICY;
use tidegate_domain::digest::Digest;
use tidegate_trust::records::Report;

/// The release is refused for this reason before anything of it takes effect, and the payload from the factory is never touched.
fn refused(bench: &mut Bench, reason: &str, words: &str) {
    bench.start();
    let report = bench.server.wait_for_report("refused");
    assert_eq!(serde_json::to_value(&report.observation).unwrap()["reason"], reason, "{}", report.detail);
    assert!(report.detail.contains(words), "{}", report.detail);
    bench.server.with(|world| assert!(!world.taken));
    assert_eq!(bench.pointer("current"), Some(bench.factory));
    bench.wait_until("the factory release is well", |b| b.package().join("run/health.json").exists());
    assert_eq!(bench.attempts()["starts"], 1, "it was started once");
    bench.stop();
}

/// The release is taken, fails, and is left; the one from the factory is well again.
fn returns(bench: &mut Bench) -> Report {
    bench.start();
    let failed = bench.server.wait_for_report("failed");
    bench.server.wait_for_report("returned");
    assert_eq!(bench.pointer("current"), Some(bench.factory));
    bench.assert_defined();
    bench.stop();
    failed
}

#[test]
fn half_a_package_is_refused() {
    let mut bench = Bench::new();
    let other = vec![7_u8; 100_000];
    bench.offer_files("1.0.0", &[("data.bin", &other), ("start", GOOD)], 1);
    bench.server.with(|world| drop(world.fleet.artifacts.remove(&Digest::of(&other).hex())));
    refused(&mut bench, "missing_file", "the server does not have `data.bin`");
}

#[test]
fn a_file_that_is_shorter_longer_or_another_than_the_manifest_says_is_refused() {
    let good = vec![7_u8; 100_000];
    let another = vec![8_u8; 100_000];
    for (served, words) in [
        (&good[..50_000], "`data.bin` has 50000 bytes at the server, and 100000 by the manifest"),
        (&[&good[..], &good].concat(), "`data.bin` has 200000 bytes at the server, and 100000 by the manifest"),
        (&another, "`data.bin` is not the file that the manifest names"),
    ] {
        let mut bench = Bench::new();
        bench.offer_files("1.0.0", &[("data.bin", &good), ("start", GOOD)], 1);
        bench.server.with(|world| drop(world.fleet.artifacts.insert(Digest::of(&good).hex(), served.to_vec())));
        refused(&mut bench, "wrong_digest", words);
    }
}

#[test]
fn a_manifest_whose_paths_climb_out_or_cannot_be_told_apart_is_refused() {
    let below =
        ["..", "../start", "/etc/passwd", "a/../../start", "./start", "a//start", "", ".hidden", "C:/start", "a\\b"];
    let twins = ["START", "Start", "start/below", "st\u{00e4}rt", "sta\u{0308}rt", "start\u{0}", "start\n", "aux."];
    for path in below.into_iter().chain(twins) {
        let mut bench = Bench::new();
        bench.offer_changed("1.0.0", &[("start", GOOD), ("other", GOOD)], 1, POLICY, |manifest| {
            probed(manifest);
            manifest["files"][1]["path"] = json!(path);
        });
        let before = fs::read_dir(bench.folder.path()).unwrap().count();
        refused(&mut bench, "manifest", "");
        // The data folder and the log have come.
        assert_eq!(fs::read_dir(bench.folder.path()).unwrap().count(), before + 2, "{path:?}");
    }
}

#[test]
fn what_is_no_file_but_a_link_or_a_device_has_no_place_in_a_manifest() {
    for extra in [json!({"symlink": "/etc/passwd"}), json!({"kind": "device"}), json!({"mode": 0o4755})] {
        let mut bench = Bench::new();
        bench.offer_changed("1.0.0", &[("start", GOOD)], 1, POLICY, |manifest| {
            let (name, value) = extra.as_object().unwrap().iter().next().unwrap();
            manifest["files"][0][name] = value.clone();
        });
        refused(&mut bench, "manifest", "unknown field");
    }
}

/// A program for a machine that this is not: the beginning of an ELF file for another processor.
fn foreign_program() -> Vec<u8> {
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0xf7, 0];
    elf.resize(4096, 0);
    elf
}

fn with_program(manifest: &mut Value) {
    manifest["files"][0]["executable"] = json!(true);
    manifest["activation"] = json!({"kind": "supervise", "command": ["{slot}/start"]});
}

#[test]
fn a_release_for_another_machine_is_refused_where_it_says_so() {
    let mut bench = Bench::new();
    bench.offer_changed("1.0.0", &[("start", &foreign_program())], 1, POLICY, |manifest| {
        with_program(manifest);
        manifest["needs"] = json!({"linux-mips64": 1});
    });
    refused(&mut bench, "needs_unmet", "linux-mips64");
}

#[test]
fn a_release_for_this_machine_is_taken() {
    let mut bench = Bench::new();
    let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    let release = bench.offer_changed("1.0.0", &[("start", GOOD)], 1, POLICY, |manifest| {
        probed(manifest);
        manifest["needs"] = json!({platform: 1});
    });
    bench.start();
    bench.server.wait_for_report("proven");
    assert_eq!(bench.pointer("current"), Some(release.digest));
    bench.stop();
}

#[test]
fn a_release_for_another_machine_that_does_not_say_so_returns() {
    let mut bench = Bench::new();
    bench.offer_changed("1.0.0", &[("start", &foreign_program())], 1, POLICY, with_program);
    let failed = returns(&mut bench);
    assert_eq!(serde_json::to_value(&failed.observation).unwrap()["reason"], "crashed");
    assert!(bench.log().contains("built for another machine"), "{}", bench.log());
    let crashed = bench.server.wait_for_report("crashed");
    assert!(crashed.detail.contains("its program cannot be run"), "{}", crashed.detail);
}

#[test]
fn the_last_words_of_a_payload_that_ends_go_with_its_report_and_its_output_where_it_went() {
    let mut bench = Bench::new();
    let last = "echo starting >&2\necho 'FATAL: template field 21 out of range' >&2\nexit 3\n";
    bench.offer_changed("1.0.0", &[("start", format!("#!/bin/sh\n{last}").as_bytes())], 1, POLICY, with_program);
    let failed = returns(&mut bench);
    assert!(failed.detail.contains("exit code 3") && failed.detail.contains("field 21 out of range"), "{failed:?}");
    assert!(bench.log().contains("FATAL: template field 21"), "{}", bench.log());
}

#[test]
fn a_hook_that_hangs_is_ended_when_its_downtime_is_over() {
    let mut bench = Bench::new();
    bench.offer_changed("1.0.0", &[("start", GOOD)], 1, POLICY, |manifest| {
        manifest["activation"] = json!({"kind": "hook", "command": ["sleep", "600"]});
        manifest["downtime"] = json!("1s");
    });
    let failed = returns(&mut bench);
    assert_eq!(serde_json::to_value(&failed.observation).unwrap()["reason"], "activation_failed");
    assert!(failed.detail.contains("sleep: not done after 900 ms"), "{}", failed.detail);
}

#[test]
fn probes_that_flood_or_hang_cost_a_bounded_time_and_no_memory() {
    let probe = |script: &str| json!([{"kind": "exec", "command": ["sh", "-c", script], "timeout": "500ms"}]);
    for (script, words) in [
        ("exec yes", "not done after 500 ms"),
        ("exec yes >&2", "not done after 500 ms"),
        ("sleep 600 & echo no page >&2; exit 1", "exit code 1: no page"),
        ("mkfifo pipe; exec cat < pipe", "sh: "),
    ] {
        let mut bench = Bench::new();
        let change = |manifest: &mut Value| {
            manifest["probes"] = probe(script);
            manifest["downtime"] = json!("2s");
        };
        bench.offer_changed("1.0.0", &[("start", GOOD)], 1, POLICY, change);
        let failed = returns(&mut bench);
        assert!(failed.detail.contains(words), "{script}: {}", failed.detail);
    }
}

#[test]
fn a_health_file_that_is_a_pipe_is_waited_for_by_nobody() {
    let mut bench = Bench::new();
    let script = b"mkfifo \"$TIDEGATE_RUN/health.json\"\nexec sleep 600\n";
    bench.offer_changed("1.0.0", &[("start", script)], 1, POLICY, |manifest| {
        probed(manifest);
        manifest["downtime"] = json!("2s");
    });
    let failed = returns(&mut bench);
    assert!(failed.detail.contains("is no file"), "{}", failed.detail);
}

/// Garbage, many datagrams of it, more numbers than anybody remembers, and then what is true.
const FLOOD: &str = r#"exec perl -MSocket -e '
socket(S, PF_UNIX, SOCK_DGRAM, 0) or die;
my $to = pack_sockaddr_un($ENV{NOTIFY_SOCKET});
send(S, join("", map { chr(int(rand(256))) } 1 .. int(rand(4000))), 0, $to) for 1 .. 2000;
send(S, "X_TIDEGATE_NUMBER=n$_ 1\nX_TIDEGATE_NUMBER=queue NaN\nREADY=\nREADY=1 \n=\n", 0, $to) for 1 .. 500;
send(S, "X_TIDEGATE_NUMBER=" . ("x" x 3000) . " 1", 0, $to);
send(S, "", 0, $to);
send(S, "READY=1\n" . ("y" x 3000), 0, $to);
sleep 600'
"#;

#[test]
fn a_socket_that_is_fed_garbage_hears_what_is_true_and_no_more() {
    let mut bench = Bench::new();
    let release = bench.offer_changed("1.0.0", &[("start", FLOOD.as_bytes())], 1, POLICY, |manifest| {
        manifest["probes"] = json!([{"kind": "notify"}]);
    });
    bench.start();
    let proven = bench.server.wait_for_report("proven");
    assert_eq!(bench.pointer("current"), Some(release.digest));
    assert!(proven.numbers.len() <= 16, "{:?}", proven.numbers);
    bench.stop();
}
