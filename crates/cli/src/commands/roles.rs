//! The other programs that this binary also is, so that one build is enough: agent, guard, example payload, naive updater.
//! Their arguments are theirs alone: they are handed on as they came.

use std::env;
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use crate::output::Answer;

/// Runs the role that the first argument names, if it names one.
pub(crate) fn dispatch() -> Option<ExitCode> {
    let role = env::args_os().nth(1)?;
    let arguments = || env::args_os().skip(1);
    let run: fn(&mut dyn Iterator<Item = OsString>) -> ExitCode = match role.as_os_str() {
        role if role == OsStr::new("agent") => |arguments| match guard_words() {
            Ok(words) => tidegate_agent::agent_main_with_args(arguments, words),
            Err(error) => {
                eprintln!("tidegate: cannot find this program's own file, which is the guard too: {error}");
                ExitCode::FAILURE
            }
        },
        role if role == OsStr::new("guard") => |arguments| tidegate_agent::guard::main_with_args(arguments),
        role if role == OsStr::new("sensor") => |arguments| tidegate_sensor::main_with_args(arguments),
        role if role == OsStr::new("naive-updater") => |arguments| tidegate_naive_updater::main_with_args(arguments),
        _ => return None,
    };
    Some(run(&mut arguments()))
}

/// How the agent starts the guard: this program in that role.
fn guard_words() -> std::io::Result<Vec<OsString>> {
    Ok(vec![env::current_exe()?.into_os_string(), "guard".into()])
}

/// The roles as `tidegate --help` and completions show them. [`dispatch`] has run them before any of this is parsed.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Run as a device's agent; see `tidegate agent --help`
    #[command(disable_help_flag = true)]
    Agent(Words),
    /// Run as the guard before a payload; see `tidegate guard --help`
    #[command(disable_help_flag = true)]
    Guard(Words),
    /// Run as the example payload
    #[command(hide = true, disable_help_flag = true)]
    Sensor(Words),
    /// Run as the naive updater
    #[command(hide = true, disable_help_flag = true)]
    NaiveUpdater(Words),
}

/// The role's own arguments.
#[derive(Debug, Args)]
pub(crate) struct Words {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    words: Vec<OsString>,
}

/// A role whose name does not come first.
pub(super) fn refuse(role: &Role) -> Result<Answer> {
    let (name, words) = match role {
        Role::Agent(words) => ("agent", words),
        Role::Guard(words) => ("guard", words),
        Role::Sensor(words) => ("sensor", words),
        Role::NaiveUpdater(words) => ("naive-updater", words),
    };
    let words: Vec<_> = words.words.iter().map(|word| word.to_string_lossy()).collect();
    bail!("`{name}` takes no flags before it; right is `tidegate {name} {}`", words.join(" "))
}
