//! Devices as people see them.

use serde::{Deserialize, Serialize};
use tidegate_domain::attributes::Attributes;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, OperatorName, PackageName, RingName};
use tidegate_domain::time::WallTime;

/// A device.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceView {
    /// The device.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub device: DeviceId,
    /// Its ring label.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub ring: Option<RingName>,
    /// Its attributes.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub attributes: Attributes,
    /// When it enrolled.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub enrolled_at_ms: WallTime,
    /// When it last checked in with this server process; none: not since the server started.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub seen_at_ms: Option<WallTime>,
    /// Once it was taken out of the fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<RetirementView>,
    /// The numbers of the holds that keep it back now, from releases of any package.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_by: Vec<u32>,
    /// What runs on it, as it last said.
    pub packages: Vec<DevicePackageView>,
}

/// A package on a device.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DevicePackageView {
    /// The package.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub package: PackageName,
    /// What runs.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub current: Option<Digest>,
    /// What it would return to.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub fallback: Option<Digest>,
    /// The device machine's state.
    pub state: String,
    /// Whether its probes passed last time.
    pub healthy: bool,
    /// The last report's word, for example `proven` or `returned`.
    pub last_report: Option<String>,
    /// The last trouble with it, until a release of it is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<TroubleView>,
}

/// What a device said of a release that it refused, left or could not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TroubleView {
    /// A word, and its reason where it has one: `failed: probe_failed`.
    pub what: String,
    /// The device's own words; may be empty.
    pub detail: String,
    /// When it was recorded.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub at_ms: WallTime,
}

/// How a device left the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetirementView {
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub at_ms: WallTime,
    /// Who said so.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub by: OperatorName,
    /// Why.
    pub reason: String,
}

impl TroubleView {
    /// In one line, for people.
    pub fn words(&self) -> String {
        if self.detail.is_empty() { self.what.clone() } else { format!("{}: {}", self.what, self.detail) }
    }
}
