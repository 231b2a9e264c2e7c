//! Failpoints for drills: the process kills itself exactly where it is told to, as a power cut would.
//!
//! `TIDEGATE_AGENT_KILL_AT=name` or `name:3` (the third time in this process). `TIDEGATE_AGENT_KILL_ONCE=FILE` makes it happen once
//! over all processes: FILE is made just before. Without the variables nothing here does anything.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::os;

/// The variable that names the point.
pub const KILL_AT_VARIABLE: &str = "TIDEGATE_AGENT_KILL_AT";
/// The variable that names the file by which a kill happens once only.
pub const KILL_ONCE_VARIABLE: &str = "TIDEGATE_AGENT_KILL_ONCE";

/// All points, in about the order in which a device meets them. `docs/operate/drills.md` explains each.
pub const DRILL_POINTS: &[&str] = &[
    "invariants-kept",
    "trust-kept",
    "enrolment-kept",
    "token-kept",
    "fallback-pointer",
    "guard-attempt-kept",
    "guard-payload-kept",
    "guard-before-start",
    "seen-kept",
    "state-fetching",
    "file-half-written",
    "file-complete",
    "manifest-kept",
    "slot-complete",
    "state-staged",
    "state-activating",
    "attempts-kept",
    "current-pointer",
    "report-kept",
    "report-forgotten",
    "state-proving",
    "state-proven",
    "proven-kept",
    "kept-pointer",
    "state-reverting",
    "guard-current-pointer",
    "state-reverted",
];

struct Drill {
    point: String,
    nth: u64,
    once: Option<PathBuf>,
    seen: AtomicU64,
}

/// Says that a point is reached. Returns, unless this is where a drill kills the process.
pub(crate) fn reached(point: &str) {
    static DRILL: OnceLock<Option<Drill>> = OnceLock::new();
    let Some(drill) = DRILL.get_or_init(from_environment) else { return };
    if drill.point != point || drill.seen.fetch_add(1, Ordering::Relaxed) + 1 != drill.nth {
        return;
    }
    if let Some(file) = &drill.once
        && OpenOptions::new().write(true).create_new(true).open(file).is_err()
    {
        return;
    }
    os::kill_self();
}

fn from_environment() -> Option<Drill> {
    let text = std::env::var(KILL_AT_VARIABLE).ok()?;
    let (point, nth) = text.split_once(':').unwrap_or((&text, "1"));
    let once = std::env::var_os(KILL_ONCE_VARIABLE).map(PathBuf::from);
    Some(Drill { point: point.to_owned(), nth: nth.parse().ok()?, once, seen: AtomicU64::new(0) })
}
