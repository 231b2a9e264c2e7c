//! The comparison: 60 devices with the naive updater, which fetches and applies at once and has no guard.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use tidegate_naive_updater::feed;
use tidegate_naive_updater::status::Status;
use tidegate_sensor::content;

use super::fleet::DEVICES;
use super::processes::Processes;
use super::summary::Unguarded;

/// How long a device that went down is given to come back by itself.
const GRACE: Duration = Duration::from_secs(5);

/// Gives 60 unguarded devices a good file and then the bad one, and counts.
pub(super) fn run(processes: &mut Processes, place: &Path) -> Result<Unguarded> {
    let place = place.join("unguarded");
    std::fs::create_dir_all(place.join("feed"))?;
    let feed = feed::serve(&place.join("feed"))?;
    feed.publish("1.1.0", &[(content::FILE_NAME, content::good("1.1.0").as_bytes())])?;
    for device in 0..DEVICES {
        start_device(processes, &place, device, &feed.url())?;
    }
    let statuses = || (0..DEVICES).filter_map(|device| Status::read(&place.join(device_name(device))).ok());
    processes.wait_for("the unguarded devices", Duration::from_secs(60), || {
        let up = statuses().filter(|status| status.running).count();
        Ok((up == DEVICES as usize).then_some(()))
    })?;
    feed.publish("1.2.0", &[(content::FILE_NAME, content::channel_file_291("1.2.0").as_bytes())])?;
    let down = |status: &Status| !status.running && status.crashes > 0;
    processes.wait_for("the bad file at every unguarded device", Duration::from_secs(60), || {
        Ok((statuses().filter(down).count() == DEVICES as usize).then_some(()))
    })?;
    let harmed = statuses().filter(down).count();
    // They are restarted all the while; whoever could come back by itself has had the time.
    let later = std::time::Instant::now() + GRACE;
    processes.wait_for("a last look", GRACE * 4, || Ok((std::time::Instant::now() >= later).then_some(())))?;
    let back = statuses().filter(|status| status.running).count();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Ok(Unguarded {
        devices: DEVICES,
        harmed: count(harmed),
        back_without_hands: count(back),
        need_hands: count(harmed.saturating_sub(back)),
    })
}

fn start_device(processes: &mut Processes, place: &Path, device: u32, feed: &str) -> Result<()> {
    let dir = place.join(device_name(device));
    std::fs::create_dir_all(&dir)?;
    let program = processes.program().as_os_str().to_owned();
    let health = dir.join("health.json");
    let words: Vec<OsString> = vec![
        "naive-updater".into(),
        "--feed".into(),
        feed.into(),
        "--dir".into(),
        dir.clone().into(),
        "--every-ms".into(),
        "1000".into(),
        "--".into(),
        program,
        "sensor".into(),
        "--health-file".into(),
        health.into(),
    ];
    processes.start(&words, &dir.join("log"))
}

fn device_name(device: u32) -> String {
    format!("device-{device:02}")
}
