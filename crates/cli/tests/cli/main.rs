//! The `tidegate` command from outside: what it makes, what it prints, and what bad input gets.
//! A small server of the tests' own answers the operator API with real signed metadata; it is no stand-in for the real one's rules.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod api_schema;
mod bad_input;
mod browser;
mod console;
mod continuity;
mod declaring;
mod demo;
mod fake_server;
mod journey;
mod making;
mod nginx;
mod pictures;
mod pilot;
mod processes;
mod proxied;
mod settings;
mod signing_in;
mod simulate;
mod start;
mod units;
mod yara;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The passphrase of every key in these tests.
pub(crate) const PASSPHRASE: &str = "correct horse battery staple";

/// A home folder of its own, and the command in it.
pub(crate) struct Home {
    folder: TempDir,
    env: Vec<(String, String)>,
}

impl Home {
    pub(crate) fn new() -> Home {
        let env = vec![
            ("TIDE_PASS".to_owned(), PASSPHRASE.to_owned()),
            ("TIDEGATE_PASSPHRASE_ENV".to_owned(), "TIDE_PASS".to_owned()),
        ];
        Home { folder: tempfile::tempdir().unwrap(), env }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Home {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(args)
            .env_clear()
            .env("HOME", self.folder.path())
            .envs(self.env.iter().cloned())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs with `--json`, expects success, and gives the one value on standard output.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(args);
        let output = self.run(&all);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {}", text(&output.stdout)))
    }

    /// Runs, expects success, and gives standard output.
    pub(crate) fn text(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs, expects refusal with this exit code, and gives the one line on standard error.
    pub(crate) fn refusal(&self, args: &[&str], exit: i32) -> String {
        let output = self.run(args);
        let line = text(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{args:?}: {line}");
        assert_eq!(line.trim_end().lines().count(), 1, "{args:?}: {line}");
        assert!(line.starts_with("tidegate: "), "{args:?}: {line}");
        assert!(output.stdout.is_empty(), "{args:?}: {}", text(&output.stdout));
        line
    }

    /// A new fleet in `fleet/`; gives its digest.
    pub(crate) fn init(&self, more: &[&str]) -> String {
        let mut args = vec!["trust", "init", "--dir", "fleet", "--scrypt-log-n", "14"];
        args.extend(more);
        self.json(&args)["fleet"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
