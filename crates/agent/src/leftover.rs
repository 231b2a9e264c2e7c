//! What a payload left behind when its agent was killed by force: known again without doubt, and ended before the next start.
//!
//! The guard keeps the payload's process group before it becomes the payload, and leaves a mark that the payload's children inherit.
//! Whatever cannot be shown to be the payload's is never touched: an id that was given out anew belongs to somebody else.

use std::thread;
use std::time::{Duration, Instant};

use crate::layout::{PackageDir, RUN_VARIABLE};
use crate::os;

/// How long a leftover has to end when it is asked to, and when it is killed. It has had its time: its first process is gone.
const ASKED: Duration = Duration::from_secs(1);
const KILLED: Duration = Duration::from_secs(2);
/// How often an ending group is looked at. A number cannot go round all process ids and come back between two looks, so a group
/// that was known once is known for as long as every look finds somebody in it.
const LOOK: Duration = Duration::from_millis(10);

/// Ends the group that the payload was started in last, where it can be shown to live on. Returns when it has ended, at the latest
/// after [`ASKED`] and [`KILLED`].
pub(crate) fn end(dir: &PackageDir) {
    let Some(group) = dir.payload() else { return };
    let run = std::path::absolute(dir.run()).unwrap_or_else(|_| dir.run());
    let variable = format!("{}={}", RUN_VARIABLE, run.display());
    match os::group_lives(&group, &dir.mark(), &variable) {
        os::Lives::Yes => {}
        os::Lives::No => return,
        os::Lives::PerhapsAnothers => {
            eprintln!("tidegate: process group {} may be somebody else's by now and is left alone", group.leader());
            return;
        }
    }
    eprintln!("tidegate: ending process group {}, left by a payload whose agent was killed", group.leader());
    os::terminate(group.leader());
    if !ends_within(&group, ASKED) {
        os::kill(group.leader());
        if !ends_within(&group, KILLED) {
            eprintln!("tidegate: process group {} does not end", group.leader());
        }
    }
}

fn ends_within(group: &os::Group, limit: Duration) -> bool {
    let asked = Instant::now();
    while os::group_has_members(group) {
        if asked.elapsed() >= limit {
            return false;
        }
        thread::sleep(LOOK);
    }
    true
}

/// Keeps the group of this process, which is about to become the payload, and marks it. Storage that cannot be written keeps no
/// payload down: what it leaves is then known by its mark alone, or not at all.
pub(crate) fn remember(dir: &PackageDir) {
    if let Err(error) = os::leave_mark(&dir.mark()) {
        eprintln!("tidegate-guard: cannot mark the payload with {}: {error}", dir.mark().display());
    }
    // A group that this process does not lead holds others too; it is not the payload's to be ended.
    let Some(group) = os::group_led_by(std::process::id()) else { return };
    if let Err(error) = dir.write_payload(group) {
        eprintln!("tidegate-guard: {error}");
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
#[path = "leftover_tests.rs"]
mod tests;
