//! `tidegate-guard`: runs before the payload at each start. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidegate_agent::guard::main_with_args(std::env::args_os())
}
