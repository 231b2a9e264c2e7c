//! The device: fetch, verify, stage, activate, prove, return, report.
//!
//! [`agent_main_with_args`] is the agent, [`guard::main_with_args`] the guard that runs before each start of a payload. The agent
//! decides nothing that `tidegate_domain::device` decides already and believes nothing that [`verdict`] refused. It never runs a
//! shell, and it never blocks its main loop on the network.

mod clock;
mod conduct;
mod config;
mod contact;
mod download;
mod drill;
mod durable;
mod enrol;
pub mod guard;
mod install;
mod invariant;
mod layout;
mod leftover;
mod os;
mod outbox;
mod own;
mod package;
mod payload;
mod probe;
mod program;
mod said;
mod server;
mod sign;
mod status;
mod talk;
mod task;
mod trust_store;
pub mod verdict;

pub use config::{Config, ConfigError};
pub use drill::{DRILL_POINTS, KILL_AT_VARIABLE, KILL_ONCE_VARIABLE};

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the agent until it is told to stop (SIGTERM, SIGINT or the like). `args` begins with the program's name.
///
/// `guard_words` starts the guard: a program and leading arguments, for example `["/usr/bin/tidegate-guard"]` or
/// `["/usr/bin/tidegate", "guard"]`.
///
/// Exit codes: 0 after an orderly stop, 2 for arguments or a configuration that cannot be used, 1 for everything else.
pub fn agent_main_with_args(args: impl Iterator<Item = OsString>, guard_words: Vec<OsString>) -> ExitCode {
    let asked = match task::from_args(args) {
        Ok(asked) => asked,
        Err(task::Stop::Help { text, code }) => {
            // Where stdout and stderr are gone there is nobody left to tell.
            let _ = text.print();
            return ExitCode::from(code);
        }
        Err(task::Stop::Wrong(error)) => {
            eprintln!("tidegate-agent: {error}");
            return ExitCode::from(2);
        }
    };
    let done = match asked {
        task::Task::Run(config) => {
            config.start_log();
            conduct::run(*config, guard_words)
        }
        task::Task::Install(args) => install::run(*args),
        task::Task::Status(args) => status::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}
