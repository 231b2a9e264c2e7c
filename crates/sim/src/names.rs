//! What the product's types call a simulated device and a simulated moment.

use tidegate_domain::ids::DeviceId;
use tidegate_domain::time::WallTime;

/// A day in 2026, so that instants look like instants.
pub(crate) const START_MS: u64 = 1_780_000_000_000;

/// The instant that many milliseconds after the start.
pub(crate) fn wall(ms: u64) -> WallTime {
    WallTime::from_ms(START_MS + ms)
}

/// A device's name.
pub(crate) fn device_id(number: u32) -> Option<DeviceId> {
    format!("d{number}").parse().ok()
}

/// The number of a device that has such a name.
pub(crate) fn number_of(device: &DeviceId) -> Option<u32> {
    device.as_str().strip_prefix('d')?.parse().ok()
}
