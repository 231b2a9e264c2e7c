//! P1 and P3 where everybody can see them: the demonstration, with its 60 real devices, held against what it promises.

use std::path::Path;
use std::process::Command;

#[test]
fn the_demonstration_harms_no_more_than_its_first_window_and_nobody_needs_hands() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("demo");
    let output =
        Command::new(env!("CARGO_BIN_EXE_tidegate")).args(["demo", "--json", "--dir"]).arg(&place).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("figure: demo {figures}");
    let number =
        |side: &str, name: &str| figures[side][name].as_f64().unwrap_or_else(|| panic!("{side}.{name}: {figures}"));
    assert_eq!(number("tidegate", "devices"), 60.0);
    assert!(number("tidegate", "harmed") >= 1.0, "the fault is real");
    assert!(number("tidegate", "harmed") <= number("tidegate", "first_window"));
    assert_eq!(number("tidegate", "need_hands"), 0.0);
    assert_eq!(number("tidegate", "back_without_hands"), number("tidegate", "harmed"));
    assert!(number("tidegate", "halt_s") > 0.0);
    assert_eq!(number("everyone_at_once", "devices"), 60.0);
    assert_eq!(number("everyone_at_once", "harmed"), 60.0);
    assert_eq!(number("everyone_at_once", "back_without_hands"), 0.0);
    assert_eq!(number("everyone_at_once", "need_hands"), 60.0);
    decides_the_same_again(&place);
    lets_old_reports_go(&place);
}

/// What the demonstration's server recorded, with 60 real devices, the planner decides again, step by step; and what another policy would have
/// done can be asked.
fn decides_the_same_again(place: &Path) {
    let history = place.join("history.jsonl");
    let run = |args: &[&std::ffi::OsStr]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tidegate")).arg("--json").args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let data = place.join("server");
    run(&[
        "store".as_ref(),
        "export".as_ref(),
        "--data".as_ref(),
        data.as_ref(),
        "--output".as_ref(),
        history.as_ref(),
    ]);
    let readers = std::fs::metadata(&history).unwrap().permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&readers) & 0o077,
        0,
        "for its owner alone: it holds digests of tokens"
    );
    let again = run(&["simulate".as_ref(), "--replay".as_ref(), history.as_ref()]);
    println!("figure: replayed demo {again}");
    assert!(again["steps"].as_u64() > Some(20), "{again}");
    assert_eq!(again["same"], again["steps"], "{again}");
    let others =
        run(&["simulate".as_ref(), "--replay".as_ref(), history.as_ref(), "--policy".as_ref(), "expedited".as_ref()]);
    let names: Vec<&str> =
        others["policies"].as_array().unwrap().iter().filter_map(|one| one["policy"].as_str()).collect();
    assert_eq!(names, ["demo", "expedited"], "{others}");
    for one in others["policies"].as_array().unwrap() {
        assert!(one["halted_after_s"].is_number() && one["harmed"].as_u64() > Some(0), "{others}");
    }
}

/// What 60 real devices said of the release that was halted and left by all of them goes; what they run stays, and so does all that is known.
fn lets_old_reports_go(place: &Path) {
    let data = place.join("server");
    let store = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        let output = command.args(["--json", "store"]).args(args).arg("--data").arg(&data).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let pruned = store(&["prune", "--older-than", "1s", "--yes"]);
    assert_eq!(pruned["concluded"], serde_json::json!(["sensor-content.2"]), "{pruned}");
    assert!(pruned["kept"][0]["why"].as_str().unwrap().contains("on 60 devices: linux-ams-00"), "{pruned}");
    assert!(pruned["reports"].as_u64() > Some(20), "{pruned}");
    let rebuilt = store(&["rebuild"]);
    assert_eq!(rebuilt["identical"], true, "{rebuilt}");
    assert_eq!(store(&["prune", "--older-than", "1s", "--dry-run"])["reports"], 0);
}
