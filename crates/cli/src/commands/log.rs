//! `tidegate log`: who did what, when, to what.

use anyhow::Result;
use clap::Args;
use indicatif::ProgressBar;
use jiff::tz::TimeZone;
use tidegate_wire::operator::AccountLine;

use crate::client::AccountWanted;
use crate::context::{Context, now};
use crate::instants;
use crate::output::{Answer, instant};

pub(super) const EXAMPLES: &str = "\
One line an act, its fields parted by tabs: instant, who, what, about what, detail. Who is an operator, a key that signed, `gate`
or `server`. What is one of: approved, called, collected, completed, concluded, device_enrolled, device_retired, envelope, halted, held, hold_lifted,
holdback_ended, incident, incident_opened, key_list, login_code, operator, operator_removed, part_halted, paused, policy, release, resumed, returning,
ring_passed, signed_in, signed_out, started.

Examples:
  tidegate log --since 7d
  tidegate log --what halted --about content.1
  tidegate log --who ada | cut -f1,3,4
  tidegate log --json | jq 'group_by(.who) | map({who: .[0].who, acts: length})'";

/// Which acts are shown.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Only what this operator, key, `gate` or `server` did
    #[arg(long)]
    who: Option<String>,
    /// Only acts of this word
    #[arg(long)]
    what: Option<String>,
    /// Only acts about this rollout, release, policy, device, operator or hold
    #[arg(long)]
    about: Option<String>,
    /// Only since then: an instant such as 2026-11-27T00:00:00Z, a date (UTC), or how long ago, such as 7d
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
}

pub(super) fn run(context: &Context, args: &LogArgs) -> Result<Answer> {
    let since =
        args.since.as_deref().map(|text| instants::gone_by("--since", text, now(), &TimeZone::UTC)).transpose()?;
    let client = context.client()?;
    let wanted =
        AccountWanted { who: args.who.as_deref(), what: args.what.as_deref(), about: args.about.as_deref(), since };
    let (mut lines, mut after, bar): (Vec<AccountLine>, u64, _) = (Vec::new(), 0, ProgressBar::new(0));
    loop {
        let part = client.account(after, &wanted)?;
        lines.extend(part.lines);
        bar.set_length(part.last);
        bar.set_position(part.through);
        if part.through >= part.last || part.through == after {
            break;
        }
        after = part.through;
    }
    bar.finish_and_clear();
    let shown: Vec<String> = lines.iter().map(line).collect();
    let text = if shown.is_empty() { "nothing of that is in the log".to_owned() } else { shown.join("\n") };
    Answer::new(lines, text)
}

fn line(line: &AccountLine) -> String {
    let fields = [instant(line.at_ms), line.who.clone(), line.what.clone(), line.about.clone(), line.detail.clone()];
    fields.map(|field| field.replace(['\t', '\n', '\r'], " ")).join("\t")
}
