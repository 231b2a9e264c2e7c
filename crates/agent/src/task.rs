//! What the agent is started for: to run, to set this machine up, or to say how things stand.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigError, Flags, merge};
use crate::install::InstallArgs;
use crate::own;
use crate::status::StatusArgs;

const HELP_END: &str = "\
Examples:
  A device joins with a token and runs `sensor` on what `sensor-content` delivers:
    tidegate-agent --data /var/lib/tidegate --token token.json --attr os=linux --attr site=ams \\
        --payload 'sensor-content=/usr/bin/sensor --content {slot} --health-file {run}/health.json'

  The same in a file, /etc/tidegate/agent.toml (use --config):
    data = \"/var/lib/tidegate\"
    token = \"/etc/tidegate/token.json\"
    [attributes]
    os = \"linux\"
    [payloads]
    sensor-content = [\"/usr/bin/sensor\", \"--content\", \"{slot}\"]

Words of a payload: {slot} is the folder of the release that runs, {run} the package's own folder for health files and sockets,
{active} a link to the slot whose name never changes. The payload also sees them as TIDEGATE_SLOT, TIDEGATE_RUN, TIDEGATE_ACTIVE,
and its ring as TIDEGATE_RING. It is stopped by SIGTERM and has two seconds to end.

Each flag can stand in the environment: TIDEGATE_AGENT_DATA, TIDEGATE_AGENT_TOKEN and so on; lists there are joined by commas.";

/// Runs on a device: takes what it is offered only after checking everything itself, starts it behind a guard, proves it, and
/// returns to its fallback by itself when it fails.
#[derive(Debug, Parser)]
#[command(name = "tidegate-agent", version, after_help = HELP_END, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// What to do instead of running.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Set this machine up as a device: write the settings given, keep token and certificates, start the service
    Install(Box<InstallArgs>),
    /// Show who this device is and where its packages stand, from its data folder alone
    Status(StatusArgs),
}

/// Why the agent does not start.
pub(crate) enum Stop {
    /// Help, version, or wrong usage: what clap says.
    Help {
        /// The text.
        text: Box<clap::Error>,
        /// The exit code.
        code: u8,
    },
    /// A setting that cannot be used.
    Wrong(ConfigError),
}

/// What the arguments ask for.
pub(crate) enum Task {
    Run(Box<Config>),
    Install(Box<InstallArgs>),
    Status(StatusArgs),
}

/// Reads arguments, and for running file, environment and flags.
pub(crate) fn from_args(args: impl Iterator<Item = OsString>) -> Result<Task, Stop> {
    let cli = Cli::try_parse_from(args).map_err(|error| {
        let code = u8::try_from(error.exit_code()).unwrap_or(2);
        Stop::Help { text: Box::new(error), code }
    })?;
    match cli.verb {
        Some(Verb::Install(args)) => Ok(Task::Install(args)),
        Some(Verb::Status(args)) => Ok(Task::Status(args)),
        None => {
            merge(cli.flags).and_then(follows_something).map(|config| Task::Run(Box::new(config))).map_err(Stop::Wrong)
        }
    }
}

/// An agent that is a package itself needs no other.
fn follows_something(config: Config) -> Result<Config, ConfigError> {
    if config.packages.is_empty() && std::env::var_os(own::DIR_VARIABLE).is_none() {
        return Err(ConfigError::Missing("--payload or --package"));
    }
    Ok(config)
}
