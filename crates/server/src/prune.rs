//! Taking away the content of old reports, while no server runs. What is known stays as it is: the log is folded with and without them before
//! anything goes, and once more afterwards.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use tidegate_control::conclusion::Conclusion;
use tidegate_control::contract::bounds::{BATCH_ENTRIES_MAX, READ_ENTRIES_MAX};
use tidegate_control::contract::{Entry, Fence, Request, Seq};
use tidegate_control::pruning::{Found, Prunable, Survey};
use tidegate_control::state::{FoldError, Kept};
use tidegate_domain::ids::RolloutId;
use tidegate_domain::time::Elapsed;
use tidegate_store::SqliteStore;

use crate::backup::Progress;
use crate::clock::now;
use crate::rebuild::{Alone, alone, compare, each_entry};

/// What was pruned, or would be.
#[derive(Debug, Clone, PartialEq)]
pub struct PruneReport {
    /// Entries in the log; their number stays.
    pub entries: u64,
    /// Rollouts of which only this much is kept from now on.
    pub concluded: BTreeMap<RolloutId, Conclusion>,
    /// Rollouts that stay, and why.
    pub kept: Vec<Kept>,
    /// Reports whose content went.
    pub reports: u64,
    /// The bytes of their bodies.
    pub bytes: u64,
}

/// Concludes the rollouts that concern no device any more and ended longer ago than `age`, and takes the content of reports away that are
/// older than that, were of such rollouts only, and are not what a device said last. With `dry_run` it only says what would go.
///
/// # Errors
/// When a server uses the folder, there is no store in it, an entry cannot be read, or what is left would say something else.
pub async fn prune(data: &Path, age: Elapsed, dry_run: bool, progress: Progress<'_>) -> anyhow::Result<PruneReport> {
    let Alone { store, fence, .. } = &alone(data).await?;
    let pruned = async {
        let prunable = find(store, age, progress).await?;
        let nothing = prunable.concluded.is_empty() && prunable.reports.is_empty();
        if !dry_run && !nothing {
            take_away(store, *fence, &prunable, progress).await?;
        }
        anyhow::Ok(prunable)
    };
    let pruned = pruned.await;
    store.perform(Request::Release { fence: *fence }).await?;
    let Prunable { last, concluded, kept, reports, bytes } = pruned?;
    Ok(PruneReport { entries: last.as_u64(), concluded, kept, reports: reports.len() as u64, bytes })
}

async fn find(store: &SqliteStore, age: Elapsed, progress: Progress<'_>) -> anyhow::Result<Prunable> {
    let mut survey = Survey::default();
    read(store, "looking", progress, |entry| survey.read(entry)).await?;
    let mut pruning = survey.pruning(now(), age);
    loop {
        read(store, "checking", progress, |entry| pruning.read(entry)).await?;
        match pruning.finish()? {
            Found::Prunable(prunable) => return Ok(prunable),
            Found::Again(again) => pruning = *again,
        }
    }
}

async fn read(
    store: &SqliteStore,
    step: &'static str,
    progress: Progress<'_>,
    mut each: impl FnMut(&Entry) -> Result<(), FoldError>,
) -> anyhow::Result<()> {
    let all = store.perform(Request::Head).await?.into_head()?.last.as_u64();
    each_entry(store, Seq::ZERO, |entry| {
        if entry.seq.as_u64().is_multiple_of(u64::from(READ_ENTRIES_MAX)) {
            progress(step, entry.seq.as_u64(), all);
        }
        each(entry)
    })
    .await
}

async fn take_away(
    store: &SqliteStore,
    fence: Fence,
    prunable: &Prunable,
    progress: Progress<'_>,
) -> anyhow::Result<()> {
    let mut expected = prunable.last;
    for entries in prunable.entries(now())?.chunks(BATCH_ENTRIES_MAX) {
        let request = Request::Append { fence, expected, entries: entries.to_vec() };
        expected = store.perform(request).await?.into_appended()?.1;
    }
    let all = prunable.reports.len() as u64;
    for (n, reports) in (0_u64..).zip(prunable.reports.chunks(BATCH_ENTRIES_MAX)) {
        store.perform(Request::Prune { fence, reports: reports.to_vec() }).await?;
        progress("pruning", all.min((n + 1) * BATCH_ENTRIES_MAX as u64), all);
    }
    progress("folding", 0, 1);
    let folded = compare(store, fence).await.context("what is left does not fold")?;
    ensure!(
        folded.identical,
        "what is left gives another state than the snapshot kept before: this is a fault of Tidegate"
    );
    progress("making the file smaller", 0, 1);
    store.compact().await.context("what was pruned is gone, the file is as large as before")
}
