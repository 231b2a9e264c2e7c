//! Which holds there are, and whom they keep from what.

use std::collections::BTreeMap;

use tidegate_domain::ids::{DeviceId, PackageName, StratumName};
use tidegate_domain::policy::Policy;
use tidegate_domain::time::WallTime;

use super::State;
use crate::hold::Hold;

impl State {
    /// Holds by number; those that are over are left out with the next one that is made.
    pub fn holds(&self) -> &BTreeMap<u32, Hold> {
        &self.holds
    }

    /// The hold that keeps a device from releases of a package now.
    pub fn held(&self, device: &DeviceId, package: &PackageName, now: WallTime) -> Option<(u32, &Hold)> {
        let mut holds = self.holds.iter().filter(|(_, hold)| hold.concerns(package) && hold.is_in_force(now));
        // Attributes are looked up only where somebody is held at all: this is asked at each check-in.
        let first = holds.next()?;
        let attributes = &self.devices.get(device)?.enrolment.attributes;
        let mut holds = std::iter::once(first).chain(holds);
        holds.find(|(_, hold)| hold.means(device, attributes)).map(|(number, hold)| (*number, hold))
    }

    /// Whether all devices of a stratum are held back from a package now.
    pub(crate) fn holds_stratum(
        &self,
        policy: &Policy,
        stratum: &StratumName,
        package: &PackageName,
        now: WallTime,
    ) -> bool {
        let mut holds = self
            .holds
            .values()
            .filter(|hold| hold.devices.is_empty() && hold.concerns(package) && hold.is_in_force(now));
        holds.any(|hold| {
            let values = policy.strata.values_of(stratum).unwrap_or_default();
            hold.select.certainly(&policy.strata.by.iter().zip(values).collect()) == Some(true)
        })
    }

    pub(super) fn hold(&mut self, number: u32, hold: Hold, at: WallTime) {
        self.holds.retain(|_, held| !held.is_over(at));
        self.holds.insert(number, hold);
        self.holds_made = self.holds_made.max(number);
    }
}
