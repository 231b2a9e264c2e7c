//! How people stop a rollout and let it go on. Stopping needs one person: an operator, or whoever holds a key of scope `halt`.

use serde::{Deserialize, Serialize};
use tidegate_domain::ids::{OperatorName, RolloutId};
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::gate::HaltReason;
use tidegate_domain::rollout::report::StepReport;
use tidegate_domain::rollout::{Phase, Rollout};
use tidegate_domain::time::WallTime;
use tidegate_trust::keys::Scope;
use tidegate_trust::records::Halt;
use tidegate_trust::signed::Unverified;

use super::confined::moves;
use super::planning::sign_halt;
use super::{Answer, OnlineKey, OnlineSigner, Refusal, Staged, Why, done, keys_of, not_signed, nothing};
use crate::decision::{Decision, GateRecord};
use crate::state::{Course, State};

const REASON_CHARS_MAX: usize = 500;

/// A halt that a person wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersonsHalt {
    /// Who: an operator, or `key-` and the first digits of the key that signed.
    pub by: OperatorName,
    /// In their words.
    pub reason: String,
    /// The record that they signed, where they did. It was verified when it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Box<Unverified<Halt>>>,
}

/// Says whether a signed halt counts, and for which rollout: a live key of scope `halt` or `gate` signed it for this fleet.
///
/// # Errors
/// When it does not count, or there is no such order.
pub fn accept_halt(
    state: &State,
    now: WallTime,
    record: Unverified<Halt>,
) -> Result<(RolloutId, PersonsHalt), Refusal> {
    let verified =
        keys_of(state)?.verify(record, &[Scope::Halt, Scope::Gate], now).map_err(|error| not_signed(&error))?;
    let order = verified.body().order;
    let unknown = || Refusal::new(Why::Unknown, "unknown_order", format!("there is no order {order}"));
    let course = state.rollout_of_order(&order).ok_or_else(unknown)?;
    let key = verified.signers().first().map_or_else(String::new, |key| format!("key-{}", key.short()));
    let by = key.parse().map_err(|e| Refusal::new(Why::Invalid, "record_malformed", e))?;
    let (body, record) = verified.into_parts();
    let reason = cut(&body.reasons.join("; "));
    Ok((course.order_body.rollout.clone(), PersonsHalt { by, reason, record: Some(Box::new(record)) }))
}

pub(super) fn pause(
    state: &State,
    now: WallTime,
    id: &RolloutId,
    by: OperatorName,
    reason: &str,
) -> Result<Staged, Refusal> {
    let rollout = &course(state, id)?.rollout;
    match rollout.phase() {
        Phase::Paused { .. } => nothing(Answer::Done),
        Phase::Running => step(rollout, now, Fact::Paused { by, reason: cut(reason) }, Vec::new()),
        over @ (Phase::Halted { .. } | Phase::Completed { .. }) => Err(is_over(id, over)),
    }
}

pub(super) fn resume(
    state: &State,
    now: WallTime,
    id: &RolloutId,
    by: OperatorName,
    reason: &str,
) -> Result<Staged, Refusal> {
    let rollout = &course(state, id)?.rollout;
    moves(state, &by, Some(&rollout.identity().package))?;
    match rollout.phase() {
        // Resuming a running one tells the watchdog that a person has looked.
        Phase::Running | Phase::Paused { .. } => {
            step(rollout, now, Fact::Resumed { by, reason: cut(reason) }, Vec::new())
        }
        over @ (Phase::Halted { .. } | Phase::Completed { .. }) => Err(is_over(id, over)),
    }
}

pub(super) fn halt(
    state: &State,
    keys: &dyn OnlineSigner,
    now: WallTime,
    id: &RolloutId,
    halt: PersonsHalt,
) -> Result<Staged, Refusal> {
    let course = course(state, id)?;
    if matches!(course.rollout.phase(), Phase::Halted { .. }) {
        return nothing(Answer::Done);
    }
    let reasons = vec![HaltReason::ByPerson { by: halt.by, reason: cut(&halt.reason) }];
    let signed = halt.record.filter(|record| is_of(record, course));
    let record = match signed {
        Some(record) => GateRecord::Halt(countersigned(keys, *record)),
        None => sign_halt(state, keys, now, course, &reasons)?,
    };
    step(&course.rollout, now, Fact::Halted { reasons }, vec![record])
}

fn is_of(record: &Unverified<Halt>, course: &Course) -> bool {
    record.danger_unchecked_body().is_ok_and(|body| body.order == course.order.digest())
}

/// The gate key's signature beside the person's, so that devices still heed the halt when the person's key is past its life.
/// A gate key that cannot sign now is in no halt's way.
fn countersigned(keys: &dyn OnlineSigner, record: Unverified<Halt>) -> Unverified<Halt> {
    match keys.sign(OnlineKey::Gate, record.bytes_to_sign()) {
        Ok(signature) => record.with_signature(&keys.public_key(OnlineKey::Gate), signature),
        Err(_) => record,
    }
}

pub(super) fn cut(reason: &str) -> String {
    reason.chars().take(REASON_CHARS_MAX).collect()
}

pub(super) fn course<'a>(state: &'a State, id: &RolloutId) -> Result<&'a Course, Refusal> {
    let unknown = || Refusal::new(Why::Unknown, "unknown_rollout", format!("there is no rollout {id}"));
    state.rollouts().get(id).ok_or_else(unknown)
}

pub(super) fn is_over(id: &RolloutId, phase: &Phase) -> Refusal {
    Refusal::new(Why::Conflict, "rollout_over", format!("rollout {id} is {}: publish a new release", phase.word()))
}

pub(super) fn step(rollout: &Rollout, now: WallTime, fact: Fact, records: Vec<GateRecord>) -> Result<Staged, Refusal> {
    let mut after = rollout.clone();
    after.apply(&fact, now);
    let decision = Decision::Step {
        rollout: rollout.identity().rollout.clone(),
        facts: vec![fact],
        records,
        report: Box::new(StepReport::of(&after, now)),
        serving_since_ms: None,
    };
    done(now, vec![decision], Answer::Done)
}
