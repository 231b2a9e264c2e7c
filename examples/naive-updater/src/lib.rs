//! What the world had: an updater that fetches new content as soon as there is any and applies it at once.
//! It checks digests and restarts what crashes, and has nothing else: no rings, no guard, no fallback.
//! Shown beside Tidegate in the demonstration, and never used by it for anything else.

pub mod feed;
mod fetch;
mod payload;
pub mod status;
pub mod updater;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use clap::Parser;

use updater::{Settings, Updater};

/// An updater that applies whatever the feed offers, at once.
#[derive(Debug, Parser)]
#[command(name = "tidegate-naive-updater", bin_name = "tidegate-naive-updater")]
struct Cli {
    /// The feed's address, such as http://127.0.0.1:8000/feed.json.
    #[arg(long, value_name = "URL")]
    feed: String,
    /// The folder for content/ and status.json.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// How often the feed is asked, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..=86_400_000))]
    every_ms: u64,
    /// The payload, with its arguments; TIDEGATE_SLOT tells it where its content is.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    payload: Vec<OsString>,
}

/// Runs the updater until SIGTERM or SIGINT. `args` begins with the program's name, as `std::env::args_os` does.
///
/// The payload dies with it. Exit codes: 0 when told to stop, 1 when it cannot go on, 2 for wrong arguments.
pub fn main_with_args(args: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Where even stderr is gone there is nobody left to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("naive-updater: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let (sender, stop) = mpsc::channel();
    ctrlc::set_handler(move || {
        // A second signal finds the receiver gone, and the process on its way out.
        let _ = sender.send(());
    })?;
    let mut updater = Updater::new(Settings {
        feed: cli.feed,
        dir: cli.dir,
        every: Duration::from_millis(cli.every_ms),
        payload: cli.payload,
    })?;
    while let Err(mpsc::RecvTimeoutError::Timeout) = stop.recv_timeout(updater::TURN_EVERY) {
        updater.turn()?;
    }
    Ok(())
}
