//! Runs cargo for the lanes: plain checks, and test runs whose output is passed on line by line and counted.
//! It never hides what cargo prints.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::Context;

use super::LaneEnd;
use crate::lane_result::{Outcome, Tally};

/// Arguments of the clippy lane.
pub(super) const CLIPPY: &[&str] = &["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"];

/// Arguments of the test lane; every suite runs, so that one failure does not hide another.
pub(super) const ALL_TESTS: &[&str] = &["test", "--release", "--workspace", "--no-fail-fast"];

/// Runs cargo with these arguments; passed when it ends well.
pub(super) fn check(root: &Path, arguments: &[&str]) -> anyhow::Result<Outcome> {
    let status = command(root)
        .args(arguments)
        .status()
        .with_context(|| format!("cannot start cargo {}", arguments.join(" ")))?;
    Ok(if status.success() {
        Outcome::Passed { note: String::new() }
    } else {
        Outcome::Failed { note: format!("cargo {} ended with {status}", arguments.join(" ")) }
    })
}

/// Runs a `cargo test`, passing its output on as it comes and counting its results.
pub(super) fn test<A: AsRef<str>>(root: &Path, arguments: &[A]) -> anyhow::Result<LaneEnd> {
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    let mut child = command(root)
        .args(&arguments)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start cargo {}", arguments.join(" ")))?;
    let stdout = child.stdout.take().context("cargo's output is not readable")?;
    let mut tally = Tally::default();
    let mut figures = Vec::new();
    let mut lines = BufReader::new(stdout);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).context("cargo's output ended badly")? > 0 {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        tally.count(&text);
        if let Some(figure) = text.trim().strip_prefix("figure:") {
            figures.push(figure.trim().to_owned());
        }
        line.clear();
    }
    let status = child.wait().context("cannot wait for cargo")?;
    Ok(end_of_tests(status, tally, figures))
}

fn end_of_tests(status: ExitStatus, mut tally: Tally, figures: Vec<String>) -> LaneEnd {
    if !status.success() && tally.failed == 0 {
        // A suite that did not build, or died before it could print its result, is a failure too.
        tally.failed = 1;
    }
    let note = tally.to_string();
    let outcome = if !status.success() {
        Outcome::Failed { note: format!("{note}; cargo test ended with {status}") }
    } else if tally.passed == 0 {
        Outcome::Failed { note: "no test ran".to_owned() }
    } else {
        Outcome::Passed { note }
    };
    LaneEnd { outcome, tally: Some(tally), figures }
}

/// Cargo at the workspace's root, without the variables that the outer cargo set for this package:
/// build scripts watch some of them, and would run again in every nested build.
pub(super) fn command(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name.as_ref());
        }
    }
    command.current_dir(root);
    command
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn a_suite_that_dies_without_a_result_still_counts_as_failed() {
        let end = end_of_tests(ExitStatus::from_raw(101 << 8), Tally { passed: 3, failed: 0 }, vec![]);
        assert!(matches!(end.outcome, Outcome::Failed { .. }));
        assert_eq!(end.tally.map(|t| t.failed), Some(1));
    }

    #[test]
    fn a_run_in_which_no_test_ran_does_not_pass() {
        let end = end_of_tests(ExitStatus::from_raw(0), Tally::default(), vec![]);
        assert!(matches!(end.outcome, Outcome::Failed { .. }));
    }
}
