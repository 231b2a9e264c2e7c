//! Folds everything that a store holds, from the first entry on, and holds the kept snapshot against it.
//! Never changes an entry; the snapshot is replaced only on demand, and only while no server holds the store.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use tidegate_control::contract::{LeaseAnswer, Request, Seq, Snapshot, StoreEpoch};
use tidegate_control::state::{SNAPSHOT_FORMAT, State};
use tidegate_domain::digest::Digest;
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_store::{OpenOptions, SqliteStore};

/// The store's file in a server's data folder.
const STORE_FILE: &str = "tidegate.db";
const READ_LIMIT: u32 = 1_000;
const LEASE: Elapsed = Elapsed::from_s(600);

/// What the kept snapshot is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SnapshotState {
    /// None was kept.
    None,
    /// It is what its entries fold to.
    Identical,
    /// It is not what its entries fold to.
    Differs,
    /// It was written by another version; a server passes it over.
    OtherFormat,
}

/// What a rebuild came to.
#[derive(Debug, Serialize)]
pub(crate) struct Rebuilt {
    /// Entries folded.
    pub(crate) entries: u64,
    /// SHA-256 of the state that they fold to.
    pub(crate) state: Digest,
    /// What the kept snapshot was worth.
    pub(crate) snapshot: SnapshotState,
    /// Whether it was replaced.
    pub(crate) replaced: bool,
}

/// Folds the store in a server's data folder. With `replace`, the snapshot kept becomes what everything folds to.
///
/// # Errors
/// When there is no store, an entry cannot be folded, or (with `replace`) a server holds the store.
pub(crate) fn rebuild(data: &Path, replace: bool, now: WallTime) -> Result<Rebuilt> {
    let path = data.join(STORE_FILE);
    if !path.is_file() {
        bail!("{} is not there; right is the folder that `tidegate up --data` was given", path.display());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if !replace {
            let store = SqliteStore::open_read_only(&path).await?;
            let (state, snapshot) = fold(&store).await?;
            return done(&state, snapshot, false);
        }
        // The epoch is for a store that has to be created, which this one has not.
        let options = OpenOptions { fresh_epoch: StoreEpoch::from_bytes([0; 16]), size_max_bytes: None };
        let store = SqliteStore::open(&path, options).await?;
        let holder = "store-rebuild".to_owned();
        let lease = store.perform(Request::Acquire { holder, now, ttl: LEASE }).await?.into_lease()?;
        let fence = match lease {
            LeaseAnswer::Granted { fence, .. } => fence,
            LeaseAnswer::HeldBy { holder, .. } => bail!("{holder} holds this store; right is to stop the server first"),
        };
        let rebuilt = async {
            let (state, snapshot) = fold(&store).await?;
            store.perform(Request::SaveSnapshot { fence, snapshot: state.to_snapshot()? }).await?;
            done(&state, snapshot, true)
        }
        .await;
        store.perform(Request::Release { fence }).await?;
        rebuilt
    })
}

fn done(state: &State, snapshot: SnapshotState, replaced: bool) -> Result<Rebuilt> {
    let digest = Digest::of(&state.to_snapshot()?.bytes);
    Ok(Rebuilt { entries: state.last().as_u64(), state: digest, snapshot, replaced })
}

/// The fold of all entries, and what the kept snapshot says of the same ones.
async fn fold(store: &SqliteStore) -> Result<(State, SnapshotState)> {
    let kept = store.perform(Request::LoadSnapshot).await?.into_snapshot()?;
    let mut state = State::default();
    let mut compared = match &kept {
        None => SnapshotState::None,
        Some(kept) if kept.format != SNAPSHOT_FORMAT => SnapshotState::OtherFormat,
        Some(_) => SnapshotState::Differs,
    };
    loop {
        let after = state.last();
        let entries = store.perform(Request::Read { after, limit: READ_LIMIT }).await?.into_entries()?;
        if entries.is_empty() {
            return Ok((state, compared));
        }
        for entry in entries {
            state.apply(&entry).context("the store holds what this version of tidegate cannot fold")?;
            if let Some(kept) = kept.as_ref().filter(|kept| is_at(kept, state.last()))
                && state.to_snapshot()?.bytes == kept.bytes
            {
                compared = SnapshotState::Identical;
            }
        }
    }
}

fn is_at(kept: &Snapshot, seq: Seq) -> bool {
    kept.format == SNAPSHOT_FORMAT && kept.seq == seq
}
