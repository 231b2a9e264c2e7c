//! The updater itself, in turns: ask the feed when it is time, apply what is new at once, restart what has crashed.
//! A turn never waits for the payload; it returns after at most the downloads that it found to do.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use ureq::Agent;

use crate::fetch;
use crate::payload::Payload;
use crate::status::Status;

/// How often a turn is taken.
pub const TURN_EVERY: Duration = Duration::from_millis(50);

/// How long a crashed payload stays down before it is started again.
const RESTART_AFTER: Duration = Duration::from_millis(500);

/// What the updater is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The feed's address.
    pub feed: String,
    /// The folder for `content/` and `status.json`; made when it is not there.
    pub dir: PathBuf,
    /// How often the feed is asked.
    pub every: Duration,
    /// The payload's program and arguments.
    pub payload: Vec<OsString>,
}

/// An updater with its payload; dropping it ends the payload.
#[derive(Debug)]
pub struct Updater {
    settings: Settings,
    client: Agent,
    payload: Option<Payload>,
    status: Status,
    written: Option<Status>,
    next_ask: Instant,
    next_start: Instant,
    last_trouble: String,
}

impl Updater {
    /// An updater that has not asked its feed yet.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn new(settings: Settings) -> anyhow::Result<Self> {
        let dir = settings.dir.display();
        fs::create_dir_all(&settings.dir).with_context(|| format!("cannot make {dir}"))?;
        // The payload may run in another folder, so it is told the whole path.
        let dir = settings.dir.canonicalize().with_context(|| format!("cannot find {dir}"))?;
        let now = Instant::now();
        Ok(Self {
            settings: Settings { dir, ..settings },
            client: fetch::client(),
            payload: None,
            status: Status::default(),
            written: None,
            next_ask: now,
            next_start: now,
            last_trouble: String::new(),
        })
    }

    /// One turn. What goes wrong with the feed or the payload's start is said and tried again.
    ///
    /// # Errors
    /// When the payload cannot be watched or the status not written.
    pub fn turn(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        self.watch(now)?;
        if now >= self.next_ask {
            self.next_ask = now + self.settings.every;
            let asked = self.ask();
            self.say_trouble(asked);
        }
        if self.payload.is_none() && self.status.version.is_some() && now >= self.next_start {
            self.next_start = now + RESTART_AFTER;
            let started = self.start();
            self.say_trouble(started);
        }
        self.status.running = self.payload.as_ref().is_some_and(Payload::is_settled);
        self.write_status()
    }

    /// What the updater has done so far.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Notices a payload that has ended by itself.
    fn watch(&mut self, now: Instant) -> anyhow::Result<()> {
        let Some(payload) = &mut self.payload else {
            return Ok(());
        };
        if payload.has_ended()? {
            self.payload = None;
            self.status.crashes += 1;
            self.next_start = now + RESTART_AFTER;
        }
        Ok(())
    }

    /// Asks the feed, and applies a version that is not the one in place.
    fn ask(&mut self) -> anyhow::Result<()> {
        let feed = fetch::feed(&self.client, &self.settings.feed)?;
        if self.status.version.as_ref() == Some(&feed.version) {
            return Ok(());
        }
        let incoming = self.settings.dir.join("incoming");
        fetch::files(&self.client, &feed, &incoming)?;
        self.payload = None;
        let content = self.content();
        if content.exists() {
            fs::remove_dir_all(&content).context("cannot remove the old content")?;
        }
        fs::rename(&incoming, &content).context("cannot put the new content in place")?;
        self.status.version = Some(feed.version);
        self.next_start = Instant::now();
        Ok(())
    }

    fn start(&mut self) -> anyhow::Result<()> {
        self.payload = Some(Payload::start(&self.settings.payload, &self.content())?);
        self.status.starts += 1;
        Ok(())
    }

    fn content(&self) -> PathBuf {
        self.settings.dir.join("content")
    }

    /// Says trouble once, not at every turn.
    fn say_trouble(&mut self, result: anyhow::Result<()>) {
        let trouble = result.err().map(|error| format!("{error:#}")).unwrap_or_default();
        if !trouble.is_empty() && trouble != self.last_trouble {
            eprintln!("naive-updater: {trouble}");
        }
        self.last_trouble = trouble;
    }

    fn write_status(&mut self) -> anyhow::Result<()> {
        if self.written.as_ref() != Some(&self.status) {
            self.status.write(&self.settings.dir)?;
            self.written = Some(self.status.clone());
        }
        Ok(())
    }
}
