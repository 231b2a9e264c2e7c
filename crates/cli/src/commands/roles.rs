//! The other programs that this binary also is, so that one build is enough: agent, guard, the example payload, the naive updater.
//! Their arguments are theirs alone: they are handed on as they came.

use std::env;
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

/// Runs the role that the first argument names, if it names one.
pub(crate) fn dispatch() -> Option<ExitCode> {
    let role = env::args_os().nth(1)?;
    // Their help speaks of the command that was typed.
    let name = OsString::from(format!("tidegate {}", role.display()));
    let mut arguments = std::iter::once(name).chain(env::args_os().skip(2));
    let run: fn(&mut dyn Iterator<Item = OsString>) -> ExitCode = match role.as_os_str() {
        role if role == OsStr::new("agent") => agent,
        role if role == OsStr::new("guard") => |arguments| tidegate_agent::guard::main_with_args(arguments),
        role if role == OsStr::new("sensor") => |arguments| tidegate_sensor::main_with_args(arguments),
        role if role == OsStr::new("naive-updater") => |arguments| tidegate_naive_updater::main_with_args(arguments),
        _ => return None,
    };
    Some(run(&mut arguments))
}

/// The agent runs its guard as a role of the same program.
fn agent(arguments: &mut dyn Iterator<Item = OsString>) -> ExitCode {
    let own = env::current_exe().map_or_else(|_| OsString::from("tidegate"), OsString::from);
    tidegate_agent::agent_main_with_args(arguments, vec![own, "guard".into()])
}
