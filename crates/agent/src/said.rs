//! What a payload says of itself over `$NOTIFY_SOCKET`, as services do under systemd: that it is ready, that it still lives, and
//! numbers. Each run has a socket of its own; what an earlier run said is not heard in a later one.
//!
//! Whoever may write to the socket is believed. It lies in the package's run folder, as health files do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tidegate_domain::ids::NumberName;
use tidegate_domain::time::Elapsed;

use crate::os;

/// The variable that names the socket to the payload.
pub(crate) const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";
/// How a line begins that says a number: its name, a blank, the number.
const NUMBER: &str = "X_TIDEGATE_NUMBER=";
/// The most numbers that are remembered.
const NUMBERS_MAX: usize = 64;
/// The most numbers that a report carries.
const NUMBERS_SENT_MAX: usize = 16;
/// The largest thousandths: the largest integer that a record may hold.
const MILLI_MAX: f64 = ((1_u64 << 53) - 1) as f64;
/// The largest datagram that is read whole.
const DATAGRAM_BYTES_MAX: usize = 4_096;
/// How often the listener looks whether anybody still wants to know.
const LOOK: Duration = Duration::from_millis(500);

/// Where the payload of a run folder says how it is.
pub(crate) fn socket(run_dir: &Path) -> PathBuf {
    run_dir.join("notify")
}

/// What one run has said so far. Listening ends with the last owner.
#[derive(Debug, Default)]
pub(crate) struct Said(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    ready: bool,
    alive_at: Option<Instant>,
    numbers: BTreeMap<NumberName, (f64, Instant)>,
    files: BTreeMap<PathBuf, Sighting>,
}

/// When a health file was seen to be written.
#[derive(Debug)]
struct Sighting {
    modified: SystemTime,
    /// When this was seen first, and how old the file was by then.
    at: Instant,
    age: Duration,
}

impl Said {
    /// Listens at the run folder's socket. Where that cannot be, nothing is ever heard, and the probes that wait for it say so.
    pub(crate) fn listen(run_dir: &Path) -> Arc<Said> {
        let said = Arc::new(Said::default());
        match os::Datagrams::at(&socket(run_dir), LOOK) {
            Ok(datagrams) => {
                let heard = Arc::downgrade(&said);
                thread::spawn(move || hear_all(&datagrams, &heard));
            }
            Err(error) => tracing::warn!("cannot listen at {}: {error}", socket(run_dir).display()),
        }
        said
    }

    /// Whether it said that it is ready and, where a watchdog is wanted, lately that it lives.
    pub(crate) fn is_ready(&self, watchdog: Option<Elapsed>, now: Instant) -> Result<(), String> {
        let heard = self.heard();
        if !heard.ready {
            return Err(format!("it has not said READY=1 at ${SOCKET_VARIABLE}"));
        }
        let Some(watchdog) = watchdog else { return Ok(()) };
        match heard.alive_at.map(|at| now.saturating_duration_since(at).as_millis()) {
            Some(age) if age <= u128::from(watchdog.as_ms()) => Ok(()),
            Some(age) => Err(format!("it has not said WATCHDOG=1 for {age} ms, and has to every {watchdog}")),
            None => Err("it said WATCHDOG=trigger: that it is not well".to_owned()),
        }
    }

    /// How old a health file is that the file system says was written at `modified`. The system's clock counts only for a file that was
    /// there when this run's files were looked at first: it may step by years, and the file is no older for it.
    pub(crate) fn file_age(&self, path: &Path, modified: SystemTime, now: Instant) -> Duration {
        let mut heard = self.heard();
        // A time to come is that of a clock that was set back since.
        let by_the_clock = SystemTime::now().duration_since(modified).unwrap_or_default();
        let first = Sighting { modified, at: now, age: by_the_clock };
        let sighting = heard.files.entry(path.to_owned()).or_insert(first);
        if sighting.modified != modified {
            *sighting = Sighting { modified, at: now, age: Duration::ZERO };
        }
        sighting.age.saturating_add(now.saturating_duration_since(sighting.at))
    }

    /// Whether the number was said lately and lies within its bounds.
    pub(crate) fn keeps(
        &self,
        name: &NumberName,
        at_least: Option<i64>,
        at_most: Option<i64>,
        fresh: Elapsed,
        now: Instant,
    ) -> Result<(), String> {
        let heard = self.heard();
        let Some((value, at)) = heard.numbers.get(name) else {
            return Err(format!("number {name}: it has not been said"));
        };
        let age = now.saturating_duration_since(*at).as_millis();
        if age > u128::from(fresh.as_ms()) {
            return Err(format!("number {name}: last said {age} ms ago, at most {fresh} is fresh"));
        }
        if at_least.is_some_and(|least| *value < least as f64) || at_most.is_some_and(|most| *value > most as f64) {
            let bound = |bound: Option<i64>| bound.map_or("any".to_owned(), |bound| bound.to_string());
            return Err(format!("number {name} is {value}: well is {} to {}", bound(at_least), bound(at_most)));
        }
        Ok(())
    }

    /// The numbers that it said last, in thousandths: the first sixteen by name.
    pub(crate) fn in_thousandths(&self) -> BTreeMap<NumberName, i64> {
        let milli = |value: f64| (value * 1_000.0).round().clamp(-MILLI_MAX, MILLI_MAX) as i64;
        let heard = self.heard();
        heard.numbers.iter().take(NUMBERS_SENT_MAX).map(|(name, (value, _))| (name.clone(), milli(*value))).collect()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hear_all(datagrams: &os::Datagrams, said: &Weak<Said>) {
    let mut bytes = [0; DATAGRAM_BYTES_MAX];
    loop {
        let read = datagrams.next(&mut bytes);
        let Some(said) = said.upgrade() else { return };
        match read {
            Ok(Some(length)) => said.heard().hear(bytes.get(..length).unwrap_or_default(), Instant::now()),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!("cannot hear what the payload says: {error}");
                return;
            }
        }
    }
}

impl Heard {
    /// Lines that mean nothing here are passed over: systemd knows many more.
    fn hear(&mut self, datagram: &[u8], now: Instant) {
        for line in String::from_utf8_lossy(datagram).lines() {
            match line {
                "READY=1" => (self.ready, self.alive_at) = (true, Some(now)),
                "WATCHDOG=1" => self.alive_at = Some(now),
                "WATCHDOG=trigger" => self.alive_at = None,
                line => {
                    let number = line.strip_prefix(NUMBER).and_then(|said| said.split_once(' '));
                    let number =
                        number.and_then(|(name, value)| Some((name.parse().ok()?, value.trim().parse().ok()?)));
                    if let Some((name, value)) = number {
                        self.hear_number(name, value, now);
                    }
                }
            }
        }
    }

    fn hear_number(&mut self, name: NumberName, value: f64, now: Instant) {
        if value.is_finite() && (self.numbers.len() < NUMBERS_MAX || self.numbers.contains_key(&name)) {
            self.numbers.insert(name, (value, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn after(lines: &str, at: Instant) -> Said {
        let said = Said::default();
        said.heard().hear(lines.as_bytes(), at);
        said
    }

    #[test]
    fn ready_is_what_it_says_and_no_longer_than_its_watchdog() {
        let at = Instant::now();
        let watchdog = Some(Elapsed::from_s(2));
        assert!(after("STATUS=loading\n", at).is_ready(None, at).unwrap_err().contains("READY=1"));
        let said = after("READY=1\nSTATUS=all well\n", at);
        assert_eq!(said.is_ready(None, at + 3_600 * SECOND), Ok(()));
        assert_eq!(said.is_ready(watchdog, at + 2 * SECOND), Ok(()));
        assert!(said.is_ready(watchdog, at + 3 * SECOND).unwrap_err().contains("3000 ms"));
        said.heard().hear(b"WATCHDOG=1", at + 3 * SECOND);
        assert_eq!(said.is_ready(watchdog, at + 4 * SECOND), Ok(()));
        said.heard().hear(b"WATCHDOG=trigger", at + 4 * SECOND);
        assert!(said.is_ready(watchdog, at + 4 * SECOND).unwrap_err().contains("trigger"));
    }

    #[test]
    fn a_number_is_well_within_its_bounds_while_it_is_fresh() {
        let at = Instant::now();
        let (queue, fresh) = ("queue".parse().unwrap(), Elapsed::from_s(10));
        let keeps = |lines: &str, age| after(lines, at).keeps(&queue, Some(-1), Some(5), fresh, at + age);
        for (lines, well) in [
            ("X_TIDEGATE_NUMBER=queue 5", true),
            ("X_TIDEGATE_NUMBER=queue -1.0", true),
            ("X_TIDEGATE_NUMBER=queue 9\nX_TIDEGATE_NUMBER=queue 1e0", true),
            ("X_TIDEGATE_NUMBER=queue 5.001", false),
            ("X_TIDEGATE_NUMBER=queue -2", false),
            ("X_TIDEGATE_NUMBER=other 1", false),
            ("X_TIDEGATE_NUMBER=queue NaN", false),
            ("X_TIDEGATE_NUMBER=queue inf", false),
            ("X_TIDEGATE_NUMBER=queue", false),
        ] {
            assert_eq!(keeps(lines, SECOND).is_ok(), well, "{lines}");
        }
        assert!(keeps("X_TIDEGATE_NUMBER=queue 1", 11 * SECOND).unwrap_err().contains("fresh"));
    }

    #[test]
    fn a_health_file_is_no_older_for_a_clock_that_steps() {
        let (said, at) = (Said::default(), Instant::now());
        let age =
            |modified, after: u32| said.file_age(Path::new("health.json"), modified, at + after * SECOND).as_secs();
        let year = Duration::from_secs(31_557_600);
        let stale = SystemTime::now() - 90 * SECOND;
        assert_eq!((age(stale, 0), age(stale, 5)), (90, 95), "one that an earlier run left");
        let future = SystemTime::now() + 5 * year;
        assert_eq!((age(future, 6), age(future, 9)), (0, 3), "written again by a clock that stepped ahead");
        let past = SystemTime::now() - 5 * year;
        assert_eq!((age(past, 9), age(past, 20)), (0, 11), "and by one that stepped back");
    }

    #[test]
    fn what_is_remembered_is_bounded_whatever_is_said() {
        let said = Said::default();
        for n in 0..1_000 {
            said.heard().hear(format!("X_TIDEGATE_NUMBER=n{n} 1\n\u{fffd}=\n=").as_bytes(), Instant::now());
        }
        assert_eq!(said.heard().numbers.len(), NUMBERS_MAX);
    }
}
