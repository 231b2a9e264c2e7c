//! The sensor's life: load the content, evaluate events, say how it is, until it is told to stop.
//! Content is read once, at the start; a new one takes effect with the next start.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::content::{self, Content, ContentError};
use crate::health::{self, Health};
use crate::inputs;
use crate::interpreter::{self, Beyond};

/// How often an event is evaluated.
const EVENT_EVERY: Duration = Duration::from_millis(200);

/// What the arguments ask for.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The folder that holds the content.
    pub(crate) content_dir: PathBuf,
    /// Where health is written, if anywhere.
    pub(crate) health_file: Option<PathBuf>,
    /// How often health is written.
    pub(crate) health_every: Duration,
    /// Whether criteria beyond the inputs are skipped.
    pub(crate) tolerant: bool,
    /// When to crash after a good start.
    pub(crate) crash_after: Option<Duration>,
}

/// Why the sensor cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The content cannot be used.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// It could not be told to stop.
    #[error("cannot listen for signals: {0}")]
    Signals(#[from] ctrlc::Error),
}

/// A sensor with its content loaded.
struct Sensor<'a> {
    settings: &'a Settings,
    content: Content,
    events: u64,
    health_failed: bool,
}

/// Runs until a signal to stop.
pub(crate) fn run(settings: &Settings) -> Result<(), RunError> {
    let stop = stop_signal()?;
    let mut sensor =
        Sensor { content: content::load(&settings.content_dir)?, settings, events: 0, health_failed: false };
    // The first event is part of loading: content that crashes does so before the sensor calls itself ready.
    sensor.evaluate();
    let started = Instant::now();
    let mut next_event = started + EVENT_EVERY;
    let mut next_health = started;
    loop {
        let now = Instant::now();
        if settings.crash_after.is_some_and(|after| now.duration_since(started) >= after) {
            eprintln!("sensor: crashing as --crash-after-ms asks");
            std::process::abort();
        }
        if now >= next_event {
            sensor.evaluate();
            next_event = now + EVENT_EVERY;
        }
        if now >= next_health {
            sensor.say_health();
            next_health = now + settings.health_every;
        }
        let crash_at = settings.crash_after.and_then(|after| started.checked_add(after));
        let next = next_event.min(next_health).min(crash_at.unwrap_or(next_event));
        match stop.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

impl Sensor<'_> {
    fn evaluate(&mut self) {
        let beyond = if self.settings.tolerant { Beyond::Skip } else { Beyond::Read };
        let inputs = inputs::of_event(self.events);
        if let Err(fault) = interpreter::matches(&self.content, &inputs, beyond) {
            interpreter::crash(&fault);
        }
        self.events += 1;
    }

    /// Writes health; a full disk is said once and does not stop the sensor.
    fn say_health(&mut self) {
        let Some(path) = &self.settings.health_file else {
            return;
        };
        let health = Health { ready: true, version: &self.content.version, events: self.events };
        match health::write(path, &health) {
            Ok(()) => self.health_failed = false,
            Err(error) if !self.health_failed => {
                eprintln!("sensor: cannot write {}: {error}", path.display());
                self.health_failed = true;
            }
            Err(_) => {}
        }
    }
}

/// Hears once when the process is told to stop.
fn stop_signal() -> Result<Receiver<()>, ctrlc::Error> {
    let (sender, receiver) = mpsc::channel();
    ctrlc::set_handler(move || {
        // A second signal finds the receiver gone, and the process on its way out.
        let _ = sender.send(());
    })?;
    Ok(receiver)
}
