//! What a server has to record before it serves from a backup. It forgot what was opened, taken and halted since, so it opens nothing until a
//! person lets it: a hold on everybody, and every rollout that was under way paused.

use tidegate_domain::ids::{OperatorName, RolloutId};
use tidegate_domain::rollout::Phase;
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::selector::Selector;
use tidegate_domain::time::WallTime;

use super::stopping::step;
use super::{Refusal, Why, done};
use crate::contract::NewEntry;
use crate::decision::Decision;
use crate::hold::Hold;
use crate::state::State;

/// The entries to append, and the rollouts that they pause. `written_at` is how people read when the backup was made.
///
/// # Errors
/// When they cannot be written as JSON, which is a fault of the code.
pub fn after_restore(
    state: &State,
    now: WallTime,
    from: WallTime,
    written_at: &str,
) -> Result<(Vec<NewEntry>, Vec<RolloutId>), Refusal> {
    let by: OperatorName = "restore".parse().map_err(|e| Refusal::new(Why::Invalid, "operator_name", e))?;
    let hold = Hold {
        select: Selector::default(),
        devices: Default::default(),
        package: None,
        from_ms: now,
        until_ms: None,
        windows: None,
        by: by.clone(),
        reason: format!(
            "the server was restored from a backup of {written_at}: lift it when the devices have been heard of"
        ),
    };
    let decisions = vec![
        Decision::Restored { from_ms: from },
        Decision::Held { number: state.holds_made + 1, hold: Box::new(hold) },
    ];
    let mut entries = done(now, decisions, super::Answer::Done)?.entries;
    let mut paused = Vec::new();
    for (id, course) in state.rollouts().iter().filter(|(_, course)| *course.rollout.phase() == Phase::Running) {
        let reason =
            format!("the server was restored from a backup of {written_at}: what it opened since is not known here");
        entries.extend(step(&course.rollout, now, Fact::Paused { by: by.clone(), reason }, Vec::new())?.entries);
        paused.push(id.clone());
    }
    Ok((entries, paused))
}
