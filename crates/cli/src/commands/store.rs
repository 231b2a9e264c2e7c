//! `tidegate store`: the server's records, without the server.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Subcommand;
use indicatif::ProgressBar;
use serde_json::json;
use tempfile::NamedTempFile;
use tidegate_domain::ids::RolloutId;
use tidegate_domain::time::Elapsed;
use tidegate_server::PruneReport;
use tokio::runtime::Runtime;

use crate::context::Context;
use crate::output::{Answer, facts, instant};

const EXPORT_EXAMPLES: &str = "\
One line of JSON an entry, from the first one on; the server may go on meanwhile. The history holds
what devices and people signed and no secrets but the hashes of tokens. `tidegate simulate --replay`
reads it.

Example:
  tidegate store export --data tidegate-data --output history.jsonl
  tidegate simulate --replay history.jsonl --policy expedited";

const BACKUP_EXAMPLES: &str = "\
A backup is a folder. The server's keys (fleet/server) are no part of it: keep them apart.

What was recorded after a backup is lost when it is put back, so the restored server opens nothing: a hold keeps everybody back, and
rollouts that were under way are paused. Devices notice, and send their last words again. When they have been heard of, look
at `tidegate fleet list`, halt what should not go on, and lift the hold (tidegate hold list).

Examples:
  tidegate store backup --data /var/lib/tidegate --into /backup/tidegate-monday
  tidegate store backup --into /backup/tidegate-tuesday --previous /backup/tidegate-monday
  tidegate store restore /backup/tidegate-tuesday --data /var/lib/tidegate";

const PRUNE_EXAMPLES: &str = "\
A rollout that ended before that time and concerns no device any more is concluded: how it went is
kept, with its decisions and its incident. The content of reports that old and of such rollouts only
goes, except for what each device said last. What is known stays as it is: everything is folded with
and without the reports before anything goes. Artifacts are another thing: tidegate release collect.

Stop the server first: only one writer holds the store. Devices go on meanwhile.

Examples:
  tidegate store prune --data /var/lib/tidegate --older-than 400d --dry-run
  tidegate store prune --data /var/lib/tidegate --older-than 400d --yes";

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
    /// Copy records, artifacts and halt file into a new folder, as they stand at one instant; the server goes on meanwhile
    #[command(after_help = BACKUP_EXAMPLES)]
    Backup {
        /// The server's data folder [default: as for `up`]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// The folder to make
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
        /// An earlier backup on the same disk: artifacts that it has are linked, not copied
        #[arg(long, value_name = "DIR")]
        previous: Option<PathBuf>,
    },
    /// Put a backup into an empty data folder
    #[command(after_help = BACKUP_EXAMPLES)]
    Restore {
        /// The backup
        #[arg(value_name = "BACKUP")]
        backup: PathBuf,
        /// The server's data folder [default: as for `up`]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Take away the content of old reports that nothing known follows from any more
    #[command(after_help = PRUNE_EXAMPLES)]
    Prune {
        /// The server's data folder [default: as for `up`]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Rollouts that ended, and reports that arrived, longer ago than this
        #[arg(long, value_name = "TIME", default_value = "400d")]
        older_than: Elapsed,
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
        /// Prune without asking
        #[arg(long)]
        yes: bool,
    },
    /// Write everything recorded as text, for `simulate --replay` and for whoever wants to look
    #[command(after_help = EXPORT_EXAMPLES)]
    Export {
        /// The server's data folder [default: as for `up`]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// The file to write; one that is there is replaced
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
}

pub(super) fn run(context: &Context, command: &StoreCommand) -> Result<Answer> {
    let folder = |given: &Option<PathBuf>| {
        let data = given.clone().or_else(|| context.settings.up.data.clone());
        data.unwrap_or_else(|| PathBuf::from("tidegate-data"))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match command {
        StoreCommand::Rebuild { data } => rebuild(&runtime, &folder(data)),
        StoreCommand::Backup { data, into, previous } => backup(&runtime, &folder(data), into, previous.as_deref()),
        StoreCommand::Restore { backup, data } => restore(&runtime, backup, &folder(data)),
        StoreCommand::Prune { data, older_than, dry_run, yes } => {
            prune(context, &runtime, &folder(data), *older_than, (*dry_run, *yes))
        }
        StoreCommand::Export { data, output } => export(&runtime, &folder(data), output),
    }
}

fn rebuild(runtime: &Runtime, data: &Path) -> Result<Answer> {
    let report = runtime.block_on(tidegate_server::rebuild(data))?;
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

fn backup(runtime: &Runtime, data: &Path, into: &Path, previous: Option<&Path>) -> Result<Answer> {
    let bar = ProgressBar::new(0);
    let about = runtime.block_on(tidegate_server::backup(data, into, previous, &shown_on(&bar)));
    bar.finish_and_clear();
    let about = about?;
    let text = facts(&[
        ("backup", into.display().to_string()),
        ("entries", about.entries.to_string()),
        ("artifacts", format!("{} of {} bytes", about.artifacts, about.artifact_bytes)),
    ]);
    Answer::new(json!({"backup": into.display().to_string(), "about": about}), text)
}

fn restore(runtime: &Runtime, backup: &Path, data: &Path) -> Result<Answer> {
    let bar = ProgressBar::new(0);
    let report = runtime.block_on(tidegate_server::restore(backup, data, instant, &shown_on(&bar)));
    bar.finish_and_clear();
    let report = report?;
    let paused: Vec<String> = report.paused.iter().map(ToString::to_string).collect();
    let text = facts(&[
        ("data", data.display().to_string()),
        ("from a backup of", instant(report.about.made_at_ms)),
        ("entries", report.about.entries.to_string()),
        ("paused", if paused.is_empty() { "-".to_owned() } else { paused.join(", ") }),
        ("", "everybody is held until somebody lifts it: tidegate hold list".to_owned()),
    ]);
    let (entries, from) = (report.about.entries, report.about.made_at_ms);
    Answer::new(
        json!({"data": data.display().to_string(), "entries": entries, "from_ms": from, "paused": paused}),
        text,
    )
}

fn prune(context: &Context, runtime: &Runtime, data: &Path, age: Elapsed, how: (bool, bool)) -> Result<Answer> {
    let (only_say, unasked) = how;
    let prune = |dry_run| {
        let bar = ProgressBar::new(0);
        let report = runtime.block_on(tidegate_server::prune(data, age, dry_run, &shown_on(&bar)));
        bar.finish_and_clear();
        report
    };
    let mut report = prune(true)?;
    let nothing = report.reports == 0 && report.concluded.is_empty();
    if only_say || nothing {
        return answered(&report, "would be pruned");
    }
    context.confirm(&pruned(&report, "will be pruned"), "Prune them?", unasked)?;
    report = prune(false)?;
    answered(&report, "pruned")
}

fn answered(report: &PruneReport, did: &str) -> Result<Answer> {
    let kept: Vec<_> = report.kept.iter().map(|kept| json!({"rollout": kept.rollout, "why": kept.why})).collect();
    let concluded: Vec<&RolloutId> = report.concluded.keys().collect();
    Answer::new(
        json!({
            "entries": report.entries,
            "reports": report.reports,
            "bytes": report.bytes,
            "concluded": concluded,
            "kept": kept,
        }),
        pruned(report, did),
    )
}

fn pruned(report: &PruneReport, did: &str) -> String {
    let concluded = report.concluded.iter().map(|(id, it)| {
        format!("  {id} is concluded: {} {}, {}, {} took it\n", it.package, it.version, it.phase(), it.taken)
    });
    let kept = report.kept.iter().map(|kept| format!("  {} stays: {}\n", kept.rollout, kept.why));
    let lines: String = concluded.chain(kept).collect();
    format!("{lines}{} reports ({} bytes) of {} entries {did}", report.reports, report.bytes, report.entries)
}

fn shown_on(bar: &ProgressBar) -> impl Fn(&'static str, u64, u64) + '_ {
    |step, done, all| {
        bar.set_message(step);
        bar.set_length(all);
        bar.set_position(done);
    }
}

fn export(runtime: &Runtime, data: &Path, output: &Path) -> Result<Answer> {
    // Beside its place, for its owner alone, and gone if it is not finished: a history holds the digests of tokens.
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file =
        NamedTempFile::new_in(folder).with_context(|| format!("cannot make a file in {}", folder.display()))?;
    let (mut out, bar) = (BufWriter::new(file.as_file_mut()), ProgressBar::new(0));
    let written = runtime.block_on(tidegate_server::export(data, &mut out, &|done, all| {
        bar.set_length(all);
        bar.set_position(done);
    }));
    bar.finish_and_clear();
    let entries = written?;
    out.flush().with_context(|| format!("cannot write {}", output.display()))?;
    drop(out);
    file.persist(output).with_context(|| format!("cannot put {} in place", output.display()))?;
    let text = format!("{entries} entries are in {}", output.display());
    Answer::new(json!({"entries": entries, "output": output.display().to_string()}), text)
}
