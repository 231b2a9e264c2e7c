//! What a simulated device keeps besides its life: its key, and what it said.

use ed25519_dalek::SigningKey;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::DeviceId;
use tidegate_domain::observation::Observation;
use tidegate_domain::time::Elapsed;
use tidegate_trust::records::{GoRequest, Report};
use tidegate_trust::signed::Unverified;

use super::{founding, keys};
use crate::names::{device_id, wall};

/// What a device keeps besides its life.
pub(super) struct DeviceSide {
    id: DeviceId,
    key: SigningKey,
    said: u64,
    /// What it said last, to say it again where nobody answered.
    last: Option<(Observation, Elapsed, Unverified<Report>)>,
    /// It has a go.
    pub(super) gone: bool,
}

impl DeviceSide {
    /// A device that has said nothing; none where its number is no name, which no number is.
    pub(super) fn new(seed: u64, device: u32) -> Option<DeviceSide> {
        let key = keys::key(seed, &format!("device/{device}"));
        Some(DeviceSide { id: device_id(device)?, key, said: 0, last: None, gone: false })
    }

    /// A report. What it said last it says in the same words, with the same number.
    pub(super) fn report(
        &mut self,
        fleet: Digest,
        observation: &Observation,
        age: Elapsed,
        order: Option<Digest>,
    ) -> Option<Unverified<Report>> {
        if let Some((said, of_age, record)) = &self.last
            && (said, *of_age) == (observation, age)
        {
            return Some(record.clone());
        }
        self.said += 1;
        let body = Report {
            fleet,
            device: self.id.clone(),
            seq: self.said,
            package: founding::PACKAGE.parse().ok()?,
            order,
            observation: observation.clone(),
            detail: String::new(),
            numbers: Default::default(),
            age_ms: age.as_ms(),
            current: None,
            fallback: None,
            at_ms: wall(0),
            ext: Default::default(),
        };
        let record = keys::signed(&body, &[&self.key]).ok()?;
        self.last = Some((observation.clone(), age, record.clone()));
        Some(record)
    }

    /// What it sends to be given a go.
    pub(super) fn asks_to_go(
        &self,
        fleet: Digest,
        order: Digest,
        permit: Digest,
        now_ms: u64,
    ) -> Option<Unverified<GoRequest>> {
        let nonce = Digest::of(format!("{}/{now_ms}", self.id).as_bytes());
        let body = GoRequest { fleet, device: self.id.clone(), order, permit, nonce, ext: Default::default() };
        keys::signed(&body, &[&self.key]).ok()
    }
}
