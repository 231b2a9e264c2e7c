//! `tidegate store`: the server's records, without the server.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Subcommand;

use crate::context::{Context, now};
use crate::output::{Answer, facts};
use crate::rebuild::{SnapshotState, rebuild};

const EXAMPLES: &str = "\
Everything that a server knows is the fold of its entries; the snapshot only makes a start fast.
`--check` may run beside the server and ends with exit code 1 where the snapshot is not what the
entries fold to.

Examples:
  tidegate store rebuild --data tidegate-data --check
  tidegate store rebuild --data tidegate-data            with the server stopped";

/// The server's records, without the server
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum StoreCommand {
    /// Fold everything again from the first entry, and keep that as the snapshot
    #[command(after_help = EXAMPLES)]
    Rebuild {
        /// The server's data folder [default: as for `up`]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Compare only, change nothing
        #[arg(long)]
        check: bool,
    },
}

pub(super) fn run(context: &Context, command: &StoreCommand) -> Result<Answer> {
    let StoreCommand::Rebuild { data, check } = command;
    let data = data.clone().or_else(|| context.settings.up.data.clone());
    let data = data.unwrap_or_else(|| PathBuf::from("tidegate-data"));
    let rebuilt = rebuild(&data, !check, now())?;
    if *check && rebuilt.snapshot == SnapshotState::Differs {
        bail!(
            "the snapshot in {} is not what its {} entries fold to; right is `tidegate store rebuild` with the server stopped",
            data.display(),
            rebuilt.entries
        );
    }
    let snapshot = match rebuilt.snapshot {
        SnapshotState::None => "none was kept",
        SnapshotState::Identical => "identical",
        SnapshotState::Differs => "differed",
        SnapshotState::OtherFormat => "of another version",
    };
    let text = facts(&[
        ("entries", rebuilt.entries.to_string()),
        ("state", rebuilt.state.to_string()),
        ("snapshot", format!("{snapshot}{}", if rebuilt.replaced { ", replaced" } else { "" })),
    ]);
    Answer::new(rebuilt, text)
}
