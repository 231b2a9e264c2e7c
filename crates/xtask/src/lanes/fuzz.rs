//! The fuzz lanes: one that checks all targets, and one for every target in `fuzz/fuzz_targets`, each built with coverage feedback and run for a bounded time.
//! A target writes its seeds itself, from the golden files. What it finds is kept under `target/fuzz` from run to run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

use super::{LaneEnd, cargo};
use crate::lane_result::Outcome;

/// How long each target runs, in seconds, where the variable says nothing else.
const SECONDS: u64 = 60;
/// The variable that says how long, in seconds.
const SECONDS_VARIABLE: &str = "TIDEGATE_FUZZ_SECONDS";
/// The variable that a target takes its seed folder from.
const SEEDS_VARIABLE: &str = "TIDEGATE_FUZZ_SEEDS";
/// libFuzzer is C++.
const COMPILER: &str = "c++";
/// What libFuzzer needs the compiler to note at each edge and comparison; the stable compiler can do it.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// Files whose words help a target to guess field names.
const WORDS_IN: [&str; 3] = ["crates/trust/tests/golden", "policies", "docs/api"];

/// The targets, by name, in order.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn targets(root: &Path) -> anyhow::Result<Vec<String>> {
    let names =
        files(&root.join("fuzz/fuzz_targets"))?.into_iter().filter(|path| path.extension() == Some("rs".as_ref()));
    Ok(names.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect())
}

/// Checks that all targets still fit what they fuzz, without running them.
pub(super) fn check(root: &Path) -> anyhow::Result<Outcome> {
    if let Some(skipped) = no_compiler() {
        return Ok(skipped);
    }
    let what = ["check", "--release", "--locked", "--bins", "--manifest-path", "fuzz/Cargo.toml"];
    cargo::check(root, &[&what[..], &["--target-dir", "target/fuzz"]].concat())
}

/// Builds the target and runs it.
pub(super) fn run(root: &Path, target: &str) -> anyhow::Result<LaneEnd> {
    if let Some(skipped) = no_compiler() {
        return Ok(LaneEnd::from(skipped));
    }
    let Some(program) = build(root, target)? else {
        return Ok(LaneEnd::from(Outcome::Failed { note: "the target does not build".to_owned() }));
    };
    let seconds = std::env::var(SECONDS_VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    let (corpus, faults) = (root.join("target/fuzz/corpus").join(target), root.join("target/fuzz/faults"));
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&faults)?;
    let words = root.join("target/fuzz/words");
    fs::write(&words, dictionary(root)?)?;
    let output = Command::new(&program)
        .env(SEEDS_VARIABLE, &corpus)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/{target}-", faults.display()))
        .arg(format!("-dict={}", words.display()))
        .args(["-print_final_stats=1", "-timeout=20", "-rss_limit_mb=2048", "-max_len=16384"])
        .arg(&corpus)
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let figure = figure(&said, seconds);
    if output.status.success() {
        return Ok(LaneEnd { outcome: Outcome::Passed { note: figure.clone() }, tally: None, figures: vec![figure] });
    }
    print!("{said}");
    let note = format!("a fault was found; its input is in {}", faults.display());
    Ok(LaneEnd { outcome: Outcome::Failed { note: note.clone() }, tally: None, figures: vec![note, figure] })
}

fn no_compiler() -> Option<Outcome> {
    (!starts(COMPILER)).then(|| Outcome::Skipped {
        reason: format!("{COMPILER} is not installed, which libFuzzer is built with"),
        install: "sudo apt-get install g++".to_owned(),
    })
}

/// The built program; none where it does not build. The host is named, so that build scripts are not instrumented.
fn build(root: &Path, target: &str) -> anyhow::Result<Option<PathBuf>> {
    let host = host(root)?;
    let status = cargo::command(root)
        .args(["build", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--target-dir", "target/fuzz"])
        .args(["--target", &host, "--bin", target])
        .env("RUSTFLAGS", COVERAGE)
        .status()
        .context("cannot start cargo build")?;
    Ok(status.success().then(|| root.join("target/fuzz").join(host).join("release").join(target)))
}

fn host(root: &Path) -> anyhow::Result<String> {
    let answer = Command::new("rustc").arg("-vV").current_dir(root).output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&answer.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not name its host")
}

/// Executions, coverage and corpus, from libFuzzer's last lines.
fn figure(said: &str, seconds: u64) -> String {
    let after = |word: &str| {
        let (_, rest) = said.rsplit_once(word)?;
        rest.split_whitespace().next()
    };
    let of = |word| after(word).unwrap_or("?");
    format!(
        "{} executions in {seconds} s, {} edges covered, {} features, corpus of {} inputs",
        of("stat::number_of_executed_units:"),
        of(" cov: "),
        of(" ft: "),
        of(" corp: ").split('/').next().unwrap_or("?"),
    )
}

/// A libFuzzer dictionary: every word of the golden files, policies and API document.
fn dictionary(root: &Path) -> anyhow::Result<String> {
    let mut words = BTreeSet::new();
    for folder in WORDS_IN {
        for path in files(&root.join(folder))? {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let found = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            words.extend(found.filter(|word| (3..=24).contains(&word.len())).map(str::to_owned));
        }
    }
    Ok(words.iter().map(|word| format!("\"{word}\"\n")).collect())
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    paths.sort();
    Ok(paths)
}

fn starts(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_the_last_line() {
        let said = "#2\tINITED cov: 5 ft: 6 corp: 1/1b\n#9\tDONE   cov: 50 ft: 60 corp: 7/2Kb lim: 4 exec/s: 1\n\
            stat::number_of_executed_units: 9\nstat::average_exec_per_sec: 1\n";
        assert_eq!(figure(said, 60), "9 executions in 60 s, 50 edges covered, 60 features, corpus of 7 inputs");
    }

    #[test]
    fn every_target_is_found_and_built_by_the_name_of_its_file() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let manifest = fs::read_to_string(root.join("fuzz/Cargo.toml")).unwrap();
        let targets = targets(root).unwrap();
        assert!(targets.len() > 10);
        for target in targets {
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
        }
    }
}
