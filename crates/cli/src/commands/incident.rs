//! `tidegate incident`: what went wrong, who was exposed, who is well again, and what people do about it.

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use jiff::tz::TimeZone;
use tidegate_domain::attributes::AttributeValue;
use tidegate_domain::case::{Act, Cause, Role, Stage};
use tidegate_domain::ids::{DeviceId, IncidentId, OperatorName, PackageName};
use tidegate_domain::selector::Selector;
use tidegate_domain::time::WallTime;
use tidegate_wire::operator::{ActRequest, OpenIncidentRequest};

use super::incident_words::{hands, listed, whole};
use crate::context::{Context, now};
use crate::instants;
use crate::output::Answer;

const EXAMPLES: &str = "\
An incident opens by itself when a rollout halts, and is restored when every device that took the
release is well again. People open others. Either is detected, contained, restored, explained, closed:
in this order, and the commander says so.

Examples:
  tidegate incident list
  tidegate incident show inc-content.7
  tidegate incident role inc-content.7 commander ada
  tidegate incident note inc-content.7 \"support has twelve calls\" --at 2026-11-27T18:05
  tidegate incident task inc-content.7 \"send an engineer\" --customer acme --owner bob --due 4h
  tidegate incident instruct inc-content.7 \"Start in safe mode, delete ...\" --select 'os == \"windows\"'
  tidegate incident hands inc-content.7 --csv > hands.csv
  tidegate incident explain inc-content.7 --mechanism \"...\" --trigger \"...\" --not-caught \"...\" --contained-by \"...\"
  tidegate incident reach inc-content.7 explained
  tidegate incident lesson inc-content.7 \"count the fields before publishing\" --blocks
  tidegate incident done inc-content.7 2 \"the check is in the pipeline\"
  tidegate --json incident show inc-content.7 | jq .need_hands";

/// What went wrong, who is well again, and what people do about it
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum IncidentCommand {
    /// Show all incidents
    List,
    /// Show one incident: its stages, people, timeline, tasks, customers and devices
    Show {
        /// The incident, such as inc-content.7
        incident: IncidentId,
    },
    /// Show the devices that need hands, with what to do there
    Hands {
        /// The incident
        incident: IncidentId,
        /// Only those of this customer
        #[arg(long)]
        customer: Option<AttributeValue>,
        /// As comma-separated values
        #[arg(long)]
        csv: bool,
    },
    /// Open an incident that no halt did
    Open {
        /// In a few words
        title: String,
        /// The package that it is about
        #[arg(long)]
        package: Option<PackageName>,
        /// When it was noticed: an instant, or how long ago, such as 2026-11-27T18:00 or 20m [default: now]
        #[arg(long, value_name = "WHEN")]
        at: Option<String>,
    },
    /// Give a role to somebody
    Role {
        /// The incident
        incident: IncidentId,
        /// Which
        role: RoleWord,
        /// Who; nobody without it
        operator: Option<OperatorName>,
    },
    /// Write into the timeline
    Note {
        /// The incident
        incident: IncidentId,
        /// What happened
        text: String,
        /// When it happened: an instant, or how long ago [default: now]
        #[arg(long, value_name = "WHEN")]
        at: Option<String>,
    },
    /// Add something to do
    Task {
        /// The incident
        incident: IncidentId,
        /// What
        text: String,
        #[command(flatten)]
        work: Work,
        /// The customer that it helps
        #[arg(long)]
        customer: Option<AttributeValue>,
        /// The device that it is about
        #[arg(long)]
        device: Option<DeviceId>,
    },
    /// Add a lesson: what changes so that it does not happen again
    Lesson {
        /// The incident
        incident: IncidentId,
        /// What changes
        text: String,
        #[command(flatten)]
        work: Work,
        /// No release of the package is ordered until it is done
        #[arg(long)]
        blocks: bool,
    },
    /// Give a task or a lesson to somebody
    Assign {
        /// The incident
        incident: IncidentId,
        /// Its number
        task: u32,
        /// Who; nobody without it
        operator: Option<OperatorName>,
    },
    /// Say that a task or a lesson is done
    Done {
        /// The incident
        incident: IncidentId,
        /// Its number
        task: u32,
        /// How
        words: String,
    },
    /// Say what to do at devices that need hands; the first that fits a device counts
    Instruct {
        /// The incident
        incident: IncidentId,
        /// What to do
        text: String,
        /// The devices that it fits; all without it
        #[arg(long, value_name = "SELECTOR")]
        select: Option<String>,
    },
    /// Say whom to speak to at a customer's
    Contact {
        /// The incident
        incident: IncidentId,
        /// The customer: a value of the attribute `customer`
        customer: AttributeValue,
        /// Whom, and how to reach them
        text: String,
    },
    /// Say why it happened
    Explain {
        /// The incident
        incident: IncidentId,
        /// What went wrong, from the change to the harm
        #[arg(long)]
        mechanism: String,
        /// What set it off
        #[arg(long)]
        trigger: String,
        /// Why nothing stopped it earlier
        #[arg(long)]
        not_caught: String,
        /// What made it no worse
        #[arg(long)]
        contained_by: String,
    },
    /// Say that the next stage is reached; the commander does
    Reach {
        /// The incident
        incident: IncidentId,
        /// The stage
        stage: StageWord,
        /// When that was: an instant, or how long ago [default: now]
        #[arg(long, value_name = "WHEN")]
        at: Option<String>,
    },
}

/// Who does it, and until when.
#[derive(Debug, Args)]
pub(crate) struct Work {
    /// Who does it
    #[arg(long)]
    owner: Option<OperatorName>,
    /// Until when: an instant, or how long from now, such as 2026-11-28T12:00 or 4h
    #[arg(long, value_name = "WHEN")]
    due: Option<String>,
}

/// See [`Role`].
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RoleWord {
    /// Leads, and says when a stage is reached
    Commander,
    /// Keeps the timeline
    Scribe,
    /// Speaks with those who are hit
    Liaison,
}

/// See [`Stage`].
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StageWord {
    /// It spreads no further
    Contained,
    /// Everybody who was hit is well again
    Restored,
    /// It is known why it happened
    Explained,
    /// Nothing is left to do but the lessons
    Closed,
}

pub(super) fn run(context: &Context, command: IncidentCommand) -> Result<Answer> {
    let api = context.client()?;
    let (incident, act) = match command {
        IncidentCommand::List => {
            let incidents = api.incidents()?;
            let text = listed(&incidents);
            return Answer::new(incidents, text);
        }
        IncidentCommand::Show { incident } => {
            let shown = api.incident(&incident)?;
            let text = whole(&shown);
            return Answer::new(shown, text);
        }
        IncidentCommand::Hands { incident, customer, csv } => {
            let mut devices = api.incident(&incident)?.devices;
            devices.retain(|one| one.state == "needs_hands" && (customer.is_none() || one.customer == customer));
            let text = if csv { api.hands(&incident, customer.as_ref())? } else { hands(&devices) };
            return Answer::new(devices, text);
        }
        IncidentCommand::Open { title, package, at } => {
            let request = OpenIncidentRequest { title, package, noticed_at_ms: Some(happened(at)?) };
            let opened = api.open_incident(&request)?;
            let text = whole(&opened);
            return Answer::new(opened, text);
        }
        IncidentCommand::Role { incident, role, operator } => (incident, Act::Role { role: role.into(), operator }),
        IncidentCommand::Note { incident, text, at } => (incident, Act::Note { at_ms: happened(at)?, text }),
        IncidentCommand::Task { incident, text, work, customer, device } => {
            let (owner, due_ms) = work.read()?;
            (incident, Act::Task { text, owner, due_ms, customer, device })
        }
        IncidentCommand::Lesson { incident, text, work, blocks } => {
            let (owner, due_ms) = work.read()?;
            (incident, Act::Lesson { text, owner, due_ms, blocks })
        }
        IncidentCommand::Assign { incident, task, operator } => (incident, Act::Assign { task, owner: operator }),
        IncidentCommand::Done { incident, task, words } => (incident, Act::Done { task, words }),
        IncidentCommand::Instruct { incident, text, select } => {
            let select = select.map(|text| text.parse::<Selector>()).transpose()?.unwrap_or_default();
            (incident, Act::Instruct { select, text })
        }
        IncidentCommand::Contact { incident, customer, text } => (incident, Act::Contact { customer, text }),
        IncidentCommand::Explain { incident, mechanism, trigger, not_caught, contained_by } => {
            (incident, Act::Explain { cause: Cause { mechanism, trigger, not_caught, contained_by } })
        }
        IncidentCommand::Reach { incident, stage, at } => {
            (incident, Act::Reach { stage: stage.into(), at_ms: happened(at)? })
        }
    };
    let shown = api.act(&incident, &ActRequest(act))?;
    let text = whole(&shown);
    Answer::new(shown, text)
}

fn happened(at: Option<String>) -> Result<WallTime> {
    at.map_or_else(|| Ok(now()), |text| instants::gone_by("--at", &text, now(), &TimeZone::system()))
}

impl Work {
    fn read(self) -> Result<(Option<OperatorName>, Option<WallTime>)> {
        let due = self.due.map(|text| instants::to_come("--due", &text, now(), &TimeZone::system())).transpose()?;
        Ok((self.owner, due))
    }
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Role {
        match word {
            RoleWord::Commander => Role::Commander,
            RoleWord::Scribe => Role::Scribe,
            RoleWord::Liaison => Role::Liaison,
        }
    }
}

impl From<StageWord> for Stage {
    fn from(word: StageWord) -> Stage {
        match word {
            StageWord::Contained => Stage::Contained,
            StageWord::Restored => Stage::Restored,
            StageWord::Explained => Stage::Explained,
            StageWord::Closed => Stage::Closed,
        }
    }
}
