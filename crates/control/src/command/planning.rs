//! One planning step of one rollout: the domain's plan, with the records that the gate key signs for it.

use tidegate_domain::ids::{DeviceId, RolloutId};
use tidegate_domain::rollout::Phase;
use tidegate_domain::rollout::fact::{AddedPlace, Fact, RowCount};
use tidegate_domain::rollout::gate::HaltReason;
use tidegate_domain::rollout::planner::{Moment, Plan, plan};
use tidegate_domain::roster::Place;
use tidegate_domain::time::WallTime;
use tidegate_trust::records::{Addendum, FleetProven, Halt, Permit, PermitKind, RosterCount};
use tidegate_trust::signed::{Body, Unverified};

use super::rollouts::roster_root;
use super::{Answer, OnlineKey, OnlineSigner, Refusal, Staged, Why, done, fleet_of, nothing};
use crate::decision::{Decision, GateRecord};
use crate::presence::Presence;
use crate::state::{Course, State};

/// Plans the next step of a rollout. Nothing to record: no entries.
///
/// # Errors
/// When the gate key cannot sign now, or there is no such rollout.
pub fn plan_step(
    state: &State,
    keys: &dyn OnlineSigner,
    presence: &dyn Presence,
    now: WallTime,
    id: &RolloutId,
) -> Result<Staged, Refusal> {
    let Some(course) = state.rollouts().get(id) else { return nothing(Answer::Done) };
    let rollout = &course.rollout;
    let package = &course.order_body.package;
    let check_in = rollout.policy().pace.check_in;
    let well_in_tick = |device: &DeviceId, tick: u64| {
        let from = WallTime::from_ms(tick.saturating_mul(check_in.as_ms()));
        presence.well_during(device, package, from, from.after(check_in))
    };
    let recent = |device: &DeviceId| presence.heard_since(device, earlier(now, check_in.times(2)));
    let moment = Moment {
        now,
        well_in_tick: &well_in_tick,
        present: &recent,
        joiners: joiners(state, course, &recent),
        unproven_elsewhere: unproven_elsewhere(state, id),
        unproven_everywhere_max: unproven_everywhere_max(state),
    };
    let Plan { next, effects: _, report } = plan(rollout, &moment);
    if next.is_empty() {
        return nothing(Answer::Done);
    }
    let records = sign_records(state, keys, now, course, &next)?;
    let decision = Decision::Step { rollout: id.clone(), facts: next, records, report: Box::new(report) };
    done(now, vec![decision], Answer::Done)
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
    let rollout = &course.rollout;
    if rollout.place_count() >= state.devices().len() {
        return Vec::new();
    }
    let (policy, body) = (rollout.policy(), &course.order_body);
    let release = state.release(&body.package, &body.version);
    let published_at = release.map_or(WallTime::default(), |release| release.published_at_ms);
    let missing = state.devices().iter().filter(|(id, _)| rollout.place_of(id).is_none() && present(id));
    let new = missing.filter(|(_, device)| {
        policy.select.matches(&device.enrolment.attributes) && device.said.contains_key(&body.package)
    });
    let place = |(id, device): (&DeviceId, &crate::state::Device)| AddedPlace {
        device: id.clone(),
        stratum: policy.stratum_of(&device.enrolment.attributes),
        ring: policy.ring_of_label(device.enrolment.ring.as_ref()),
        evidence: state.enrolled_before(id, published_at),
    };
    new.map(place).collect()
}

fn sign_records(
    state: &State,
    keys: &dyn OnlineSigner,
    now: WallTime,
    course: &Course,
    facts: &[Fact],
) -> Result<Vec<GateRecord>, Refusal> {
    let mut records = Vec::new();
    let mut permits: Vec<_> = course.permits.last().map(Unverified::digest).into_iter().collect();
    let mut addenda: Vec<_> = course.addenda.last().map(Unverified::digest).into_iter().collect();
    for fact in facts {
        match fact {
            Fact::PermitIssued { step, counts, take_by_ms } => {
                let permit = Permit {
                    fleet: fleet_of(state)?,
                    order: course.order.digest(),
                    kind: PermitKind::Open,
                    step: *step,
                    previous: permits.last().copied(),
                    counts: counts.iter().map(roster_count).collect(),
                    take_by_ms: *take_by_ms,
                    issued_at_ms: now,
                    ext: Default::default(),
                };
                let signed = sign(keys, &permit)?;
                permits.push(signed.digest());
                records.push(GateRecord::Permit(signed));
            }
            Fact::AddendumIssued { number, places } => {
                let addendum = addendum(state, now, course, *number, places, addenda.last().copied())?;
                let signed = sign(keys, &addendum)?;
                addenda.push(signed.digest());
                records.push(GateRecord::Addendum(signed));
            }
            Fact::Halted { reasons } => records.push(sign_halt(state, keys, now, course, reasons)?),
            Fact::Completed => {
                let proven = FleetProven {
                    fleet: fleet_of(state)?,
                    order: course.order.digest(),
                    package: course.order_body.package.clone(),
                    release: course.order_body.release,
                    passed_at_ms: now,
                    ext: Default::default(),
                };
                records.push(GateRecord::FleetProven(sign(keys, &proven)?));
            }
            _ => {}
        }
    }
    Ok(records)
}

fn roster_count(row: &RowCount) -> RosterCount {
    RosterCount { stratum: row.stratum.clone(), addendum: row.addendum, count: row.count }
}

fn addendum(
    state: &State,
    now: WallTime,
    course: &Course,
    number: u32,
    places: &[AddedPlace],
    previous: Option<tidegate_domain::digest::Digest>,
) -> Result<Addendum, Refusal> {
    let mut strata: Vec<_> = places.iter().map(|place| place.stratum.clone()).collect();
    strata.sort();
    strata.dedup();
    let of = |stratum: &tidegate_domain::ids::StratumName| -> Vec<Place> {
        let mine = places.iter().filter(|place| place.stratum == *stratum);
        mine.map(|p| Place { device: p.device.clone(), stratum: p.stratum.clone(), ring: p.ring }).collect()
    };
    Ok(Addendum {
        fleet: fleet_of(state)?,
        order: course.order.digest(),
        number,
        previous,
        rosters: strata.into_iter().map(|stratum| roster_root(stratum.clone(), &of(&stratum))).collect(),
        issued_at_ms: now,
        ext: Default::default(),
    })
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
