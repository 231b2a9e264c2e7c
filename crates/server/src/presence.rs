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
}

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

    /// A device checked in.
    pub fn checked_in(&self, device: &DeviceId, packages: Vec<PackageStatus>, at: WallTime) {
        self.with_shard(device, |shard| {
            let before = shard.get(device).map_or(WallTime::default(), |seen| seen.at);
            shard.insert(device.clone(), Seen { at, before, packages });
        });
    }

    /// What a device said last.
    pub fn seen(&self, device: &DeviceId) -> Option<Seen> {
        self.with_shard(device, |shard| shard.get(device).cloned())
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
