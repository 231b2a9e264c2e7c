//! The naive updater as a real process: it applies what the feed offers at once, goes on restarting what crashes,
//! and takes its payload with it when it is told to stop.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tidegate_naive_updater::feed::{self, FeedServer};
use tidegate_naive_updater::status::Status;
use tidegate_naive_updater::updater::{Settings, Updater};

const UPDATER: &str = env!("CARGO_BIN_EXE_tidegate-naive-updater");
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes its process id, then runs until it is ended; dies at once where the content says `bad`.
const PAYLOAD: &str = r#"echo $$ > "$TIDEGATE_SLOT/../pid.new" && mv "$TIDEGATE_SLOT/../pid.new" "$TIDEGATE_SLOT/../pid"
grep -q bad "$TIDEGATE_SLOT/content" && kill -ABRT $$
exec sleep 600"#;

/// An updater that is ended with the test, also when the test fails.
struct Running(Child);

impl Running {
    fn start(vendor: &FeedServer, dir: &Path) -> Self {
        let mut command = Command::new(UPDATER);
        command.args(["--feed", &vendor.url(), "--every-ms", "20"]).arg("--dir").arg(dir);
        Self(command.args(["--", "sh", "-c", PAYLOAD]).spawn().unwrap())
    }

    fn stop(&mut self) -> Option<i32> {
        kill_process(pid(self.0.id()), Signal::TERM).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM, so that the payload goes too; an updater that has been waited for is not signalled again.
        if let Ok(None) = self.0.try_wait() {
            self.stop();
        }
    }
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
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

fn status_until(dir: &Path, happened: impl Fn(&Status) -> bool) -> Status {
    until(|| Status::read(dir).ok().filter(&happened))
}

#[test]
fn a_bad_version_is_taken_at_once_and_the_crash_count_grows() {
    let dir = tempfile::tempdir().unwrap();
    let (served, device) = (dir.path().join("vendor"), dir.path().join("device"));
    fs::create_dir(&served).unwrap();
    let vendor = feed::serve(&served).unwrap();
    vendor.publish("1", &[("content", b"good")]).unwrap();
    let mut updater = Running::start(&vendor, &device);
    let healthy = status_until(&device, |status| status.running);
    assert_eq!((healthy.version.as_deref(), healthy.starts, healthy.crashes), (Some("1"), 1, 0));

    vendor.publish("2", &[("content", b"bad")]).unwrap();
    let down = status_until(&device, |status| status.crashes >= 2);
    assert_eq!(down.version.as_deref(), Some("2"));
    assert!(!down.running, "{down:?}");
    status_until(&device, |status| status.crashes > down.crashes && !status.running);
    assert_eq!(updater.stop(), Some(0));
}

#[test]
fn the_payload_dies_with_the_updater() {
    let dir = tempfile::tempdir().unwrap();
    let (served, device) = (dir.path().join("vendor"), dir.path().join("device"));
    fs::create_dir(&served).unwrap();
    let vendor = feed::serve(&served).unwrap();
    vendor.publish("1", &[("content", b"good")]).unwrap();
    let mut updater = Running::start(&vendor, &device);
    status_until(&device, |status| status.running);
    let payload = fs::read_to_string(device.join("pid")).unwrap().trim().parse().unwrap();
    assert!(test_kill_process(pid(payload)).is_ok());
    assert_eq!(updater.stop(), Some(0));
    assert!(test_kill_process(pid(payload)).is_err());
}

#[test]
fn a_feed_that_leads_out_of_the_folder_or_does_not_parse_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (served, device) = (dir.path().join("vendor"), dir.path().join("device"));
    fs::create_dir(&served).unwrap();
    let vendor = feed::serve(&served).unwrap();
    vendor.publish("1", &[("content", b"good")]).unwrap();
    // Without a pause between two asks, every turn looks at the feed as it is.
    let mut updater = Updater::new(Settings {
        feed: vendor.url(),
        dir: device.clone(),
        every: Duration::ZERO,
        payload: ["sh", "-c", PAYLOAD].map(Into::into).to_vec(),
    })
    .unwrap();
    updater.turn().unwrap();
    assert_eq!(updater.status().version.as_deref(), Some("1"));

    let feed_file = served.join(feed::FEED_NAME);
    let feed = fs::read_to_string(&feed_file).unwrap().replace("\"version\":\"1\"", "\"version\":\"2\"");
    let escaping = feed.replace("\"path\":\"content\"", "\"path\":\"../escaped\"");
    let forged = feed.replace("\"sha256\":\"", "\"sha256\":\"00");
    for bad in [escaping.as_str(), forged.as_str(), "{", ""] {
        assert_ne!(bad, feed);
        fs::write(&feed_file, bad).unwrap();
        updater.turn().unwrap();
        assert_eq!(updater.status().version.as_deref(), Some("1"), "{bad}");
        assert_eq!(fs::read(device.join("content/content")).unwrap(), b"good");
    }
    assert!(!device.join("escaped").exists());
    fs::write(&feed_file, &feed).unwrap();
    updater.turn().unwrap();
    assert_eq!(updater.status().version.as_deref(), Some("2"));
}
