//! The health file: one line of JSON, replaced by rename, so that a reader never sees half of it.
//! It is written for whoever watches; the sensor never reads it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// What the sensor says of itself.
#[derive(Debug, Serialize)]
pub(crate) struct Health<'a> {
    /// Whether the content is loaded and events are evaluated.
    pub(crate) ready: bool,
    /// The content's version.
    pub(crate) version: &'a str,
    /// Events evaluated since the start.
    pub(crate) events: u64,
}

/// Replaces the file at `path`.
///
/// # Errors
/// When the new file cannot be written beside it or renamed over it.
pub(crate) fn write(path: &Path, health: &Health<'_>) -> io::Result<()> {
    let mut text = serde_json::to_string(health)?;
    text.push('\n');
    let beside = beside(path);
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_replaces_what_was_there_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("health.json");
        for events in [1, 2] {
            let health = Health { ready: true, version: "1.0.0", events };
            write(&path, &health).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"ready\":true,\"version\":\"1.0.0\",\"events\":2}\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
