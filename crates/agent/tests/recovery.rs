//! What a device does by itself: takes and proves, returns, waits for a server, goes on where a download stood.

use crate::bench::{BAD, Bench, GOOD};
use crate::fleet::now;
use crate::server::order_of;

#[test]
fn a_good_release_is_taken_proven_and_becomes_the_fallback_only_when_the_fleet_proved_it() {
    let mut bench = Bench::new();
    let release = bench.offer("1.0.0", GOOD, 1);
    bench.start();
    let proven = bench.server.wait_for_report("proven");
    assert_eq!(proven.order, bench.server.with(|world| order_of(world)));
    assert_eq!((proven.current, proven.fallback), (Some(release.digest), Some(bench.factory)));
    assert!(proven.age_ms >= 1_000 && proven.at_ms <= now());
    assert_eq!(bench.pointer("fallback"), Some(bench.factory), "its own proof does not move the fallback");
    bench.server.with(|world| world.fleet_proven = vec![world.fleet.fleet_proven(world.offer.as_ref().unwrap())]);
    bench.wait_until("the fallback moved", |b| b.pointer("fallback") == Some(release.digest));
    assert_eq!(bench.pointer("kept"), Some(bench.factory));
    let words: Vec<_> = bench.server.with(|w| w.reports.values().map(|r| r.observation.word()).collect());
    assert_eq!(words, ["activating", "healthy", "proven"]);
    assert_eq!(bench.server.with(|w| w.enrolments), 1);
    bench.stop();
    assert_eq!(bench.attempts()["ended_in_order"], true);
}

#[test]
fn a_payload_that_dies_at_once_is_back_on_its_fallback_in_three_attempts_with_the_server_down() {
    let mut bench = Bench::new();
    bench.offer("1.0.0", BAD, 1);
    bench.start();
    bench.server.wait_for("the go", |world| world.taken.then_some(()));
    bench.server.set_up(false);
    let factory = bench.factory;
    bench.wait_until("returned", |b| b.state() == "reverted" && b.pointer("current") == Some(factory));
    assert_eq!(bench.attempts()["returned"]["attempts"], 3);
    bench.assert_defined();
    bench.server.set_up(true);
    let failed = bench.server.wait_for_report("failed");
    assert_eq!(serde_json::to_value(&failed.observation).unwrap()["reason"], "crashed");
    let returned = bench.server.wait_for_report("returned");
    assert_eq!((returned.current, returned.order), (Some(factory), failed.order));
}

#[test]
fn a_halt_before_the_take_sends_the_device_back_to_idle() {
    let mut bench = Bench::new();
    bench.offer("1.0.0", GOOD, 1);
    bench.server.with(|world| {
        let order = order_of(world).unwrap();
        world.halts = vec![world.fleet.halted(order)];
    });
    bench.start();
    let refused = bench.server.wait_for_report("refused");
    assert_eq!(serde_json::to_value(&refused.observation).unwrap()["reason"], "halted");
    assert_eq!((bench.pointer("current"), bench.server.with(|w| w.taken)), (Some(bench.factory), false));
}

#[test]
fn a_cut_download_goes_on_where_it_stood() {
    let mut bench = Bench::new();
    let big: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
    let release = bench.offer_files("1.0.0", &[("data.bin", &big), ("start", GOOD)], 1);
    bench.server.with(|world| world.cut_after = Some(200_000));
    // The manifest is fetched first and is shorter than that.
    bench.start();
    bench.server.wait_for_report("proven");
    let ranges = bench.server.with(|world| world.ranges.clone());
    assert_eq!(ranges, ["bytes=200000-"], "{}", bench.log());
    let slot = bench.package().join("slots").join(release.digest.hex());
    assert_eq!(std::fs::read(slot.join("data.bin")).unwrap(), big);
}

#[test]
fn an_answer_that_is_not_the_servers_changes_nothing() {
    let mut bench = Bench::new();
    bench.server.with(|world| world.forge = true);
    bench.offer("1.0.0", GOOD, 1);
    bench.start();
    bench.server.wait_for("check-ins", |world| (world.check_ins >= 3).then_some(()));
    assert!(["none", "idle"].contains(&bench.state().as_str()));
    assert_eq!(bench.server.with(|w| w.goes), 0);
    bench.server.with(|world| world.forge = false);
    bench.server.wait_for_report("proven");
}

#[test]
fn an_ordered_return_is_followed_when_its_permit_is_right() {
    let mut bench = Bench::new();
    bench.offer("1.0.0", GOOD, 1);
    bench.start();
    bench.server.wait_for_report("proven");
    bench.server.with(|world| {
        let parts = world.offer.as_mut().unwrap();
        parts.permit.kind = tidegate_trust::records::PermitKind::Revert;
        world.reverts = vec![parts.order.rollout.to_string()];
    });
    bench.server.wait_for_report("returned");
    assert_eq!(bench.pointer("current"), Some(bench.factory));
}

#[test]
fn plain_http_beyond_loopback_is_refused_with_a_clear_error() {
    let bench = Bench::new();
    let output =
        bench.agent().args(["--endpoint", "http://192.0.2.1:80"]).stderr(std::process::Stdio::piped()).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("plain HTTP is accepted on loopback only"));
}
