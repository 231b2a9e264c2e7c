//! What an idle agent costs a device: `cargo bench -p tidegate --bench idle`, after `cargo xtask device`. A real server, a real agent with one
//! package, one check-in a minute. `TIDEGATE_BENCH_AGENT` names another agent, `TIDEGATE_BENCH_SECONDS` says how long to look (240).
//!
//! Prints each figure beside what is asked of it, and judges nothing: machines differ.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use serde_json::Value;

const TIDEGATE: &str = env!("CARGO_BIN_EXE_tidegate");
/// The kernel's unit of a process's time, a second's part.
const TICKS_A_SECOND: f64 = 100.0;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

fn main() {
    let agent = agent();
    let seconds = env::var("TIDEGATE_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(240.0);
    let folder = tempfile::tempdir().unwrap();
    let (_server, url) = server(folder.path());
    let token =
        ["device", "token", "create", "--key", "enrolment", "--ring", "lab", "--endpoint", &url, "--out", "token"];
    tidegate(folder.path(), &token);
    let mut command = Command::new(&agent);
    command.args([
        "--data",
        "device",
        "--token",
        "token",
        "--device",
        "dev-1",
        "--payload",
        "content=/bin/sleep 86400",
    ]);
    let device = Running(quiet(&mut command, folder.path()).spawn().expect("the agent starts"));
    // What a start costs is not what idling costs.
    thread::sleep(Duration::from_secs(10));
    let (begun, before) = (Instant::now(), ticks(device.0.id()));
    thread::sleep(Duration::from_secs_f64(seconds));
    let used = (ticks(device.0.id()) - before) / TICKS_A_SECOND / begun.elapsed().as_secs_f64();
    let resident = |name| kib(device.0.id(), name) / 1_024.0;
    println!("{}", agent.display());
    println!("size: {:.2} MiB of 5 MiB", fs::metadata(&agent).unwrap().len() as f64 / f64::from(1 << 20));
    println!("resident: {:.2} MiB of 4 MiB, its own {:.2} MiB of that", resident("VmRSS:"), resident("RssAnon:"));
    println!("CPU: {:.3} % of a core of 0.1 %, over {seconds} s", used * 100.0);
}

fn agent() -> PathBuf {
    if let Some(given) = env::var_os("TIDEGATE_BENCH_AGENT") {
        return given.into();
    }
    let target = Path::new(TIDEGATE).ancestors().nth(2).unwrap().to_owned();
    let agent = target.join(format!("{}-unknown-linux-musl/device/tidegate-agent", env::consts::ARCH));
    assert!(agent.exists(), "{}: run `cargo xtask device` first, or set TIDEGATE_BENCH_AGENT", agent.display());
    agent
}

fn quiet<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.env("XDG_CONFIG_HOME", folder.join("config")).env("TIDEGATE_KEY_DIR", "fleet/offline");
    command.env("TIDE_PASS", "a passphrase for this bench").env("TIDEGATE_PASSPHRASE_ENV", "TIDE_PASS")
}

fn tidegate(folder: &Path, arguments: &[&str]) {
    let status = quiet(Command::new(TIDEGATE).args(arguments), folder).status().unwrap();
    assert!(status.success(), "tidegate {}: {status}", arguments.join(" "));
}

/// A server with a fleet of its own, and where it listens.
fn server(folder: &Path) -> (Running, String) {
    tidegate(folder, &["trust", "init", "--dir", "fleet"]);
    let up = ["up", "--data", "data", "--fleet", "fleet/server", "--listen", "127.0.0.1:0", "--check-in", "60s"];
    let mut command = Command::new(TIDEGATE);
    command.args(up).args(["--announce", "server.json"]);
    let running = Running(quiet(&mut command, folder).spawn().unwrap());
    let begun = Instant::now();
    let announced = loop {
        let text = fs::read(folder.join("server.json")).unwrap_or_default();
        if let Ok(announced) = serde_json::from_slice::<Value>(&text) {
            break announced;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "the server does not start");
        thread::sleep(Duration::from_millis(100));
    };
    let word = |name: &str| announced[name].as_str().unwrap().to_owned();
    tidegate(folder, &["login", &word("url"), "--code", &word("login_code")]);
    tidegate(folder, &["package", "add", "content", "--publisher-key", "publisher-1", "--targets-key", "targets"]);
    (running, word("url"))
}

/// The time that a process used, in ticks.
fn ticks(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the agent runs");
    let after_name = stat.rsplit(')').next().unwrap();
    after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap()).sum()
}

fn kib(process: u32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the agent runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
