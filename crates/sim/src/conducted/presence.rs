//! What a simulated server heard of devices. It is gone with the server.

use tidegate_control::presence::Presence as Planning;
use tidegate_domain::ids::{DeviceId, PackageName};
use tidegate_domain::time::WallTime;

use super::device::DeviceSide;
use crate::names::{number_of, wall};
use crate::population::Population;

/// What a server heard of devices since it began to answer: idle check-ins write nothing.
pub(super) struct Heard<'a> {
    pub(super) population: &'a Population,
    pub(super) devices: &'a [DeviceSide],
    pub(super) now_ms: u64,
    pub(super) since_ms: u64,
}

impl Planning for Heard<'_> {
    fn well_during(&self, device: &DeviceId, _: &PackageName, from: WallTime, to: WallTime) -> bool {
        let from_ms = from.since(wall(0)).as_ms().max(self.since_ms);
        let Some(device) = number_of(device) else { return false };
        let unexposed = self.devices.get(device as usize).is_some_and(|side| !side.gone);
        let at = self.population.check_in_from(device, from_ms);
        unexposed && wall(at) < to && self.population.is_in_contact(device, at)
    }

    fn heard_since(&self, device: &DeviceId, since: WallTime) -> bool {
        let Some(device) = number_of(device) else { return false };
        let mut at = self.population.check_in_from(device, since.since(wall(0)).as_ms().max(self.since_ms));
        while at <= self.now_ms {
            if self.population.is_in_contact(device, at) {
                return true;
            }
            at = self.population.check_in_from(device, at + 1);
        }
        false
    }
}
