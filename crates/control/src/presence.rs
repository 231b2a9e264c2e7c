//! What planning may ask about devices that checked in. Nothing of it is recorded.

use tidegate_domain::ids::{DeviceId, PackageName};
use tidegate_domain::time::WallTime;

/// What is known of devices that is not recorded: idle check-ins write nothing.
pub trait Presence {
    /// Whether the device checked in within `[from, to)` and said that the package runs and is well.
    fn well_during(&self, device: &DeviceId, package: &PackageName, from: WallTime, to: WallTime) -> bool;

    /// Whether the device checked in at `since` or later.
    fn heard_since(&self, device: &DeviceId, since: WallTime) -> bool;
}
