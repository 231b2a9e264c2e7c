//! Cases: what people do about incidents.

use std::collections::BTreeMap;

use tidegate_domain::case::{Act, Case, Task};
use tidegate_domain::ids::{IncidentId, OperatorName, PackageName, RolloutId};
use tidegate_domain::time::WallTime;

use super::State;

impl State {
    /// Cases by the incident's id.
    pub fn cases(&self) -> &BTreeMap<IncidentId, Case> {
        &self.cases
    }

    /// The lessons that keep a package's next release from being ordered: incident, number, what is to be done.
    pub fn blocking_lessons(&self, package: &PackageName) -> impl Iterator<Item = (&IncidentId, u32, &Task)> {
        let of_it = self.cases.iter().filter(move |(_, case)| case.package.as_ref() == Some(package));
        of_it.flat_map(|(id, case)| case.blocking().map(move |(number, task)| (id, number, task)))
    }

    /// The name of the next incident that somebody opens.
    pub(crate) fn next_by_hand(&self) -> IncidentId {
        let opened = self.cases.values().filter(|case| !case.halted).count();
        IncidentId::by_hand(u32::try_from(opened).unwrap_or(u32::MAX).saturating_add(1))
    }

    pub(super) fn work_on(&mut self, id: &IncidentId, by: OperatorName, act: Act, at: WallTime) {
        if let Some(case) = self.cases.get_mut(id) {
            case.apply(act, by, at);
        }
    }

    /// Brings the case of a halt to where its incident stands. `anew` where more of the fleet was halted.
    pub(super) fn follow_incident(&mut self, rollout: &RolloutId, anew: bool) {
        let id = IncidentId::of(rollout);
        let Some(incident) = self.incidents.get(&id) else { return };
        let case = self.cases.entry(id).or_insert_with(|| Case::of_halt(incident));
        if anew {
            case.reopen();
        }
        case.follow(incident);
    }
}
