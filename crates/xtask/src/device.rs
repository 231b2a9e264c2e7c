//! `cargo xtask device`: agent and guard as static programs, made small, that run on any Linux of their machine, whatever its C library.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// Where the programs are, or why they cannot be made here.
#[derive(Debug)]
pub(crate) enum Device {
    /// Made.
    Made {
        /// What they were made for.
        target: String,
        /// The folder with `tidegate-agent` and `tidegate-guard`.
        folder: PathBuf,
    },
    /// Something is missing.
    Missing(String),
}

/// The profile of the workspace's `Cargo.toml` that makes them small.
pub(crate) const PROFILE: &str = "device";

/// Builds both for this machine's processor.
pub(crate) fn build(root: &Path) -> anyhow::Result<Device> {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let compiler = format!("{}-linux-musl-gcc", std::env::consts::ARCH);
    if !is_there(&compiler) && !is_there("musl-gcc") {
        return Ok(Device::Missing(format!("{compiler} is missing: apt-get install musl-tools")));
    }
    if !has_target(&target) {
        return Ok(Device::Missing(format!("rustup target add {target}: failed")));
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args([
        "build",
        "--locked",
        "-p",
        "tidegate-agent",
        "--profile",
        PROFILE,
        "--target",
        &target,
    ]);
    let status = command.status().context("cannot start cargo")?;
    ensure!(status.success(), "the static build of the agent ended with {status}");
    let folder = root.join("target").join(&target).join(PROFILE);
    Ok(Device::Made { target, folder })
}

fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Whether the compiler has the target's standard library; asks rustup for it where it is missing.
fn has_target(target: &str) -> bool {
    let rustup =
        |verb: &str| Command::new("rustup").args(["target", verb]).args((verb == "add").then_some(target)).output();
    let has = rustup("list").is_ok_and(|listed| {
        String::from_utf8_lossy(&listed.stdout).lines().any(|line| line == format!("{target} (installed)"))
    });
    has || rustup("add").is_ok_and(|added| added.status.success())
}
