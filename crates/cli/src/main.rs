//! The `tidegate` command: what people type. Parses, dispatches, and shows one answer or one line of error.
//! Exit codes: 0 done, 1 refused or failed (one line on standard error), 2 wrong usage, 3 a watched rollout halted.

mod client;
mod commands;
mod context;
mod declared;
mod delegation;
mod demo;
mod durable_file;
mod enrolment_token;
mod fleet_setup;
mod instants;
mod ordering;
mod output;
mod publishing;
mod repository;
mod rollout_display;
mod rollout_view;
mod settings;
mod signing;
mod staging;
mod up;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use commands::Cli;

fn main() -> ExitCode {
    if let Some(code) = commands::roles::dispatch() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let json = cli.settings.json;
    match commands::run(cli) {
        Ok(answer) => ExitCode::from(answer.show(json)),
        Err(error) => {
            eprintln!("tidegate: {}", output::error_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// Help goes out as it is; a mistake becomes one line.
fn usage(error: &clap::Error) -> ExitCode {
    let asked = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if asked {
        // Where even the terminal is gone there is nobody left to tell.
        let _ = error.print();
        return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    }
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    eprintln!("tidegate: {}; see --help", output::one_line(first));
    ExitCode::from(2)
}
