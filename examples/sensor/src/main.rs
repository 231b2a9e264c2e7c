//! The example payload as a program of its own; the library holds all that it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidegate_sensor::main_with_args(std::env::args_os())
}
