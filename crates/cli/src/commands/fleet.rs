//! `tidegate fleet`: devices as the server sees them.

use anyhow::Result;
use clap::Subcommand;
use tidegate_domain::ids::DeviceId;
use tidegate_domain::selector::Selector;
use tidegate_wire::operator::{DeviceView, ReasonRequest};

use crate::context::Context;
use crate::output::{Answer, facts, instant, instant_or_dash, table};

const EXAMPLES: &str = "\
Selectors: ==, !=, in [..], &&, ||, !, parentheses. An attribute that a device lacks equals
nothing.

Examples:
  tidegate fleet list
  tidegate fleet list --select 'os == \"windows\" && site in [\"ams\", \"fra\"]'
  tidegate fleet show edge-17
  tidegate fleet retire edge-17 --reason \"sold\"
To hold devices back for a while: tidegate hold --help";

/// Devices as the server sees them
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum FleetCommand {
    /// Show devices
    List {
        /// Only those that this selector means
        #[arg(long, value_name = "SELECTOR")]
        select: Option<String>,
    },
    /// Show one device
    Show {
        /// The device
        device: DeviceId,
    },
    /// Take a device out of the fleet: its token is good for nothing from then on, and its id is free for a new key
    Retire {
        /// The device
        device: DeviceId,
        /// Why, for the account
        #[arg(long)]
        reason: String,
    },
}

pub(super) fn run(context: &Context, command: FleetCommand) -> Result<Answer> {
    match command {
        FleetCommand::List { select } => {
            // Refused here, with the column, before anything is sent.
            let selector = select.map(|text| text.parse::<Selector>()).transpose()?;
            let devices = context.client()?.devices(selector.as_ref().map(Selector::as_str))?;
            let mut shown = table(&["device", "ring", "attributes", "seen", "standing", "packages"]);
            for device in &devices {
                shown.add_row([
                    device.device.to_string(),
                    ring(device),
                    attributes(device),
                    instant_or_dash(device.seen_at_ms),
                    word(device).to_owned(),
                    device.packages.iter().map(|p| format!("{} {}", p.package, p.state)).collect::<Vec<_>>().join(", "),
                ]);
            }
            let text = format!("{shown}\n{} devices", devices.len());
            Answer::new(devices, text)
        }
        FleetCommand::Show { device } => {
            let device = context.client()?.device(&device)?;
            let mut text = facts(&[
                ("device", device.device.to_string()),
                ("ring", ring(&device)),
                ("attributes", attributes(&device)),
                ("enrolled", instant(device.enrolled_at_ms)),
                ("seen", instant_or_dash(device.seen_at_ms)),
                ("standing", standing(&device)),
            ]);
            let mut shown = table(&["package", "state", "healthy", "current", "fallback", "last report"]);
            for p in &device.packages {
                let short = |digest: Option<tidegate_domain::digest::Digest>| {
                    digest.map_or_else(|| "-".to_owned(), |digest| digest.short())
                };
                shown.add_row([
                    p.package.to_string(),
                    p.state.clone(),
                    match p.current {
                        _ if p.healthy => "yes",
                        None => "-",
                        Some(_) => "no",
                    }
                    .to_owned(),
                    short(p.current),
                    short(p.fallback),
                    p.last_report.clone().unwrap_or_else(|| "-".to_owned()),
                ]);
            }
            text.push_str(&shown.to_string());
            for (package, trouble) in device.packages.iter().filter_map(|p| Some((&p.package, p.trouble.as_ref()?))) {
                text.push_str(&format!("\n{package}, {}: {}", instant(trouble.at_ms), trouble.words()));
            }
            Answer::new(device, text)
        }
        FleetCommand::Retire { device, reason } => {
            let retired = context.client()?.retire(&device, &ReasonRequest { reason })?;
            let text = format!(
                "{device} is out of the fleet; where it is to come back, remove its data folder and enrol it again"
            );
            Answer::new(retired, text)
        }
    }
}

fn word(device: &DeviceView) -> &'static str {
    match (&device.retired, device.held_by.is_empty()) {
        (Some(_), _) => "taken out",
        (None, false) => "held",
        (None, true) => "in",
    }
}

/// Whether it takes releases now.
fn standing(device: &DeviceView) -> String {
    match (&device.retired, device.held_by.as_slice()) {
        (Some(retired), _) => format!("taken out {} by {}: {}", instant(retired.at_ms), retired.by, retired.reason),
        (None, []) => "takes releases".to_owned(),
        (None, holds) => {
            let numbers: Vec<String> = holds.iter().map(ToString::to_string).collect();
            format!("held by hold {}", numbers.join(", "))
        }
    }
}

fn ring(device: &DeviceView) -> String {
    device.ring.as_ref().map_or_else(|| "by share".to_owned(), ToString::to_string)
}

fn attributes(device: &DeviceView) -> String {
    device.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}
