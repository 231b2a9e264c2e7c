//! The workspace's chores: `cargo xtask test` runs every lane that a change must pass, `cargo xtask tidy`
//! the house rules alone.
//! It reads sources and never changes them; the only file that it writes is `docs/deep-results.md`.

mod debs;
mod deep_results;
mod device;
mod lane_result;
mod lanes;
mod summary;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

/// Chores of the Tidegate workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Run every lane: packages, formatting, clippy, tidy, the Windows check, then all tests.
    Test(TestArgs),
    /// Build the Debian packages of server, agent and guard into target/debian.
    Debs {
        /// The packages' version [default: the workspace's]
        #[arg(long, value_name = "VERSION")]
        version: Option<String>,
    },
    /// Build agent and guard as static programs for devices, made small.
    Device,
    /// Make a picture of every page of the console, in both themes, on a desk and on a phone.
    Screenshots,
    /// Check the house rules alone: crate arrows, pure crates, module circles, lengths, names.
    Tidy,
}

#[derive(Debug, Args)]
struct TestArgs {
    /// Run this lane alone, or this group of lanes, for example fuzz (see --list).
    #[arg(long, value_name = "NAME")]
    lane: Option<String>,
    /// Name the lanes and stop.
    #[arg(long)]
    list: bool,
    /// Add the long lanes and append their results to docs/deep-results.md.
    #[arg(long)]
    deep: bool,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does the chore; `false` when something that it checked is not as it should be.
fn run(cli: &Cli) -> anyhow::Result<bool> {
    let root = workspace_root()?;
    let args = match &cli.chore {
        Chore::Tidy => return lanes::run_all(&root, &lanes::only("tidy", &lanes::quick())?),
        Chore::Debs { version } => return debs::build(&root, version.as_deref(), debs::Programs::Own).map(|_| true),
        Chore::Screenshots => return lanes::screenshots(&root),
        Chore::Device => return made(device::build(&root)?),
        Chore::Test(args) => args,
    };
    let mut chosen = lanes::quick();
    if args.deep || args.list {
        chosen = lanes::with_deep(&root, chosen)?;
    }
    if args.list {
        for lane in &chosen {
            println!("{:<28} {}", lane.name(), lane.what());
        }
        return Ok(true);
    }
    if let Some(name) = &args.lane {
        let everything = lanes::with_deep(&root, lanes::quick())?;
        chosen = lanes::only(name, &everything)?;
    }
    lanes::run_all(&root, &chosen)
}

fn made(device: device::Device) -> anyhow::Result<bool> {
    match device {
        device::Device::Made { folder, .. } => {
            println!("tidegate-agent and tidegate-guard are in {}", folder.display())
        }
        device::Device::Missing(what) => anyhow::bail!(what),
    }
    Ok(true)
}

/// The folder that holds the workspace's `Cargo.toml`, from where this program was built.
fn workspace_root() -> anyhow::Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .context("the xtask crate is expected at crates/xtask inside the workspace")
}
