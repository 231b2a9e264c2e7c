//! The updater's status file: small JSON, replaced by rename, from which the demonstration counts who was harmed.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// The file's name in the updater's folder.
pub const FILE_NAME: &str = "status.json";

/// What the updater has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// The version of the content in place; none before the first.
    pub version: Option<String>,
    /// Starts of the payload.
    pub starts: u64,
    /// Whether the payload is up, and has been for longer than a crash at start takes.
    pub running: bool,
    /// Times that the payload ended by itself.
    pub crashes: u64,
}

impl Status {
    /// Replaces the status file in `dir`.
    ///
    /// # Errors
    /// When the new file cannot be written or renamed.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let beside = dir.join("status.json.new");
        let text = serde_json::to_vec(self).context("cannot put the status into JSON")?;
        fs::write(&beside, text).with_context(|| format!("cannot write {}", beside.display()))?;
        let path = dir.join(FILE_NAME);
        fs::rename(&beside, &path).with_context(|| format!("cannot replace {}", path.display()))
    }

    /// Reads the status file in `dir`; the default before there is one.
    ///
    /// # Errors
    /// When the file is there and cannot be read or parsed.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(FILE_NAME);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} does not parse", path.display()))
    }
}
