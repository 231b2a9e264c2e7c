//! Folding the whole log again, to see that the snapshot says the same and to replace it if not. Never changes the log.

use std::path::Path;

use anyhow::Context as _;
use tidegate_control::conduct::LEASE_TTL;
use tidegate_control::contract::{Entry, Fence, LeaseAnswer, Request, Seq, StoreEpoch, bounds::READ_ENTRIES_MAX};
use tidegate_control::state::{FoldError, State};
use tidegate_store::{OpenOptions, SqliteStore};

use crate::clock::now;
use crate::start::{DATABASE, holder, lock};

/// What a rebuild found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct RebuildReport {
    /// Entries folded from the first one on.
    pub entries: u64,
    /// The last entry that the snapshot kept before held; none where there was none.
    pub snapshot_at: Option<u64>,
    /// Whether that snapshot, with the entries after it, gave the same state. True where there was none.
    pub identical: bool,
}

/// Folds the log of a data folder from zero, compares the outcome with the snapshot and the entries after it, and keeps it as
/// the new snapshot. No server may run on the folder meanwhile.
///
/// # Errors
/// When a server uses the folder, there is no store in it, or an entry cannot be read.
pub async fn rebuild(data: &Path) -> anyhow::Result<RebuildReport> {
    let Alone { _lock, store, fence } = alone(data).await?;
    let report = compare(&store, fence).await;
    store.perform(Request::Release { fence }).await?;
    store.close().await;
    report
}

/// A store that no server uses meanwhile.
pub(crate) struct Alone {
    _lock: std::fs::File,
    pub(crate) store: SqliteStore,
    pub(crate) fence: Fence,
}

/// Takes the store of a data folder for oneself.
pub(crate) async fn alone(data: &Path) -> anyhow::Result<Alone> {
    let path = data.join(DATABASE);
    anyhow::ensure!(path.is_file(), "{}: there is no store", path.display());
    let lock = lock(data)?;
    // The name is used only where a store is made, and there is one already.
    let options = OpenOptions { fresh_epoch: StoreEpoch::from_bytes([0; 16]), size_max_bytes: None };
    let store = SqliteStore::open(&path, options).await?;
    let fence = lease(&store).await?;
    Ok(Alone { _lock: lock, store, fence })
}

pub(crate) async fn lease(store: &SqliteStore) -> anyhow::Result<Fence> {
    let head = store.perform(Request::Head).await?.into_head()?;
    let request = Request::Acquire { holder: holder(&head.epoch), now: now(), ttl: LEASE_TTL };
    match store.perform(request).await?.into_lease()? {
        LeaseAnswer::Granted { fence, .. } => Ok(fence),
        LeaseAnswer::HeldBy { holder, .. } => anyhow::bail!("{holder} holds the store's lease: stop it first"),
    }
}

pub(crate) async fn compare(store: &SqliteStore, fence: Fence) -> anyhow::Result<RebuildReport> {
    let rebuilt = fold(store, State::default()).await?;
    let kept = store.perform(Request::LoadSnapshot).await?.into_snapshot()?;
    let identical = match &kept {
        None => true,
        Some(snapshot) => match State::from_snapshot(snapshot) {
            Ok(Some(state)) => fold(store, state).await? == rebuilt,
            // Another version's snapshot says nothing about the log.
            Ok(None) => true,
            Err(_) => false,
        },
    };
    let snapshot = rebuilt.to_snapshot().context("the state cannot be written")?;
    store.perform(Request::SaveSnapshot { fence, snapshot }).await?;
    let snapshot_at = kept.map(|snapshot| snapshot.seq.as_u64());
    Ok(RebuildReport { entries: rebuilt.last().as_u64(), snapshot_at, identical })
}

pub(crate) async fn fold(store: &SqliteStore, mut state: State) -> anyhow::Result<State> {
    each_entry(store, state.last(), |entry| state.apply(entry)).await?;
    Ok(state)
}

/// Reads the log after an entry to its end.
pub(crate) async fn each_entry(
    store: &SqliteStore,
    mut after: Seq,
    mut read: impl FnMut(&Entry) -> Result<(), FoldError>,
) -> anyhow::Result<()> {
    loop {
        let request = Request::Read { after, limit: READ_ENTRIES_MAX };
        let entries = store.perform(request).await?.into_entries()?;
        let Some(last) = entries.last() else { return Ok(()) };
        after = last.seq;
        entries.iter().try_for_each(&mut read)?;
    }
}
