//! How a device joins: the token that an enrolment key signs, and the record that token key and device key sign together.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidegate_domain::attributes::{AttributeValue, Attributes};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{AttributeName, DeviceId, RingName, TokenId};
use tidegate_domain::time::WallTime;

use super::{Ext, body};
use crate::keys::PublicKey;
use crate::signed::Fleet;

/// Leave to enrol some devices. Signed by an enrolment key that the server does not hold; the token's own key, whose secret half goes
/// to the devices with it, signs their enrolment records, so that anybody can follow the chain and the server cannot forge one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentToken {
    /// The fleet: the digest of root 1, which the device pins.
    pub fleet: Fleet,
    /// The token's name.
    pub token: TokenId,
    /// The public half of the token's key.
    pub public_key: PublicKey,
    /// The ring label of every device that enrols by it; none: placed by share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<RingName>,
    /// The values that an enrolling device may claim, by attribute. An attribute that is not named here cannot be enrolled.
    pub attributes: BTreeMap<AttributeName, BTreeSet<AttributeValue>>,
    /// The most devices that may enrol by it.
    pub devices_max: u64,
    /// Nobody enrols by it after this instant.
    pub expires_at_ms: WallTime,
    /// Where the device finds its server: base URLs, tried in turn.
    pub endpoints: Vec<String>,
    /// Room for later additions.
    #[serde(default, skip_serializing_if = "Ext::is_empty")]
    pub ext: Ext,
}
body!(EnrolmentToken, "tidegate/enrolment-token/v1");

/// Who a device is: its key, ring label and the attributes that matter for safety. Signed by the token's key and the device's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// The fleet.
    pub fleet: Fleet,
    /// The device.
    pub device: DeviceId,
    /// The key that was made on the device.
    pub public_key: PublicKey,
    /// The ring label, as in the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<RingName>,
    /// The attributes, each with a value that the token allows.
    pub attributes: Attributes,
    /// The digest of the token.
    pub token: Digest,
    /// When, by the device's clock.
    pub enrolled_at_ms: WallTime,
    /// Room for later additions.
    #[serde(default, skip_serializing_if = "Ext::is_empty")]
    pub ext: Ext,
}
body!(Enrolment, "tidegate/enrolment/v1");

/// What a device sends to join.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentPair {
    /// The token, as its enrolment key signed it.
    pub token: crate::signed::Unverified<EnrolmentToken>,
    /// The device's record, signed with the token's key and the device's key.
    pub enrolment: crate::signed::Unverified<Enrolment>,
}
