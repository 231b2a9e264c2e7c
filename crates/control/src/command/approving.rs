//! How a person lets the next ring of a rollout open, where its policy asks for one.

use tidegate_domain::ids::{OperatorName, RingName, RolloutId};
use tidegate_domain::policy::ApprovalRole;
use tidegate_domain::rollout::Phase;
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::time::WallTime;

use super::stopping::{course, cut, is_over, step};
use super::{Answer, Refusal, Staged, Why, nothing};
use crate::decision::OperatorRole;
use crate::state::State;

pub(super) fn approve(
    state: &State,
    now: WallTime,
    id: &RolloutId,
    ring: &RingName,
    by: OperatorName,
    reason: &str,
) -> Result<Staged, Refusal> {
    let rollout = &course(state, id)?.rollout;
    if let over @ (Phase::Halted { .. } | Phase::Completed { .. }) = rollout.phase() {
        return Err(is_over(id, over));
    }
    let rings = &rollout.policy().rings;
    let Some((index, rule)) = rings.iter().enumerate().find(|(_, rule)| rule.name == *ring) else {
        let known: Vec<&str> = rings.iter().map(|rule| rule.name.as_str()).collect();
        let detail = format!("rollout {id} has no ring {ring}: its rings are {}", known.join(", "));
        return Err(Refusal::new(Why::Unknown, "unknown_ring", detail));
    };
    let Some(wanted) = rule.approve else {
        let detail = format!("ring {ring} of rollout {id} opens without approval");
        return Err(Refusal::new(Why::Conflict, "no_approval_wanted", detail));
    };
    let role = state.operators().get(&by).map(|operator| operator.role);
    if role.is_none_or(|role| role < least(wanted)) {
        let detail =
            format!("ring {ring} of rollout {id} is approved by an operator with the role {wanted} or a higher one");
        return Err(Refusal::new(Why::NotAllowed, "role", detail));
    }
    let index = u8::try_from(index).unwrap_or(u8::MAX);
    if rollout.is_approved(index) {
        return nothing(Answer::Done);
    }
    if index != rollout.ring().saturating_add(1) {
        let detail = format!("ring {ring} of rollout {id} is not the next one: what opens later is approved later");
        return Err(Refusal::new(Why::Conflict, "not_the_next_ring", detail));
    }
    step(rollout, now, Fact::Approved { ring: index, by, reason: cut(reason) }, Vec::new())
}

fn least(role: ApprovalRole) -> OperatorRole {
    match role {
        ApprovalRole::Publisher => OperatorRole::Publisher,
        ApprovalRole::Approver => OperatorRole::Approver,
        ApprovalRole::Admin => OperatorRole::Admin,
    }
}
