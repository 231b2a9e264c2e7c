//! How a person lets the next ring of a rollout open, where its policy asks for one: by a record that an approver's own key signed, brought by
//! somebody with the role that the policy names. Being logged in alone approves nothing.

use tidegate_domain::ids::{OperatorName, RingName, RolloutId};
use tidegate_domain::policy::{ApprovalRole, Ring};
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::{Phase, Rollout};
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_trust::records::Approval;
use tidegate_trust::signed::Unverified;

use super::confined::moves;
use super::stopping::{course, cut, is_over, step};
use super::{Answer, Refusal, Staged, Why, fleet_of, keys_of, not_signed, nothing};
use crate::decision::{GateRecord, OperatorRole};
use crate::state::State;

/// How long a draft can be used, once it is signed.
const APPROVAL_LIFE: Elapsed = Elapsed::from_s(3_600);
/// The longest that any approval can be.
const APPROVAL_LIFE_MAX: Elapsed = Elapsed::from_s(7 * 86_400);

/// What an approver would sign to let a ring open.
///
/// # Errors
/// When there is no such rollout or ring, or no approval is wanted.
pub fn draft_approval(state: &State, now: WallTime, id: &RolloutId, ring: &RingName) -> Result<Approval, Refusal> {
    let rollout = &course(state, id)?.rollout;
    let (index, _) = wanted(rollout, id, ring)?;
    Ok(Approval {
        fleet: fleet_of(state)?,
        order: rollout.identity().order,
        policy: rollout.identity().policy,
        ring: ring.clone(),
        places: places(rollout, index),
        issued_at_ms: now,
        expires_at_ms: now.after(APPROVAL_LIFE),
        ext: Default::default(),
    })
}

pub(super) fn approve(
    state: &State,
    now: WallTime,
    id: &RolloutId,
    approval: Unverified<Approval>,
    by: OperatorName,
    reason: &str,
) -> Result<Staged, Refusal> {
    let rollout = &course(state, id)?.rollout;
    let verified = keys_of(state)?.verify_approval(approval, now).map_err(|e| not_signed(&e))?;
    let body = verified.body();
    let ring = &body.ring;
    let (index, role) = wanted(rollout, id, ring)?;
    let conflict = |kind, detail: String| Err(Refusal::new(Why::Conflict, kind, detail));
    let identity = rollout.identity();
    if body.order != identity.order || body.policy != identity.policy {
        let detail = format!(
            "the approval is of order {} under policy {}; rollout {id} is of order {} under policy {}",
            body.order, body.policy, identity.order, identity.policy
        );
        return conflict("approval_of_another", detail);
    }
    if places(rollout, index) > body.places {
        let detail = format!(
            "the approval is of {} places in ring {ring}, which has {} by now: sign another one",
            body.places,
            places(rollout, index)
        );
        return conflict("approval_of_another", detail);
    }
    if body.expires_at_ms <= now || body.expires_at_ms > now.after(APPROVAL_LIFE_MAX) {
        let detail = format!("the approval's end, {} ms, is past or more than 7 days off", body.expires_at_ms.as_ms());
        return conflict("approval_expired", detail);
    }
    moves(state, &by, Some(&rollout.identity().package))?;
    let has = state.operators().get(&by).map(|operator| operator.role);
    if has.is_none_or(|has| has < least(role)) {
        let detail =
            format!("ring {ring} of rollout {id} is approved by an operator with the role {role} or a higher one");
        return Err(Refusal::new(Why::NotAllowed, "role", detail));
    }
    if rollout.is_approved(index, now) {
        return nothing(Answer::Done);
    }
    if index > rollout.ring().saturating_add(1) {
        let detail = format!("ring {ring} of rollout {id} is not the next one: what opens later is approved later");
        return conflict("not_the_next_ring", detail);
    }
    let (places, until_ms) = (Some(body.places), Some(body.expires_at_ms));
    let (_, record) = verified.into_parts();
    let approved = Fact::Approved { ring: index, by, reason: cut(reason), places, until_ms };
    step(rollout, now, approved, vec![GateRecord::Approval(record)])
}

/// The ring's index and the role that may approve it.
fn wanted(rollout: &Rollout, id: &RolloutId, ring: &RingName) -> Result<(u8, ApprovalRole), Refusal> {
    // Devices that join later wait for an approval also where everybody else has the release.
    if let over @ Phase::Halted { .. } = rollout.phase() {
        return Err(is_over(id, over));
    }
    let rings = &rollout.policy().rings;
    let Some((index, rule)) = rings.iter().enumerate().find(|(_, rule)| rule.name == *ring) else {
        let known: Vec<&str> = rings.iter().map(|rule: &Ring| rule.name.as_str()).collect();
        let detail = format!("rollout {id} has no ring {ring}: its rings are {}", known.join(", "));
        return Err(Refusal::new(Why::Unknown, "unknown_ring", detail));
    };
    match rule.approve {
        Some(role) => Ok((u8::try_from(index).unwrap_or(u8::MAX), role)),
        None => {
            let detail = format!("ring {ring} of rollout {id} opens without approval");
            Err(Refusal::new(Why::Conflict, "no_approval_wanted", detail))
        }
    }
}

fn places(rollout: &Rollout, ring: u8) -> u32 {
    rollout.rings().nth(usize::from(ring)).map_or(0, |(_, tally)| tally.places)
}

fn least(role: ApprovalRole) -> OperatorRole {
    match role {
        ApprovalRole::Publisher => OperatorRole::Publisher,
        ApprovalRole::Approver => OperatorRole::Approver,
        ApprovalRole::Admin => OperatorRole::Admin,
    }
}
