//! Publishes a stage: its files and manifest that the server does not have yet, then the package's role.
//! The role goes last, so that nobody ever sees a release whose files are not there.

use std::fs;
use std::io::{self, Read};

use anyhow::{Context as _, Result};
use tidegate_domain::digest::Digest;

use crate::client::Client;
use crate::staging::Stage;

/// What was sent.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// Artifacts that were sent.
    pub(crate) sent: u64,
    /// Artifacts that the server had.
    pub(crate) skipped: u64,
    /// Bytes that were sent.
    pub(crate) bytes: u64,
}

/// Publishes a stage. `progress` hears of every piece of bytes that is sent or need not be.
///
/// # Errors
/// When too few publishers have signed, a file cannot be read, or the server refuses. Can be repeated.
pub(crate) fn publish(api: &Client, stage: &Stage, progress: &dyn Fn(u64)) -> Result<Published> {
    let role = stage.finished_role()?;
    let mut published = Published::default();
    for file in &stage.manifest.files {
        let path = stage.path_of(file);
        let open = || fs::File::open(&path).with_context(|| format!("cannot read {}", path.display()));
        send(api, (&file.sha256, file.size), open, progress, &mut published)?;
    }
    let manifest = (&stage.release(), stage.manifest_bytes.len() as u64);
    send(api, manifest, || Ok(stage.manifest_bytes.as_slice()), progress, &mut published)?;
    api.put_package(&stage.manifest.package, role.bytes())?;
    Ok(published)
}

fn send<R: Read>(
    api: &Client,
    (sha256, size): (&Digest, u64),
    open: impl FnOnce() -> Result<R>,
    progress: &dyn Fn(u64),
    published: &mut Published,
) -> Result<()> {
    if api.has_artifact(sha256)? {
        published.skipped += 1;
        progress(size);
        return Ok(());
    }
    let mut content = Counted { inner: open()?, progress };
    api.put_artifact(sha256, size, &mut content)?;
    published.sent += 1;
    published.bytes = published.bytes.saturating_add(size);
    Ok(())
}

/// Says how much was read.
struct Counted<'a, R> {
    inner: R,
    progress: &'a dyn Fn(u64),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        (self.progress)(read as u64);
        Ok(read)
    }
}
