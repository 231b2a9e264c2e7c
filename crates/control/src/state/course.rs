//! Rollouts with the records that were signed for them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_domain::attributes::Attributes;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, IncidentId, PackageName, RolloutId, StratumName};
use tidegate_domain::incident::Incident;
use tidegate_domain::observation::Trouble;
use tidegate_domain::release::Manifest;
use tidegate_domain::rollout::accusing::{Accusation, accuse};
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::place::Taken;
use tidegate_domain::rollout::report::StepReport;
use tidegate_domain::rollout::{Identity, Phase, Rollout};
use tidegate_domain::roster::merkle::Tree;
use tidegate_domain::roster::{Candidate, Place, ProvenPlace, leaf, rosters};
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_trust::records::{Addendum, Approval, FleetProven, Halt, Order, Permit};
use tidegate_trust::signed::Unverified;

use super::points::Points;
use super::{Device, State, held};
use crate::decision::GateRecord;

/// A rollout that ended longer ago is blamed for nothing.
const BLAMED_WITHIN: Elapsed = Elapsed::from_s(3_600);

/// A rollout and what was signed for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// The rollout.
    pub rollout: Rollout,
    /// The order.
    pub order: Unverified<Order>,
    /// What the order says.
    pub order_body: Order,
    /// The permits, by step from 1.
    pub permits: Vec<Unverified<Permit>>,
    /// The permits of kind `revert`, by step from 1.
    pub returns: Vec<Unverified<Permit>>,
    /// The addenda, by number from 1.
    pub addenda: Vec<Unverified<Addendum>>,
    /// The approvals of rings.
    pub approvals: Vec<Unverified<Approval>>,
    /// The halt.
    pub halt: Option<Unverified<Halt>>,
    /// The fleet-proven record.
    pub fleet_proven: Option<Unverified<FleetProven>>,
    /// When the first device took the release.
    pub first_take_at_ms: Option<WallTime>,
    /// Places that were open before any proof.
    pub first_window: u32,
    /// How it went.
    pub points: Points,
    /// Devices that the policy selects and that have no place: those that may join. Kept, so that no step goes through the whole fleet.
    pub(crate) outside: BTreeSet<DeviceId>,
    /// The Merkle trees over the rows' places, made anew when a state is read back. Copies of a state share them.
    #[serde(skip)]
    trees: Vec<Arc<Tree>>,
}

impl State {
    pub(super) fn start(&mut self, order: Unverified<Order>, absent: &[DeviceId], at: WallTime) -> Result<(), String> {
        let body = held(&order)?;
        let rollout = self.at_its_start(&body, order.digest(), absent, at)?;
        if body.resumes.is_some() {
            self.unmark_halted(&body.package, &body.version);
        }
        self.by_order.insert(order.digest(), body.rollout.clone());
        let mut course = Course {
            rollout,
            order,
            order_body: body.clone(),
            permits: Vec::new(),
            returns: Vec::new(),
            addenda: Vec::new(),
            approvals: Vec::new(),
            halt: None,
            fleet_proven: None,
            first_take_at_ms: None,
            first_window: 0,
            points: Points::default(),
            outside: BTreeSet::new(),
            trees: Vec::new(),
        };
        course.grow_trees();
        for device in absent {
            if let Some(known) = self.devices.get(device) {
                course.may_join(device, &known.enrolment.attributes);
            }
        }
        self.rollouts.insert(body.rollout, course);
        Ok(())
    }

    /// The rollout that an order starts, before anything has happened. `absent` are enrolled devices that get no place.
    pub(crate) fn at_its_start(
        &self,
        order: &Order,
        digest: Digest,
        absent: &[DeviceId],
        at: WallTime,
    ) -> Result<Rollout, String> {
        let applied = self.policies.get(&order.policy).ok_or("the order's policy is not in the log before it")?;
        let release =
            self.release(&order.package, &order.version).ok_or("the order's release is not in the log before it")?;
        let policy = applied.policy.clone();
        let identity = identity_of(order, digest, &release.manifest, at);
        let absent: BTreeSet<&DeviceId> = absent.iter().collect();
        let candidates = self.candidates(&policy, |device| !absent.contains(device));
        let rosters = rosters(&policy, &order.rank_seed, candidates);
        let published_at = release.published_at_ms;
        let without = order.resumes.iter().flat_map(|resumes| &resumes.without);
        let without: Vec<(DeviceId, StratumName)> = without
            .filter_map(|id| Some((id.clone(), policy.stratum_of(&self.devices.get(id)?.enrolment.attributes))))
            .collect();
        let mut rollout =
            Rollout::start(identity, policy, rosters, |device| self.enrolled_before(device, published_at));
        rollout.quarantine(without);
        rollout.go_on_from(self.earlier_of_same_files(&release.manifest).map(|course| &course.rollout));
        Ok(rollout)
    }

    /// The rollouts that brought the same files, in the order of their orders.
    pub(crate) fn earlier_of_same_files(&self, manifest: &Manifest) -> impl Iterator<Item = &Course> {
        let is_same = |course: &&Course| {
            let of = (&course.order_body.package, &course.order_body.version);
            *of.0 == manifest.package && self.release(of.0, of.1).is_some_and(|known| known.has_files_of(manifest))
        };
        let mut same: Vec<&Course> = self.rollouts.values().filter(is_same).collect();
        same.sort_by_key(|course| course.order_body.order_seq);
        same.into_iter()
    }

    /// Whom the evidence blames, over the rollouts that are under way or ended so lately that failures may still be theirs.
    pub fn accused(&self, now: WallTime) -> Vec<Accusation> {
        accuse(self.rollouts.values().map(|course| &course.rollout).filter(|rollout| is_recent(rollout, now)))
    }

    /// Whether a rollout of a package may explain its failures: it is under way, or ended a short while ago.
    pub(super) fn is_concerned_with(&self, package: &PackageName, now: WallTime) -> bool {
        let mut of_it = self.rollouts.values().filter(|course| course.order_body.package == *package);
        of_it.any(|course| is_recent(&course.rollout, now))
    }

    /// Whether a device was enrolled before an instant. One enrolled after a release was published is no evidence for it.
    pub(crate) fn enrolled_before(&self, device: &DeviceId, at: WallTime) -> bool {
        self.devices.get(device).is_some_and(|device| device.enrolled_at_ms < at)
    }

    /// The enrolled devices that a policy selects and `present` lets through.
    pub(crate) fn candidates(
        &self,
        policy: &tidegate_domain::policy::Policy,
        present: impl Fn(&DeviceId) -> bool,
    ) -> Vec<Candidate> {
        let selected = self
            .devices
            .iter()
            .filter(|(_, device)| device.retired.is_none())
            .filter(|(id, device)| policy.select.matches(&device.enrolment.attributes) && present(id));
        let candidate = |(id, device): (&DeviceId, &Arc<super::Device>)| Candidate {
            device: id.clone(),
            ring: device.enrolment.ring.clone(),
            attributes: device.enrolment.attributes.clone(),
        };
        selected.map(candidate).collect()
    }

    pub(super) fn step(
        &mut self,
        id: &RolloutId,
        facts: &[Fact],
        records: Vec<GateRecord>,
        report: &StepReport,
        at: WallTime,
    ) {
        let Some(course) = self.rollouts.get_mut(id) else { return };
        course.points.note(report);
        for record in records {
            match record {
                GateRecord::Permit(permit) => course.permits.push(permit),
                GateRecord::Return(permit) => course.returns.push(permit),
                GateRecord::Addendum(addendum) => course.addenda.push(addendum),
                GateRecord::Approval(approval) => course.approvals.push(approval),
                GateRecord::Halt(halt) => course.halt = Some(halt),
                GateRecord::FleetProven(proven) => course.fleet_proven = Some(proven),
            }
        }
        for fact in facts {
            course.rollout.apply(fact, at);
            if let Fact::AddendumIssued { places, .. } = fact {
                for place in places {
                    course.outside.remove(&place.device);
                }
            }
        }
        course.grow_trees();
        let all = course.rollout.scopes().all();
        if all.is_some_and(|scope| scope.lab.proven + scope.main.proven == 0) {
            course.first_window = all.map_or(0, |scope| scope.lab.opened + scope.main.opened);
        }
        if !matches!(course.rollout.phase(), Phase::Halted { .. }) && course.rollout.closed().is_empty() {
            return;
        }
        let known = self.incidents.entry(IncidentId::of(id));
        let is_new = matches!(known, Entry::Vacant(_));
        let opened = match known {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(new) => Incident::open(&course.rollout, at).map(|mut incident| {
                incident.words = words_of(&self.devices, course);
                new.insert(incident)
            }),
        };
        if let Some(incident) = opened {
            let halts = incident.reasons.len();
            // A band that ends after the halt can still make a device silent.
            incident.observe(&course.rollout, at);
            let anew = !is_new && incident.reasons.len() != halts;
            // Later steps of a halted rollout say nothing new of its files, which may go on by then.
            if facts.iter().any(|fact| matches!(fact, Fact::Halted { .. })) {
                let (package, release) = (course.order_body.package.clone(), course.order_body.release);
                self.mark_halted(&package, &release, id);
            }
            self.follow_incident(id, anew);
        }
    }
}

/// What the devices that took a halted release have told of trouble since.
fn words_of(devices: &BTreeMap<DeviceId, Arc<Device>>, course: &Course) -> BTreeMap<DeviceId, Trouble> {
    let told = |(id, taken): (&DeviceId, &Taken)| {
        let trouble = devices.get(id)?.said.get(&course.order_body.package)?.trouble.clone()?;
        (taken.at_ms <= trouble.at_ms).then(|| (id.clone(), trouble))
    };
    course.rollout.taken_of_halted().filter_map(told).collect()
}

impl Course {
    /// The permit of a step.
    pub fn permit(&self, step: u32) -> Option<&Unverified<Permit>> {
        self.permits.get((step as usize).checked_sub(1)?)
    }

    /// The addendum of a number.
    pub fn addendum(&self, number: u32) -> Option<&Unverified<Addendum>> {
        self.addenda.get((number as usize).checked_sub(1)?)
    }

    /// The permit that orders a device back, if it is to return.
    pub fn return_of(&self, device: &DeviceId) -> Option<&Unverified<Permit>> {
        let (at, row, _) = self.rollout.place_of(device)?;
        self.returns.last().filter(|_| self.rollout.is_to_return(row, at.index))
    }

    /// Where a device stands, with the proof that the root of its roster commits to it. O(log n).
    pub fn proven_place(&self, device: &DeviceId) -> Option<ProvenPlace> {
        let (at, row, place) = self.rollout.place_of(device)?;
        let stratum = self.rollout.stratum(row.stratum)?;
        let leaf_at = |index: usize| row.places.get(index).map(|place| leaf(&place.device, stratum, place.ring));
        let proof = self.trees.get(at.row as usize)?.proof(at.index as usize, leaf_at)?;
        let place = Place { device: device.clone(), stratum: stratum.clone(), ring: place.ring };
        Some(ProvenPlace { place, addendum: row.addendum, index: at.index, proof })
    }

    /// Takes up what a device without a place is: it may join where the policy selects it.
    pub(super) fn may_join(&mut self, device: &DeviceId, attributes: &Attributes) {
        if self.rollout.place_of(device).is_none() && self.rollout.policy().select.matches(attributes) {
            self.outside.insert(device.clone());
        } else {
            self.outside.remove(device);
        }
    }

    /// Rebuilds what is not stored. Call after reading a course back.
    pub(super) fn reindex(&mut self) {
        self.rollout.reindex();
        self.trees.clear();
        self.grow_trees();
    }

    /// Makes the trees of the rows that have none yet: places never change once their row is there.
    fn grow_trees(&mut self) {
        for row in self.rollout.rows().iter().skip(self.trees.len()) {
            let Some(stratum) = self.rollout.stratum(row.stratum) else { return };
            let leaves = row.places.iter().map(|place| leaf(&place.device, stratum, place.ring));
            self.trees.push(Arc::new(Tree::new(leaves)));
        }
    }
}

fn is_recent(rollout: &Rollout, now: WallTime) -> bool {
    match rollout.phase() {
        Phase::Running | Phase::Paused { .. } => true,
        Phase::Halted { at_ms, .. } | Phase::Completed { at_ms } => now.since(*at_ms) <= BLAMED_WITHIN,
    }
}

fn identity_of(order: &Order, digest: Digest, manifest: &Manifest, at: WallTime) -> Identity {
    Identity {
        rollout: order.rollout.clone(),
        package: order.package.clone(),
        version: order.version.clone(),
        release: order.release,
        policy: order.policy,
        order: digest,
        started_at_ms: at,
        expires_at_ms: order.expires_at_ms,
        downtime: manifest.downtime,
        numbers: manifest.numbers.clone(),
    }
}
