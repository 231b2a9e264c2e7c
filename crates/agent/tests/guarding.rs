//! The guard as a process of its own: no agent, no server.

use std::process::Command;

use serde_json::json;

use crate::bench::{Bench, GOOD, json_file};

fn check(bench: &Bench) -> Option<i32> {
    let mut guard = Command::new(env!("CARGO_BIN_EXE_tidegate-guard"));
    guard.arg("check").arg("--package-dir").arg(bench.package()).status().unwrap().code()
}

#[test]
fn a_payload_that_dies_long_after_it_was_proven_still_returns() {
    let mut bench = Bench::new();
    let release = bench.offer("1.0.0", GOOD, 1);
    bench.start();
    bench.server.wait_for_report("proven");
    bench.stop();
    assert_eq!(bench.attempts()["proven"], true);
    // After an orderly end starts are no attempts, however many there are.
    for _ in 0..6 {
        assert_eq!(check(&bench), Some(0));
        let mut file = json_file(&bench.package().join("attempts.json"));
        assert_eq!(file["attempts"]["count"], 0);
        file["attempts"]["ended_in_order"] = json!(true);
        std::fs::write(bench.package().join("attempts.json"), file.to_string()).unwrap();
    }
    assert_eq!(check(&bench), Some(0));
    // From here on it dies: each start finds that the one before did not end in order.
    for attempt in 1..=3 {
        assert_eq!(check(&bench), Some(0));
        assert_eq!(
            (bench.attempts()["count"].as_u64(), bench.pointer("current")),
            (Some(attempt), Some(release.digest))
        );
    }
    assert_eq!(check(&bench), Some(0));
    assert_eq!(bench.pointer("current"), Some(bench.factory));
    // The agent comes back, sees it, and says so.
    bench.start();
    bench.server.wait_for_report("failed");
    bench.server.wait_for_report("returned");
}

#[test]
fn a_folder_with_nothing_in_it_starts_nothing_and_garbage_is_no_panic() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.package()).unwrap();
    assert_eq!(check(&bench), Some(75));
    for garbage in [&b"\xff\xfe"[..], b"{}", b"sha256:00", b""] {
        for name in ["current", "fallback", "kept", "attempts.json"] {
            std::fs::write(bench.package().join(name), garbage).unwrap();
        }
        assert_eq!(check(&bench), Some(75));
    }
}
