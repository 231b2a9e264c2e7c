//! A hold: devices that take nothing for a while, because people said so. A pause of a site, a freeze over the holidays, a pinned device
//! and maintenance windows are all the same thing. It only ever keeps shut; it opens nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tidegate_domain::attributes::Attributes;
use tidegate_domain::ids::{DeviceId, OperatorName, PackageName};
use tidegate_domain::selector::Selector;
use tidegate_domain::time::WallTime;

/// Devices that take nothing for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Only devices that this means.
    pub select: Selector,
    /// Only these; empty for all that the selector means.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub devices: BTreeSet<DeviceId>,
    /// Only releases of this package; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageName>,
    /// From when on.
    pub from_ms: WallTime,
    /// Until when; none until somebody lifts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<WallTime>,
    /// Where it is about maintenance windows: the devices are held outside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Windows>,
    /// Who said so.
    pub by: OperatorName,
    /// Why, in their words.
    pub reason: String,
}

/// When held devices may take releases all the same. After the last of them they are held throughout: windows that ran out open nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    /// As people wrote it, with the time zone.
    pub rule: String,
    /// From and until, in the order of time; worked out when the hold was made, so that everybody sees the same ones.
    pub open: Vec<(WallTime, WallTime)>,
}

impl Hold {
    /// Whether anybody is held by it now.
    pub fn is_in_force(&self, now: WallTime) -> bool {
        let in_window = |windows: &Windows| {
            let next = windows.open.partition_point(|(_, until)| *until <= now);
            windows.open.get(next).is_some_and(|(from, _)| *from <= now)
        };
        self.from_ms <= now && !self.is_over(now) && !self.windows.as_ref().is_some_and(in_window)
    }

    /// Whether it holds nobody any more.
    pub fn is_over(&self, now: WallTime) -> bool {
        self.until_ms.is_some_and(|until| until <= now)
    }

    /// When it lets go next: the beginning of a window or its end; none where only a person ends it.
    pub fn lets_go_at(&self, now: WallTime) -> Option<WallTime> {
        let window = self
            .windows
            .as_ref()
            .and_then(|windows| windows.open.iter().map(|(from, _)| *from).find(|from| *from > now));
        window.into_iter().chain(self.until_ms).min()
    }

    /// Which devices, in words.
    pub fn meant(&self) -> String {
        match (self.devices.len(), self.select.as_str()) {
            (0, "true") => "all devices".to_owned(),
            (0, select) => select.to_owned(),
            (1, _) => self.devices.first().map(ToString::to_string).unwrap_or_default(),
            (count, _) => format!("{count} devices"),
        }
    }

    /// Whether a device is meant.
    pub fn means(&self, device: &DeviceId, attributes: &Attributes) -> bool {
        (self.devices.is_empty() || self.devices.contains(device)) && self.select.matches(attributes)
    }

    /// Whether it is about a package.
    pub fn concerns(&self, package: &PackageName) -> bool {
        self.package.as_ref().is_none_or(|held| held == package)
    }
}
