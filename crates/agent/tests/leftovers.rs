//! P3, P6: the agent alone is killed by force. What its payload leaves behind must cost the device no release, and a payload that
//! kills its agent must not be excused for it.

use crate::bench::{Bench, probed};
use crate::fleet::POLICY;

/// A payload whose first process takes what only one can have, as a port is, and whose worker has it too.
fn payload(worker: &str) -> String {
    format!(
        "exec 9> \"$TIDEGATE_RUN/port\"
flock -n 9 || {{ echo 'the port is taken'; exit 1; }}
{worker} &
echo '{{\"ready\": true}}' > \"$TIDEGATE_RUN/health.json\"
wait
"
    )
}

/// Workers that inherit all; that clear their environment (or write over it, as some do for a title); that close what they inherit.
const WORKERS: [&str; 3] = [
    "sleep 600",
    "env -i sleep 600",
    "bash -c 'for fd in /proc/self/fd/???; do eval \"exec ${fd##*/}<&-\"; done; exec sleep 600'",
];

fn survives_with(worker: &str) {
    let mut bench = Bench::new();
    let policy = POLICY.replace("for = \"1s\"", "for = \"5s\"");
    let release = bench.offer_changed("1.0.0", &[("start", payload(worker).as_bytes())], 1, &policy, probed);
    bench.start();
    bench.server.wait_for_report("proven");
    let starts = bench.attempts()["starts"].as_u64().unwrap();
    bench.kill();
    bench.start();
    bench.wait_until("started again", |b| b.attempts()["starts"].as_u64() > Some(starts));
    // Healthy for the whole of `prove.for` again: only then the one attempt is forgotten.
    let mut most = 0;
    bench.wait_until("the attempt is forgotten", |b| {
        let count = b.attempts()["count"].as_u64().unwrap_or(0);
        most = most.max(count);
        most > 0 && count == 0
    });
    assert_eq!(most, 1, "one start whose predecessor did not end in order: {}", bench.log());
    assert_eq!(bench.attempts()["starts"].as_u64(), Some(starts + 1), "{}", bench.log());
    assert_eq!((bench.pointer("current"), bench.state().as_str()), (Some(release.digest), "proven"));
    assert!(!bench.log().contains("the port is taken"));
    bench.stop();
}

#[test]
fn workers_that_outlive_an_agent_killed_by_force_cost_one_attempt_and_no_release() {
    std::thread::scope(|scope| {
        for worker in WORKERS {
            scope.spawn(move || survives_with(worker));
        }
    });
}

#[test]
fn a_release_that_kills_its_agent_is_left_after_three_starts() {
    for (when, start) in [("at once", "kill -9 $PPID\nexec sleep 600\n"), ("once proven", "")] {
        let mut bench = Bench::new();
        // The second one is harmless until it was proven; then something makes it kill its agent at each start.
        let later = b"test -e \"$TIDEGATE_RUN/evil\" && kill -9 $PPID
echo '{\"ready\": true}' > \"$TIDEGATE_RUN/health.json\"
exec sleep 600
";
        let script = if start.is_empty() { &later[..] } else { start.as_bytes() };
        bench.offer("1.0.0", script, 1);
        bench.start();
        if start.is_empty() {
            bench.server.wait_for_report("proven");
            std::fs::write(bench.package().join("run/evil"), "").unwrap();
            bench.kill();
            bench.start();
        }
        let factory = bench.factory;
        bench.wait_until(when, |b| {
            if b.has_ended() {
                b.start();
            }
            b.server.with(|w| w.reports.values().any(|r| r.observation.word() == "returned"))
        });
        assert_eq!(bench.pointer("current"), Some(factory), "{when}");
        assert_eq!(bench.attempts()["returned"]["attempts"], 3, "{when}");
        bench.stop();
    }
}

#[test]
fn a_hook_after_a_supervised_payload_finds_nothing_of_it() {
    let mut bench = Bench::new();
    let first = bench.offer("1.0.0", payload(WORKERS[0]).as_bytes(), 1);
    bench.start();
    bench.server.wait_for_report("proven");
    let hook = |manifest: &mut serde_json::Value| {
        manifest["activation"] = serde_json::json!({"kind": "hook", "command": ["/bin/sh", "{slot}/start"]});
        manifest["probes"] = serde_json::json!([]);
    };
    let take_port: &[u8] = b"exec 9> \"$TIDEGATE_RUN/port\"\nflock -n 9\n";
    let second = bench.offer_changed("2.0.0", &[("start", take_port)], 2, POLICY, hook);
    assert_eq!(bench.pointer("current"), Some(first.digest));
    bench.kill();
    // It dies where the machine says that the hook is to be run, and before the payload that ran was stopped.
    bench.start_with_drill("state-activating");
    bench.wait_until("killed before the hook", |b| b.has_ended());
    bench.kill();
    bench.start();
    bench.wait_until("proven", |b| b.state() == "proven" && b.pointer("current") == Some(second.digest));
    bench.stop();
}

#[test]
fn a_second_agent_on_the_same_folder_is_refused() {
    let mut bench = Bench::new();
    bench.start();
    bench.wait_until("the payload runs", |b| b.package().join("run/health.json").exists());
    let starts = bench.attempts()["starts"].clone();
    let second = bench.agent().stderr(std::process::Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("another agent runs on this data folder"), "{said}");
    assert_eq!(bench.attempts()["starts"], starts, "and it touched nothing");
    bench.stop();
}
