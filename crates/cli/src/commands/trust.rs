//! `tidegate trust`: makes a fleet and says what lies where and what must go offline; its keys stand in `trust_keys.rs`.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use indicatif::ProgressBar;
use tidegate_domain::envelope::Envelope;
use tidegate_keyring::WorkFactor;

use super::trust_keys::{self, KeyCommand};
use crate::context::{Context, now};
use crate::durable_file;
use crate::fleet_setup::{FleetPlan, NewFleet, SAFE_ENVELOPE, make_fleet};
use crate::output::{Answer, facts, instant, table};

const EXAMPLES: &str = "\
Makes, whole or not at all:
  DIR/offline/     keys that belong on no server, sealed by the passphrase:
                   root-N, targets, publisher-N, order, enrolment, halt
  DIR/server/      what the server gets: a credential, three keys sealed to it, the signed files
  DIR/fleet.json   the fleet's name (digest of root 1) and the keys' public halves

Examples:
  tidegate trust init --dir fleet
  tidegate trust init --dir fleet --root-keys 3 --root-threshold 2 --publishers 2
  tidegate trust init --dir fleet --envelope envelope.toml
  TIDE_PASS=... tidegate --passphrase-env TIDE_PASS trust init --dir fleet";

/// Make a fleet: keys, root, key list and envelope
#[derive(Debug, Subcommand)]
pub(crate) enum TrustCommand {
    /// Make a new fleet in a folder
    #[command(after_help = EXAMPLES)]
    Init(InitArgs),
    /// Show, add or take out keys that may sign for the fleet
    #[command(subcommand)]
    Key(KeyCommand),
}

#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// The folder to make
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The bounds that no policy may leave, TOML [default: the safe bounds]
    #[arg(long, value_name = "FILE")]
    envelope: Option<PathBuf>,
    /// How many root keys to make, 1 to 16
    #[arg(long, value_name = "N", default_value_t = 1)]
    root_keys: u32,
    /// How many of them must sign
    #[arg(long, value_name = "M", default_value_t = 1)]
    root_threshold: u32,
    /// How many publisher keys to make, 1 to 16
    #[arg(long, value_name = "N", default_value_t = 1)]
    publishers: u32,
    /// How many approver keys to make, 1 to 16; two approvers let a halted release go on, and a third must be there
    #[arg(long, value_name = "N", default_value_t = 3)]
    approvers: u32,
    /// Cost of one passphrase guess: scrypt with N = 2^LOG_N, 14 to 20; 18 is 256 MiB and about a second
    #[arg(long, value_name = "LOG_N", default_value_t = 18, value_parser = clap::value_parser!(u8).range(14..=20))]
    scrypt_log_n: u8,
}

pub(super) fn run(context: &Context, command: TrustCommand) -> Result<Answer> {
    let args = match command {
        TrustCommand::Init(args) => args,
        TrustCommand::Key(command) => return trust_keys::run(context, command),
    };
    let envelope = match &args.envelope {
        Some(path) => durable_file::read_text(path, 64 * 1024)?,
        None => SAFE_ENVELOPE.to_owned(),
    };
    // Before a person types a passphrase for nothing.
    Envelope::parse(&envelope)?;
    let plan = FleetPlan {
        root_keys: args.root_keys,
        root_threshold: args.root_threshold,
        publishers: args.publishers,
        approvers: args.approvers,
        envelope,
        now: now(),
        passphrase: context.new_passphrase("passphrase for the new offline keys")?,
        work_factor: WorkFactor::new(args.scrypt_log_n).unwrap_or_default(),
    };
    let working = working(context);
    let fleet = make_fleet(&args.dir, &plan);
    working.finish_and_clear();
    let fleet = fleet?;
    let text = shown(&args.dir, &fleet);
    Answer::new(fleet, text)
}

/// Sealing takes about a second a key, which should not look like nothing.
fn working(context: &Context) -> ProgressBar {
    if context.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_message("making and sealing keys");
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn shown(dir: &std::path::Path, fleet: &NewFleet) -> String {
    let mut keys = table(&["role", "file", "key id"]);
    for key in &fleet.keys {
        keys.add_row([key.role.to_owned(), key.file.display().to_string(), key.key_id.chars().take(12).collect()]);
    }
    let about = facts(&[
        ("fleet", fleet.fleet.to_string()),
        ("envelope", fleet.envelope.to_string()),
        ("root", format!("{} of {} keys must sign", fleet.root_threshold, count(fleet, "root"))),
        ("good until", instant(fleet.good_until_ms)),
    ]);
    let dir = dir.display();
    format!(
        "{about}{keys}\n\
         Take offline: {dir}/offline. Whoever has these keys and the passphrase can change what devices trust. Spread the root\n\
         and publisher keys over people, keep copies, and leave none of them on the server.\n\
         For the server: {dir}/server, readable by its service alone (tidegate up --fleet {dir}/server).\n\
         Note the fleet's name above: devices pin it, and `tidegate login --fleet-digest` checks it."
    )
}

fn count(fleet: &NewFleet, role: &str) -> usize {
    fleet.keys.iter().filter(|key| key.role == role).count()
}
