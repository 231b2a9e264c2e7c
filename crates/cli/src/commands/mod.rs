//! The commands, one file a group: what each takes, and how its answer is shown. What they do lies in the modules beside this one.

mod blame;
mod completions;
mod console;
mod declaring;
mod device;
mod fleet;
mod hold;
mod incident;
mod incident_words;
mod log;
mod login;
mod operator;
mod package;
mod policy;
mod release;
mod replay;
pub(crate) mod roles;
mod rollout;
mod simulate;
mod status;
mod store;
mod trust;
mod trust_keys;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::context::Context;
use crate::output::Answer;
use crate::settings::{Settings, SettingsArgs};

const EXAMPLES: &str = "\
From nothing to a first rollout:
  tidegate trust init --dir fleet            make keys, root, envelope; take fleet/offline offline
  tidegate up --fleet fleet/server           start the server; it prints a one-time login code
  tidegate login URL --code CODE             log in
  tidegate package add content --publisher-key fleet/offline/publisher-1.key --threshold 1 \\
                               --targets-key fleet/offline/targets.key
  tidegate device token create --key fleet/offline/enrolment.key --endpoint URL --out token.json
  tidegate release stage content 1.0.0 --files build --manifest release.toml --out stage
  tidegate release sign stage --key fleet/offline/publisher-1.key
  tidegate release publish stage
  tidegate policy apply default.toml --key fleet/offline/order.key
  tidegate rollout start content 1.0.0 --policy NAME@DIGEST --key fleet/offline/order.key
  tidegate rollout watch content.1

Every command teaches its own part: tidegate COMMAND --help";

/// Ships signed releases to a fleet of devices, and opens no more of it than evidence allows
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, max_term_width = 110, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a fleet: keys, root, key list and envelope; say who may sign what
    #[command(subcommand)]
    Trust(trust::TrustCommand),
    /// Let devices join
    #[command(subcommand)]
    Device(device::DeviceCommand),
    /// Packages and who publishes them
    #[command(subcommand)]
    Package(package::PackageCommand),
    /// Stage, sign and publish releases
    #[command(subcommand)]
    Release(release::ReleaseCommand),
    /// How packages may spread
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Start, watch and stop rollouts
    #[command(subcommand)]
    Rollout(rollout::RolloutCommand),
    /// Devices as the server sees them
    #[command(subcommand)]
    Fleet(fleet::FleetCommand),
    /// Devices that take nothing for a while: a paused site, a freeze, a pinned device, maintenance windows
    #[command(subcommand)]
    Hold(hold::HoldCommand),
    /// What went wrong, and who is well again
    #[command(subcommand)]
    Incident(incident::IncidentCommand),
    /// Who did what, when, to what
    #[command(after_help = log::EXAMPLES)]
    Log(log::LogArgs),
    /// Which rollout explains a rise in failures, and in whom
    #[command(after_help = blame::EXAMPLES)]
    Blame,
    /// Who may use the operator API
    #[command(subcommand)]
    Operator(operator::OperatorCommand),
    /// What would have to change for the server to be as a folder says
    #[command(after_help = declaring::EXAMPLES)]
    Diff(declaring::DiffArgs),
    /// Make the server as a folder says: packages, policies, operators
    #[command(after_help = declaring::EXAMPLES)]
    Apply(declaring::ApplyArgs),
    /// A link that signs a browser in at the server's console
    #[command(after_help = console::EXAMPLES)]
    Console,
    /// Run the server
    #[command(after_help = crate::up::EXAMPLES)]
    Up(crate::up::UpArgs),
    /// The server's records, without the server
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Try policies on a simulated fleet: how many devices a bad release harms, how long a sound one takes
    #[command(after_help = simulate::EXAMPLES)]
    Simulate(simulate::SimulateArgs),
    /// See the main job: a good release spreads, a bad one halts by itself, and what the world had instead
    #[command(after_help = crate::demo::EXAMPLES)]
    Demo(crate::demo::DemoArgs),
    /// Run the device agent; `tidegate agent --help` is the agent's own
    #[command(disable_help_flag = true)]
    Agent {
        /// The agent's own arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Run the guard before a payload; `tidegate guard --help` is the guard's own
    #[command(disable_help_flag = true)]
    Guard {
        /// The guard's own arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Log in at a server with a one-time code
    Login(login::LoginArgs),
    /// What the server is and which promises are in force
    #[command(after_help = status::EXAMPLES)]
    Status,
    /// Shell completions
    Completions(completions::CompletionsArgs),
}

/// Runs a command.
///
/// # Errors
/// What was refused or failed, where, and what would be right.
pub(crate) fn run(cli: Cli) -> Result<Answer> {
    if let Command::Completions(args) = cli.command {
        return completions::run(&args);
    }
    if let Command::Demo(args) = &cli.command {
        return crate::demo::run(args, cli.settings.json);
    }
    if let Command::Simulate(args) = &cli.command {
        return simulate::run(args);
    }
    let context = Context { settings: Settings::load(&cli.settings)?, json: cli.settings.json };
    match cli.command {
        Command::Trust(command) => trust::run(&context, command),
        Command::Device(command) => device::run(&context, command),
        Command::Package(command) => package::run(&context, command),
        Command::Release(command) => release::run(&context, command),
        Command::Policy(command) => policy::run(&context, command),
        Command::Rollout(command) => rollout::run(&context, command),
        Command::Fleet(command) => fleet::run(&context, command),
        Command::Hold(command) => hold::run(&context, command),
        Command::Incident(command) => incident::run(&context, command),
        Command::Log(args) => log::run(&context, &args),
        Command::Blame => blame::run(&context),
        Command::Operator(command) => operator::run(&context, command),
        Command::Diff(args) => declaring::diff(&context, &args),
        Command::Apply(args) => declaring::apply(&context, &args),
        Command::Console => console::run(&context),
        Command::Up(args) => crate::up::run(&args, &context.settings.up, context.json),
        Command::Store(command) => store::run(&context, &command),
        Command::Demo(args) => crate::demo::run(&args, context.json),
        Command::Simulate(args) => simulate::run(&args),
        // These two never come here: they are dispatched before anything is parsed, with their arguments as they came.
        Command::Agent { .. } | Command::Guard { .. } => {
            anyhow::bail!("a role takes no flags before it; right is `tidegate agent ...` or `tidegate guard ...`")
        }
        Command::Login(args) => login::run(&context, &args),
        Command::Status => status::run(&context),
        Command::Completions(args) => completions::run(&args),
    }
}
