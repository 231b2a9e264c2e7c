//! Backups of a data folder while the server goes on, and putting one back. A backup holds records, artifacts and the halt file; keys are
//! no part of it. What is put back opens nothing until a person lets it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tidegate_control::command::after_restore;
use tidegate_control::contract::{Request, StoreEpoch};
use tidegate_control::state::State;
use tidegate_domain::ids::RolloutId;
use tidegate_domain::time::WallTime;
use tidegate_store::{OpenOptions, SqliteStore};

use crate::clock::now;
use crate::rebuild::{fold, lease};
use crate::start::DATABASE;

const ABOUT: &str = "backup.json";
const HALTS: &str = "halts";
const ARTIFACTS: &str = "artifacts";
const FORMAT: u32 = 1;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The shape of the folder.
    pub format: u32,
    /// When it was made.
    pub made_at_ms: WallTime,
    /// The name of the history.
    pub store_epoch: String,
    /// The last entry of the log in it.
    pub entries: u64,
    /// Artifacts in it.
    pub artifacts: u64,
    /// Their bytes.
    pub artifact_bytes: u64,
}

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreReport {
    /// The backup.
    pub about: About,
    /// The new name of the history.
    pub store_epoch: String,
    /// Rollouts that were under way and are paused.
    pub paused: Vec<RolloutId>,
}

/// Hears of the step that goes on, and how much of how much is done.
pub(crate) type Progress<'a> = &'a dyn Fn(&'static str, u64, u64);

/// Writes a backup of the data folder into a new folder `into`, whole or not at all. The server may go on meanwhile: the copy is of one
/// instant. Artifacts that `previous`, an earlier backup on the same disk, has already are linked instead of copied.
///
/// # Errors
/// When there is no store, `into` is there already, or something cannot be read or written.
pub async fn backup(
    data: &Path,
    into: &Path,
    previous: Option<&Path>,
    progress: Progress<'_>,
) -> anyhow::Result<About> {
    let database = data.join(DATABASE);
    ensure!(database.is_file(), "{}: there is no store", database.display());
    ensure!(!into.exists(), "{}: there is something already; a backup goes into a new folder", into.display());
    let part = fresh(into)?;
    let (store, made_at_ms) = (SqliteStore::open_read_only(&database).await?, now());
    progress("records", 0, 1);
    store.copy_to(&part.join(DATABASE)).await?;
    store.close().await;
    let copy = SqliteStore::open_read_only(&part.join(DATABASE)).await?;
    let head = copy.perform(Request::Head).await?.into_head()?;
    copy.close().await;
    // After the records: a halt that was not in the log yet is in the file.
    if data.join(HALTS).is_file() {
        fs::copy(data.join(HALTS), part.join(HALTS)).context("cannot copy the halt file")?;
    }
    // After them too: what a recorded release names was there before it was recorded.
    let (artifacts, artifact_bytes) = copy_artifacts(&data.join(ARTIFACTS), &part.join(ARTIFACTS), previous, progress)?;
    let about = About {
        format: FORMAT,
        made_at_ms,
        store_epoch: head.epoch.to_string(),
        entries: head.last.as_u64(),
        artifacts,
        artifact_bytes,
    };
    let mut file = fs::File::create(part.join(ABOUT)).context("cannot write what the backup is")?;
    file.write_all(&serde_json::to_vec_pretty(&about)?)?;
    file.sync_all()?;
    finish(&part, into)?;
    Ok(about)
}

/// Puts a backup into a data folder that is not there yet or empty. Every record is folded and every artifact held against its name before
/// anything is put in place.
///
/// # Errors
/// When it is no backup, is damaged, or the folder holds something.
pub async fn restore(
    backup: &Path,
    data: &Path,
    written_at: impl Fn(WallTime) -> String,
    progress: Progress<'_>,
) -> anyhow::Result<RestoreReport> {
    let bytes = fs::read(backup.join(ABOUT)).with_context(|| format!("{}: no backup", backup.display()))?;
    let about: About = serde_json::from_slice(&bytes).with_context(|| format!("{}: no backup", backup.display()))?;
    ensure!(about.format == FORMAT, "{}: format {}, this version reads {FORMAT}", backup.display(), about.format);
    let taken = data.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    ensure!(!taken, "{}: holds something already; a backup is put back into an empty folder", data.display());
    let part = fresh(data)?;
    progress("records", 0, 1);
    fs::copy(backup.join(DATABASE), part.join(DATABASE)).context("cannot copy the records")?;
    if backup.join(HALTS).is_file() {
        fs::copy(backup.join(HALTS), part.join(HALTS)).context("cannot copy the halt file")?;
    }
    let (artifacts, _) = copy_artifacts(&backup.join(ARTIFACTS), &part.join(ARTIFACTS), None, progress)?;
    ensure!(artifacts == about.artifacts, "{}: {artifacts} artifacts of {}", backup.display(), about.artifacts);
    let (store_epoch, paused) = begin_anew(&part.join(DATABASE), &about, &written_at(about.made_at_ms)).await?;
    if data.exists() {
        fs::remove_dir(data).with_context(|| format!("cannot replace {}", data.display()))?;
    }
    finish(&part, data)?;
    Ok(RestoreReport { about, store_epoch, paused })
}

/// A new history on the records of a backup, which opens nothing.
async fn begin_anew(database: &Path, about: &About, written_at: &str) -> anyhow::Result<(String, Vec<RolloutId>)> {
    let mut fresh = [0; 16];
    getrandom::fill(&mut fresh).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
    let epoch = StoreEpoch::from_bytes(fresh);
    let store = SqliteStore::open(database, OpenOptions { fresh_epoch: epoch, size_max_bytes: None }).await?;
    let state = fold(&store, State::default()).await.context("the backup's records do not fold")?;
    ensure!(state.last().as_u64() == about.entries, "the backup has {} entries, says {}", state.last(), about.entries);
    let fence = lease(&store).await?;
    let (entries, paused) = after_restore(&state, now(), about.made_at_ms, written_at)?;
    store.perform(Request::Append { fence, expected: state.last(), entries }).await?;
    store.perform(Request::NewEpoch { fence, epoch }).await?;
    store.perform(Request::Release { fence }).await?;
    store.close().await;
    Ok((epoch.to_string(), paused))
}

/// Copies artifacts, each held against its name; gives how many, and their bytes.
fn copy_artifacts(
    from: &Path,
    to: &Path,
    previous: Option<&Path>,
    progress: Progress<'_>,
) -> anyhow::Result<(u64, u64)> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    let mut files = Vec::new();
    files_below(from, &mut files)?;
    let (count, mut bytes) = (files.len() as u64, 0);
    for (done, file) in files.iter().enumerate() {
        let within = file.strip_prefix(from).unwrap_or(file);
        let target = to.join(within);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let held = previous.map(|previous| previous.join(ARTIFACTS).join(within));
        let linked = held.is_some_and(|held| fs::hard_link(held, &target).is_ok());
        bytes += if linked { fs::metadata(&target)?.len() } else { copy_checked(file, &target)? };
        progress("artifacts", done as u64 + 1, count);
    }
    Ok((count, bytes))
}

fn files_below(folder: &Path, into: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    let mut entries: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        // Uploads under way are nobody's artifacts yet.
        if path.is_dir() && path.file_name().is_some_and(|name| name != "upload") {
            files_below(&path, into)?;
        } else if path.is_file() && digest_in(&path).is_some() {
            into.push(path);
        }
    }
    Ok(())
}

/// The digest that an artifact's name is.
fn digest_in(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    (name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())).then(|| name.to_owned())
}

fn copy_checked(from: &Path, to: &Path) -> anyhow::Result<u64> {
    let context = || format!("cannot copy {}", from.display());
    let (mut reader, mut writer) =
        (fs::File::open(from).with_context(context)?, fs::File::create_new(to).with_context(context)?);
    let (mut hash, mut buffer, mut bytes) = (Sha256::new(), vec![0; 1 << 20], 0);
    loop {
        let read = reader.read(&mut buffer).with_context(context)?;
        if read == 0 {
            break;
        }
        let some = buffer.get(..read).unwrap_or_default();
        hash.update(some);
        writer.write_all(some).with_context(context)?;
        bytes += read as u64;
    }
    writer.sync_all().with_context(context)?;
    let found = hex::encode(hash.finalize());
    if digest_in(from).as_deref() != Some(found.as_str()) {
        bail!("{}: its content has the digest {found}: the artifact is damaged", from.display());
    }
    Ok(bytes)
}

/// A folder beside the place, for its owner alone, in which it is made.
fn fresh(place: &Path) -> anyhow::Result<PathBuf> {
    let name = place.file_name().with_context(|| format!("{}: expected a folder's name", place.display()))?;
    let part = place.with_file_name(format!("{}.part", name.to_string_lossy()));
    if part.exists() {
        fs::remove_dir_all(&part).with_context(|| format!("cannot remove {}", part.display()))?;
    }
    if let Some(parent) = place.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&part).with_context(|| format!("cannot make {}", part.display()))?;
    Ok(part)
}

fn finish(part: &Path, place: &Path) -> anyhow::Result<()> {
    fs::rename(part, place).with_context(|| format!("cannot put {} in place", place.display()))?;
    let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(parent)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("cannot sync {}", parent.display()))
}
