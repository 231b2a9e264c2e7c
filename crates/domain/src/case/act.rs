//! What a person may do in a case, whether they may now, and what it comes to.

use serde::{Deserialize, Serialize};

use super::refusal::{not_to_come, text};
use super::{
    CASE_BYTES_MAX, CONTACTS_MAX, Case, CaseRefusal, Cause, Done, INSTRUCTIONS_MAX, Instruction, Lesson, NOTES_MAX,
    Note, Reached, Role, Stage, TASKS_MAX, Task,
};
use crate::attributes::AttributeValue;
use crate::ids::{DeviceId, OperatorName};
use crate::selector::Selector;
use crate::time::WallTime;

/// Something that a person does in a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// Gives a role to somebody, or to nobody.
    Role {
        /// Which.
        role: Role,
        /// Who.
        #[serde(default)]
        operator: Option<OperatorName>,
    },
    /// Writes into the timeline.
    Note {
        /// When it happened.
        at_ms: WallTime,
        /// What happened.
        text: String,
    },
    /// Adds something to do.
    Task {
        /// What.
        text: String,
        /// Who does it.
        #[serde(default)]
        owner: Option<OperatorName>,
        /// Until when.
        #[serde(default)]
        due_ms: Option<WallTime>,
        /// The customer that it helps.
        #[serde(default)]
        customer: Option<AttributeValue>,
        /// The device that it is about.
        #[serde(default)]
        device: Option<DeviceId>,
    },
    /// Adds a lesson.
    Lesson {
        /// What is changed.
        text: String,
        /// Who does it.
        #[serde(default)]
        owner: Option<OperatorName>,
        /// Until when.
        #[serde(default)]
        due_ms: Option<WallTime>,
        /// Whether no release of the package is ordered until it is done.
        #[serde(default)]
        blocks: bool,
    },
    /// Gives a task to somebody, or to nobody.
    Assign {
        /// Its number.
        task: u32,
        /// Who.
        #[serde(default)]
        owner: Option<OperatorName>,
    },
    /// A task or a lesson is done.
    Done {
        /// Its number.
        task: u32,
        /// How.
        words: String,
    },
    /// Says what to do at devices that need hands.
    Instruct {
        /// The devices that it fits.
        select: Selector,
        /// What to do.
        text: String,
    },
    /// Says whom to speak to at a customer's.
    Contact {
        /// The customer.
        customer: AttributeValue,
        /// Whom, and how to reach them.
        text: String,
    },
    /// Says why it happened. Saying it again replaces what was said.
    Explain {
        /// Why.
        cause: Cause,
    },
    /// The next stage is reached.
    Reach {
        /// Which.
        stage: Stage,
        /// When that happened.
        at_ms: WallTime,
    },
}

impl Act {
    /// What it is, for the account.
    pub fn words(&self) -> String {
        let who = |operator: &Option<OperatorName>| {
            operator.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string)
        };
        match self {
            Act::Role { role, operator } => format!("{} is {}", role.word(), who(operator)),
            Act::Note { text, .. } => format!("noted: {text}"),
            Act::Task { text, owner, .. } => format!("task for {}: {text}", who(owner)),
            Act::Lesson { text, owner, blocks, .. } => {
                let blocks = if *blocks { ", which blocks the package's releases" } else { "" };
                format!("lesson for {}{blocks}: {text}", who(owner))
            }
            Act::Assign { task, owner } => format!("task {task} is for {}", who(owner)),
            Act::Done { task, words } => format!("task {task} is done: {words}"),
            Act::Instruct { select, .. } if select.as_str() == "true" => "instructions for all devices".to_owned(),
            Act::Instruct { select, .. } => format!("instructions for {}", select.as_str()),
            Act::Contact { customer, .. } => format!("contact of {customer}"),
            Act::Explain { cause } => format!("explained: {}", cause.mechanism),
            Act::Reach { stage, .. } => stage.word().to_owned(),
        }
    }

    /// The operator that it gives something to.
    pub fn names(&self) -> Option<&OperatorName> {
        match self {
            Act::Role { operator: who, .. }
            | Act::Task { owner: who, .. }
            | Act::Lesson { owner: who, .. }
            | Act::Assign { owner: who, .. } => who.as_ref(),
            _ => None,
        }
    }

    fn texts(&self) -> Vec<(&'static str, &str)> {
        match self {
            Act::Note { text, .. }
            | Act::Task { text, .. }
            | Act::Lesson { text, .. }
            | Act::Instruct { text, .. }
            | Act::Contact { text, .. } => vec![("text", text)],
            Act::Done { words, .. } => vec![("words", words)],
            Act::Explain { cause } => vec![
                ("cause.mechanism", &cause.mechanism),
                ("cause.trigger", &cause.trigger),
                ("cause.not_caught", &cause.not_caught),
                ("cause.contained_by", &cause.contained_by),
            ],
            Act::Role { .. } | Act::Assign { .. } | Act::Reach { .. } => Vec::new(),
        }
    }
}

impl Case {
    /// Whether somebody may do something now.
    ///
    /// # Errors
    /// When not, with what would be right.
    pub fn may(&self, act: &Act, by: &OperatorName, now: WallTime) -> Result<(), CaseRefusal> {
        let mut bytes = self.bytes();
        for (field, words) in act.texts() {
            text(field, words)?;
            bytes += words.len();
        }
        if bytes > CASE_BYTES_MAX {
            return Err(CaseRefusal::TooMany { what: "bytes of text", most: CASE_BYTES_MAX });
        }
        let finishes_lesson = |task: u32| self.open_task(task).is_ok_and(|task| task.lesson.is_some());
        if self.stage() == Stage::Closed {
            match act {
                Act::Note { .. } => {}
                Act::Done { task, .. } if finishes_lesson(*task) => {}
                _ => return Err(CaseRefusal::Closed),
            }
        }
        let room =
            |what, held: usize, most| if held < most { Ok(()) } else { Err(CaseRefusal::TooMany { what, most }) };
        match act {
            Act::Role { .. } | Act::Explain { .. } => Ok(()),
            Act::Note { at_ms, .. } => {
                not_to_come("at_ms", *at_ms, now)?;
                room("notes", self.notes.len(), NOTES_MAX)
            }
            Act::Task { .. } | Act::Lesson { .. } => room("tasks", self.tasks.len(), TASKS_MAX),
            Act::Assign { task, .. } | Act::Done { task, .. } => self.open_task(*task).map(|_| ()),
            Act::Instruct { .. } => room("instructions", self.instructions.len(), INSTRUCTIONS_MAX),
            Act::Contact { customer, .. } if self.contacts.contains_key(customer) => Ok(()),
            Act::Contact { .. } => room("contacts", self.contacts.len(), CONTACTS_MAX),
            Act::Reach { stage, at_ms } => self.may_reach(*stage, *at_ms, by, now),
        }
    }

    /// The bytes of all that people wrote.
    fn bytes(&self) -> usize {
        let notes = self.notes.iter().map(|note| note.text.len());
        let done = |task: &Task| task.done.as_ref().map_or(0, |done| done.words.len());
        let tasks = self.tasks.iter().map(|task| task.text.len() + done(task));
        let instructions = self.instructions.iter().map(|one| one.text.len());
        notes.chain(tasks).chain(instructions).chain(self.contacts.values().map(String::len)).sum()
    }

    fn may_reach(&self, wanted: Stage, at: WallTime, by: &OperatorName, now: WallTime) -> Result<(), CaseRefusal> {
        let stage = self.stage();
        if stage.next() != Some(wanted) {
            return Err(CaseRefusal::NotNext { now: stage, next: stage.next(), wanted });
        }
        if self.halted && wanted <= Stage::Restored {
            return Err(CaseRefusal::ByItself(wanted));
        }
        if self.roles.get(&Role::Commander) != Some(by) {
            return Err(CaseRefusal::NotCommander(by.to_string()));
        }
        not_to_come("at_ms", at, now)?;
        if let Some(last) = self.reached.last().filter(|last| at < last.at_ms) {
            return Err(CaseRefusal::BeforeTheLast { wanted, found: at, before: last.stage, at: last.at_ms });
        }
        match self.missing_for(wanted) {
            Some(missing) => Err(CaseRefusal::WorkLeft { wanted, missing }),
            None => Ok(()),
        }
    }

    /// What must be there before a stage is reached.
    fn missing_for(&self, wanted: Stage) -> Option<String> {
        let open = self.tasks.iter().filter(|task| task.lesson.is_none() && task.done.is_none()).count();
        match wanted {
            Stage::Explained if self.cause.is_none() => Some("nobody has said why it happened".to_owned()),
            Stage::Closed if open > 0 => Some(format!("{open} tasks are not done")),
            Stage::Closed if !self.tasks.iter().any(|task| task.lesson.is_some()) => {
                Some("nothing was learnt from it: a lesson says what changes, or why nothing does".to_owned())
            }
            _ => None,
        }
    }

    fn open_task(&self, number: u32) -> Result<&Task, CaseRefusal> {
        let task = self.numbered().find(|(at, _)| *at == number).map(|(_, task)| task);
        task.filter(|task| task.done.is_none()).ok_or(CaseRefusal::NoTask(number))
    }

    /// Does it. What [`Case::may`] refuses is for the caller to keep away.
    pub fn apply(&mut self, act: Act, by: OperatorName, now: WallTime) {
        let task = |text: String, owner, due_ms| Task {
            text,
            by: by.clone(),
            recorded_at_ms: now,
            owner,
            due_ms,
            customer: None,
            device: None,
            lesson: None,
            done: None,
        };
        match act {
            Act::Role { role, operator: Some(operator) } => drop(self.roles.insert(role, operator)),
            Act::Role { role, operator: None } => drop(self.roles.remove(&role)),
            Act::Note { at_ms, text } => self.notes.push(Note { at_ms, recorded_at_ms: now, by, text }),
            Act::Task { text, owner, due_ms, customer, device } => {
                self.tasks.push(Task { customer, device, ..task(text, owner, due_ms) });
            }
            Act::Lesson { text, owner, due_ms, blocks } => {
                self.tasks.push(Task { lesson: Some(Lesson { blocks }), ..task(text, owner, due_ms) });
            }
            Act::Assign { task, owner } => {
                if let Some(known) = self.task_mut(task) {
                    known.owner = owner;
                }
            }
            Act::Done { task, words } => {
                if let Some(known) = self.task_mut(task) {
                    known.done = Some(Done { at_ms: now, by, words });
                }
            }
            Act::Instruct { select, text } => self.instructions.push(Instruction { select, text }),
            Act::Contact { customer, text } => drop(self.contacts.insert(customer, text)),
            Act::Explain { cause } => self.cause = Some(cause),
            Act::Reach { stage, at_ms } => {
                self.reached.push(Reached { stage, at_ms, recorded_at_ms: now, by: Some(by) });
            }
        }
    }

    fn task_mut(&mut self, number: u32) -> Option<&mut Task> {
        self.tasks.get_mut((number as usize).checked_sub(1)?)
    }
}
