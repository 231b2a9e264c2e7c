//! Halts that need nothing: no room on the disk, no planner, no log. A file of fixed size, written in place.
//!
//! A halt first stands here and in memory, and is then brought into the log as soon as that can be written. The go path asks here
//! after a take is durable and before it answers.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tidegate_control::command::PersonsHalt;
use tidegate_domain::ids::RolloutId;

use crate::drill;

const SLOT_BYTES: usize = 1_024;
const SLOTS: usize = 256;

#[derive(Serialize, Deserialize)]
struct Slot {
    rollout: RolloutId,
    halt: PersonsHalt,
}

/// The rollouts that are halted whatever the log says.
#[derive(Debug)]
pub struct Halts {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    slots: Vec<Option<RolloutId>>,
    pending: BTreeMap<RolloutId, PersonsHalt>,
}

impl Halts {
    /// Opens the halt file, and makes it at its full size when there is none.
    ///
    /// # Errors
    /// When it can be neither read nor made.
    pub fn open(path: &Path) -> anyhow::Result<Halts> {
        let context = || format!("halt file {}", path.display());
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).with_context(context)?;
        let size = (SLOT_BYTES * SLOTS) as u64;
        if file.metadata().with_context(context)?.len() < size {
            file.seek(SeekFrom::Start(0)).with_context(context)?;
            // Written out, not only lengthened: the blocks must exist before the disk is full.
            file.write_all(&vec![b' '; SLOT_BYTES * SLOTS]).with_context(context)?;
            file.sync_all().with_context(context)?;
        }
        let mut bytes = vec![0; SLOT_BYTES * SLOTS];
        file.seek(SeekFrom::Start(0)).with_context(context)?;
        file.read_exact(&mut bytes).with_context(context)?;
        let mut slots = Vec::with_capacity(SLOTS);
        let mut pending = BTreeMap::new();
        for chunk in bytes.chunks_exact(SLOT_BYTES) {
            let slot: Option<Slot> = serde_json::from_slice(chunk).ok();
            slots.push(slot.as_ref().map(|slot| slot.rollout.clone()));
            pending.extend(slot.map(|slot| (slot.rollout, slot.halt)));
        }
        Ok(Halts { inner: Mutex::new(Inner { file, slots, pending }) })
    }

    /// Halts a rollout, durably, in a slot of the file. Repeating it changes nothing.
    ///
    /// # Errors
    /// When the slot cannot be written or all are taken by halts that never reached the log. The halt stands in memory even then.
    pub fn halt(&self, rollout: &RolloutId, halt: PersonsHalt) -> anyhow::Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.slots.iter().flatten().any(|known| known == rollout) {
            return Ok(());
        }
        inner.pending.insert(rollout.clone(), halt.clone());
        let free = inner.slots.iter().position(Option::is_none).context("the halt file is full")?;
        let bytes = slot_bytes(Slot { rollout: rollout.clone(), halt })?;
        inner.write_slot(free, &bytes)?;
        if let Some(slot) = inner.slots.get_mut(free) {
            *slot = Some(rollout.clone());
        }
        drill::reach(drill::Point::AfterHaltFile);
        Ok(())
    }

    /// Whether a rollout is halted here.
    pub fn holds(&self, rollout: &RolloutId) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).pending.contains_key(rollout)
    }

    /// The halts that may not be in the log yet.
    pub fn pending(&self) -> BTreeMap<RolloutId, PersonsHalt> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).pending.clone()
    }

    /// A halt is in the log: its slot is free again.
    pub fn settled(&self, rollout: &RolloutId) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.pending.remove(rollout);
        let slots: Vec<usize> =
            (0..SLOTS).filter(|i| inner.slots.get(*i).is_some_and(|slot| slot.as_ref() == Some(rollout))).collect();
        for slot in slots {
            // A slot that cannot be cleared is settled again at the next start.
            if inner.write_slot(slot, &[b' '; SLOT_BYTES]).is_ok()
                && let Some(slot) = inner.slots.get_mut(slot)
            {
                *slot = None;
            }
        }
    }
}

/// A halt as it fits into its slot: with the signed record where there is room for it, with as much of the reason as there is room for.
fn slot_bytes(mut slot: Slot) -> anyhow::Result<Vec<u8>> {
    loop {
        let mut bytes = serde_json::to_vec(&slot)?;
        if bytes.len() <= SLOT_BYTES {
            bytes.resize(SLOT_BYTES, b' ');
            return Ok(bytes);
        }
        let chars = slot.halt.reason.chars().count();
        anyhow::ensure!(slot.halt.record.is_some() || chars > 0, "the halt does not fit into its slot");
        if slot.halt.record.take().is_none() {
            slot.halt.reason = slot.halt.reason.chars().take(chars / 2).collect();
        }
    }
}

impl Inner {
    fn write_slot(&mut self, slot: usize, bytes: &[u8]) -> anyhow::Result<()> {
        self.file.seek(SeekFrom::Start((slot * SLOT_BYTES) as u64))?;
        self.file.write_all(bytes)?;
        self.file.sync_data()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(name: &str, reason: &str) -> PersonsHalt {
        PersonsHalt { by: name.parse().unwrap(), reason: reason.to_owned(), record: None }
    }

    #[test]
    fn a_halt_with_the_longest_reason_still_fits_its_slot() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("halts");
        let rollout: RolloutId = format!("{}.1", "x".repeat(64)).parse().unwrap();
        Halts::open(&path).unwrap().halt(&rollout, by(&"a".repeat(64), &"\u{1}".repeat(500))).unwrap();
        let pending = Halts::open(&path).unwrap().pending();
        assert!(pending[&rollout].reason.starts_with('\u{1}'), "it was read back, shortened");
    }

    #[test]
    fn a_halt_survives_a_restart_until_it_is_settled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("halts");
        let rollout: RolloutId = "sensor-content.1".parse().unwrap();
        let halts = Halts::open(&path).unwrap();
        halts.halt(&rollout, by("ann", "looks bad")).unwrap();
        halts.halt(&rollout, by("bob", "again")).unwrap();
        drop(halts);
        let halts = Halts::open(&path).unwrap();
        assert!(halts.holds(&rollout));
        assert_eq!(halts.pending().values().next().unwrap().by.as_str(), "ann");
        halts.settled(&rollout);
        drop(halts);
        assert!(!Halts::open(&path).unwrap().holds(&rollout));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), (SLOT_BYTES * SLOTS) as u64);
    }
}
