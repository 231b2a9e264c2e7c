//! Writes down what the long lanes measured: appends to `docs/deep-results.md` the date, the commit that the
//! results were made at, each lane's counts and its `figure:` lines. It never rewrites earlier results.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::lane_result::{LaneResult, Outcome};

const TITLE: &str = "# Results of the long test lanes\n\nAppended by `cargo xtask test --deep`; newest last.\n";

/// Appends one section for these lanes.
///
/// # Errors
/// When the file cannot be written or git cannot name the commit.
pub(crate) fn append(root: &Path, lanes: &[&LaneResult]) -> anyhow::Result<()> {
    let path = root.join("docs").join("deep-results.md");
    let section = section(&today(), &commit(root)?, lanes);
    fs::create_dir_all(root.join("docs")).context("cannot make the folder docs")?;
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    let empty = file.metadata().context("cannot read the file's length")?.len() == 0;
    let text = if empty { format!("{TITLE}{section}") } else { section };
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

fn section(date: &str, commit: &str, lanes: &[&LaneResult]) -> String {
    let mut text = format!("\n## {date}, commit {commit}\n\n");
    for lane in lanes {
        let word = match &lane.outcome {
            Outcome::Passed { .. } => "passed",
            Outcome::Failed { .. } => "FAILED",
            Outcome::Skipped { .. } => "skipped",
        };
        let counts = lane.tally.map(|tally| format!(", {tally}")).unwrap_or_default();
        text.push_str(&format!("- `{}`: {word}{counts}, {} s\n", lane.name, lane.elapsed.as_secs()));
        for figure in &lane.figures {
            text.push_str(&format!("  - {figure}\n"));
        }
    }
    text
}

fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}

/// The commit's full id, with a remark when the worktree differs from it.
fn commit(root: &Path) -> anyhow::Result<String> {
    let id = git(root, &["rev-parse", "HEAD"])?;
    let changed = git(root, &["status", "--porcelain", "--untracked-files=no"])?;
    Ok(if changed.is_empty() { id } else { format!("{id} with uncommitted changes") })
}

fn git(root: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git").args(arguments).current_dir(root).output().context("cannot start git")?;
    anyhow::ensure!(output.status.success(), "git {} ended with {}", arguments.join(" "), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lane_result::Tally;

    #[test]
    fn results_name_their_commit_and_figures_and_are_appended() {
        let lane = LaneResult {
            name: "deep:tidegate-sim".to_owned(),
            outcome: Outcome::Passed { note: String::new() },
            tally: Some(Tally { passed: 2, failed: 0 }),
            elapsed: Duration::from_secs(61),
            figures: vec!["10000 schedules, 0 beyond the window".to_owned()],
        };
        let text = section("2025-11-02", "0123abcd", &[&lane]);
        assert_eq!(
            text,
            "\n## 2025-11-02, commit 0123abcd\n\n- `deep:tidegate-sim`: passed, 2 passed, 0 failed, 61 s\n  \
             - 10000 schedules, 0 beyond the window\n"
        );
    }
}
