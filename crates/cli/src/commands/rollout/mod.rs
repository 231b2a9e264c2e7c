//! `tidegate rollout`: start, watch, pause, resume, approve, halt.

mod approve;
mod halt;
mod resuming;
mod start;
mod watch;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use tidegate_domain::ids::RolloutId;
use tidegate_domain::time::Elapsed;
use tidegate_wire::operator::ReasonRequest;

use crate::client::{Client, ClientError};
use crate::context::Context;
use crate::output::{Answer, instant, table};
use crate::rollout_view;

const EXAMPLES: &str = "\
Starting needs a person's order key; pausing and halting need any operator, and take effect at once. Whoever
holds a halt key may halt without being logged in.
Resuming opens again what was paused. What was halted stays halted: its release goes on only by a new order that two
approvers sign too, without the words of a few named devices (`start --resume`, `countersign`, `send`).

Examples:
  tidegate rollout start content 1.0.0 --policy default@sha256:... --key order.key
  tidegate rollout watch content.1              exit code 0 when completed, 3 when halted
  tidegate rollout status content.1
  tidegate rollout pause content.1 --reason \"looking at site fra\"
  tidegate rollout approve content.1 --ring broad --key approver-1.key --reason \"the canary was fine\"
  tidegate rollout halt content.1 --reason \"wrong build\"
  tidegate rollout halt content.1 --reason \"wrong build\" --key halt.key
  tidegate rollout start content 1.0.0 --policy default@sha256:... --key order.key --resume --without d1 --out go-on.json
  tidegate rollout countersign go-on.json --key approver-1.key
  tidegate rollout send go-on.json";

/// Start, watch and stop rollouts
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum RolloutCommand {
    /// Check an order against what was asked, sign it, start the rollout
    #[command(after_help = EXAMPLES)]
    Start(start::StartArgs),
    /// Add an approver's signature to an order that goes on after a halt
    Countersign(resuming::CountersignArgs),
    /// Start a rollout by an order that approvers have signed
    Send {
        /// The order
        file: std::path::PathBuf,
    },
    /// Follow a rollout until it completes (exit code 0) or halts (3)
    Watch(watch::WatchArgs),
    /// Show a rollout
    Status {
        /// The rollout
        rollout: RolloutId,
    },
    /// Show all rollouts
    List {
        /// Those that concern no device any more, of which `tidegate store prune` keeps only how they went
        #[arg(long)]
        concluded: bool,
    },
    /// Open no more until resumed
    Pause(ReasonArgs),
    /// Open again what was paused
    Resume(ReasonArgs),
    /// Let the next ring open once the one before it has passed, signed by an approver's key; the policy says which role may
    Approve(approve::ApproveArgs),
    /// End the rollout's opening for good; with `--key` without a login
    Halt(halt::HaltArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ReasonArgs {
    /// The rollout
    rollout: RolloutId,
    /// Why, for the account; 1 to 500 characters
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(super) fn run(context: &Context, command: RolloutCommand) -> Result<Answer> {
    match command {
        RolloutCommand::Start(args) => start::run(context, &args),
        RolloutCommand::Countersign(args) => resuming::countersign(context, &args),
        RolloutCommand::Send { file } => resuming::send(context, &file),
        RolloutCommand::Watch(args) => watch::run(context, &args),
        RolloutCommand::Status { rollout } => {
            let view = context.client()?.rollout(&rollout)?;
            let text = rollout_view::full(&view);
            Answer::new(view, text)
        }
        RolloutCommand::List { concluded: false } => list(context),
        RolloutCommand::List { concluded: true } => list_concluded(context),
        RolloutCommand::Pause(args) => act(context, &args, Client::pause, "paused"),
        RolloutCommand::Resume(args) => act(context, &args, Client::resume, "resumed"),
        RolloutCommand::Approve(args) => approve::run(context, &args),
        RolloutCommand::Halt(args) => halt::run(context, &args),
    }
}

fn list(context: &Context) -> Result<Answer> {
    let rollouts = context.client()?.rollouts()?;
    let mut shown = table(&["rollout", "version", "policy", "phase", "ring", "proven", "failed", "silent", "started"]);
    for view in &rollouts {
        let totals = rollout_view::Totals::of(&view.report);
        shown.add_row([
            view.rollout.to_string(),
            view.version.to_string(),
            view.policy_name.to_string(),
            view.report.phase.clone(),
            view.report.ring.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            format!("{} of {}", totals.proven, totals.places),
            totals.failed.to_string(),
            totals.silent.to_string(),
            instant(view.started_at_ms),
        ]);
    }
    Answer::new(rollouts, shown.to_string())
}

fn list_concluded(context: &Context) -> Result<Answer> {
    let concluded = context.client()?.concluded()?;
    let mut shown = table(&["rollout", "version", "phase", "took it", "proven", "harmed", "started", "ended"]);
    for view in &concluded {
        shown.add_row([
            view.rollout.to_string(),
            view.version.to_string(),
            view.phase.clone(),
            view.taken.to_string(),
            view.proven.to_string(),
            view.harmed.to_string(),
            instant(view.started_at_ms),
            instant(view.ended_at_ms),
        ]);
    }
    Answer::new(concluded, shown.to_string())
}

type Verb = fn(&Client, &RolloutId, &ReasonRequest) -> std::result::Result<(), ClientError>;

fn check_reason(reason: &str) -> Result<()> {
    let chars = reason.chars().count();
    if !(1..=500).contains(&chars) {
        bail!("--reason has {chars} characters; right is 1 to 500");
    }
    Ok(())
}

/// What an operator does to a rollout, with a reason for the account.
fn act(context: &Context, args: &ReasonArgs, verb: Verb, done: &str) -> Result<Answer> {
    check_reason(&args.reason)?;
    let (api, rollout) = (context.client()?, &args.rollout);
    verb(&api, rollout, &ReasonRequest { reason: args.reason.clone() })?;
    let view = api.rollout(rollout)?;
    let text = format!("{done} {rollout}\n{}", rollout_view::full(&view));
    Answer::new(view, text)
}

/// The default of `watch --every`.
const EVERY: Elapsed = Elapsed::from_ms(1_000);
