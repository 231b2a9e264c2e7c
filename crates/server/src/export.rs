//! Writing the whole log as text, for the simulator and for whoever wants to look. The server may go on meanwhile.

use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use tidegate_control::contract::{Request, Seq, bounds::READ_ENTRIES_MAX};
use tidegate_control::history::line_of;
use tidegate_store::SqliteStore;

use crate::start::DATABASE;

/// Writes every entry that is recorded when it is reached, a line of JSON each, and gives how many. `progress` hears how many of how
/// many are written.
///
/// # Errors
/// When there is no store in the folder, it cannot be read, or `out` not be written.
pub async fn export(data: &Path, out: &mut dyn Write, progress: &dyn Fn(u64, u64)) -> anyhow::Result<u64> {
    let path = data.join(DATABASE);
    anyhow::ensure!(path.is_file(), "{}: there is no store", path.display());
    let store = SqliteStore::open_read_only(&path).await?;
    let last = store.perform(Request::Head).await?.into_head()?.last;
    let mut after = Seq::ZERO;
    while after < last {
        let entries = store.perform(Request::Read { after, limit: READ_ENTRIES_MAX }).await?.into_entries()?;
        for entry in entries.iter().filter(|entry| entry.seq <= last) {
            writeln!(out, "{}", line_of(entry)?).context("cannot write the history")?;
            after = entry.seq;
        }
        anyhow::ensure!(!entries.is_empty(), "the log ends at entry {after}, {last} were there");
        progress(after.as_u64(), last.as_u64());
    }
    out.flush().context("cannot write the history")?;
    store.close().await;
    Ok(last.as_u64())
}
