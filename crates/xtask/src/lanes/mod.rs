//! The lanes of `cargo xtask test`: which there are, in what order they run, and what one run says of itself.
//! The test lane comes last, so that the end of the output shows that tests ran.
//! A lane that cannot run here is skipped by name, with the command that would install what is missing.

mod cargo;
mod deep;
mod fuzz;
mod installed;
mod packages;
mod python_tools;
mod windows;

use std::path::Path;
use std::time::Instant;

use anyhow::bail;

use crate::deep_results;
use crate::lane_result::{LaneResult, Outcome, Tally};
use crate::summary;
use crate::tidy;

/// One thing that a change must pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Debian packages that other lanes need.
    Packages,
    /// Tools from PyPI that tests use.
    PythonTools,
    /// Formatting.
    Fmt,
    /// Clippy with warnings denied.
    Clippy,
    /// The house rules.
    Tidy,
    /// `cargo check` of the agent for Windows.
    Windows,
    /// The long tests of one package.
    Deep {
        /// The package's name, as in its `Cargo.toml`.
        package: String,
    },
    /// `cargo check` of the fuzz targets, which are a workspace of their own.
    FuzzTargets,
    /// Coverage-guided fuzzing of one target.
    Fuzz {
        /// The target: a file of `fuzz/fuzz_targets`, without its ending.
        target: String,
    },
    /// The Debian packages in a fresh Debian.
    Installed,
    /// Every test of the workspace.
    Tests,
}

impl Lane {
    /// The name that `--lane` takes.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Packages => "packages".to_owned(),
            Self::PythonTools => "python-tools".to_owned(),
            Self::Fmt => "fmt".to_owned(),
            Self::Clippy => "clippy".to_owned(),
            Self::Tidy => "tidy".to_owned(),
            Self::Windows => "windows".to_owned(),
            Self::Deep { package } => format!("deep:{package}"),
            Self::FuzzTargets => "fuzz-targets".to_owned(),
            Self::Fuzz { target } => format!("fuzz:{target}"),
            Self::Installed => "installed".to_owned(),
            Self::Tests => "tests".to_owned(),
        }
    }

    /// What the lane checks, in a few words.
    pub(crate) fn what(&self) -> &'static str {
        match self {
            Self::Packages => "Debian packages that test lanes need (installed when root on Debian)",
            Self::PythonTools => "axe-core and schemathesis, fetched from PyPI where they are not there",
            Self::Fmt => "cargo fmt --all --check",
            Self::Clippy => "cargo clippy on all targets, warnings denied",
            Self::Tidy => "the house rules: arrows, purity, circles, lengths, names, OS calls",
            Self::Windows => "cargo check of the agent for Windows",
            Self::Deep { .. } => "the package's long tests (only with --deep)",
            Self::FuzzTargets => "cargo check of the fuzz targets",
            Self::Fuzz { .. } => "a minute of coverage-guided fuzzing (only with --deep)",
            Self::Installed => "the Debian packages in a fresh Debian: installed, used, upgraded, removed, purged",
            Self::Tests => "cargo test of the whole workspace",
        }
    }

    fn run(&self, root: &Path) -> anyhow::Result<LaneEnd> {
        match self {
            Self::Packages => packages::run().map(LaneEnd::from),
            Self::PythonTools => python_tools::run(root).map(LaneEnd::from),
            Self::Fmt => cargo::check(root, &["fmt", "--all", "--check"]).map(LaneEnd::from),
            Self::Clippy => cargo::check(root, cargo::CLIPPY).map(LaneEnd::from),
            Self::Tidy => run_tidy(root).map(LaneEnd::from),
            Self::Windows => windows::run(root).map(LaneEnd::from),
            Self::Deep { package } => cargo::test(root, &deep::arguments(package)),
            Self::FuzzTargets => fuzz::check(root).map(LaneEnd::from),
            Self::Fuzz { target } => fuzz::run(root, target),
            Self::Installed => installed::run(root).map(LaneEnd::from),
            Self::Tests => cargo::test(root, cargo::ALL_TESTS),
        }
    }
}

/// What a lane's run gives back; tests only for lanes that run tests.
#[derive(Debug)]
struct LaneEnd {
    outcome: Outcome,
    tally: Option<Tally>,
    figures: Vec<String>,
}

impl From<Outcome> for LaneEnd {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, tally: None, figures: Vec::new() }
    }
}

/// Makes the pictures of the console's pages by the test that looks at them, and says where they are. Whether all was as it should be.
///
/// # Errors
/// When a lane cannot be run at all.
pub(crate) fn screenshots(root: &Path) -> anyhow::Result<bool> {
    let needed = run_all(root, &[Lane::Packages, Lane::PythonTools])?;
    let test = ["test", "--release", "--workspace", "--test", "cli", "--", "every_page_fits"];
    let passed = matches!(cargo::check(root, &test)?, Outcome::Passed { .. });
    println!("pictures: target/tmp/pictures");
    Ok(needed && passed)
}

/// The lanes of every run, in order.
pub(crate) fn quick() -> Vec<Lane> {
    vec![
        Lane::Packages,
        Lane::PythonTools,
        Lane::Fmt,
        Lane::Clippy,
        Lane::Tidy,
        Lane::Windows,
        Lane::FuzzTargets,
        Lane::Installed,
        Lane::Tests,
    ]
}

/// `lanes` with one deep lane for every package that has a deep test and one fuzz lane for every target, before the last lane.
///
/// # Errors
/// When a source file or manifest of the workspace, or the folder of the fuzz targets, cannot be read.
pub(crate) fn with_deep(root: &Path, mut lanes: Vec<Lane>) -> anyhow::Result<Vec<Lane>> {
    let last = lanes.pop();
    lanes.extend(deep::packages(root)?.into_iter().map(|package| Lane::Deep { package }));
    lanes.extend(fuzz::targets(root)?.into_iter().map(|target| Lane::Fuzz { target }));
    lanes.extend(last);
    Ok(lanes)
}

/// The lane of that name, or the lanes of that group: `fuzz` is every `fuzz:...`.
///
/// # Errors
/// When no lane has that name; the message lists the names.
pub(crate) fn only(name: &str, lanes: &[Lane]) -> anyhow::Result<Vec<Lane>> {
    let group = format!("{name}:");
    let wanted = |lane: &&Lane| lane.name() == name || lane.name().starts_with(&group);
    let chosen: Vec<Lane> = lanes.iter().filter(wanted).cloned().collect();
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    let names: Vec<String> = lanes.iter().map(Lane::name).collect();
    bail!("no lane is named '{name}'; the lanes are: {}", names.join(", "))
}

/// Runs the lanes in order, prints the table, and says whether none failed.
///
/// # Errors
/// When results of deep lanes cannot be written down; a lane that cannot be run is a failed lane instead.
pub(crate) fn run_all(root: &Path, lanes: &[Lane]) -> anyhow::Result<bool> {
    let mut results = Vec::new();
    for (index, lane) in lanes.iter().enumerate() {
        println!("==> [{}/{}] {}: {}", index + 1, lanes.len(), lane.name(), lane.what());
        let result = run_one(root, lane);
        println!("    {}", summary::line(&result));
        results.push(result);
    }
    let long = |r: &&LaneResult| r.name.starts_with("deep:") || r.name.starts_with("fuzz:");
    let deep: Vec<&LaneResult> = results.iter().filter(long).collect();
    if !deep.is_empty() {
        deep_results::append(root, &deep)?;
    }
    print!("{}", summary::table(&results));
    Ok(!results.iter().any(|r| matches!(r.outcome, Outcome::Failed { .. })))
}

fn run_one(root: &Path, lane: &Lane) -> LaneResult {
    let started = Instant::now();
    let end = lane.run(root).unwrap_or_else(|error| LaneEnd::from(Outcome::Failed { note: format!("{error:#}") }));
    LaneResult {
        name: lane.name(),
        outcome: end.outcome,
        tally: end.tally,
        elapsed: started.elapsed(),
        figures: end.figures,
    }
}

fn run_tidy(root: &Path) -> anyhow::Result<Outcome> {
    let report = tidy::check(root)?;
    for finding in &report.findings {
        println!("{finding}");
    }
    let files = report.files;
    Ok(match report.findings.len() {
        0 => Outcome::Passed { note: format!("{files} files") },
        found => Outcome::Failed { note: format!("{found} findings in {files} files") },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_run_last_so_that_the_end_of_the_output_shows_them() {
        assert_eq!(quick().last(), Some(&Lane::Tests));
    }

    #[test]
    fn a_group_is_all_its_lanes_and_a_name_is_one() {
        let fuzz = |target: &str| Lane::Fuzz { target: target.to_owned() };
        let lanes = [fuzz("records"), Lane::Tests, fuzz("roster")];
        assert_eq!(only("fuzz", &lanes).unwrap(), [fuzz("records"), fuzz("roster")]);
        assert_eq!(only("fuzz:roster", &lanes).unwrap(), [fuzz("roster")]);
    }

    #[test]
    fn an_unknown_lane_is_answered_with_the_names_there_are() {
        let error = only("clipy", &quick()).unwrap_err().to_string();
        assert!(error.contains("'clipy'") && error.contains("clippy"), "{error}");
    }
}
