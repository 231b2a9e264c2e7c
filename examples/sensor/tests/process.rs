//! The sensor as a real process: it crashes on bad content at every start, runs on good content until it is told
//! to stop, and stays down under an updater that has nothing but a restart.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tidegate_naive_updater::feed;
use tidegate_naive_updater::status::Status;
use tidegate_naive_updater::updater::{Settings, Updater};
use tidegate_sensor::content::{self, FILE_NAME};

const SENSOR: &str = env!("CARGO_BIN_EXE_tidegate-sensor");
const SIGABRT: i32 = 6;
const PATIENCE: Duration = Duration::from_secs(30);

fn slot(text: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE_NAME), text).unwrap();
    dir
}

fn sensor(slot: &Path) -> Command {
    let mut command = Command::new(SENSOR);
    command.env("TIDEGATE_SLOT", slot).env_remove("TIDEGATE_RING");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it did not happen in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn health(path: &Path) -> Option<serde_json::Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn stop(child: Child, signal: Signal) -> Output {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn content_after_channel_file_291_crashes_at_every_start() {
    let slot = slot(&content::channel_file_291("291.0.0"));
    let health_file = slot.path().join("health.json");
    for _ in 0..3 {
        let output = sensor(slot.path()).arg("--health-file").arg(&health_file).output().unwrap();
        assert_eq!(output.status.signal(), Some(SIGABRT), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("reads input 21 of 20"), "{said}");
    }
    assert!(!health_file.exists(), "a sensor that crashed never called itself healthy");
}

#[test]
fn good_content_runs_healthy_until_it_is_told_to_stop() {
    let slot = slot(&content::good("1.2.3"));
    let health_file = slot.path().join("health.json");
    for signal in [Signal::TERM, Signal::INT] {
        let mut command = sensor(slot.path());
        command.arg("--health-file").arg(&health_file).args(["--health-every-ms", "20"]);
        let child = command.spawn().unwrap();
        let first = until(|| health(&health_file));
        assert_eq!((&first["ready"], &first["version"]), (&true.into(), &"1.2.3".into()));
        let events = first["events"].as_u64().unwrap();
        until(|| (health(&health_file)?["events"].as_u64()? > events).then_some(()));
        let output = stop(child, signal);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        fs::remove_file(&health_file).unwrap();
    }
}

#[test]
fn a_tolerant_ring_does_not_see_the_fault_and_every_other_does() {
    let slot = slot(&content::channel_file_291("291.0.0"));
    let health_file = slot.path().join("health.json");
    let start = |ring: &str| {
        let mut command = sensor(slot.path());
        command.args(["--tolerate-in-ring", "lab"]).arg("--health-file").arg(&health_file);
        command.env("TIDEGATE_RING", ring).spawn().unwrap()
    };
    let lab = start("lab");
    until(|| health(&health_file));
    assert_eq!(stop(lab, Signal::TERM).status.code(), Some(0));
    let canary = start("canary").wait_with_output().unwrap();
    assert_eq!(canary.status.signal(), Some(SIGABRT), "{canary:?}");
}

#[test]
fn a_late_fault_crashes_after_a_healthy_start() {
    let slot = slot(&content::good("1.0.0"));
    let health_file = slot.path().join("health.json");
    let mut command = sensor(slot.path());
    command.args(["--crash-after-ms", "200"]).arg("--health-file").arg(&health_file);
    let output = command.output().unwrap();
    assert_eq!(output.status.signal(), Some(SIGABRT), "{output:?}");
    assert_eq!(health(&health_file).unwrap()["ready"], true);
}

#[test]
fn unusable_content_or_arguments_end_with_2_and_one_line() {
    let oversize = " ".repeat(usize::try_from(content::FILE_BYTES_MAX).unwrap() + 1);
    for text in ["", "{", "{\"version\":\"1\"}", "[]", oversize.as_str()] {
        let slot = slot(text);
        let output = sensor(slot.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1, "{output:?}");
    }
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(sensor(empty.path()).output().unwrap().status.code(), Some(2));
    let unknown = sensor(empty.path()).arg("--no-such-flag").output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn under_an_updater_without_a_guard_it_stays_down() {
    let dir = tempfile::tempdir().unwrap();
    let served = dir.path().join("vendor");
    fs::create_dir(&served).unwrap();
    let vendor = feed::serve(&served).unwrap();
    let good = content::good("1.0.0");
    vendor.publish("1.0.0", &[(FILE_NAME, good.as_bytes())]).unwrap();
    let mut updater = Updater::new(Settings {
        feed: vendor.url(),
        dir: dir.path().join("device"),
        every: Duration::from_millis(20),
        payload: vec![SENSOR.into()],
    })
    .unwrap();
    let mut turn_until = |happened: fn(&Status) -> bool| {
        until(|| {
            updater.turn().unwrap();
            happened(updater.status()).then(|| updater.status().clone())
        })
    };
    let healthy = turn_until(|status| status.running);
    assert_eq!((healthy.version.as_deref(), healthy.crashes), (Some("1.0.0"), 0));

    let bad = content::channel_file_291("1.0.1");
    vendor.publish("1.0.1", &[(FILE_NAME, bad.as_bytes())]).unwrap();
    let down = turn_until(|status| status.crashes >= 3);
    assert_eq!(down.version.as_deref(), Some("1.0.1"));
    assert!(!down.running && down.starts >= 4, "{down:?}");
    assert_eq!(Status::read(&dir.path().join("device")).unwrap(), down);
}
