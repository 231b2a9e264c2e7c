//! Webhooks: the account, line by line, to whoever is named in a file on the server's host. Each gets every line that it asked for at least
//! once and in order, over restarts and outages. Nothing waits for a receiver, and nothing that a receiver answers changes anything here.

mod delivery;
mod event;
mod receiver;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::app::App;
pub(crate) use receiver::Receiver;

const RECEIVERS_MAX: usize = 16;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    webhooks: Vec<receiver::Settings>,
}

/// The receivers that a file names.
///
/// # Errors
/// Names the file, the receiver and what would be right.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Receiver>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("webhooks {shown}"))?;
    let file: File = toml::from_str(&text).with_context(|| format!("webhooks {shown}"))?;
    ensure!(
        file.webhooks.len() <= RECEIVERS_MAX,
        "webhooks {shown}: {} receivers, at most {RECEIVERS_MAX}",
        file.webhooks.len()
    );
    let receivers: anyhow::Result<Vec<Receiver>> = file.webhooks.into_iter().map(Receiver::new).collect();
    let receivers = receivers.with_context(|| format!("webhooks {shown}"))?;
    for (at, receiver) in receivers.iter().enumerate() {
        let twice = receivers.iter().take(at).any(|earlier| earlier.name == receiver.name);
        ensure!(!twice, "webhooks {shown}: the name {:?} stands twice", receiver.name);
    }
    Ok(receivers)
}

/// The threads that deliver.
pub(crate) struct Deliveries {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Deliveries {
    /// One thread a receiver. `folder` keeps how far each has got.
    ///
    /// # Errors
    /// When the folder or a thread cannot be made.
    pub(crate) fn begin(app: &Arc<App>, receivers: Vec<Receiver>, folder: &Path) -> anyhow::Result<Deliveries> {
        let mut deliveries = Deliveries { stop: Arc::new(AtomicBool::new(false)), threads: Vec::new() };
        if receivers.is_empty() {
            return Ok(deliveries);
        }
        std::fs::create_dir_all(folder).with_context(|| format!("webhooks' folder {}", folder.display()))?;
        let runtime = tokio::runtime::Handle::current();
        for receiver in receivers {
            let place = folder.join(&receiver.name);
            let (app, runtime, stop) = (app.clone(), runtime.clone(), deliveries.stop.clone());
            let thread = std::thread::Builder::new().name(format!("webhook-{}", receiver.name));
            let running = thread.spawn(move || delivery::deliver(&app, &runtime, &receiver, &place, &stop));
            deliveries.threads.push(running.context("a webhook's thread")?);
        }
        Ok(deliveries)
    }

    /// Ends them after the request under way.
    pub(crate) fn end(self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads {
            // One that panicked has said so in the log.
            let _ = thread.join();
        }
    }
}
