//! Reports that the server has not acknowledged: numbered, signed, each a file of its own, kept until it says that it keeps them.
//!
//! On storage that cannot be written a report waits in memory and is still sent. Never sends anything itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::PackageName;
use tidegate_domain::observation::Observation;
use tidegate_trust::records::Report;
use tidegate_trust::signed::Unverified;
use tidegate_wire::device::REPORTS_MAX;

use crate::durable::{self, DiskError};
use crate::layout::FORMAT;

/// Numbers are set aside by so many at a time, so that a report needs no second write.
const SET_ASIDE: u64 = 256;
/// Beyond so many reports that wait, those that say only that all is well are not added.
pub(crate) const CROWDED: usize = 1_000;

/// The reports that wait.
pub(crate) struct Outbox {
    dir: PathBuf,
    waiting: BTreeMap<u64, Unverified<Report>>,
    next: u64,
    set_aside: u64,
    last: Option<Unverified<Report>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NumbersFile {
    format: u32,
    /// No number from this one on was used.
    unused_from: u64,
}

impl Outbox {
    /// Reads what waits. `now_ms` sets the first number where storage can be neither read nor written, so that none is used twice.
    pub(crate) fn open(dir: PathBuf, now_ms: u64) -> Outbox {
        let mut outbox = Outbox { dir, waiting: BTreeMap::new(), next: 1, set_aside: 0, last: None };
        if let Err(error) = outbox.read(now_ms) {
            tracing::warn!("outbox: {error}");
        }
        outbox
    }

    fn read(&mut self, now_ms: u64) -> Result<(), DiskError> {
        self.last = durable::read_json(&self.dir.join("last.json")).ok().flatten();
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let number = name.strip_prefix("report-").and_then(|n| n.strip_suffix(".json")?.parse().ok());
            if let Some(number) = number
                && let Ok(Some(report)) = durable::read_json(&entry.path())
            {
                self.waiting.insert(number, report);
            }
        }
        let numbers: Result<Option<NumbersFile>, DiskError> = durable::read_json(&self.dir.join("numbers.json"));
        let after_waiting = self.waiting.keys().next_back().map_or(1, |last| last.saturating_add(1));
        self.next = match &numbers {
            Ok(numbers) => numbers.as_ref().map_or(1, |file| file.unused_from),
            // Nobody knows which numbers were used.
            Err(_) => now_ms,
        };
        self.next = self.next.max(after_waiting);
        if let Err(error) = self.set_aside() {
            self.next = self.next.max(now_ms);
            return Err(error);
        }
        numbers.map(|_| ())
    }

    fn set_aside(&mut self) -> Result<(), DiskError> {
        durable::make_dir(&self.dir)?;
        let unused_from = self.next.saturating_add(SET_ASIDE);
        durable::write_json(&self.dir.join("numbers.json"), &NumbersFile { format: FORMAT, unused_from }, "")?;
        self.set_aside = unused_from;
        Ok(())
    }

    /// The number of the next report.
    pub(crate) fn next_number(&mut self) -> u64 {
        if self.next >= self.set_aside
            && let Err(error) = self.set_aside()
        {
            tracing::warn!("outbox: {error}");
        }
        self.next
    }

    /// Keeps a signed report that carries [`Self::next_number`].
    pub(crate) fn keep(&mut self, report: Unverified<Report>) {
        let number = self.next;
        self.next = number.saturating_add(1);
        for (path, point) in [(self.path(number), "report-kept"), (self.dir.join("last.json"), "")] {
            if let Err(error) = durable::write_json(&path, &report, point) {
                tracing::warn!("a report is kept in memory only: {error}");
            }
        }
        self.last = Some(report.clone());
        self.waiting.insert(number, report);
    }

    /// Whether such a report waits or was the last one: after a kill nobody knows whether it was made.
    pub(crate) fn holds(&self, package: &PackageName, order: Option<Digest>, observation: &Observation) -> bool {
        self.waiting.values().chain(&self.last).any(|report| {
            report
                .danger_unchecked_body()
                .is_ok_and(|body| body.package == *package && body.order == order && body.observation == *observation)
        })
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The first that wait, in the order of their numbers, as many as one request may carry.
    pub(crate) fn first(&self) -> Vec<Unverified<Report>> {
        self.waiting.values().take(REPORTS_MAX).cloned().collect()
    }

    /// The last report that was made, for a server whose history changed.
    pub(crate) fn last(&self) -> Option<&Unverified<Report>> {
        self.last.as_ref()
    }

    /// Forgets reports up to a number.
    pub(crate) fn acknowledged(&mut self, seq: u64) {
        let later = self.waiting.split_off(&seq.saturating_add(1));
        for number in std::mem::replace(&mut self.waiting, later).into_keys() {
            if let Err(error) = durable::remove(&self.path(number)) {
                tracing::warn!("outbox: {error}");
            }
            crate::drill::reached("report-forgotten");
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("report-{number:020}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_used_twice_when_the_numbers_are_garbled() {
        let dir = tempfile::tempdir().unwrap();
        let open = |now_ms| Outbox::open(dir.path().to_owned(), now_ms).next_number();
        assert_eq!(open(5), 1);
        fs::write(dir.path().join("numbers.json"), "{").unwrap();
        assert_eq!(open(1_000_000), 1_000_000);
        assert!(open(5) > 1_000_000);
    }
}
