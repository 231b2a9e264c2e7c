//! What a device signs: its request to go, and its reports. Kept verbatim; the only source of evidence.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, NumberName, PackageName};
use tidegate_domain::observation::Observation;
use tidegate_domain::time::WallTime;

use super::{Ext, body};
use crate::signed::Fleet;

/// A staged device asks to take a release. Signed by the device's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoRequest {
    /// The fleet.
    pub fleet: Fleet,
    /// The device.
    pub device: DeviceId,
    /// The order.
    pub order: Digest,
    /// The permit that opened the device's place.
    pub permit: Digest,
    /// Fresh random bytes; the answer must echo them.
    pub nonce: Digest,
    /// Room for later additions.
    #[serde(default, skip_serializing_if = "Ext::is_empty")]
    pub ext: Ext,
}
body!(GoRequest, "tidegate/go-request/v1");

/// One thing that a device says of itself. Signed by the device's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The fleet.
    pub fleet: Fleet,
    /// The device.
    pub device: DeviceId,
    /// Rises with each report of the device; the same number with the same body is the same report.
    pub seq: u64,
    /// The package that it is about.
    pub package: PackageName,
    /// The order that it is about; none where the device speaks as a control or of its fallback alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Digest>,
    /// What was seen.
    pub observation: Observation,
    /// A few words on the details, for people; at most 300 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// With a healthy word: numbers that the payload said last, by name, in thousandths; at most 16.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<NumberName, i64>,
    /// How long after the device took the release it was seen, by the device's own uninterrupted clock; 0 where nothing was taken.
    pub age_ms: u64,
    /// The release that runs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Digest>,
    /// The release that the device would return to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Digest>,
    /// When, by the device's clock.
    pub at_ms: WallTime,
    /// Room for later additions.
    #[serde(default, skip_serializing_if = "Ext::is_empty")]
    pub ext: Ext,
}
body!(Report, "tidegate/report/v1");
