//! The fleet that a policy is held against: how many devices stand in each stratum and ring. It knows no device by name.

use std::collections::BTreeMap;

use crate::ids::{RingName, StratumName};
use crate::policy::Policy;
use crate::roster::Place;
use crate::time::Elapsed;

/// The fleet that a policy is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetEstimate {
    /// Devices by stratum, then by ring in the policy's order.
    pub strata: BTreeMap<StratumName, Vec<u32>>,
    /// The downtime that releases are assumed to be allowed.
    pub downtime: Elapsed,
}

impl FleetEstimate {
    /// The fleet as its rosters would stand.
    pub fn of_rosters(
        policy: &Policy,
        rosters: &BTreeMap<StratumName, Vec<Place>>,
        downtime: Elapsed,
    ) -> FleetEstimate {
        let mut strata: BTreeMap<StratumName, Vec<u32>> = BTreeMap::new();
        for (stratum, places) in rosters {
            let rings = strata.entry(stratum.clone()).or_insert_with(|| vec![0; policy.rings.len()]);
            for place in places {
                if let Some(count) = rings.get_mut(usize::from(place.ring)) {
                    *count = count.saturating_add(1);
                }
            }
        }
        FleetEstimate { strata, downtime }
    }

    /// So many devices, evenly spread over the listed strata. `labelled` says how many carry a ring's label; the others are
    /// dealt out by the rings' shares, the last ring taking the rest.
    pub fn evenly(
        policy: &Policy,
        devices: u32,
        labelled: &BTreeMap<RingName, u32>,
        downtime: Elapsed,
    ) -> FleetEstimate {
        let names = policy.strata.listed_names();
        let count = u32::try_from(names.len()).unwrap_or(u32::MAX).max(1);
        let of_label = |ring: &crate::policy::Ring| labelled.get(&ring.name).copied().unwrap_or(0);
        let with_label = policy.rings.iter().map(of_label).fold(0_u32, u32::saturating_add).min(devices);
        let unlabelled = devices - with_label;
        let mut left = unlabelled;
        let mut rings: Vec<u32> = Vec::with_capacity(policy.rings.len());
        for ring in &policy.rings {
            let share = ((ring.share * f64::from(unlabelled)).ceil() as u32).min(left);
            left -= share;
            rings.push(share.saturating_add(of_label(ring)));
        }
        if let Some(last) = rings.last_mut() {
            *last = last.saturating_add(left);
        }
        let part = |whole: u32, at: u32| whole / count + u32::from(at < whole % count);
        let strata = names.into_iter().zip(0..).map(|(name, at)| (name, rings.iter().map(|r| part(*r, at)).collect()));
        FleetEstimate { strata: strata.collect(), downtime }
    }

    pub(super) fn total(&self) -> u32 {
        self.strata.values().flatten().copied().fold(0, u32::saturating_add)
    }

    /// The same with more devices in one ring, in its first stratum that has some of it.
    pub(super) fn with_more(&self, ring: usize, more: u32) -> FleetEstimate {
        let mut larger = self.clone();
        let mut sizes = larger.strata.values_mut().filter_map(|rings| rings.get_mut(ring));
        if let Some(size) = sizes.find(|size| **size > 0) {
            *size = size.saturating_add(more);
        }
        larger
    }

    /// Without what the holdback keeps shut, as the rollout computes it: a share of each stratum's last ring.
    pub(super) fn opened_at_most(&self, policy: &Policy) -> BTreeMap<StratumName, Vec<u32>> {
        let mut strata = self.strata.clone();
        for last in strata.values_mut().filter_map(|rings| rings.last_mut()) {
            let held_back = (policy.holdback.share * f64::from(*last)).ceil() as u32;
            *last = last.saturating_sub(held_back);
        }
        strata
    }
}
