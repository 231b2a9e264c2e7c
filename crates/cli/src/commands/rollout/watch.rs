//! `tidegate rollout watch`: follows a rollout to its end. At a terminal it draws over itself; else it writes a line a change.
//! A server that is away for a while is waited for.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use tidegate_domain::ids::RolloutId;
use tidegate_domain::time::Elapsed;
use tidegate_wire::operator::RolloutView;

use super::EVERY;
use crate::client::Client;
use crate::context::Context;
use crate::output::Answer;
use crate::rollout_display::Shown;

/// The exit code for a rollout that halted.
const EXIT_HALTED: u8 = 3;

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The rollout
    rollout: RolloutId,
    /// How often to ask
    #[arg(long, value_name = "TIME", default_value_t = EVERY)]
    every: Elapsed,
    /// How long to wait for a server that does not answer
    #[arg(long, value_name = "TIME", default_value = "5min")]
    patience: Elapsed,
}

pub(super) fn run(context: &Context, args: &WatchArgs) -> Result<Answer> {
    if !(100..=3_600_000).contains(&args.every.as_ms()) {
        bail!("--every {}: right is 100ms to 1h", args.every);
    }
    let api = context.client()?;
    let mut shown = Shown::new(context.json);
    let mut silent_since: Option<Instant> = None;
    loop {
        match ask(&api, args, &mut silent_since)? {
            Some(view) => {
                shown.show(&view)?;
                match view.report.phase.as_str() {
                    "completed" => return Ok(Answer::shown(0)),
                    "halted" => return Ok(Answer::shown(EXIT_HALTED)),
                    _ => {}
                }
            }
            None => shown.note("the server does not answer; waiting for it"),
        }
        thread::sleep(Duration::from_millis(args.every.as_ms()));
    }
}

/// The rollout, or nothing while a server that does not answer is still waited for.
fn ask(api: &Client, args: &WatchArgs, silent_since: &mut Option<Instant>) -> Result<Option<RolloutView>> {
    match api.rollout(&args.rollout) {
        Ok(view) => {
            *silent_since = None;
            Ok(Some(view))
        }
        Err(error) if error.is_passing() => {
            let since = silent_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= Duration::from_millis(args.patience.as_ms()) {
                return Err(error.into());
            }
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
