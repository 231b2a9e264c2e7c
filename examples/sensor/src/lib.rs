//! An example payload: a sensor that interprets content templates, with the flaw of Channel File 291.
//! In July 2024 a content template named 21 input fields where the calling code supplied 20; earlier content had a
//! wildcard in the 21st place, which is never read, and the first content without one read out of bounds.
//! This one supplies 20 inputs as well, and content that reads a 21st really ends the process, at every start.
//! It knows nothing of Tidegate and never repairs or replaces its content.

pub mod content;
mod health;
mod inputs;
mod interpreter;
mod run;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use run::Settings;

/// The exit code for content or arguments that cannot be used.
pub const EXIT_UNUSABLE: u8 = 2;

/// A sensor that evaluates content templates against events until it is told to stop.
#[derive(Debug, Parser)]
#[command(name = "tidegate-sensor", bin_name = "tidegate-sensor")]
struct Cli {
    /// The folder that holds templates.json.
    #[arg(long, value_name = "DIR", env = "TIDEGATE_SLOT")]
    content: PathBuf,
    /// Where to write health, as JSON, by atomic rename.
    #[arg(long, value_name = "PATH")]
    health_file: Option<PathBuf>,
    /// How often health is written, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    health_every_ms: u64,
    /// The ring that this sensor is in.
    #[arg(long, value_name = "RING", env = "TIDEGATE_RING")]
    ring: Option<String>,
    /// In this ring criteria beyond the inputs are skipped: a laboratory that does not see the fault.
    #[arg(long, value_name = "RING")]
    tolerate_in_ring: Option<String>,
    /// Crash this many milliseconds after a good start: a fault that shows late.
    #[arg(long, value_name = "MS")]
    crash_after_ms: Option<u64>,
}

/// Runs the sensor until it is told to stop. `args` begins with the program's name, as `std::env::args_os` does.
///
/// Exit codes: 0 after SIGTERM, SIGINT or the like; 2 for arguments or content that cannot be used. Content that
/// reads beyond the inputs, and `--crash-after-ms`, end the process by abort instead of returning.
pub fn main_with_args(args: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Where even stderr is gone there is nobody left to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_UNUSABLE));
        }
    };
    match run::run(&cli.settings()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sensor: {error}");
            ExitCode::from(EXIT_UNUSABLE)
        }
    }
}

impl Cli {
    fn settings(self) -> Settings {
        Settings {
            tolerant: self.ring.is_some() && self.ring == self.tolerate_in_ring,
            content_dir: self.content,
            health_file: self.health_file,
            health_every: Duration::from_millis(self.health_every_ms),
            crash_after: self.crash_after_ms.map(Duration::from_millis),
        }
    }
}
