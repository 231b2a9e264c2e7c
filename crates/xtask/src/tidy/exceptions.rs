//! The dated list of files and functions that may be longer than the rule, each with its reason and its own ceiling.
//! An entry that is no longer needed is itself a finding, so the list only holds what is true.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::Deserialize;

/// Where the list is, from the workspace's root.
pub(super) const LIST: &str = "crates/xtask/tidy-exceptions.toml";

/// The list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exceptions {
    /// Its entries.
    #[serde(default, rename = "exception")]
    pub(super) entries: Vec<Exception>,
}

/// One file, or one function of it, that may be longer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exception {
    /// The file, from the workspace's root.
    pub(super) path: PathBuf,
    /// The function's name; the file itself when absent.
    pub(super) function: Option<String>,
    /// How many lines it may have.
    pub(super) lines: usize,
    /// Why splitting it would make it worse.
    pub(super) reason: String,
    /// The day of the entry.
    pub(super) date: toml::value::Datetime,
}

impl Exceptions {
    /// Reads the list; a missing file is an empty list.
    ///
    /// # Errors
    /// When it cannot be read, does not parse, or an entry has no reason or no plain day.
    pub(super) fn load(root: &Path) -> anyhow::Result<Self> {
        let path = root.join(LIST);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {LIST}"))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let list: Self = toml::from_str(text).with_context(|| format!("{LIST} does not parse"))?;
        for entry in &list.entries {
            let path = entry.path.display();
            ensure!(!entry.reason.trim().is_empty(), "{LIST}: the entry for {path} gives no reason");
            ensure!(
                entry.date.date.is_some() && entry.date.time.is_none(),
                "{LIST}: the date of the entry for {path} must be a day such as 2025-01-31"
            );
        }
        Ok(list)
    }

    /// The place of the entry for this file, or this function of it.
    pub(super) fn find(&self, path: &Path, function: Option<&str>) -> Option<usize> {
        self.entries.iter().position(|entry| entry.path == path && entry.function.as_deref() == function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_needs_a_reason_a_day_and_known_fields() {
        let good = "[[exception]]\npath = \"a.rs\"\nlines = 500\nreason = \"a table\"\ndate = 2025-11-02\n";
        assert_eq!(Exceptions::parse(good).unwrap().entries.len(), 1);
        assert!(Exceptions::parse(&good.replace("a table", " ")).is_err());
        assert!(Exceptions::parse(&good.replace("2025-11-02", "10:00:00")).is_err());
        assert!(Exceptions::parse(&good.replace("lines", "ceiling")).is_err());
    }
}
