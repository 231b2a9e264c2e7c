//! `tidegate store`: the server's records, without the server.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

use crate::context::Context;
use crate::output::{Answer, facts};

const EXAMPLES: &str = "\
Two append-only tables are the truth; everything else is a fold over them. This folds from the
beginning and compares with what the last snapshot and the entries after it give. Stop the server
first: only one writer holds the store.

Example:
  tidegate store rebuild --data tidegate-data";

/// The server's records, without the server
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum StoreCommand {
    /// Fold everything recorded from the beginning, compare, and keep the result as the snapshot
    #[command(after_help = EXAMPLES)]
    Rebuild {
        /// The server's data folder [default: as for `up`]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
}

pub(super) fn run(context: &Context, command: &StoreCommand) -> Result<Answer> {
    let StoreCommand::Rebuild { data } = command;
    let data = data.clone().or_else(|| context.settings.up.data.clone());
    let data = data.unwrap_or_else(|| PathBuf::from("tidegate-data"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(tidegate_server::rebuild(&data))?;
    let kept = match (report.snapshot_at, report.identical) {
        (None, _) => "none was kept".to_owned(),
        (Some(at), true) => format!("of entry {at}: gives the same state"),
        (Some(at), false) => format!("of entry {at}: gave another state, and was replaced"),
    };
    let text = facts(&[("entries", report.entries.to_string()), ("snapshot", kept)]);
    Answer::new(
        json!({"entries": report.entries, "snapshot_at": report.snapshot_at, "identical": report.identical}),
        text,
    )
}
