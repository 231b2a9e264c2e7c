//! Incidents: what went wrong, who is well again, and what people do about it.

use serde::{Deserialize, Serialize};
use tidegate_domain::attributes::AttributeValue;
use tidegate_domain::case::{Act, Case};
use tidegate_domain::ids::{DeviceId, IncidentId, OperatorName, PackageName, RolloutId};
use tidegate_domain::time::WallTime;

use super::devices::TroubleView;

/// Opens an incident that no halt did.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OpenIncidentRequest {
    /// In a few words; 1 to 4000 characters.
    pub title: String,
    /// The package that it is about; about none where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub package: Option<PackageName>,
    /// When it was noticed, in milliseconds since 1970; now where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub noticed_at_ms: Option<WallTime>,
}

/// Something that a person does about an incident: `act` says what, and is one of `role`, `note`, `task`, `lesson`, `assign`, `done`,
/// `instruct`, `contact`, `explain`, `reach`. What goes with each stands in `docs/operate/incidents.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = Object))]
#[serde(transparent)]
pub struct ActRequest(pub Act);

/// An incident.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentView {
    /// The incident.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub incident: IncidentId,
    /// In a few words.
    pub title: String,
    /// `detected`, `contained`, `restored`, `explained` or `closed`.
    pub stage: String,
    /// Who leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub commander: Option<OperatorName>,
    /// The rollout that halted; none where a person opened the incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub rollout: Option<RolloutId>,
    /// The parts of the fleet that were halted alone; none where the whole rollout was. All counts are of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
    /// `open` or `restored`.
    pub state: String,
    /// When it opened.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub opened_at_ms: WallTime,
    /// When the last exposed device was well again.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub restored_at_ms: Option<WallTime>,
    /// Why the rollout halted, one line each.
    pub reasons: Vec<String>,
    /// Devices that took the release.
    pub exposed: u32,
    /// Of these, those that failed or fell silent.
    pub harmed: u32,
    /// Of the exposed, those that are well: healthy on the release, back on their fallback, or on another release.
    pub restored: u32,
    /// Of the exposed, those back on their fallback without hands.
    pub back_without_hands: u32,
    /// Of the harmed, well again.
    pub healed: u32,
    /// Of the exposed, those that said that neither release nor fallback runs.
    pub need_hands: u32,
    /// Roles, timeline, tasks, lessons, instructions, contacts, cause; in detail views only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub case: Option<Case>,
    /// The customers whose devices took the release, in detail views only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub customers: Vec<CustomerView>,
    /// The exposed devices, in detail views only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<ExposedDevice>,
}

/// A customer in an incident: by the attribute `customer` of its devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CustomerView {
    /// Its name; none for the devices that say none.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub customer: Option<AttributeValue>,
    /// Devices that took the release.
    pub exposed: u32,
    /// Of these, those that are well.
    pub restored: u32,
    /// Of the exposed, those that said that neither release nor fallback runs.
    pub need_hands: u32,
    /// What was asked for it and is not done.
    pub waiting: u32,
    /// Whom to speak to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
}

/// A device that took a halted release.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExposedDevice {
    /// The device.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub device: DeviceId,
    /// When it was given a go.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub taken_at_ms: WallTime,
    /// `healthy`, `proven`, `failed`, `silent`, `returned`, `moved_on`, `needs_hands` or `pending`.
    pub state: String,
    /// Whose it is, by its attribute `customer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub customer: Option<AttributeValue>,
    /// Since when it is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub well_at_ms: Option<WallTime>,
    /// What to do there, where it needs hands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
    /// What it said last of trouble with the package, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<TroubleView>,
}
