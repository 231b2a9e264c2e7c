//! One receiver's thread: reads the log behind what was delivered, sends, waits and tries again, and remembers durably how far it has got.

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tidegate_control::account::lines_of;
use tidegate_control::contract::{Request, Seq};
use tokio::runtime::Handle;

use super::event;
use super::receiver::{Delivered, Receiver};
use crate::app::App;
use crate::clock::now;
use crate::metrics::count;

const LOOK: Duration = Duration::from_millis(200);
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(300);
/// Entries of one read.
const READ: u32 = 1_000;

/// Delivers until it is told to stop, or the receiver wants no more.
pub(super) fn deliver(app: &App, runtime: &Handle, receiver: &Receiver, place: &Path, stop: &AtomicBool) {
    let name = &receiver.name;
    let mut wait = WAIT_MIN;
    while !stop.load(Ordering::Acquire) {
        match deliver_some(app, runtime, receiver, place, stop) {
            Ok(Some(Delivered::Never)) => {
                tracing::warn!(
                    webhook = name,
                    "the receiver wants no more (410): not asked again until the server starts anew"
                );
                return;
            }
            Ok(Some(Delivered::NotYet(problem))) => {
                count(&app.metrics.webhooks_refused);
                tracing::warn!(webhook = name, problem, wait_s = wait.as_secs(), "not delivered; trying again");
                pause(wait, stop);
                wait = wait.saturating_mul(2).min(WAIT_MAX);
            }
            Ok(Some(Delivered::Yes)) => wait = WAIT_MIN,
            Ok(None) => pause(LOOK, stop),
            Err(error) => {
                tracing::warn!(webhook = name, "not delivered; trying again: {error:#}");
                pause(wait, stop);
                wait = wait.saturating_mul(2).min(WAIT_MAX);
            }
        }
    }
}

fn pause(wait: Duration, stop: &AtomicBool) {
    let until = Instant::now() + wait;
    while Instant::now() < until && !stop.load(Ordering::Acquire) {
        std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
    }
}

/// What became of the next entries; none where nothing is new.
fn deliver_some(
    app: &App,
    runtime: &Handle,
    receiver: &Receiver,
    place: &Path,
    stop: &AtomicBool,
) -> anyhow::Result<Option<Delivered>> {
    let (last, fleet) = {
        let state = app.desk.state().map_err(|refused| anyhow::anyhow!("{refused}"))?;
        (state.last(), state.fleet())
    };
    let Some(fleet) = fleet else { return Ok(None) };
    let Some(after) = kept(place, &app.store_epoch)? else {
        // A new receiver hears of what happens from now on; so does one whose history was put back from a backup.
        keep(place, &app.store_epoch, last)?;
        return Ok(None);
    };
    if after >= last {
        return Ok(None);
    }
    let reply = runtime.block_on(app.log.perform(Request::Read { after, limit: READ }))?;
    let mut through = after;
    for entry in reply.into_entries()? {
        for (index, line) in lines_of(&entry).into_iter().enumerate().filter(|(_, line)| receiver.wants(line)) {
            let number = entry.seq.as_u64();
            let id = event::id(&app.store_epoch, number, index);
            let body = event::body(fleet, &id, number, entry.content.at, &line)?;
            match receiver.send(&id, &body, now().as_ms() / 1_000) {
                Delivered::Yes => count(&app.metrics.webhooks),
                other => {
                    keep(place, &app.store_epoch, through)?;
                    return Ok(Some(other));
                }
            }
            keep(place, &app.store_epoch, entry.seq)?;
        }
        through = entry.seq;
        if stop.load(Ordering::Acquire) {
            break;
        }
    }
    keep(place, &app.store_epoch, through)?;
    Ok(Some(Delivered::Yes))
}

/// Up to which entry of this history everything was delivered.
fn kept(place: &Path, store_epoch: &str) -> anyhow::Result<Option<Seq>> {
    let text = match std::fs::read_to_string(place) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| place.display().to_string()),
    };
    let (epoch, number) = text.trim().split_once(' ').unwrap_or_default();
    let number = number.parse().ok().filter(|_| epoch == store_epoch);
    Ok(number.map(Seq::from_u64))
}

fn keep(place: &Path, store_epoch: &str, through: Seq) -> anyhow::Result<()> {
    let beside = place.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&beside)?;
        writeln!(file, "{store_epoch} {}", through.as_u64())?;
        file.sync_all()?;
        std::fs::rename(&beside, place)
    };
    write().with_context(|| place.display().to_string())
}
