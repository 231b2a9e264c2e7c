//! Incidents: a halt opens one; it closes its restoration when every exposed device is well again.

use serde::{Deserialize, Serialize};

use crate::ids::{IncidentId, RolloutId};
use crate::rollout::gate::HaltReason;
use crate::rollout::{Phase, Rollout};
use crate::time::WallTime;

/// What a halt left behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// The incident.
    pub id: IncidentId,
    /// The rollout that halted.
    pub rollout: RolloutId,
    /// When it opened.
    pub opened_at_ms: WallTime,
    /// Why the rollout halted.
    pub reasons: Vec<HaltReason>,
    /// When the last exposed device was well again.
    pub restored_at_ms: Option<WallTime>,
}

impl Incident {
    /// Opens the incident of a halted rollout.
    pub fn open(rollout: &Rollout, at: WallTime) -> Incident {
        let id = rollout.identity().rollout.clone();
        let reasons = match rollout.phase() {
            Phase::Halted { reasons, .. } => reasons.clone(),
            Phase::Running | Phase::Paused { .. } | Phase::Completed { .. } => Vec::new(),
        };
        let mut incident =
            Incident { id: IncidentId::of(&id), rollout: id, opened_at_ms: at, reasons, restored_at_ms: None };
        incident.observe(rollout, at);
        incident
    }

    /// Looks at the exposed devices again.
    pub fn observe(&mut self, rollout: &Rollout, at: WallTime) {
        if self.restored_at_ms.is_none() && rollout.taken().all(|(_, taken)| taken.well) {
            self.restored_at_ms = Some(at);
        }
    }
}
