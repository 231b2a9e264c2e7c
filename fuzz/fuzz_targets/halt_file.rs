//! The server's halt file, garbled in any way: every slot that reads is a halt, it survives a restart, and a new halt finds room.
#![no_main]

#[path = "../../crates/server/src/halts.rs"]
mod halts;

/// The server's drills, which have no part here.
mod drill {
    pub(crate) enum Point {
        AfterHaltFile,
    }
    pub(crate) fn reach(_: Point) {}
}

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use halts::Halts;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tidegate_control::command::PersonsHalt;
use tidegate_domain::ids::RolloutId;
use tidegate_fuzz::{folder, seed};

static FOLDER: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = folder();
    let path = folder.path().join("halts");
    (folder, path)
});

fuzz_target!(
    init: {
        let slot = r#"{"rollout":"sensor-content.1","halt":{"by":"ann","reason":"looks bad"}}"#;
        seed("one", slot);
        seed("reason", "\u{1}".repeat(300));
        seed("two", format!("{slot:<1024}{slot:<1024}"));
        seed("three", format!("{slot:<1024}{:<1024}{:<1024}", "", slot.replace(".1", ".2")));
    },
    |data: &[u8]| {
        let path = &FOLDER.1;
        // Blank to its full size behind what was made up, as a file is that was once written.
        let mut bytes = data.to_vec();
        bytes.resize(bytes.len().max(256 << 10), b' ');
        fs::write(path, &bytes).unwrap();
        let halts = Halts::open(path).unwrap();
        let before = halts.pending();
        assert!(before.len() <= 256);
        let new: RolloutId = format!("{}.1", "never-seen".repeat(6)).parse().unwrap();
        let reason = String::from_utf8_lossy(data);
        let by = "a".repeat(64).parse().unwrap();
        let written = halts.halt(&new, PersonsHalt { by, reason: reason.into_owned(), record: None }).is_ok();
        assert!(halts.holds(&new), "a halt stands, whatever the file says");
        drop(halts);
        let halts = Halts::open(path).unwrap();
        assert_eq!(halts.holds(&new), written || before.contains_key(&new), "a halt that was written is lost");
        for rollout in before.keys() {
            assert!(halts.holds(rollout), "a halt that stood in the file is lost");
            halts.settled(rollout);
        }
        drop(halts);
        let halts = Halts::open(path).unwrap();
        assert!(before.keys().all(|rollout| !halts.holds(rollout)), "a halt that was settled comes back");
    }
);
