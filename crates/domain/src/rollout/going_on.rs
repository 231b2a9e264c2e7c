//! A release that is ordered again goes on where it stood (F7): what spoke against it still does, and nobody serves as control twice.
//! It begins a rollout; it changes nothing of the earlier ones.

use std::collections::BTreeSet;

use super::Rollout;
use super::gate::Gate;
use super::place::Stage;
use super::scope::Scopes;
use crate::ids::{DeviceId, RolloutId};

impl Rollout {
    /// Goes on from earlier rollouts of the same files, the earliest first. To be called before anything has happened.
    ///
    /// The halting processes of each scope begin where the last of them left those of the same name, so that `alpha` is the release's however
    /// often it is ordered. A device that was control in any of them, or took the release, is control no more. What quarantined devices said in
    /// them is left out.
    pub fn go_on_from<'a>(&mut self, earlier: impl IntoIterator<Item = &'a Rollout>) {
        let mut held: Vec<(&Scopes, Gate)> = Vec::new();
        let numbers = !self.identity.numbers.is_empty();
        let earlier: Vec<&Rollout> = earlier.into_iter().collect();
        // Who is left out once stays so, unless others are named now.
        let out: BTreeSet<DeviceId> = if self.quarantined.is_empty() {
            earlier.iter().flat_map(|rollout| &rollout.quarantined).cloned().collect()
        } else {
            self.quarantined.clone()
        };
        for rollout in earlier {
            let places = rollout.rows.iter().flat_map(|row| &row.places);
            for place in places.filter(|place| place.was_control || matches!(place.stage, Stage::Taken(_))) {
                self.is_no_control(&place.device);
            }
            let gate = rollout.gate_without(&out, &held);
            self.gate.go_on_from(&self.scopes, &self.policy, numbers, (&rollout.scopes, &gate));
            held.push((&rollout.scopes, gate));
            self.learn_from(rollout);
            self.stay_closed(rollout);
            self.goes_on_from = Some(rollout.identity.rollout.clone());
        }
    }

    /// What no release may do was done by these files, whichever order brought them; unless the device's words are left out.
    pub(super) fn broken_before(&mut self, device: &DeviceId) {
        if !self.quarantined.contains(device) {
            self.broken.insert(device.clone());
        }
    }

    /// The last rollout before this one that brought the same files.
    pub fn goes_on_from(&self) -> Option<&RolloutId> {
        self.goes_on_from.as_ref()
    }

    fn is_no_control(&mut self, device: &DeviceId) {
        let Some(at) = self.where_is.get(device).copied() else { return };
        let Some(row) = self.rows.get_mut(at.row as usize) else { return };
        let Some(place) = row.places.get_mut(at.index as usize) else { return };
        if place.is_fresh() {
            row.fresh.spend(at.index);
        }
        place.was_control = true;
    }
}
