//! Asks the planner at every step that a server recorded, with what it knew then, and holds what it decides against what stands there.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tidegate_control::command::foresee;
use tidegate_control::contract::Table;
use tidegate_control::decision::Decision;
use tidegate_control::presence::Presence;
use tidegate_control::state::State;
use tidegate_domain::ids::{DeviceId, PackageName, RolloutId};
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::time::WallTime;

use super::{History, ReplayError};

/// The most differences that are told.
const DIFFERENCES_MAX: usize = 10;

/// How a history compares with what the planner decides now.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Again {
    /// Entries read.
    pub entries: u64,
    /// Steps of the planner.
    pub steps: u64,
    /// Of them, those that came out the same, fact by fact.
    pub same: u64,
    /// Steps that people took, which nobody plans.
    pub by_people: u64,
    /// Steps recorded before it was kept since when the server served; they are taken as if it always had.
    pub without_serving_since: u64,
    /// The first that came out otherwise.
    pub different: Vec<Difference>,
}

/// A step that came out otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The entry.
    pub entry: u64,
    /// The rollout.
    pub rollout: RolloutId,
    /// What stands there.
    pub recorded: Vec<Fact>,
    /// What the planner would decide now.
    pub now: Vec<Fact>,
}

/// Steps through a history.
///
/// Who had checked in when is not recorded: of the devices, those that a step took as controls are known to have been well in that tick,
/// those that it gave a new place to have been there. So which controls a block got is taken from the record; how many of them it
/// wanted, and all else, is decided again.
///
/// # Errors
/// When an entry cannot be folded.
pub fn again(history: &History) -> Result<Again, ReplayError> {
    let (mut state, mut again) = (State::default(), Again::default());
    for entry in history.entries() {
        again.entries += 1;
        let decision = Some(&entry.content).filter(|content| content.table == Table::Decisions);
        let decision = decision.and_then(|content| serde_json::from_slice(&content.body).ok());
        if let Some(Decision::Step { rollout, facts, serving_since_ms, .. }) = decision {
            if facts.iter().any(is_by_people) {
                again.by_people += 1;
            } else {
                again.steps += 1;
                again.without_serving_since += u64::from(serving_since_ms.is_none());
                let heard = Heard::of(&state, &rollout, &facts);
                let since = serving_since_ms.unwrap_or_default();
                let plan = foresee(&state, &heard, entry.content.at, since, &rollout);
                let now = plan.map(|plan| plan.next).unwrap_or_default();
                if now == facts {
                    again.same += 1;
                } else if again.different.len() < DIFFERENCES_MAX {
                    let entry = entry.seq.as_u64();
                    again.different.push(Difference { entry, rollout, recorded: facts, now });
                }
            }
        }
        state.apply(entry)?;
    }
    Ok(again)
}

fn is_by_people(fact: &Fact) -> bool {
    use tidegate_domain::rollout::reason::HaltReason;
    match fact {
        Fact::Paused { .. } | Fact::Resumed { .. } | Fact::Approved { .. } => true,
        Fact::Halted { reasons } => reasons.iter().any(|reason| matches!(reason, HaltReason::ByPerson { .. })),
        _ => false,
    }
}

/// What a step shows of who had checked in.
struct Heard {
    controls: BTreeSet<(u64, DeviceId)>,
    present: BTreeSet<DeviceId>,
    check_in_ms: u64,
}

impl Heard {
    fn of(state: &State, rollout: &RolloutId, facts: &[Fact]) -> Heard {
        let check_in = state.rollouts().get(rollout).map(|course| course.rollout.policy().pace.check_in);
        let mut heard = Heard {
            controls: BTreeSet::new(),
            present: BTreeSet::new(),
            check_in_ms: check_in.map_or(1, |check_in| check_in.as_ms().max(1)),
        };
        for fact in facts {
            match fact {
                Fact::BlockOpened { tick, controls, .. } => {
                    heard.controls.extend(controls.iter().map(|device| (*tick, device.clone())));
                }
                Fact::AddendumIssued { places, .. } => {
                    heard.present.extend(places.iter().map(|place| place.device.clone()));
                }
                _ => {}
            }
        }
        heard
    }
}

impl Presence for Heard {
    fn well_during(&self, device: &DeviceId, _: &PackageName, from: WallTime, _: WallTime) -> bool {
        self.controls.contains(&(from.as_ms() / self.check_in_ms, device.clone()))
    }

    fn heard_since(&self, device: &DeviceId, _: WallTime) -> bool {
        self.present.contains(device)
    }
}
