//! The systemd units that are shipped: valid, and walled in as far as was promised. Skipped by name where systemd's tools are missing.

use std::path::PathBuf;
use std::process::Command;

/// At most so much exposure, in tenths.
const EXPOSURE_MAX: &str = "25";

fn units() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/systemd");
    let mut units: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    units.sort();
    units
}

fn has_systemd() -> bool {
    let there = Command::new("systemd-analyze").arg("--version").output().is_ok();
    if !there {
        println!("skipped: systemd-analyze is missing; apt-get install --no-install-recommends systemd");
    }
    there
}

/// Held by systemd itself against what it knows; the programs need not be installed for it.
#[test]
fn every_unit_says_only_what_systemd_understands() {
    if !has_systemd() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for unit in units() {
        let text = std::fs::read_to_string(&unit).unwrap();
        let name = unit.file_name().unwrap().to_str().unwrap().replace("@.", "@sensor-content.");
        let program =
            |word: &str| if word.contains("=/usr/bin/tidegate") { "ExecStart=/bin/true" } else { word }.to_owned();
        let text: Vec<String> =
            text.lines().map(|line| line.split(' ').map(program).collect::<Vec<_>>().join(" ")).collect();
        let copy = folder.path().join(name);
        std::fs::write(&copy, text.join("\n")).unwrap();
        let mut command = Command::new("systemd-analyze");
        let said = command.args(["verify", "--man=no", "--recursive-errors=no"]).arg(&copy).output().unwrap();
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.success() && text.is_empty(), "{}: {text}", unit.display());
    }
}

#[test]
fn every_unit_is_exposed_no_further_than_promised() {
    if !has_systemd() {
        return;
    }
    let units = units();
    assert_eq!(units.len(), 3, "{units:?}");
    for unit in units {
        let mut command = Command::new("systemd-analyze");
        command.args(["security", "--offline=yes", "--no-pager", "--threshold", EXPOSURE_MAX]).arg(&unit);
        let said = command.output().unwrap();
        let text = String::from_utf8_lossy(&said.stdout);
        let figure = text.lines().rfind(|line| line.contains("exposure")).unwrap_or_default().to_owned();
        assert!(said.status.success(), "{}: {figure}", unit.display());
        println!("{figure}");
    }
}
