//! Devices: who they are and what they last said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, IncidentId, OperatorName, PackageName, RolloutId};
use tidegate_domain::observation::{FailureReason, Observation, Trouble};
use tidegate_domain::rollout::Phase;
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::place::Stage;
use tidegate_domain::time::WallTime;
use tidegate_trust::records::{Enrolment, EnrolmentToken, GoRequest, Report};
use tidegate_trust::signed::{Body, Unverified};

use super::{Course, State, held};
use crate::contract::Entry;
use crate::decision::{REPORT, TAKE};

/// An enrolled device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Its enrolment.
    pub enrolment: Enrolment,
    /// SHA-256 of its bearer token: also the key of its answers.
    pub bearer: Digest,
    /// When the server recorded it.
    pub enrolled_at_ms: WallTime,
    /// The number of its last report.
    pub last_report_seq: u64,
    /// When its last report or take was recorded.
    pub heard_at_ms: WallTime,
    /// What it last said of each package.
    pub said: BTreeMap<PackageName, Said>,
    /// Once it was taken out of the fleet.
    pub retired: Option<Retirement>,
    /// When its id was given to another key than before. It has no part in rollouts that started earlier.
    pub anew_at_ms: Option<WallTime>,
}

/// How a device left the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retirement {
    /// When.
    pub at_ms: WallTime,
    /// Who said so.
    pub by: OperatorName,
    /// Why, in their words.
    pub reason: String,
}

/// What a device last said of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The observation's word.
    pub word: String,
    /// The release that runs.
    pub current: Option<Digest>,
    /// The release that it would return to.
    pub fallback: Option<Digest>,
    /// When it was recorded.
    pub at_ms: WallTime,
    /// The last trouble with the package, until a release of it is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
}

/// How often a token was used.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TokenUse {
    /// Devices that enrolled by it.
    pub devices: u64,
}

impl State {
    pub(super) fn enrol(
        &mut self,
        token: &Unverified<EnrolmentToken>,
        enrolment: &Unverified<Enrolment>,
        bearer: Digest,
        at: WallTime,
    ) -> Result<(), String> {
        let enrolment = held(enrolment)?;
        let known = self.device_mut(&enrolment.device);
        let had_another = known.is_some();
        if let Some(known) = known.filter(|known| known.retired.is_none()) {
            known.bearer = bearer;
            return Ok(());
        }
        self.tokens.entry(token.digest()).or_default().devices += 1;
        let device = enrolment.device.clone();
        self.rollouts.values_mut().for_each(|course| course.may_join(&device, &enrolment.attributes));
        let new = Device {
            enrolment,
            bearer,
            enrolled_at_ms: at,
            last_report_seq: 0,
            heard_at_ms: at,
            said: BTreeMap::new(),
            retired: None,
            anew_at_ms: had_another.then_some(at),
        };
        self.devices.insert(device, Arc::new(new));
        Ok(())
    }

    pub(super) fn retire(&mut self, device: &DeviceId, by: OperatorName, reason: String, at: WallTime) {
        if let Some(known) = self.device_mut(device) {
            known.retired = Some(Retirement { at_ms: at, by, reason });
        }
    }

    pub(super) fn take(&mut self, body: &[u8], at: WallTime) -> Result<(), String> {
        let request = held_in::<GoRequest>(body)?;
        let rollout = self.by_order.get(&request.order).and_then(|id| self.rollouts.get_mut(id));
        if let Some(course) = rollout {
            course.first_take_at_ms.get_or_insert(at);
            course.rollout.apply(&Fact::Took { device: request.device.clone() }, at);
        }
        if let Some(device) = self.device_mut(&request.device) {
            device.heard_at_ms = at;
        }
        Ok(())
    }

    pub(super) fn hear(&mut self, body: &[u8], at: WallTime) -> Result<(), String> {
        let report = held_in::<Report>(body)?;
        self.remember(&report, at);
        for id in self.told_elsewhere(&report, at) {
            self.tell(&id, &Fact::TroubledElsewhere { device: report.device.clone() }, at);
        }
        for id in self.told_broken(&report) {
            self.tell(&id, &Fact::BrokenBefore { device: report.device.clone() }, at);
        }
        for id in self.concerned(&report) {
            let Report { device, observation, age_ms, numbers, .. } = report.clone();
            self.tell(&id, &Fact::Observed { device, observation, age_ms, numbers }, at);
            self.hear_in_incident(&id, &report, at);
        }
        for id in self.told_moved_on(&report) {
            self.tell(&id, &Fact::MovedOn { device: report.device.clone() }, at);
            self.hear_in_incident(&id, &report, at);
        }
        Ok(())
    }

    fn hear_in_incident(&mut self, id: &RolloutId, report: &Report, at: WallTime) {
        let Some(course) = self.rollouts.get(id) else { return };
        let Some(incident) = self.incidents.get_mut(&IncidentId::of(id)) else { return };
        let trouble = trouble(report, at).flatten().filter(|_| report.order == Some(course.order.digest()));
        incident.hear(&course.rollout, &report.device, trouble.as_ref(), at);
        if incident.observe(&course.rollout, at) {
            self.follow_incident(id, false);
        }
    }

    /// The halted rollouts that a device has left behind: it took their release, and says that another one of the package is well, which a
    /// later order brought, or somebody who mended the device after it had failed.
    fn told_moved_on(&self, report: &Report) -> Vec<RolloutId> {
        if !matches!(report.observation, Observation::Healthy | Observation::Proven { .. }) {
            return Vec::new();
        }
        let later =
            report.order.and_then(|order| self.rollout_of_order(&order)).map(|course| course.order_body.order_seq);
        let left = |course: &Course| {
            let place = course.rollout.place_of(&report.device).map(|(_, _, place)| &place.stage);
            let Some(Stage::Taken(taken)) = place else { return false };
            let is_later = later.is_some_and(|seq| seq > course.order_body.order_seq);
            !taken.moved_on && (is_later || taken.failed.is_some())
        };
        let halted = self.incidents.values().filter(|incident| incident.package == report.package);
        let courses = halted.filter_map(|incident| self.rollouts.get(&incident.rollout));
        let others = courses.filter(|course| report.current.is_some_and(|runs| runs != course.order_body.release));
        let left = others.filter(|course| left(course) && self.has_part(&report.device, course));
        left.map(|course| course.order_body.rollout.clone()).collect()
    }

    /// The rollouts that an entry of the reports table says something to.
    ///
    /// # Errors
    /// When its body is not what its kind says.
    pub(crate) fn told(&self, entry: &Entry) -> Result<BTreeSet<RolloutId>, String> {
        let (body, at) = (&entry.content.body, entry.content.at);
        match entry.content.kind.as_str() {
            TAKE => Ok(self.by_order.get(&held_in::<GoRequest>(body)?.order).cloned().into_iter().collect()),
            REPORT => {
                let report = held_in::<Report>(body)?;
                let elsewhere = self.told_elsewhere(&report, at).into_iter().chain(self.told_broken(&report));
                let moved_on = self.told_moved_on(&report);
                Ok(elsewhere.chain(self.concerned(&report)).chain(moved_on).collect())
            }
            _ => Ok(BTreeSet::new()),
        }
    }

    fn tell(&mut self, id: &RolloutId, fact: &Fact, at: WallTime) {
        if let Some(course) = self.rollouts.get_mut(id) {
            course.rollout.apply(fact, at);
        }
    }

    /// A failure of a package that no rollout may explain, for it has none under way, is an outcome of what the device took last of the others,
    /// and of those that it is a control of where it took none.
    fn told_elsewhere(&self, report: &Report, at: WallTime) -> Vec<RolloutId> {
        let failed = match report.observation {
            Observation::Failed { reason, .. } => reason != FailureReason::Reverted,
            Observation::NeedsHands { .. } => true,
            _ => false,
        };
        if !failed || self.is_concerned_with(&report.package, at) || self.is_unproven(report) {
            return Vec::new();
        }
        let took_at = |course: &Course| match course.rollout.place_of(&report.device).map(|(_, _, place)| &place.stage)
        {
            Some(Stage::Taken(taken)) if course.rollout.looks_at(taken) => Some(taken.at_ms),
            _ => None,
        };
        let others = || {
            self.rollouts.iter().filter(|(_, course)| {
                course.order_body.package != report.package && self.has_part(&report.device, course)
            })
        };
        let last = others().filter_map(|(id, course)| Some((took_at(course)?, id))).max();
        match last {
            Some((_, id)) => vec![id.clone()],
            None => {
                others().filter(|(_, course)| is_control(course, &report.device)).map(|(id, _)| id.clone()).collect()
            }
        }
    }

    /// A broken invariant speaks against the files: also where another order brings them by now.
    fn told_broken(&self, report: &Report) -> Vec<RolloutId> {
        let broken = matches!(report.observation, Observation::Failed { reason: FailureReason::InvariantBroken, .. });
        let under = report.order.filter(|_| broken).and_then(|order| self.rollout_of_order(&order));
        let took = |course: &&Course| {
            let place = course.rollout.place_of(&report.device);
            place.is_some_and(|(_, _, place)| matches!(place.stage, Stage::Taken(_)))
        };
        let Some(under) = under.filter(took) else { return Vec::new() };
        let manifest = self.release(&under.order_body.package, &under.order_body.version).map(|known| &known.manifest);
        let later = |course: &&Course| course.order_body.order_seq > under.order_body.order_seq;
        let same = manifest.into_iter().flat_map(|manifest| self.earlier_of_same_files(manifest)).filter(later);
        same.map(|course| course.order_body.rollout.clone()).collect()
    }

    /// Whether the package runs a release there that no rollout has brought to its end: it may fail by itself.
    fn is_unproven(&self, report: &Report) -> bool {
        let of_release = |course: &&Course| {
            course.order_body.package == report.package && Some(course.order_body.release) == report.current
        };
        let mut brought = self.rollouts.values().filter(of_release);
        brought.any(|course| !matches!(course.rollout.phase(), Phase::Completed { .. }))
    }

    fn remember(&mut self, report: &Report, at: WallTime) {
        let Some(device) = self.device_mut(&report.device) else { return };
        device.last_report_seq = device.last_report_seq.max(report.seq);
        device.heard_at_ms = at;
        let before = device.said.remove(&report.package).and_then(|said| said.trouble);
        let said = Said {
            word: report.observation.word().to_owned(),
            current: report.current,
            fallback: report.fallback,
            at_ms: at,
            trouble: trouble(report, at).unwrap_or(before),
        };
        device.said.insert(report.package.clone(), said);
    }

    /// The rollouts that a report is evidence in: the one of its order, and those that the device is a control of. A control mostly runs
    /// what an earlier order brought, and says so.
    fn concerned(&self, report: &Report) -> BTreeSet<RolloutId> {
        let of_package = self
            .rollouts
            .values()
            .filter(|course| course.order_body.package == report.package && self.has_part(&report.device, course));
        let controls = of_package.filter(|course| is_control(course, &report.device));
        let mut concerned: BTreeSet<_> = controls.map(|course| course.rollout.identity().rollout.clone()).collect();
        let ordered = report.order.and_then(|order| self.rollout_of_order(&order));
        let ordered = ordered.filter(|course| self.has_part(&report.device, course));
        concerned.extend(ordered.map(|course| course.rollout.identity().rollout.clone()));
        concerned
    }

    /// Whether a device may have a part in a rollout: not where its id belonged to another one when that started.
    pub fn has_part(&self, device: &DeviceId, course: &Course) -> bool {
        let known = self.devices.get(device);
        let anew = known.and_then(|known| known.anew_at_ms);
        known.is_some_and(|known| known.retired.is_none())
            && anew.is_none_or(|at| at <= course.rollout.identity().started_at_ms)
    }

    /// A device by id.
    pub fn device(&self, device: &DeviceId) -> Option<&Device> {
        self.devices.get(device).map(Arc::as_ref)
    }

    fn device_mut(&mut self, device: &DeviceId) -> Option<&mut Device> {
        self.devices.get_mut(device).map(Arc::make_mut)
    }
}

pub(crate) fn held_in<T: Body>(body: &[u8]) -> Result<T, String> {
    let record: Unverified<T> = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    held(&record)
}

/// What a report says of trouble: some new one, or that there is none any more; nothing where it says nothing of it.
#[allow(clippy::option_option)]
pub(crate) fn trouble(report: &Report, at: WallTime) -> Option<Option<Trouble>> {
    let word = report.observation.word();
    let what = match &report.observation {
        Observation::Failed { reason, .. } | Observation::NeedsHands { reason } => format!("{word}: {}", reason.word()),
        Observation::Refused { reason } => format!("{word}: {}", reason.word()),
        Observation::Crashed | Observation::ContactLostBoth => word.to_owned(),
        Observation::Proven { .. } => return Some(None),
        Observation::Activating { .. } | Observation::Healthy | Observation::Returned { .. } => return None,
    };
    Some(Some(Trouble { what, detail: report.detail.clone(), at_ms: at }))
}

fn is_control(course: &Course, device: &DeviceId) -> bool {
    course.rollout.place_of(device).is_some_and(|(_, _, place)| matches!(place.stage, Stage::Control { .. }))
}
