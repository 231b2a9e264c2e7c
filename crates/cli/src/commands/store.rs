//! `tidegate store`: looks after what a server has recorded.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use crate::context::Context;
use crate::output::Answer;

const EXAMPLES: &str = "\
Two append-only tables are the truth; everything else is a fold over them. This folds from the beginning and compares with
what the last snapshot and the entries after it give. Stop the server first: only one writer holds the lease.

Example:
  tidegate store rebuild --data data";

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum StoreCommand {
    /// Fold everything recorded from the beginning, compare, and keep the result as the snapshot
    #[command(after_help = EXAMPLES)]
    Rebuild {
        /// The server's data folder
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
}

pub(super) fn run(context: &Context, command: &StoreCommand) -> Result<Answer> {
    let StoreCommand::Rebuild { data } = command;
    let data =
        data.clone().or_else(|| context.settings.up.data.clone()).unwrap_or_else(|| PathBuf::from("tidegate-data"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(tidegate_server::rebuild(&data))?;
    let text = format!(
        "{} entries folded; {}",
        report.entries,
        if report.identical {
            "snapshot and tail give the same state"
        } else {
            "the old snapshot gave another state; it was replaced"
        }
    );
    Answer::new(report, text)
}
