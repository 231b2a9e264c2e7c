//! Going on after a halt without the words of a few named devices (F7): a hostile or broken device can halt any release, and what one device
//! says must not be the last word.
//!
//! Their words are left out of both sides, of every earlier rollout of the same files, and the gate is asked again from the beginning. They get
//! no place in the new rollout, serve as no control, and stay counted as unproven in each of its windows. It opens nothing and asks nobody.

use std::collections::BTreeSet;

use super::Rollout;
use super::entering::Went;
use super::gate::Gate;
use super::place::{PlaceRef, Stage, Taken};
use super::reason::HaltReason;
use super::scope::Scopes;
use crate::ids::{DeviceId, StratumName};

/// The reasons to halt that are left of rollouts of the same files, the earliest first, without the words of some devices. A person's own halt
/// is none: whoever lets the files go on overrules it.
pub fn reasons_left<'a>(
    rollouts: impl IntoIterator<Item = &'a Rollout>,
    without: &BTreeSet<DeviceId>,
) -> Vec<HaltReason> {
    let mut reasons = Vec::new();
    let mut held: Vec<(&Scopes, Gate)> = Vec::new();
    for rollout in rollouts {
        let gate = rollout.gate_without(without, &held);
        if rollout.is_halted() {
            let mut judged = rollout.clone();
            judged.gate = gate.clone();
            judged.leave_out(without);
            reasons.extend(judged.halt_reasons());
        }
        held.push((&rollout.scopes, gate));
    }
    reasons
}

impl Rollout {
    /// Whether it is halted for good.
    pub fn is_halted(&self) -> bool {
        matches!(self.phase, super::Phase::Halted { .. })
    }

    /// The devices whose words are left out.
    pub fn quarantined(&self) -> &BTreeSet<DeviceId> {
        &self.quarantined
    }

    /// Whether something may still be heard of the devices that took the release: a block is open.
    pub fn is_being_heard(&self) -> bool {
        !self.blocks.is_empty()
    }

    /// The first scope with places in which those that are left out leave no room for any.
    pub fn without_room(&self) -> Option<&super::scope::ScopeName> {
        let lab = self.is_lab(self.ring);
        let is_full = |scope: &&super::scope::Scope| {
            let places: u32 = scope.places.iter().sum();
            scope.quarantined > 0 && places > 0 && scope.quarantined >= scope.bound(&self.policy.window, lab)
        };
        self.open_scopes().find(is_full).map(|scope| &scope.name)
    }

    /// Whether a device may get its first place: it has none, and is not left out.
    pub(super) fn may_join(&self, device: &DeviceId) -> bool {
        !self.where_is.contains_key(device) && !self.quarantined.contains(device)
    }

    /// Leaves devices out of a rollout that has not begun, each with its stratum: they take room in every window that holds them.
    pub fn quarantine(&mut self, devices: impl IntoIterator<Item = (DeviceId, StratumName)>) {
        for (device, stratum) in devices {
            if self.quarantined.insert(device) {
                self.scopes.quarantine(self.stratum_index(&stratum), &self.policy.strata, &stratum);
            }
        }
    }

    /// The gate as it would stand without some devices, going on from those of earlier rollouts.
    pub(super) fn gate_without(&self, without: &BTreeSet<DeviceId>, earlier: &[(&Scopes, Gate)]) -> Gate {
        let numbers = !self.identity.numbers.is_empty();
        let mut gate = Gate::new(&self.policy, &self.scopes, numbers);
        for (scopes, held) in earlier {
            gate.go_on_from(&self.scopes, &self.policy, numbers, (scopes, held));
        }
        let out: BTreeSet<PlaceRef> = without.iter().filter_map(|device| self.where_is.get(device).copied()).collect();
        for went in &self.went {
            match went {
                Went::Band(band) => {
                    let healthy = out.iter().filter(|at| self.was_healthy_in(band, **at)).count();
                    self.enter_again(&mut gate, band, |at| out.contains(&at), super::number(healthy));
                }
                Went::Anew { scopes } => gate.begin_anew(scopes, &self.policy, numbers),
            }
        }
        gate
    }

    /// Leaves devices out of what halts besides the evidence: the wedge, the full window, the lab's own test, a broken invariant.
    fn leave_out(&mut self, devices: &BTreeSet<DeviceId>) {
        self.broken.retain(|device| !devices.contains(device));
        for device in devices {
            let Some((_, row, place)) = self.place_of(device) else { continue };
            let Stage::Taken(taken) = &place.stage else { continue };
            let (stratum, ring, taken) = (usize::from(row.stratum), place.ring, taken.clone());
            let lab = self.is_lab(ring);
            self.scopes.leave_out((stratum, ring), lab, &taken);
            if let Some(tally) = self.rings.get_mut(usize::from(ring)) {
                tally.taken = tally.taken.saturating_sub(1);
                tally.troubled = tally.troubled.saturating_sub(u32::from(taken.is_troubled()));
            }
        }
    }

    /// Whether a device can be named: it took the release here, and said that something is wrong, or nothing.
    pub fn is_in_trouble(&self, device: &DeviceId) -> bool {
        let stage = self.place_of(device).map(|(_, _, place)| &place.stage);
        let speaks = |taken: &Taken| {
            taken.is_troubled() || taken.seen.outside != [false; 2] || taken.seen.elsewhere != [false; 2]
        };
        matches!(stage, Some(Stage::Taken(taken)) if speaks(taken)) || self.broken.contains(device)
    }
}

impl Taken {
    /// Failed, silent past a deadline, or crashed at least once.
    pub fn is_troubled(&self) -> bool {
        self.failed.is_some() || self.overdue || self.seen.crashed.is_some()
    }
}
