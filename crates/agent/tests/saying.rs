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

/// The first block of a language in the page that explains this to people.
fn example(language: &str) -> String {
    let page = include_str!("../../../docs/operate/health.md");
    let block = page.split(&format!("```{language}\n")).nth(1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

fn is_proven(files: &[(&str, &[u8])], probes: Value) {
    let mut bench = Bench::new();
    let release = bench.offer_changed("1.0.0", files, 1, POLICY, |manifest| manifest["probes"] = probes);
    bench.start();
    bench.wait_until("it is proven", |bench| bench.state() == "proven");
    assert_eq!(bench.pointer("current"), Some(release.digest));
    bench.stop();
}

fn says_ready_and_a_queue() -> Value {
    json!([{"kind": "notify", "watchdog": "5s"}, {"kind": "number", "name": "queue", "at_least": 0, "at_most": 9, "fresh": "5s"}])
}

#[test]
fn the_page_shows_a_rust_program_that_is_proven() {
    let folder = tempfile::tempdir().unwrap();
    let (source, program) = (folder.path().join("health.rs"), folder.path().join("health"));
    std::fs::write(&source, example("rust")).unwrap();
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let mut compile = std::process::Command::new(compiler);
    let compiled = compile.args(["--edition", "2024", "-O", "-o"]).arg(&program).arg(&source).output().unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let program = std::fs::read(program).unwrap();
    // The release's files keep no mode in this test: the loader of the system is asked to run it.
    let start = b"cp \"$TIDEGATE_SLOT/health\" \"$TIDEGATE_RUN/health\" && chmod +x \"$TIDEGATE_RUN/health\" && exec \"$TIDEGATE_RUN/health\"\n";
    is_proven(&[("start", start), ("health", &program)], says_ready_and_a_queue());
}

#[test]
fn the_page_shows_a_python_program_that_is_proven() {
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: python3 is missing; apt-get install --no-install-recommends python3-minimal");
        return;
    }
    let start = b"exec python3 \"$TIDEGATE_SLOT/health.py\"\n";
    is_proven(&[("start", start), ("health.py", example("python").as_bytes())], says_ready_and_a_queue());
}

#[test]
fn the_page_shows_a_shell_script_that_is_proven() {
    let probes = json!([{"kind": "health_file", "path": "health.json", "fresh": "5s"}]);
    is_proven(&[("start", example("sh").as_bytes())], probes);
    let systemd = std::process::Command::new("systemd-notify").arg("--version").output().is_ok();
    if !systemd {
        println!("skipped: the numbers of the shell script; apt-get install --no-install-recommends systemd");
        return;
    }
    is_proven(&[("start", example("sh").as_bytes())], says_ready_and_a_queue());
}
