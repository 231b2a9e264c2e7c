//! What the device's owner forbids for good, whoever's release does it: files that must stay, secrets that nobody may read.
//!
//! It looks and remembers; what follows is the device machine's. A look costs one question to the file system for each path. Reads are
//! seen by the time of the last access: a file system that does not keep it (mounted `noatime`) shows none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::durable;

/// The most paths of either sort.
pub(crate) const PATHS_MAX: usize = 64;

/// What is looked at, and what was seen of it.
pub(crate) struct Invariants {
    seen_at: PathBuf,
    unread: Vec<PathBuf>,
    kept: Vec<PathBuf>,
    seen: Seen,
}

/// What was seen last, also by an agent before this one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    /// By path: whether it was there and not empty.
    whole: BTreeMap<PathBuf, bool>,
    /// By path: the time of the last access.
    read_at: BTreeMap<PathBuf, SystemTime>,
}

impl Invariants {
    /// `home` is the device's folder, where what was seen is kept.
    pub(crate) fn open(home: &Path, kept: Vec<PathBuf>, unread: Vec<PathBuf>) -> Invariants {
        let seen_at = home.join("invariants.json");
        let seen = durable::read_json(&seen_at).unwrap_or_else(|error| {
            tracing::warn!("what was seen of the invariants is lost: {error}");
            None
        });
        let invariants = Invariants { seen_at, unread, kept, seen: seen.unwrap_or_default() };
        for path in &invariants.kept {
            if !is_whole(path) && !invariants.seen.whole.contains_key(path) {
                tracing::warn!("--keep {}: it is not there, or empty; it counts once it is", path.display());
            }
        }
        invariants
    }

    /// Looks at everything. Gives the first that is broken, once: what is seen now is what the next look is held against.
    pub(crate) fn look(&mut self) -> Option<String> {
        let mut now = Seen::default();
        let mut broken = None;
        for path in &self.kept {
            let whole = is_whole(path);
            if !whole && self.seen.whole.get(path).copied().unwrap_or(false) {
                broken.get_or_insert_with(|| format!("{} is gone or emptied", path.display()));
            }
            now.whole.insert(path.clone(), whole);
        }
        for path in &self.unread {
            let Some(read_at) = fs::metadata(path).and_then(|metadata| metadata.accessed()).ok() else { continue };
            if self.seen.read_at.get(path).is_some_and(|before| read_at > *before) {
                broken.get_or_insert_with(|| format!("{} was read", path.display()));
            }
            now.read_at.insert(path.clone(), read_at);
        }
        if now != self.seen {
            self.seen = now;
            if let Err(error) = durable::write_json(&self.seen_at, &self.seen, "invariants-kept") {
                tracing::warn!("what was seen of the invariants is not kept: {error}");
            }
        }
        broken
    }
}

/// A file with something in it, or a folder with something in it.
fn is_whole(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()),
        Ok(metadata) => metadata.len() > 0,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deleted_emptied_or_read_is_told_once_and_also_after_a_restart() {
        let home = tempfile::tempdir().unwrap();
        let (file, folder, secret) = (home.path().join("db"), home.path().join("docs"), home.path().join("honey"));
        fs::write(&file, "rows").unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("letter"), "dear").unwrap();
        fs::write(&secret, "password").unwrap();
        let open = || Invariants::open(home.path(), vec![file.clone(), folder.clone()], vec![secret.clone()]);
        let mut invariants = open();
        assert_eq!((invariants.look(), invariants.look()), (None, None));
        fs::write(&file, "").unwrap();
        assert!(invariants.look().unwrap().contains("db is gone or emptied"));
        assert_eq!(invariants.look(), None, "told once");
        fs::write(&file, "rows again").unwrap();
        assert_eq!(invariants.look(), None);
        fs::remove_file(folder.join("letter")).unwrap();
        let mut invariants = open();
        assert!(invariants.look().unwrap().contains("docs"), "what an agent before this one saw counts");
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        let times = fs::FileTimes::new().set_accessed(later);
        fs::File::options().write(true).open(&secret).unwrap().set_times(times).unwrap();
        assert!(invariants.look().unwrap().contains("honey was read"));
    }
}
