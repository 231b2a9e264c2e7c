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

#[test]
fn every_unit_is_exposed_no_further_than_promised() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("skipped: systemd-analyze is missing; apt-get install --no-install-recommends systemd");
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
