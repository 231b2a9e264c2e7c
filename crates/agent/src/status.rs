//! `tidegate-agent status`: who this device is and where its packages stand. Reads the data folder, asks nobody, changes nothing.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, PackageName, Version};

use crate::config::File;
use crate::enrol;
use crate::layout::{Home, PackageDir};

/// Where the packaged service has its settings.
const CONFIG: &str = "/etc/tidegate/agent.toml";

/// Which device to look at.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The agent's settings, which name the data folder
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
    /// The device's folder, instead of the one that the settings name
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Status {
    /// None before the device enrolled.
    device: Option<DeviceId>,
    fleet: Option<Digest>,
    servers: Vec<String>,
    /// Whether the server gave it a token.
    enrolled: bool,
    /// Whether an agent runs on the folder.
    running: bool,
    packages: Vec<PackageLine>,
}

#[derive(Debug, Serialize)]
struct PackageLine {
    package: PackageName,
    /// The device machine's word.
    state: String,
    current: Option<Slot>,
    fallback: Option<Slot>,
    /// Starts that count against what is current.
    attempts: u32,
    /// Neither release nor fallback runs.
    needs_hands: bool,
}

#[derive(Debug, Serialize)]
struct Slot {
    release: Digest,
    /// None where the manifest is gone.
    version: Option<Version>,
}

/// Prints it.
///
/// # Errors
/// When the data folder cannot be read.
pub(crate) fn run(args: &StatusArgs) -> anyhow::Result<()> {
    let data = match &args.data {
        Some(data) => data.clone(),
        None => File::read(&args.config)?.data.with_context(|| format!("{}: no data folder", args.config.display()))?,
    };
    let status = look(&data)?;
    let text = if args.json { serde_json::to_string(&status)? } else { lines(&status) };
    // A pipe that nobody reads any more is no fault.
    let _ = writeln!(io::stdout(), "{text}");
    Ok(())
}

fn look(data: &Path) -> anyhow::Result<Status> {
    let home = Home::new(std::path::absolute(data)?);
    let known = std::fs::metadata(home.dir()).with_context(|| format!("--data {}", data.display()))?;
    anyhow::ensure!(known.is_dir(), "--data {}: expected a device's folder", data.display());
    let identity = enrol::held_identity(&home)?;
    let folders = std::fs::read_dir(home.dir().join("packages")).into_iter().flatten().flatten();
    let mut names: Vec<PackageName> =
        folders.filter_map(|folder| folder.file_name().to_str().and_then(|name| name.parse().ok())).collect();
    names.sort();
    Ok(Status {
        device: identity.as_ref().map(|(device, _)| device.clone()),
        fleet: identity.as_ref().map(|(_, token)| token.fleet),
        servers: identity.map(|(_, token)| token.endpoints).unwrap_or_default(),
        enrolled: home.token().exists(),
        running: home.is_held(),
        packages: names.into_iter().map(|name| line(&home.package(&name), name)).collect::<Result<_, _>>()?,
    })
}

fn line(dir: &PackageDir, package: PackageName) -> anyhow::Result<PackageLine> {
    let pointers = dir.pointers();
    let machine = dir.machine()?.map(|(machine, _)| machine);
    let slot = |release: Digest| Slot { release, version: dir.manifest(release).map(|manifest| manifest.version) };
    Ok(PackageLine {
        package,
        state: machine.as_ref().map_or("idle", |machine| machine.state.word()).to_owned(),
        current: pointers.current.map(slot),
        fallback: pointers.fallback.map(slot),
        attempts: dir.attempts().map_or(0, |attempts| attempts.count),
        needs_hands: machine.is_some_and(|machine| machine.needs_hands),
    })
}

fn lines(status: &Status) -> String {
    let device =
        status.device.as_ref().map_or_else(|| "not enrolled yet".to_owned(), |device| format!("device {device}"));
    let known = if status.enrolled { "enrolled" } else { "without a token from the server" };
    let runs = if status.running { "its agent runs" } else { "no agent runs" };
    let mut lines = vec![format!("{device}, {known}; {runs}"), format!("servers: {}", status.servers.join(", "))];
    for line in &status.packages {
        let shown = |slot: &Option<Slot>| {
            slot.as_ref().map_or_else(
                || "none".to_owned(),
                |slot| {
                    slot.version
                        .as_ref()
                        .map_or_else(|| slot.release.short(), |v| format!("{v} ({})", slot.release.short()))
                },
            )
        };
        let hands = if line.needs_hands { ", NEEDS HANDS" } else { "" };
        lines.push(format!(
            "{}: {}, runs {}, returns to {}, {} attempts{hands}",
            line.package,
            line.state,
            shown(&line.current),
            shown(&line.fallback),
            line.attempts
        ));
    }
    lines.join("\n")
}
