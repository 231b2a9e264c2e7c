//! Drills: the server kills itself with SIGKILL at a named durable step, to show that nothing is lost there, or stands still at it,
//! to show that a halt needs nobody who moves.
//!
//! `TIDEGATE_SERVER_KILL_AT=name[:nth]` and `TIDEGATE_SERVER_PARK_AT=name[:nth]`. Documented in `docs/operate/drills-server.md`.
//! Without the variables nothing here does anything.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The variable that asks for an end at a step.
pub const KILL_VARIABLE: &str = "TIDEGATE_SERVER_KILL_AT";
/// The variable that asks for standing still at a step, for good.
pub const PARK_VARIABLE: &str = "TIDEGATE_SERVER_PARK_AT";

/// A step at which a drill can strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Entries are staged, not written.
    BeforeAppend,
    /// Entries are durable, nobody was told.
    AfterAppend,
    /// Lease, snapshot or read: before the store is asked.
    BeforeOtherRequest,
    /// The same, after.
    AfterOtherRequest,
    /// Answers are due and not given.
    BeforeAnswer,
    /// A take is durable, its go is not signed.
    BeforeGo,
    /// A halt stands in the halt file, not in the log.
    AfterHaltFile,
    /// An artifact is written, not yet named.
    BeforeArtifactNamed,
}

/// Every point, with its name.
pub const POINTS: [(Point, &str); 8] = [
    (Point::BeforeAppend, "before_append"),
    (Point::AfterAppend, "after_append"),
    (Point::BeforeOtherRequest, "before_other_request"),
    (Point::AfterOtherRequest, "after_other_request"),
    (Point::BeforeAnswer, "before_answer"),
    (Point::BeforeGo, "before_go"),
    (Point::AfterHaltFile, "after_halt_file"),
    (Point::BeforeArtifactNamed, "before_artifact_named"),
];

struct Drill {
    point: Point,
    nth: u64,
    parks: bool,
    seen: AtomicU64,
}

fn drill() -> Option<&'static Drill> {
    static DRILL: OnceLock<Option<Drill>> = OnceLock::new();
    let asked = |variable| std::env::var(variable).ok();
    DRILL
        .get_or_init(|| match asked(KILL_VARIABLE) {
            Some(text) => parse(&text, false),
            None => parse(&asked(PARK_VARIABLE)?, true),
        })
        .as_ref()
}

fn parse(text: &str, parks: bool) -> Option<Drill> {
    let (name, nth) = text.split_once(':').unwrap_or((text, "1"));
    let (point, _) = POINTS.iter().find(|(_, known)| *known == name)?;
    Some(Drill { point: *point, nth: nth.parse().ok()?, parks, seen: AtomicU64::new(0) })
}

/// Says that a step is reached. In a drill for it, the process ends here and now, or this thread stands still for good.
pub(crate) fn reach(point: Point) {
    let Some(drill) = drill().filter(|drill| drill.point == point) else { return };
    if drill.seen.fetch_add(1, Ordering::SeqCst) + 1 != drill.nth {
        return;
    }
    if drill.parks {
        loop {
            std::thread::park();
        }
    }
    #[cfg(unix)]
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort();
}
