//! One planning step of one rollout: the domain's plan, with the records that the gate key signs for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, RolloutId, StratumName};
use tidegate_domain::rollout::Phase;
use tidegate_domain::rollout::fact::{AddedPlace, Escalation, Fact, RowCount};
use tidegate_domain::rollout::gate::HaltReason;
use tidegate_domain::rollout::planner::{Effect, Moment, Plan, plan};
use tidegate_domain::roster::Place;
use tidegate_domain::time::WallTime;
use tidegate_trust::records::{Addendum, FleetProven, Halt, Permit, PermitKind, RosterCount};
use tidegate_trust::signed::{Body, Unverified};

use super::rollouts::roster_root;
use super::{Answer, OnlineKey, OnlineSigner, Refusal, Staged, Why, done, fleet_of, nothing};
use crate::decision::{Decision, GateRecord};
use crate::presence::Presence;
use crate::state::{Course, State};

/// A planning step that may be done.
#[derive(Debug, Clone)]
#[must_use]
pub struct Planned {
    /// What must be durable. Empty: nothing changes.
    pub staged: Staged,
    /// Why a person is to be called, once it is durable.
    pub calls: Vec<Escalation>,
}

/// Plans the next step of a rollout and signs for it. `serving_since` is since when this server answers devices and takes steps without
/// a gap.
///
/// # Errors
/// When the gate key cannot sign now, or there is no such rollout.
pub fn plan_step(
    state: &State,
    keys: &dyn OnlineSigner,
    presence: &dyn Presence,
    now: WallTime,
    serving_since: WallTime,
    id: &RolloutId,
) -> Result<Planned, Refusal> {
    let unchanged = || Ok(Planned { staged: nothing(Answer::Done)?, calls: Vec::new() });
    let planned = state.rollouts().get(id).zip(foresee(state, presence, now, serving_since, id));
    let Some((course, Plan { next, effects, report })) = planned.filter(|(_, plan)| !plan.next.is_empty()) else {
        return unchanged();
    };
    let mut signing = Signing::new(state, keys, now, course);
    let mut calls = Vec::new();
    for effect in effects {
        match effect {
            Effect::Sign { fact } => next.get(fact).map_or(Ok(()), |fact| signing.sign_for(fact))?,
            Effect::CallOperator { why } => calls.push(why),
        }
    }
    let (records, report) = (signing.records, Box::new(report));
    let serving_since_ms = Some(serving_since);
    let decision = Decision::Step { rollout: id.clone(), facts: next, records, report, serving_since_ms };
    Ok(Planned { staged: done(now, vec![decision], Answer::Done)?, calls })
}

/// What the next step of a rollout would be, unsigned; none where there is no such rollout.
pub fn foresee(
    state: &State,
    presence: &dyn Presence,
    now: WallTime,
    serving_since: WallTime,
    id: &RolloutId,
) -> Option<Plan> {
    let course = state.rollouts().get(id)?;
    let (rollout, package) = (&course.rollout, &course.order_body.package);
    let check_in = rollout.policy().pace.check_in;
    let well_in_tick = |device: &DeviceId, tick: u64| {
        let from = WallTime::from_ms(tick.saturating_mul(check_in.as_ms()));
        presence.well_during(device, package, from, from.after(check_in))
    };
    let recent = |device: &DeviceId| {
        presence.heard_since(device, earlier(now, check_in.times(2)))
            && state.has_part(device, course)
            && state.held(device, package, now).is_none()
    };
    let shut = |stratum: &StratumName| state.holds_stratum(rollout.policy(), stratum, package, now);
    let moment = Moment {
        now,
        well_in_tick: &well_in_tick,
        present: &recent,
        shut: &shut,
        serving_since,
        joiners: joiners(state, course, &recent),
        unproven_elsewhere: unproven_elsewhere(state, id),
        unproven_everywhere_max: unproven_everywhere_max(state),
    };
    Some(plan(rollout, &moment))
}

fn earlier(now: WallTime, by: tidegate_domain::time::Elapsed) -> WallTime {
    WallTime::from_ms(now.as_ms().saturating_sub(by.as_ms()))
}

pub(super) fn unproven_everywhere_max(state: &State) -> u32 {
    state.envelope().map_or(u32::MAX, |(_, envelope, _)| envelope.unproven_all_rollouts_max)
}

pub(super) fn unproven_elsewhere(state: &State, id: &RolloutId) -> u32 {
    let others = state
        .rollouts()
        .iter()
        .filter(|(other, course)| *other != id && !matches!(course.rollout.phase(), Phase::Halted { .. }));
    others
        .filter_map(|(_, course)| course.rollout.scopes().all())
        .map(|scope| scope.unproven())
        .fold(0, u32::saturating_add)
}

/// Devices that the policy selects, that are here now and run the package, and that have no place yet.
fn joiners(state: &State, course: &Course, present: &dyn Fn(&DeviceId) -> bool) -> Vec<AddedPlace> {
    let (policy, body) = (course.rollout.policy(), &course.order_body);
    let release = state.release(&body.package, &body.version);
    let published_at = release.map_or(WallTime::default(), |release| release.published_at_ms);
    let outside = course.outside.iter().filter(|id| present(id)).filter_map(|id| state.devices().get_key_value(id));
    let new = outside.filter(|(_, device)| device.said.contains_key(&body.package));
    let place = |(id, device): (&DeviceId, &Arc<crate::state::Device>)| AddedPlace {
        device: id.clone(),
        stratum: policy.stratum_of(&device.enrolment.attributes),
        ring: policy.ring_of_label(device.enrolment.ring.as_ref()),
        evidence: state.enrolled_before(id, published_at),
    };
    new.map(place).collect()
}

/// The records of one step. Permits and addenda name the one before them, in this step or an earlier one.
struct Signing<'a> {
    state: &'a State,
    keys: &'a dyn OnlineSigner,
    now: WallTime,
    course: &'a Course,
    last_permit: Option<Digest>,
    last_return: Option<Digest>,
    last_addendum: Option<Digest>,
    records: Vec<GateRecord>,
}

impl<'a> Signing<'a> {
    fn new(state: &'a State, keys: &'a dyn OnlineSigner, now: WallTime, course: &'a Course) -> Signing<'a> {
        let last_permit = course.permits.last().map(Unverified::digest);
        let last_return = course.returns.last().map(Unverified::digest);
        let last_addendum = course.addenda.last().map(Unverified::digest);
        Signing { state, keys, now, course, last_permit, last_return, last_addendum, records: Vec::new() }
    }

    fn sign_for(&mut self, fact: &Fact) -> Result<(), Refusal> {
        let record = match fact {
            Fact::PermitIssued { step, counts, take_by_ms } => {
                let permit = self.permit(PermitKind::Open, *step, counts, *take_by_ms)?;
                self.last_permit = Some(permit.digest());
                GateRecord::Permit(permit)
            }
            // Nobody is too late to return.
            Fact::ReturnIssued { step, counts } => {
                let permit = self.permit(PermitKind::Revert, *step, counts, self.now)?;
                self.last_return = Some(permit.digest());
                GateRecord::Return(permit)
            }
            Fact::AddendumIssued { number, places } => self.addendum(*number, places)?,
            Fact::Halted { reasons } => sign_halt(self.state, self.keys, self.now, self.course, reasons)?,
            Fact::Completed => self.fleet_proven()?,
            Fact::Took { .. }
            | Fact::Observed { .. }
            | Fact::Lapsed { .. }
            | Fact::BlockOpened { .. }
            | Fact::BandEntered { .. }
            | Fact::TroubledElsewhere { .. }
            | Fact::BrokenBefore { .. }
            | Fact::MovedOn { .. }
            | Fact::HoldbackEnded
            | Fact::ScopeHalted { .. }
            | Fact::RingPassed { .. }
            | Fact::Paused { .. }
            | Fact::Resumed { .. }
            | Fact::Approved { .. }
            | Fact::Escalated { .. } => return Ok(()),
        };
        self.records.push(record);
        Ok(())
    }

    fn permit(
        &self,
        kind: PermitKind,
        step: u32,
        counts: &[RowCount],
        take_by_ms: WallTime,
    ) -> Result<Unverified<Permit>, Refusal> {
        let permit = Permit {
            fleet: fleet_of(self.state)?,
            order: self.course.order.digest(),
            kind,
            step,
            previous: if kind == PermitKind::Open { self.last_permit } else { self.last_return },
            counts: counts.iter().map(roster_count).collect(),
            take_by_ms,
            issued_at_ms: self.now,
            ext: Default::default(),
        };
        sign(self.keys, &permit)
    }

    fn addendum(&mut self, number: u32, places: &[AddedPlace]) -> Result<GateRecord, Refusal> {
        let strata: BTreeSet<&StratumName> = places.iter().map(|place| &place.stratum).collect();
        let of = |stratum: &StratumName| -> Vec<Place> {
            let mine = places.iter().filter(|place| place.stratum == *stratum);
            mine.map(|p| Place { device: p.device.clone(), stratum: p.stratum.clone(), ring: p.ring }).collect()
        };
        let addendum = Addendum {
            fleet: fleet_of(self.state)?,
            order: self.course.order.digest(),
            number,
            previous: self.last_addendum,
            rosters: strata.into_iter().map(|stratum| roster_root(stratum.clone(), &of(stratum))).collect(),
            issued_at_ms: self.now,
            ext: Default::default(),
        };
        let signed = sign(self.keys, &addendum)?;
        self.last_addendum = Some(signed.digest());
        Ok(GateRecord::Addendum(signed))
    }

    fn fleet_proven(&self) -> Result<GateRecord, Refusal> {
        let proven = FleetProven {
            fleet: fleet_of(self.state)?,
            order: self.course.order.digest(),
            package: self.course.order_body.package.clone(),
            release: self.course.order_body.release,
            passed_at_ms: self.now,
            ext: Default::default(),
        };
        Ok(GateRecord::FleetProven(sign(self.keys, &proven)?))
    }
}

fn roster_count(row: &RowCount) -> RosterCount {
    RosterCount { stratum: row.stratum.clone(), addendum: row.addendum, count: row.count }
}

pub(super) fn sign_halt(
    state: &State,
    keys: &dyn OnlineSigner,
    now: WallTime,
    course: &Course,
    reasons: &[HaltReason],
) -> Result<GateRecord, Refusal> {
    let halt = Halt {
        fleet: fleet_of(state)?,
        order: course.order.digest(),
        reasons: reasons.iter().map(ToString::to_string).collect(),
        issued_at_ms: now,
        ext: Default::default(),
    };
    Ok(GateRecord::Halt(sign(keys, &halt)?))
}

fn sign<T: Body>(keys: &dyn OnlineSigner, body: &T) -> Result<Unverified<T>, Refusal> {
    let draft = Unverified::draft(body).map_err(|e| Refusal::new(Why::Invalid, e.kind(), &e))?;
    let signature = keys.sign(OnlineKey::Gate, draft.bytes_to_sign())?;
    Ok(draft.with_signature(&keys.public_key(OnlineKey::Gate), signature))
}
