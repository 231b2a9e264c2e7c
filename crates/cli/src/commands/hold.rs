//! `tidegate hold`: devices that take nothing for a while.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use serde_json::json;
use tidegate_domain::ids::{DeviceId, PackageName};
use tidegate_domain::selector::Selector;
use tidegate_domain::time::WallTime;
use tidegate_wire::operator::{HoldRequest, HoldView, ReasonRequest, WeeklyWindows};

use crate::context::{Context, now};
use crate::instants;
use crate::output::{Answer, facts, instant, instant_or_dash, table};

const EXAMPLES: &str = "\
A held device takes no release, whatever rollout is under way. It goes on with what it runs, reports, and returns by itself as ever.
Any operator may hold; lifting needs the role approver.

Examples:
  tidegate hold add --select 'site == \"ams\"' --reason \"network works\"             a site, until it is lifted
  tidegate hold add --from 2026-12-20 --until 2027-01-04 --zone Europe/Amsterdam \\
      --reason \"year end\"                                                          a freeze of everything
  tidegate hold add --device till-17 --until 30d --reason \"certified as it is\"     a pinned device
  tidegate hold add --select 'site == \"ams\"' --zone Europe/Amsterdam \\
      --window 'sat,sun 02:00-06:00' --reason \"maintenance windows\"                 held but at these times
  tidegate hold list
  tidegate hold lift 3 --reason \"done\"";

/// Devices that take nothing for a while: a paused site, a freeze, a pinned device, maintenance windows
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum HoldCommand {
    /// Hold devices back
    #[command(after_help = EXAMPLES)]
    Add(AddArgs),
    /// Show the holds in force and to come
    List,
    /// End a hold before its time
    Lift {
        /// Its number
        hold: u32,
        /// Why, for the account
        #[arg(long)]
        reason: String,
    },
}

/// A hold to make.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Which devices; all without it
    #[arg(long, value_name = "SELECTOR")]
    select: Option<String>,
    /// Only this device. Repeat for more
    #[arg(long = "device", value_name = "DEVICE")]
    devices: Vec<DeviceId>,
    /// Only releases of this package
    #[arg(long, value_name = "PACKAGE")]
    package: Option<PackageName>,
    /// From when on: an instant, a date, or how long from now, such as 2026-12-20T18:00, 2026-12-20, 3d [default: now]
    #[arg(long, value_name = "WHEN")]
    from: Option<String>,
    /// Until when, as --from; without it until it is lifted
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Only outside these times of the week, such as 'sat,sun 02:00-06:00'. Repeat for more
    #[arg(long = "window", value_name = "DAYS HH:MM-HH:MM", requires = "zone")]
    windows: Vec<String>,
    /// The time zone of dates and windows, such as Europe/Amsterdam [default: that of this machine]
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Why, for the account
    #[arg(long)]
    reason: String,
}

pub(super) fn run(context: &Context, command: HoldCommand) -> Result<Answer> {
    match command {
        HoldCommand::Add(args) => {
            let request = request(args, now())?;
            let made = context.client()?.hold(&request)?;
            let text = full(&made);
            Answer::new(made, text)
        }
        HoldCommand::List => {
            let holds = context.client()?.holds()?;
            let mut shown =
                table(&["hold", "devices", "means", "package", "from", "until", "windows", "now", "by", "reason"]);
            for hold in &holds {
                shown.add_row([
                    hold.hold.to_string(),
                    meant(hold),
                    hold.means.to_string(),
                    hold.package.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string),
                    instant(hold.from_ms),
                    instant_or_dash(hold.until_ms),
                    hold.windows.clone().unwrap_or_else(|| "-".to_owned()),
                    now_word(hold).to_owned(),
                    hold.by.to_string(),
                    hold.reason.clone(),
                ]);
            }
            let text = if holds.is_empty() { "nobody is held".to_owned() } else { shown.to_string() };
            Answer::new(holds, text)
        }
        HoldCommand::Lift { hold, reason } => {
            context.client()?.lift_hold(hold, &ReasonRequest { reason })?;
            Answer::new(json!({"lifted": hold}), format!("hold {hold} is lifted"))
        }
    }
}

fn request(args: AddArgs, now: WallTime) -> Result<HoldRequest> {
    let AddArgs { select, devices, package, from, until, windows, zone, reason } = args;
    // Refused here, with the column, before anything is sent.
    let select = select.map(|text| text.parse::<Selector>()).transpose()?.map(|selector| selector.to_string());
    let in_zone = match &zone {
        Some(name) => {
            TimeZone::get(name).with_context(|| format!("--zone {name:?}: expected a name such as Europe/Amsterdam"))?
        }
        None => TimeZone::system(),
    };
    let when =
        |flag: &str, text: Option<String>| text.map(|text| instants::to_come(flag, &text, now, &in_zone)).transpose();
    Ok(HoldRequest {
        select,
        devices: devices.into_iter().collect::<BTreeSet<_>>(),
        package,
        from_ms: when("--from", from)?,
        until_ms: when("--until", until)?,
        windows: zone.filter(|_| !windows.is_empty()).map(|zone| WeeklyWindows { zone, weekly: windows }),
        reason,
    })
}

fn meant(hold: &HoldView) -> String {
    let devices: Vec<&str> = hold.devices.iter().map(DeviceId::as_str).collect();
    match (devices.as_slice(), hold.select.as_str()) {
        ([], "true") => "all".to_owned(),
        ([], select) => select.to_owned(),
        (few, _) if few.len() <= 3 => few.join(", "),
        (many, _) => format!("{} named ones", many.len()),
    }
}

fn now_word(hold: &HoldView) -> &'static str {
    if hold.in_force { "held" } else { "open" }
}

fn full(hold: &HoldView) -> String {
    facts(&[
        ("hold", hold.hold.to_string()),
        ("devices", format!("{} ({} enrolled)", meant(hold), hold.means)),
        ("package", hold.package.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string)),
        ("from", instant(hold.from_ms)),
        ("until", hold.until_ms.map_or_else(|| "it is lifted".to_owned(), instant)),
        ("windows", hold.windows.clone().unwrap_or_else(|| "-".to_owned())),
        ("windows end", instant_or_dash(hold.windows_end_ms)),
        ("now", now_word(hold).to_owned()),
        ("lets go at", instant_or_dash(hold.lets_go_at_ms)),
    ])
}
