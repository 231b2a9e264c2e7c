//! A case: what people do about an incident, from the moment that it was detected until it is closed.
//!
//! Detected, contained, restored, explained, closed: in this order and in the order of time. What happened and when it was written down
//! are two instants. The case of a halt is contained by the halt and restored by what devices say; people explain and close it. Pure: an
//! act and an instant in, a case out. It never decides anything about a rollout.

mod act;
mod refusal;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::attributes::{AttributeValue, Attributes};
use crate::ids::{AttributeName, DeviceId, OperatorName, PackageName};
use crate::incident::{Incident, IncidentState};
use crate::selector::Selector;
use crate::time::WallTime;

pub use act::Act;
pub use refusal::CaseRefusal;

/// The attribute that says whose a device is.
pub const CUSTOMER: &str = "customer";
/// The most characters of a text.
pub const TEXT_CHARS_MAX: usize = 4_000;
/// The most notes of a case.
pub const NOTES_MAX: usize = 2_000;
/// The most tasks of a case, lessons included.
pub const TASKS_MAX: usize = 1_000;
/// The most instructions of a case.
pub const INSTRUCTIONS_MAX: usize = 64;
/// The most customers that contacts are kept of.
pub const CONTACTS_MAX: usize = 10_000;

/// The most bytes of all texts of a case together: a megabyte.
pub const CASE_BYTES_MAX: usize = 1 << 20;

/// How far a case has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Somebody or something noticed.
    Detected,
    /// It spreads no further.
    Contained,
    /// Everybody who was hit is well again.
    Restored,
    /// It is known why it happened.
    Explained,
    /// Nothing is left to do but the lessons.
    Closed,
}

/// Who does what in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Leads, and says when a stage is reached.
    Commander,
    /// Keeps the timeline.
    Scribe,
    /// Speaks with those who are hit.
    Liaison,
}

/// A stage that was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Which.
    pub stage: Stage,
    /// When that happened.
    pub at_ms: WallTime,
    /// When it was written down.
    pub recorded_at_ms: WallTime,
    /// Who said so; none where it happened by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<OperatorName>,
}

/// Something that somebody wrote into the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When it happened.
    pub at_ms: WallTime,
    /// When it was written down.
    pub recorded_at_ms: WallTime,
    /// Who wrote it.
    pub by: OperatorName,
    /// What happened.
    pub text: String,
}

/// Something to do. Its number is its place in the case's list, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// What.
    pub text: String,
    /// Who asked for it.
    pub by: OperatorName,
    /// When it was written down.
    pub recorded_at_ms: WallTime,
    /// Who does it; none while nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OperatorName>,
    /// Until when it should be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_ms: Option<WallTime>,
    /// The customer that it helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<AttributeValue>,
    /// The device that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// Where it is a lesson: whether it blocks the package's next release until it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lesson: Option<Lesson>,
    /// Once it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Done>,
}

/// A lesson: what is changed so that it does not happen again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lesson {
    /// Whether no release of the package is ordered until it is done.
    pub blocks: bool,
}

/// How a task was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// When that was written down.
    pub at_ms: WallTime,
    /// Who said so.
    pub by: OperatorName,
    /// How, in their words.
    pub words: String,
}

/// What somebody does at a device that needs hands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    /// The devices that it fits.
    pub select: Selector,
    /// What to do.
    pub text: String,
}

/// Why it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// What went wrong, from the change to the harm.
    pub mechanism: String,
    /// What set it off.
    pub trigger: String,
    /// Why nothing stopped it earlier.
    pub not_caught: String,
    /// What made it no worse.
    pub contained_by: String,
}

/// What people do about an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// In a few words.
    pub title: String,
    /// The package that it is about; none where it is about none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageName>,
    /// Whether a halt opened it.
    pub halted: bool,
    /// The stages that were reached, in order; never empty.
    pub reached: Vec<Reached>,
    /// Who does what.
    pub roles: BTreeMap<Role, OperatorName>,
    /// What people wrote into the timeline, in the order of writing.
    pub notes: Vec<Note>,
    /// What is to be done, lessons included.
    pub tasks: Vec<Task>,
    /// What to do at devices that need hands; the first that fits counts.
    pub instructions: Vec<Instruction>,
    /// Whom to speak to at a customer's.
    pub contacts: BTreeMap<AttributeValue, String>,
    /// Why it happened, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Stage; 5] = [Stage::Detected, Stage::Contained, Stage::Restored, Stage::Explained, Stage::Closed];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Detected => "detected",
            Stage::Contained => "contained",
            Stage::Restored => "restored",
            Stage::Explained => "explained",
            Stage::Closed => "closed",
        }
    }

    /// The one that follows.
    pub fn next(self) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| *stage > self)
    }
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 3] = [Role::Commander, Role::Scribe, Role::Liaison];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Role::Commander => "commander",
            Role::Scribe => "scribe",
            Role::Liaison => "liaison",
        }
    }
}

impl Case {
    /// The case of a halt: detected and contained by it.
    pub fn of_halt(incident: &Incident) -> Case {
        let at_ms = incident.opened_at_ms;
        let by_itself = |stage| Reached { stage, at_ms, recorded_at_ms: at_ms, by: None };
        let mut case = Case {
            halted: true,
            reached: vec![by_itself(Stage::Detected), by_itself(Stage::Contained)],
            ..Case::empty(
                format!("{} {} was halted", incident.package, incident.version),
                Some(incident.package.clone()),
            )
        };
        case.follow(incident);
        case
    }

    /// A case that somebody opens; `at_ms` is when it was noticed.
    ///
    /// # Errors
    /// When that lies in the future, or the title has no text or too much.
    pub fn by_hand(
        title: &str,
        package: Option<PackageName>,
        at_ms: WallTime,
        by: OperatorName,
        now: WallTime,
    ) -> Result<Case, CaseRefusal> {
        refusal::text("title", title)?;
        refusal::not_to_come("at_ms", at_ms, now)?;
        let detected = Reached { stage: Stage::Detected, at_ms, recorded_at_ms: now, by: Some(by) };
        Ok(Case { reached: vec![detected], ..Case::empty(title.trim().to_owned(), package) })
    }

    fn empty(title: String, package: Option<PackageName>) -> Case {
        Case {
            title,
            package,
            halted: false,
            reached: Vec::new(),
            roles: BTreeMap::new(),
            notes: Vec::new(),
            tasks: Vec::new(),
            instructions: Vec::new(),
            contacts: BTreeMap::new(),
            cause: None,
        }
    }

    /// How far it has come.
    pub fn stage(&self) -> Stage {
        self.reached.last().map_or(Stage::Detected, |reached| reached.stage)
    }

    /// When a stage was reached.
    pub fn reached(&self, stage: Stage) -> Option<&Reached> {
        self.reached.iter().find(|reached| reached.stage == stage)
    }

    /// The lessons that keep the package's next release from being ordered, with their numbers.
    pub fn blocking(&self) -> impl Iterator<Item = (u32, &Task)> {
        self.numbered().filter(|(_, task)| task.done.is_none() && task.lesson.is_some_and(|lesson| lesson.blocks))
    }

    /// The tasks with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, &Task)> {
        (1_u32..).zip(&self.tasks)
    }

    /// What to do at a device that needs hands.
    pub fn instruction_for(&self, attributes: &Attributes) -> Option<&Instruction> {
        self.instructions.iter().find(|one| one.select.matches(attributes))
    }

    /// Takes up what became of the halt: it is restored by what devices say. Whoever folds a log whose old reports are gone hears of nobody who
    /// took the release, and of the restoration last: what the incident says in the end counts, so that both come to the same case.
    pub fn follow(&mut self, incident: &Incident) {
        let IncidentState::Restored { at_ms } = incident.state else { return };
        self.reached.retain(|reached| reached.stage != Stage::Restored);
        let behind = self.reached.partition_point(|reached| reached.stage < Stage::Restored);
        self.reached.insert(behind, Reached { stage: Stage::Restored, at_ms, recorded_at_ms: at_ms, by: None });
    }

    /// More of the fleet is halted: it is no more than contained.
    pub fn reopen(&mut self) {
        self.reached.retain(|reached| reached.stage <= Stage::Contained);
    }
}

/// Whose a device is, as far as it is said.
pub fn customer_of(attributes: &Attributes) -> Option<&AttributeValue> {
    let name: AttributeName = CUSTOMER.parse().ok()?;
    attributes.get(&name)
}

#[cfg(test)]
mod tests;
