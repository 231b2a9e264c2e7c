//! `tidegate-agent`: the agent, with the guard that stands beside it. Everything is in the library.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("tidegate-guard"));
    let guard = beside.filter(|path| path.exists()).map_or_else(|| "tidegate-guard".into(), OsString::from);
    tidegate_agent::agent_main_with_args(std::env::args_os(), vec![guard])
}
