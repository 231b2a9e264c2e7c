//! A device whose clock steps by years: what runs goes on, and what is offered is judged by a time that never goes below what is known.
//!
//! The clock is Debian's libfaketime, which reads how far it is off from a file at every question. The steady clock stays as it is.

use std::fs;
use std::path::Path;

use crate::bench::{Bench, GOOD};
use crate::fleet::POLICY;

const LIBRARIES: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"];

/// A device whose clock is off by as much as a file says; none where there is no such library.
fn bench() -> Option<Bench> {
    let Some(library) = LIBRARIES.into_iter().find(|library| Path::new(library).exists()) else {
        println!("skipped: libfaketime is missing; apt-get install faketime");
        return None;
    };
    let mut bench = Bench::new();
    let environment = vec![
        ("LD_PRELOAD", library.to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", file(&bench).display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("NO_FAKE_STAT", "1".to_owned()),
    ];
    bench.with_environment(environment);
    step(&bench, "+0");
    Some(bench)
}

fn file(bench: &Bench) -> std::path::PathBuf {
    bench.folder.path().join("clock")
}

fn step(bench: &Bench, to: &str) {
    let new = bench.folder.path().join("clock.new");
    fs::write(&new, to).unwrap();
    fs::rename(&new, file(bench)).unwrap();
}

#[test]
fn a_clock_that_steps_years_ahead_ends_no_proof_and_opens_nothing_that_is_past_its_life() {
    let Some(mut bench) = bench() else { return };
    let policy = POLICY.replace("prove = { for = \"1s\" }", "prove = { for = \"3s\" }");
    let first = bench.offer_changed("1.0.0", &[("start", GOOD)], 1, &policy, crate::bench::probed);
    bench.start();
    bench.wait_until("the release is being proven", |bench| bench.state() == "proving");
    step(&bench, "+5y");
    bench.server.wait_for_report("proven");
    assert_eq!(bench.pointer("current"), Some(first.digest));
    let second = bench.offer("2.0.0", GOOD, 2);
    let refused = bench.server.wait_for_report("refused");
    assert_eq!(serde_json::to_value(&refused.observation).unwrap()["reason"], "expired", "{}", refused.detail);
    assert_eq!(bench.attempts()["starts"].as_u64(), Some(2), "the factory's and the first: nothing else was started");
    step(&bench, "+0");
    bench.wait_until("the second is taken by the right time", |bench| bench.pointer("current") == Some(second.digest));
    bench.stop();
}

#[test]
fn a_clock_that_stands_decades_back_is_held_at_what_is_known_and_the_device_goes_on() {
    let Some(mut bench) = bench() else { return };
    step(&bench, "-40y");
    let release = bench.offer("1.0.0", GOOD, 1);
    bench.start();
    bench.server.wait_for_report("proven");
    assert_eq!(bench.pointer("current"), Some(release.digest));
    let reports = bench.server.with(|world| world.reports.values().map(|report| report.at_ms.as_ms()).min());
    assert!(reports.is_some_and(|at| at > 1_700_000_000_000), "no report is older than the agent: {reports:?}");
    bench.stop();
}
