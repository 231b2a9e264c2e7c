//! Holding devices back for a while, and that everybody is held after a restore.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tidegate_domain::ids::{DeviceId, OperatorName, PackageName};
use tidegate_domain::time::WallTime;

/// Holds devices back for a while: a paused site, a freeze, a pinned device, maintenance windows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    /// Which devices, such as `site == "ams"`; all where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<String>,
    /// Only these; at most 1000. Empty: all that the selector means.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub devices: BTreeSet<DeviceId>,
    /// Only releases of this package; of all where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub package: Option<PackageName>,
    /// From when on; from now on where it is left out. Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub from_ms: Option<WallTime>,
    /// Until when; until somebody lifts it where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub until_ms: Option<WallTime>,
    /// The devices are held outside these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<WeeklyWindows>,
    /// Why, for the account; 1 to 500 characters.
    pub reason: String,
}

/// When held devices may take releases all the same, week by week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WeeklyWindows {
    /// The time zone by its IANA name, such as `Europe/Amsterdam`.
    pub zone: String,
    /// Days and times, such as `sat,sun 02:00-06:00` or `mon-fri 22:00-04:00` (until the morning after); at most 16.
    pub weekly: Vec<String>,
}

/// A hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HoldView {
    /// Its number.
    pub hold: u32,
    /// Which devices.
    pub select: String,
    /// Only these, where any are named.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub devices: BTreeSet<DeviceId>,
    /// The package; none for all.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub package: Option<PackageName>,
    /// From when on.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub from_ms: WallTime,
    /// Until when.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub until_ms: Option<WallTime>,
    /// Its maintenance windows, as they were written.
    pub windows: Option<String>,
    /// When its last window ends; after that the devices are held throughout.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub windows_end_ms: Option<WallTime>,
    /// Whether it keeps anybody back now.
    pub in_force: bool,
    /// When it lets go next.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub lets_go_at_ms: Option<WallTime>,
    /// Enrolled devices that it means.
    pub means: u64,
    /// Who said so.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub by: OperatorName,
    /// Why.
    pub reason: String,
}

/// That the store was put back from a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RestoredView {
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub at_ms: WallTime,
    /// When the backup was made.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub from_ms: WallTime,
}
