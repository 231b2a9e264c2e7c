//! A payload that takes the whole device down: the device says so before it starts it again, and waits for nobody for long.

use std::fs;

use crate::bench::Bench;

/// Each start kills the agent, as a driver kills its kernel, and leaves a line.
fn deadly(bench: &Bench) -> Vec<u8> {
    format!("echo start >> {}\nkill -9 $PPID\nexec sleep 600\n", starts_file(bench).display()).into_bytes()
}

fn starts_file(bench: &Bench) -> std::path::PathBuf {
    bench.folder.path().join("starts")
}

fn starts(bench: &Bench) -> usize {
    fs::read_to_string(starts_file(bench)).map_or(0, |text| text.lines().count())
}

/// One life of the device, from its boot until its release takes it down.
fn lives_once(bench: &mut Bench) {
    bench.start();
    bench.wait_until("the device is down", Bench::has_ended);
}

#[test]
fn a_device_in_a_boot_loop_says_so_between_two_starts_and_returns_after_three() {
    let mut bench = Bench::new();
    bench.offer("1.0.0", &deadly(&bench), 1);
    // Longer than a start takes, so that a device that does not wait is down before it is heard.
    bench.server.with(|world| world.reports_take = std::time::Duration::from_millis(300));
    lives_once(&mut bench);
    let heard = |bench: &Bench| bench.server.with(|w| w.reports.values().any(|r| r.observation.word() == "crashed"));
    assert!(!heard(&bench), "nobody was left to say it");
    lives_once(&mut bench);
    assert_eq!(starts(&bench), 2);
    assert!(heard(&bench), "said before the second start: {}", bench.log());
    lives_once(&mut bench);
    bench.start();
    bench.server.wait_for_report("returned");
    assert_eq!((starts(&bench), bench.pointer("current")), (3, Some(bench.factory)));
    bench.stop();
}

#[test]
fn a_device_that_nobody_hears_tries_again_all_the_same() {
    let mut bench = Bench::new();
    bench.offer("1.0.0", &deadly(&bench), 1);
    lives_once(&mut bench);
    bench.server.set_up(false);
    lives_once(&mut bench);
    assert_eq!(starts(&bench), 2);
}

#[test]
fn an_agent_that_is_stopped_in_order_has_not_crashed() {
    let mut bench = Bench::new();
    let change = |manifest: &mut serde_json::Value| manifest["probes"] = serde_json::json!([]);
    let script = format!("echo start >> {}\nexec sleep 600\n", starts_file(&bench).display());
    bench.offer_changed("1.0.0", &[("start", script.as_bytes())], 1, crate::fleet::POLICY, change);
    bench.start();
    bench.wait_until("the release was started", |bench| starts(bench) == 1);
    bench.stop();
    bench.start();
    bench.server.wait_for_report("proven");
    let words: Vec<_> = bench.server.with(|w| w.reports.values().map(|r| r.observation.word()).collect());
    assert!(!words.contains(&"crashed"), "{words:?}");
    bench.stop();
}
