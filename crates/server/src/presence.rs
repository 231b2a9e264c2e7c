//! Who checked in when, and what they said then. Kept in memory only: idle check-ins write nothing.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use tidegate_control::presence as planning;
use tidegate_domain::ids::{DeviceId, PackageName};
use tidegate_domain::time::WallTime;
use tidegate_wire::device::PackageStatus;

const SHARDS: usize = 64;

/// What a device said at its last check-ins.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it last checked in.
    pub at: WallTime,
    /// When it checked in before that.
    pub before: WallTime,
    /// What runs on it.
    pub packages: Vec<PackageStatus>,
    /// The numbers that its agents drew at their starts, the latest first.
    runs: Vec<u64>,
    /// How often one came back after another.
    came_back: u32,
}

/// How many of an agent's starts are remembered.
const RUNS_MAX: usize = 4;
/// How often numbers come back before a device is taken for two. Once can be a request that was long on its way.
const CAME_BACK_MAX: u32 = 3;

/// Who checked in.
#[derive(Debug)]
pub struct Presence {
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<DeviceId, Seen>>>,
}

impl Presence {
    /// Nobody yet.
    pub fn new() -> Presence {
        Presence { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// A device checked in. Says whether it has shown by now that it is two machines: an agent draws a number at each start, and where
    /// numbers come back after others, more than one agent uses the key.
    pub fn checked_in(&self, device: &DeviceId, packages: Vec<PackageStatus>, run: Option<u64>, at: WallTime) -> bool {
        self.with_shard(device, |shard| {
            let known = shard.remove(device);
            let before = known.as_ref().map_or(WallTime::default(), |seen| seen.at);
            let (mut runs, mut came_back) = known.map_or((Vec::new(), 0), |seen| (seen.runs, seen.came_back));
            if let Some(run) = run.filter(|run| runs.first() != Some(run)) {
                let held = runs.len();
                runs.retain(|known| *known != run);
                if runs.len() < held {
                    came_back += 1;
                }
                runs.insert(0, run);
                runs.truncate(RUNS_MAX);
            }
            let is_two = came_back >= CAME_BACK_MAX;
            let came_back = if is_two { 0 } else { came_back };
            shard.insert(device.clone(), Seen { at, before, packages, runs, came_back });
            is_two
        })
    }

    /// What a device said last.
    pub fn seen(&self, device: &DeviceId) -> Option<Seen> {
        self.with_shard(device, |shard| shard.get(device).cloned())
    }

    /// When a device last checked in.
    pub fn seen_at(&self, device: &DeviceId) -> Option<WallTime> {
        self.with_shard(device, |shard| shard.get(device).map(|seen| seen.at))
    }

    fn with_shard<T>(&self, device: &DeviceId, work: impl FnOnce(&mut HashMap<DeviceId, Seen>) -> T) -> T {
        let shard = self.hasher.hash_one(device) as usize % SHARDS;
        // The index is below SHARDS by the line above; the first shard stands in for the impossible rest.
        let shard = self.shards.get(shard).or_else(|| self.shards.first());
        match shard {
            Some(shard) => work(&mut shard.lock().unwrap_or_else(PoisonError::into_inner)),
            None => work(&mut HashMap::new()),
        }
    }
}

impl Default for Presence {
    fn default() -> Presence {
        Presence::new()
    }
}

impl planning::Presence for Presence {
    fn well_during(&self, device: &DeviceId, package: &PackageName, from: WallTime, to: WallTime) -> bool {
        let well = |seen: &Seen| seen.packages.iter().any(|status| status.package == *package && status.healthy);
        let within = |at: WallTime| from <= at && at < to;
        self.with_shard(device, |shard| {
            shard.get(device).is_some_and(|seen| well(seen) && (within(seen.at) || within(seen.before)))
        })
    }

    fn heard_since(&self, device: &DeviceId, since: WallTime) -> bool {
        self.with_shard(device, |shard| shard.get(device).is_some_and(|seen| seen.at >= since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_whose_runs_come_back_is_two_and_one_that_restarts_is_not() {
        let (presence, at) = (Presence::new(), WallTime::from_ms(1));
        let says = |device: &str, run| presence.checked_in(&device.parse().unwrap(), Vec::new(), Some(run), at);
        let two: Vec<bool> = [1, 2, 1, 2, 1, 2, 1].map(|run| says("twins", run)).to_vec();
        assert_eq!(two, [false, false, false, false, true, false, false]);
        assert!((1..100).map(|run| says("restarts", run)).all(|two| !two));
        assert!([1, 2, 1, 2, 2, 3, 4].map(|run| says("late", run)).iter().all(|two| !two), "two requests came late");
        let quiet: DeviceId = "older-agent".parse().unwrap();
        assert!(!presence.checked_in(&quiet, Vec::new(), None, at));
    }
}
