//! The Windows lane: `cargo check` of the agent for Windows, where the target and its C compiler are installed.
//! Elsewhere it is skipped by name; the tidy lane's list of OS-specific calls stands in for it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

use super::cargo;
use crate::lane_result::Outcome;

const TARGET: &str = "x86_64-pc-windows-gnu";
/// Some dependencies compile C, so the check needs a compiler for the target as well.
const C_COMPILER: &str = "x86_64-w64-mingw32-gcc";

/// Checks the agent for Windows, or says what is missing for that.
pub(super) fn run(root: &Path) -> anyhow::Result<Outcome> {
    if !target_libdir(root)?.is_some_and(|dir| dir.exists()) {
        return Ok(Outcome::Skipped {
            reason: format!("the target {TARGET} is not installed"),
            install: format!("rustup target add {TARGET}"),
        });
    }
    if !starts(C_COMPILER) {
        return Ok(Outcome::Skipped {
            reason: format!("{C_COMPILER} is not installed"),
            install: "sudo apt-get install gcc-mingw-w64-x86-64".to_owned(),
        });
    }
    cargo::check(root, &["check", "--release", "--target", TARGET, "-p", "tidegate-agent"])
}

fn target_libdir(root: &Path) -> anyhow::Result<Option<PathBuf>> {
    let answer = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(root)
        .output()
        .context("cannot start rustc")?;
    let path = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    Ok((answer.status.success() && !path.is_empty()).then(|| PathBuf::from(path)))
}

fn starts(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
