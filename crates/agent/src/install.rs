//! `tidegate-agent install`: sets a machine up as a device. Checks everything first, then writes, then starts the service.
//!
//! It writes three files below `--etc`: agent.toml, token.json and, where certificates are given, ca.pem. What is there already and
//! different is left as it is, unless told to replace it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use tidegate_domain::time::WallTime;

use crate::config::Flags;
use crate::layout::Home;
use crate::server::{ProxySettings, Server};
use crate::{clock, durable, enrol, os};

/// The packaged service, and the user that it runs as.
const SERVICE: &str = "tidegate-agent.service";
const USER: &str = "tidegate-agent";
/// Where the packaged service keeps the device's state.
const DATA: &str = "/var/lib/tidegate-agent";
/// Says that systemd runs this machine.
const SYSTEMD: &str = "/run/systemd/system";
/// How long the device has to enrol, once its service was started.
const ENROLLED_WITHIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(200);

/// How to set a machine up.
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    #[command(flatten)]
    flags: Flags,
    /// Where settings are written
    #[arg(long, value_name = "DIR", default_value = "/etc/tidegate")]
    etc: PathBuf,
    /// Replace settings that are there already
    #[arg(long)]
    replace: bool,
    /// Write the settings, and start nothing: for images
    #[arg(long)]
    no_start: bool,
}

/// Sets this machine up.
///
/// # Errors
/// When a setting cannot be used, another one is there, or the service does not start. Says what was done by then.
pub(crate) fn run(args: InstallArgs) -> anyhow::Result<()> {
    let mut flags = args.flags;
    let data = flags.data_or(DATA);
    let mut file = flags.into_file()?;
    let token =
        file.token.take().context("--token FILE is missing: right is what `tidegate device token create` wrote")?;
    let (_, _, invitation) = enrol::read_token(&token)?;
    if invitation.expires_at_ms <= clock::now(WallTime::default()) {
        bail!("{}: the token is past its life; make another with `tidegate device token create`", token.display());
    }
    let ca = file.ca.take();
    // The same checks as at each start, now, while somebody looks.
    Server::new(&invitation.endpoints, ca.as_deref(), &ProxySettings::default())?;
    fs::create_dir_all(&args.etc).with_context(|| format!("--etc {}", args.etc.display()))?;
    let kept = args.etc.join("token.json");
    file.token = Some(kept.clone());
    let mut writes = vec![(kept.clone(), read(&token)?)];
    if let Some(ca) = &ca {
        let kept = args.etc.join("ca.pem");
        writes.push((kept.clone(), read(ca)?));
        file.ca = Some(kept);
    }
    let settings = args.etc.join("agent.toml");
    writes.push((settings.clone(), toml::to_string(&file)?.into_bytes()));
    let other = |(path, bytes): &&(PathBuf, Vec<u8>)| fs::read(path).is_ok_and(|held| held != *bytes);
    if let Some((path, _)) = writes.iter().find(other).filter(|_| !args.replace) {
        bail!("{} is there already and says something else; --replace writes over it", path.display());
    }
    for (path, bytes) in &writes {
        let private = *path == kept;
        let written = if private { durable::write_private(path, bytes, "") } else { durable::write(path, bytes, "") };
        written?;
        if private {
            os::give_to(path, USER).with_context(|| format!("cannot give {} to {USER}", path.display()))?;
        }
        println!("wrote {}", path.display());
    }
    if args.no_start || !Path::new(SYSTEMD).exists() {
        println!(
            "to start the device: systemctl enable --now {SERVICE}, or tidegate-agent --config {}",
            settings.display()
        );
        return Ok(());
    }
    start(&data)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

fn start(data: &Path) -> anyhow::Result<()> {
    for words in [&["enable", SERVICE][..], &["restart", SERVICE]] {
        let status = Command::new("systemctl").args(words).status().context("cannot run systemctl")?;
        if !status.success() {
            bail!("systemctl {}: {}; journalctl -u {SERVICE} says more", words.join(" "), os::ending(status));
        }
    }
    println!("started {SERVICE}; waiting for the server");
    let (home, asked) = (Home::new(data), Instant::now());
    while !home.token().exists() {
        if asked.elapsed() >= ENROLLED_WITHIN {
            bail!(
                "not enrolled within {} s, and it goes on trying; journalctl -u {SERVICE} says why",
                ENROLLED_WITHIN.as_secs()
            );
        }
        thread::sleep(LOOK);
    }
    println!("enrolled; `tidegate-agent status` shows where it stands");
    Ok(())
}
