//! `tidegate incident`: what went wrong, who was exposed, who is well again.

use anyhow::Result;
use clap::Subcommand;
use tidegate_domain::ids::IncidentId;
use tidegate_wire::operator::TroubleView;

use crate::context::Context;
use crate::output::{Answer, facts, instant, instant_or_dash, table};

const EXAMPLES: &str = "\
An incident opens by itself when a rollout halts, and is restored when every device that took the
release is well again.

Examples:
  tidegate incident list
  tidegate incident show inc-content.7
  tidegate --json incident show inc-content.7 | jq .need_hands";

/// What went wrong, and who is well again
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum IncidentCommand {
    /// Show all incidents
    List,
    /// Show one incident with its devices
    Show {
        /// The incident, inc- and the rollout
        incident: IncidentId,
    },
}

pub(super) fn run(context: &Context, command: IncidentCommand) -> Result<Answer> {
    let api = context.client()?;
    match command {
        IncidentCommand::List => {
            let incidents = api.incidents()?;
            let mut shown = table(&["incident", "state", "opened", "exposed", "harmed", "restored", "need hands"]);
            for i in &incidents {
                shown.add_row([
                    i.incident.to_string(),
                    i.state.clone(),
                    instant(i.opened_at_ms),
                    i.exposed.to_string(),
                    i.harmed.to_string(),
                    i.restored.to_string(),
                    i.need_hands.to_string(),
                ]);
            }
            Answer::new(incidents, shown.to_string())
        }
        IncidentCommand::Show { incident } => {
            let i = api.incident(&incident)?;
            let mut text = facts(&[
                ("incident", i.incident.to_string()),
                ("rollout", i.rollout.to_string()),
                ("halted", if i.parts.is_empty() { "all devices".to_owned() } else { i.parts.join("; ") }),
                ("state", i.state.clone()),
                ("opened", instant(i.opened_at_ms)),
                ("restored", instant_or_dash(i.restored_at_ms)),
                ("reasons", i.reasons.join("; ")),
                ("exposed", i.exposed.to_string()),
                ("harmed", i.harmed.to_string()),
                ("well again", format!("{} ({} back without hands)", i.restored, i.back_without_hands)),
                ("need hands", i.need_hands.to_string()),
            ]);
            if !i.devices.is_empty() {
                let mut shown = table(&["device", "took it", "state", "in its own words"]);
                for device in &i.devices {
                    let words = device.trouble.as_ref().map_or_else(String::new, TroubleView::words);
                    shown.add_row([
                        device.device.to_string(),
                        instant(device.taken_at_ms),
                        device.state.clone(),
                        words,
                    ]);
                }
                text.push_str(&shown.to_string());
            }
            Answer::new(i, text)
        }
    }
}
