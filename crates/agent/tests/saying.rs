//! What a payload says of itself, as under systemd, decides like any probe.

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::fleet::POLICY;

/// A payload that says these lines once, and then nothing. Perl is on every Debian.
fn saying(lines: &str) -> String {
    format!(
        "perl -MSocket -e 'socket(S, PF_UNIX, SOCK_DGRAM, 0) or die; \
         send(S, \"{lines}\", 0, pack_sockaddr_un($ENV{{NOTIFY_SOCKET}})) or die' || exit 1
exec sleep 600
"
    )
}

fn offered(bench: &Bench, lines: &str, probes: Value) {
    let change = move |manifest: &mut Value| manifest["probes"] = probes;
    bench.offer_changed("1.0.0", &[("start", saying(lines).as_bytes())], 1, POLICY, change);
}

#[test]
fn a_payload_that_says_that_it_is_ready_and_how_it_does_is_proven() {
    let mut bench = Bench::new();
    let number = json!({"kind": "number", "name": "queue", "at_most": 5, "fresh": "1h"});
    offered(&bench, "READY=1\\nX_TIDEGATE_NUMBER=queue 4.5", json!([{"kind": "notify", "watchdog": "1h"}, number]));
    bench.start();
    let proven = bench.server.wait_for_report("proven");
    assert_eq!(proven.numbers.get(&"queue".parse().unwrap()), Some(&4_500), "in thousandths");
    bench.stop();
}

fn returns_because(words: &str, lines: &str, probes: Value) {
    let mut bench = Bench::new();
    offered(&bench, lines, probes);
    bench.start();
    let failed = bench.server.wait_for_report("failed");
    assert!(failed.detail.contains(words), "{}", failed.detail);
    bench.server.wait_for_report("returned");
    assert_eq!(bench.pointer("current"), Some(bench.factory));
    bench.stop();
}

#[test]
fn a_payload_whose_number_leaves_its_bounds_returns() {
    let number = json!({"kind": "number", "name": "queue", "at_most": 5, "fresh": "1h"});
    let lines = "READY=1\\nX_TIDEGATE_NUMBER=queue 6";
    returns_because("number queue is 6", lines, json!([{"kind": "notify"}, number]));
}

#[test]
fn a_payload_that_no_longer_feeds_its_watchdog_returns() {
    returns_because("WATCHDOG=1", "READY=1", json!([{"kind": "notify", "watchdog": "300ms"}]));
}
