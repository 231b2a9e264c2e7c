//! What the device's owner forbids for good is noticed at once and ends a release here; and what a payload goes through is told.

use std::fs;

use tidegate_domain::observation::{FailureReason, Observation};

use crate::bench::{Bench, GOOD};

fn after(lines: &str) -> Vec<u8> {
    [lines.as_bytes(), GOOD].concat()
}

/// A release that does this and is in perfect health is left at once, and says why.
fn is_left_for(bench: &mut Bench, start: &[u8], words: &str) {
    bench.offer("1.0.0", start, 1);
    bench.start();
    let failed = bench.server.wait_for_report("failed");
    let reason = FailureReason::InvariantBroken;
    assert!(matches!(failed.observation, Observation::Failed { reason: found, .. } if found == reason), "{failed:?}");
    assert!(failed.detail.contains(words), "{}", failed.detail);
    bench.server.wait_for_report("returned");
    assert_eq!(bench.pointer("current"), Some(bench.factory));
    bench.stop();
}

#[test]
fn a_release_that_deletes_what_must_stay_is_left_at_once() {
    let mut bench = Bench::new();
    let kept = bench.folder.path().join("ledger");
    fs::write(&kept, "rows").unwrap();
    bench.with_flags(&["--keep", kept.to_str().unwrap()]);
    is_left_for(&mut bench, &after(&format!("rm {}\n", kept.display())), "ledger is gone or emptied");
}

#[test]
fn a_release_that_reads_a_secret_that_nobody_needs_is_left_at_once() {
    let mut bench = Bench::new();
    let secret = bench.folder.path().join("credentials");
    fs::write(&secret, "password").unwrap();
    let read_at = || fs::metadata(&secret).unwrap().accessed().unwrap();
    let before = read_at();
    fs::read(&secret).unwrap();
    if read_at() == before {
        eprintln!("skipped: this file system keeps no time of reading");
        return;
    }
    // As old as a secret that nobody reads: the next reading is noted whatever the file system saves.
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3 * 86_400);
    fs::File::options().write(true).open(&secret).unwrap().set_times(fs::FileTimes::new().set_accessed(old)).unwrap();
    bench.with_flags(&["--unread", secret.to_str().unwrap()]);
    is_left_for(&mut bench, &after(&format!("cat {} > /dev/null\n", secret.display())), "credentials was read");
}

#[test]
fn a_crash_that_a_release_comes_through_is_told_and_the_release_is_proven_all_the_same() {
    let mut bench = Bench::new();
    let start = after("if [ ! -e \"$TIDEGATE_RUN/stumbled\" ]; then touch \"$TIDEGATE_RUN/stumbled\"; exit 3; fi\n");
    bench.offer("1.0.0", &start, 1);
    bench.start();
    let crashed = bench.server.wait_for_report("crashed");
    assert!(crashed.order.is_some() && crashed.detail.contains('3'), "{crashed:?}");
    bench.server.wait_for_report("proven");
    bench.stop();
}
