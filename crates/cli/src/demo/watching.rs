//! Follows a rollout of the demo until it is over, and shows how it goes.

use std::time::Duration;

use anyhow::Result;
use tidegate_domain::ids::RolloutId;

use super::fleet::Fleet;
use super::processes::Processes;
use crate::rollout_display::Shown;

/// The longest that a rollout of the demo may take.
const LIMIT: Duration = Duration::from_secs(150);

/// How a rollout went.
pub(super) struct Course {
    /// The rollout.
    pub(super) rollout: RolloutId,
    /// `completed` or `halted`.
    pub(super) phase: String,
    /// From the accepted order to the end.
    pub(super) took: Duration,
    /// Why it halted.
    pub(super) reasons: Vec<String>,
    /// Places that were open before any proof.
    pub(super) first_window: u32,
}

/// Shows a rollout's progress until it is over.
pub(super) fn until_over(processes: &Processes, fleet: &Fleet, rollout: &RolloutId) -> Result<Course> {
    let mut shown = Shown::aside();
    let view = processes.wait_for("the rollout", LIMIT, || {
        let view = fleet.api().rollout(rollout)?;
        shown.show(&view)?;
        Ok(view.ended_at_ms.is_some().then_some(view))
    })?;
    let ended = view.ended_at_ms.unwrap_or(view.report.at_ms);
    Ok(Course {
        rollout: rollout.clone(),
        phase: view.report.phase.clone(),
        took: Duration::from_millis(ended.since(view.started_at_ms).as_ms()),
        reasons: view.reasons,
        first_window: view.first_window,
    })
}
