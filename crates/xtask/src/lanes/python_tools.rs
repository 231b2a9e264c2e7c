//! The lane python-tools: axe-core, schemathesis and oidc-provider-mock, from PyPI into `target/python`, at fixed versions. Tests that use them are skipped, and
//! say so, where they are not there. It does nothing, and asks no network, when what is there is what is listed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::lane_result::Outcome;

/// What is fetched, with versions, and the note of what is there.
const LISTED: &str = "crates/xtask/python-tools.txt";
const THERE: &str = "target/python/listed.txt";

pub(super) fn run(root: &Path) -> anyhow::Result<Outcome> {
    let listed = fs::read_to_string(root.join(LISTED)).with_context(|| LISTED.to_owned())?;
    if fs::read_to_string(root.join(THERE)).is_ok_and(|there| there == listed) {
        return Ok(Outcome::Passed { note: "all of it is there".to_owned() });
    }
    let venv = root.join("target/python");
    if !succeeds(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))? {
        let reason =
            "python3 makes no virtual environment: axe-core, schemathesis and oidc-provider-mock do nothing".to_owned();
        return Ok(Outcome::Skipped { reason, install: "apt-get install python3-venv".to_owned() });
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"];
    if !succeeds(Command::new(venv.join("bin/python")).args(pip).arg(root.join(LISTED)))? {
        let reason =
            "pip could not fetch all of it: axe-core, schemathesis and oidc-provider-mock do nothing".to_owned();
        return Ok(Outcome::Skipped { reason, install: format!("pip install -r {LISTED}") });
    }
    fs::write(root.join(THERE), &listed).with_context(|| THERE.to_owned())?;
    Ok(Outcome::Passed { note: format!("{} packages", listed.lines().filter(|line| line.contains("==")).count()) })
}

/// Whether a command ran and ended well; not where there is no such program.
fn succeeds(command: &mut Command) -> anyhow::Result<bool> {
    match command.stdin(Stdio::null()).status() {
        Ok(status) => Ok(status.success()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("{command:?}")),
    }
}
