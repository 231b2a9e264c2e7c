//! `cargo xtask debs`: the Debian packages of server, agent and guard, built into `target/debian`; agent and guard are static where they can be
//! built so. The tool that builds them is installed
//! below `target/` where it is missing; nothing else outside the workspace is touched.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::device::{self, Device};

const TOOL: &str = "cargo-deb";
const TOOL_VERSION: &str = "3.8.0";

/// Package of the workspace and variant, in the order in which they are built.
const PACKAGES: &[(&str, Option<&str>)] =
    &[("tidegate-agent", Some("guard")), ("tidegate-agent", None), ("tidegate", None)];

/// Which programs go into the packages.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Programs {
    /// Those that are built for them.
    Own,
    /// Those that the tests run: where tests are built too, nothing is built twice.
    OfTests,
}

/// Builds all packages and names them. `version` is that of the packages; that of the workspace where it is left out.
pub(crate) fn build(root: &Path, version: Option<&str>, programs: Programs) -> anyhow::Result<Vec<PathBuf>> {
    let tool = tool(root)?;
    let made_by: &[&str] = match programs {
        Programs::Own => &["build", "--release", "--locked", "-p", "tidegate", "-p", "tidegate-agent"],
        Programs::OfTests => &["test", "--release", "--locked", "--workspace", "--no-run", "--quiet"],
    };
    cargo(root, made_by)?;
    let device = device::build(root)?;
    if let Device::Missing(what) = &device {
        println!("agent and guard need this system's C library: {what}");
    }
    let mut made = Vec::new();
    for (package, variant) in PACKAGES {
        let mut command = Command::new(&tool);
        command.current_dir(root).args([
            "deb",
            "--no-build",
            "--quiet",
            "--strip",
            "--no-separate-debug-symbols",
            "--output",
            "target/debian/",
            "-p",
            package,
        ]);
        if let Some(variant) = variant {
            command.args(["--variant", variant]);
        }
        if let (Device::Made { target, .. }, "tidegate-agent") = (&device, *package) {
            command.args(["--target", target, "--profile", device::PROFILE]);
        }
        if let Some(version) = version {
            command.args(["--deb-version", version]);
        }
        let output = command.output().with_context(|| format!("cannot start {}", tool.display()))?;
        let problem = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cargo deb -p {package}: {problem}");
        let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        println!("{}", path.strip_prefix(root).unwrap_or(&path).display());
        made.push(path);
    }
    Ok(made)
}

fn tool(root: &Path) -> anyhow::Result<PathBuf> {
    let folder = root.join("target/tools");
    let tool = folder.join("bin").join(TOOL);
    let says = Command::new(&tool).arg("--version").output();
    if says.is_ok_and(|says| String::from_utf8_lossy(&says.stdout).contains(TOOL_VERSION)) {
        return Ok(tool);
    }
    println!("installing {TOOL} {TOOL_VERSION} below target/tools");
    let folder = folder.to_string_lossy().into_owned();
    cargo(root, &["install", TOOL, "--version", TOOL_VERSION, "--locked", "--quiet", "--root", &folder])?;
    Ok(tool)
}

fn cargo(root: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).current_dir(root).args(arguments).status().context("cannot start cargo")?;
    ensure!(status.success(), "cargo {} ended with {status}", arguments.join(" "));
    Ok(())
}
