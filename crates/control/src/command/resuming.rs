//! How a release goes on that a rollout halted: ordered again, without the words of a few named devices, by an order that approvers sign
//! too. It looks; the order itself is drafted and started like any other.

use std::collections::BTreeSet;

use tidegate_domain::ids::DeviceId;
use tidegate_domain::policy::Policy;
use tidegate_domain::rollout::Rollout;
use tidegate_domain::rollout::quarantine::reasons_left;
use tidegate_domain::time::WallTime;
use tidegate_trust::keys::Scope;
use tidegate_trust::records::Resumption;

use super::{Refusal, Why, keys_of};
use crate::state::{Release, State};

/// How many approvers must sign.
pub(super) fn approvals_min(state: &State) -> u32 {
    state.envelope().map_or(u32::MAX, |(_, envelope, _)| envelope.approvals_min)
}

/// What an order of this release says of a halt: nothing where there was none, and nothing is asked.
pub(super) fn resumption(
    state: &State,
    release: &Release,
    policy: &Policy,
    without: Option<BTreeSet<DeviceId>>,
    now: WallTime,
) -> Result<Option<Resumption>, Refusal> {
    let conflict = |kind, detail: String| Err(Refusal::new(Why::Conflict, kind, detail));
    let (halted, without) = match (&release.halted_by, without) {
        (None, None) => return Ok(None),
        (Some(by), None) => {
            let detail = format!(
                "rollout {by} halted these files: publish a release with other content, or resume this one without the devices whose \
                 words halted it"
            );
            return conflict("release_halted", detail);
        }
        (None, Some(_)) => {
            let detail = "these files are not halted: order them without resuming";
            return conflict("not_halted", detail.to_owned());
        }
        (Some(by), Some(without)) => (by.clone(), without),
    };
    let most = policy.gate.quarantine_max as usize;
    if without.len() > most {
        let detail = format!(
            "{} devices are to be left out: policy {} lets at most {most} be (`gate.quarantine_max`)",
            without.len(),
            policy.name
        );
        return conflict("quarantine_too_large", detail);
    }
    enough_approvers(state, now)?;
    let earlier: Vec<&Rollout> = state.earlier_of_same_files(&release.manifest).map(|course| &course.rollout).collect();
    if let Some(rollout) = earlier.iter().find(|rollout| rollout.is_being_heard()) {
        let detail = format!(
            "devices that took the release in rollout {} are still being heard: resume when that is over, within a proof time and a few check-ins",
            rollout.identity().rollout
        );
        return conflict("still_heard", detail);
    }
    if let Some(device) = without.iter().find(|device| !earlier.iter().any(|rollout| rollout.is_in_trouble(device))) {
        let detail = format!(
            "device {device} is in no trouble with these files: name devices that failed, crashed or fell silent"
        );
        return conflict("not_in_trouble", detail);
    }
    let left = reasons_left(earlier, &without);
    if !left.is_empty() {
        let left: Vec<String> = left.iter().map(ToString::to_string).collect();
        let detail = format!("without them these files would be halted all the same: {}", left.join("; "));
        return conflict("still_halted", detail);
    }
    Ok(Some(Resumption { halted, without }))
}

/// More approvers than must sign, so that nobody is indispensable.
fn enough_approvers(state: &State, now: WallTime) -> Result<(), Refusal> {
    let needed = approvals_min(state);
    let there = keys_of(state)?.keys_for(Scope::Approve, now).count();
    if there > needed as usize {
        return Ok(());
    }
    let detail = format!(
        "the key list holds {there} approver keys: {needed} must sign, and one more must be there, or one person's absence would decide"
    );
    Err(Refusal::new(Why::Conflict, "too_few_approvers", detail))
}
