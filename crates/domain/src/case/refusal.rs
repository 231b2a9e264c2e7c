//! Why something is not done in a case, and what would be right.

use super::{Stage, TEXT_CHARS_MAX};
use crate::time::WallTime;

/// An act that is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaseRefusal {
    /// Stages follow each other.
    #[error("the case is {now}: the next stage is {next}, not {wanted}", now = now.word(), next = next.map_or("none", Stage::word), wanted = wanted.word())]
    NotNext {
        /// How far the case has come.
        now: Stage,
        /// What comes next; none where nothing does.
        next: Option<Stage>,
        /// What was asked for.
        wanted: Stage,
    },
    /// A stage cannot have been reached before the one before it.
    #[error("field `at_ms` is {found} ms: the case was {before} at {at} ms, and was not {wanted} before that", found = found.as_ms(), at = at.as_ms(), before = before.word(), wanted = wanted.word())]
    BeforeTheLast {
        /// What was asked for.
        wanted: Stage,
        /// When, as it was said.
        found: WallTime,
        /// The stage before it.
        before: Stage,
        /// When that was.
        at: WallTime,
    },
    /// What has not happened yet is not written down as if it had.
    #[error("field `{field}` is {found} ms and lies ahead of this server's clock ({now} ms): expected an instant that is over", found = found.as_ms(), now = now.as_ms())]
    ToCome {
        /// The field.
        field: &'static str,
        /// What stands there.
        found: WallTime,
        /// The clock.
        now: WallTime,
    },
    /// A halt is contained and restored by itself.
    #[error("the case of a halt is {stage} by what devices say, not by a person", stage = .0.word())]
    ByItself(Stage),
    /// Only the commander says when a stage is reached.
    #[error("{0}: the commander says when a stage is reached; take the role first")]
    NotCommander(String),
    /// A case is explained by a cause, and closed with its work done.
    #[error("the case is not {wanted} yet: {missing}", wanted = wanted.word())]
    WorkLeft {
        /// What was asked for.
        wanted: Stage,
        /// What is missing.
        missing: String,
    },
    /// A closed case takes notes and finished lessons, nothing else.
    #[error("the case is closed: notes and finished lessons are all that it takes")]
    Closed,
    /// No such task, or it is done.
    #[error("there is no open task {0} in this case")]
    NoTask(u32),
    /// More than a case holds.
    #[error("the case holds {most} {what}: no more")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many it holds.
        most: usize,
    },
    /// A text that says nothing, or too much.
    #[error("field `{field}` has {found} characters: expected 1 to {TEXT_CHARS_MAX}")]
    Text {
        /// The field.
        field: &'static str,
        /// Its length.
        found: usize,
    },
}

impl CaseRefusal {
    /// The stable word.
    pub fn kind(&self) -> &'static str {
        match self {
            CaseRefusal::NotNext { .. }
            | CaseRefusal::BeforeTheLast { .. }
            | CaseRefusal::ToCome { .. }
            | CaseRefusal::ByItself(_) => "chronology",
            CaseRefusal::NotCommander(_) => "not_commander",
            CaseRefusal::WorkLeft { .. } => "work_left",
            CaseRefusal::Closed => "case_closed",
            CaseRefusal::NoTask(_) => "unknown_task",
            CaseRefusal::TooMany { .. } => "case_full",
            CaseRefusal::Text { .. } => "text",
        }
    }
}

pub(super) fn text(field: &'static str, text: &str) -> Result<(), CaseRefusal> {
    let found = text.trim().chars().count();
    if (1..=TEXT_CHARS_MAX).contains(&found) { Ok(()) } else { Err(CaseRefusal::Text { field, found }) }
}

pub(super) fn not_to_come(field: &'static str, found: WallTime, now: WallTime) -> Result<(), CaseRefusal> {
    if found <= now { Ok(()) } else { Err(CaseRefusal::ToCome { field, found, now }) }
}
