//! Rollouts that concern no device any more: what is kept of them once their reports may go.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_domain::ids::{DeviceId, IncidentId, PackageName, RolloutId};
use tidegate_domain::incident::IncidentState;
use tidegate_domain::observation::{FailureReason, Observation};
use tidegate_domain::rollout::Phase;
use tidegate_domain::rollout::scope::Tally;
use tidegate_domain::time::{Elapsed, WallTime};

use super::{Course, State};
use crate::conclusion::Conclusion;

/// Devices that a reason names; the others are counted.
const NAMED_MAX: usize = 3;

/// A rollout of which everything stays, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The rollout.
    pub rollout: RolloutId,
    /// Why, in words.
    pub why: String,
}

impl State {
    pub(crate) fn conclude(&mut self, id: RolloutId, conclusion: Conclusion) {
        self.rollouts.remove(&id);
        self.by_order.remove(&conclusion.order);
        if let Some(incident) = &conclusion.incident {
            self.incidents.insert(IncidentId::of(&id), incident.clone());
            self.follow_incident(&id, false);
        }
        self.concluded.insert(id, conclusion);
    }

    /// The rollouts that were concluded.
    pub fn concluded(&self) -> &BTreeMap<RolloutId, Conclusion> {
        &self.concluded
    }

    /// The numbers of all orders that are known, of one package or of all.
    pub(crate) fn order_seqs(&self, package: Option<&PackageName>) -> impl Iterator<Item = u64> {
        let courses = self.rollouts.values().map(|course| (&course.order_body.package, course.order_body.order_seq));
        let concluded = self.concluded.values().map(|conclusion| (&conclusion.package, conclusion.order_seq));
        let wanted = move |of: &PackageName| package.is_none_or(|package| package == of);
        courses.chain(concluded).filter(move |(of, _)| wanted(of)).map(|(_, seq)| seq)
    }

    /// The rollouts that may be concluded, with what is kept of each, and those that may not. One may be that ended longer ago than `age`, is
    /// restored where it was halted, brought a release that no device runs or would return to as far as anybody said, that each device
    /// which took it has left behind, and whose files no rollout brought again that stays itself.
    pub(crate) fn conclusions(&self, now: WallTime, age: Elapsed) -> (BTreeMap<RolloutId, Conclusion>, Vec<Kept>) {
        let (mut may, mut kept) = (BTreeMap::new(), Vec::new());
        for (id, course) in &self.rollouts {
            match self.conclusion_of(id, course, now, age) {
                Ok(conclusion) => drop(may.insert(id.clone(), conclusion)),
                Err(why) => kept.push(Kept { rollout: id.clone(), why }),
            }
        }
        // What the gate learnt of files was taken up by the next rollout of the same ones, at its start.
        while let Some((id, by)) = may.keys().find_map(|id| Some((id.clone(), self.taken_up_by(id, &may)?.clone()))) {
            may.remove(&id);
            kept.push(Kept { rollout: id, why: format!("rollout {by} brought the same files later, and stays") });
        }
        (may, kept)
    }

    fn taken_up_by(&self, id: &RolloutId, may: &BTreeMap<RolloutId, Conclusion>) -> Option<&RolloutId> {
        let course = self.rollouts.get(id)?;
        let release = self.release(&course.order_body.package, &course.order_body.version)?;
        let later = self.earlier_of_same_files(&release.manifest);
        let mut later = later.filter(|other| other.order_body.order_seq > course.order_body.order_seq);
        later.find(|other| !may.contains_key(&other.order_body.rollout)).map(|other| &other.order_body.rollout)
    }

    fn conclusion_of(
        &self,
        id: &RolloutId,
        course: &Course,
        now: WallTime,
        age: Elapsed,
    ) -> Result<Conclusion, String> {
        let (ended_at_ms, halted) = match course.rollout.phase() {
            Phase::Running | Phase::Paused { .. } => return Err("it goes on".to_owned()),
            Phase::Completed { at_ms } => (*at_ms, false),
            Phase::Halted { at_ms, .. } => (*at_ms, true),
        };
        if now.since(ended_at_ms) <= age {
            return Err("it ended less than that long ago".to_owned());
        }
        if !course.rollout.blocks().is_empty() || halted && course.rollout.needs_steps() {
            return Err("what devices say is still evidence for it".to_owned());
        }
        let body = &course.order_body;
        let is_latest = self.order_seqs(Some(&body.package)).max() == Some(body.order_seq);
        if !halted && is_latest && now <= body.expires_at_ms {
            return Err("devices may still take it".to_owned());
        }
        let incident = self.incidents.get(&IncidentId::of(id));
        if incident.is_some_and(|incident| incident.state == IncidentState::Open) {
            return Err("its incident is open".to_owned());
        }
        let using = self.devices.iter().filter(|(_, device)| {
            let said = device.said.get(&body.package).filter(|_| device.retired.is_none());
            said.is_some_and(|said| [said.current, said.fallback].contains(&Some(body.release)))
        });
        refuse_for("its release is in use, running or as the fallback, on", using.map(|(device, _)| device))?;
        let left = self.left_behind(course);
        let holding = course.rollout.taken().map(|(device, _)| device);
        let holding = holding.filter(|device| self.has_part(device, course) && !left.contains(device));
        refuse_for("it is the last that was taken by", holding)?;
        let scope = course.rollout.scopes().all();
        let sum = |count: fn(&Tally) -> u32| scope.map_or(0, |scope| count(&scope.lab) + count(&scope.main));
        Ok(Conclusion {
            package: body.package.clone(),
            version: body.version.clone(),
            release: body.release,
            policy: body.policy,
            order: course.order.digest(),
            order_seq: body.order_seq,
            started_at_ms: course.rollout.identity().started_at_ms,
            ended_at_ms,
            halted,
            taken: sum(|tally| tally.taken),
            proven: sum(|tally| tally.proven),
            harmed: sum(|tally| tally.harmed),
            incident: incident.cloned(),
        })
    }

    /// The devices that took a later release of the package, or said last that they returned.
    fn left_behind(&self, course: &Course) -> BTreeSet<&DeviceId> {
        let body = &course.order_body;
        let later = self
            .rollouts
            .values()
            .filter(|other| other.order_body.package == body.package && other.order_body.order_seq > body.order_seq);
        let returned = Observation::Returned { reason: FailureReason::Reverted }.word();
        let mut left: BTreeSet<_> = later.flat_map(|other| other.rollout.taken()).map(|(device, _)| device).collect();
        left.extend(self.devices.iter().filter_map(|(id, device)| {
            let said = device.said.get(&body.package)?;
            (said.word == returned).then_some(id)
        }));
        left
    }
}

/// Says why where there are such devices, and names some.
fn refuse_for<'a>(why: &str, devices: impl Iterator<Item = &'a DeviceId>) -> Result<(), String> {
    let devices: Vec<&DeviceId> = devices.collect();
    if devices.is_empty() {
        return Ok(());
    }
    let some: Vec<&str> = devices.iter().take(NAMED_MAX).map(|device| device.as_str()).collect();
    let more = if devices.len() > some.len() { ", ..." } else { "" };
    let count = if devices.len() == 1 { "1 device".to_owned() } else { format!("{} devices", devices.len()) };
    Err(format!("{why} {count}: {}{more}", some.join(", ")))
}
