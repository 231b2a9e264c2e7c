//! Scopes: all devices, each value of each stratifying attribute, each stratum. What is counted in each, and the window rule.
//!
//! F8: in every scope `unproven <= initial + growth * proven`. Lab proofs count in the lab only, so each scope keeps two tallies.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::place::Taken;
use crate::ids::{AttributeName, StratumName};
use crate::policy::{Policy, Ring, Strata, WindowRule};

/// What a scope covers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ScopeName {
    /// Every device of the rollout.
    All,
    /// The devices with one value of one stratifying attribute.
    Value {
        /// The attribute.
        attribute: AttributeName,
        /// The value, or `other`.
        value: String,
    },
    /// The devices of one stratum.
    Stratum {
        /// The stratum.
        stratum: StratumName,
    },
}

impl fmt::Display for ScopeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScopeName::All => f.pad("all devices"),
            ScopeName::Value { attribute, value } => f.pad(&format!("{attribute} = {value}")),
            ScopeName::Stratum { stratum } => f.pad(&format!("stratum {stratum}")),
        }
    }
}

/// What is counted in a scope, apart for the lab and for the rings after it. Units: places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Opened by a permit; a place that lapsed and whose device has a new one is not counted twice.
    pub opened: u32,
    /// Opened, not taken in time, and the device has no new place.
    pub lapsed: u32,
    /// Given a go.
    pub taken: u32,
    /// Proven; stays counted when the device fails later.
    pub proven: u32,
    /// Of the proven, those that were enrolled after the release was published: no evidence, they widen no window.
    pub proven_late: u32,
    /// Failed hard while unproven.
    pub failed: u32,
    /// Taken, neither healthy nor failed by the deadline.
    pub overdue: u32,
    /// Failed hard, before or after the proof, or overdue.
    pub harmed: u32,
    /// Of the taken, those whose last word was a good one: healthy, proven, or back on their fallback.
    pub well: u32,
    /// Of the harmed, those that are well.
    #[serde(default)]
    pub healed: u32,
    /// Back on their fallback, and nobody had to come.
    pub back: u32,
    /// Of the others, those that run another release well by now.
    #[serde(default)]
    pub moved_on: u32,
    /// Say that neither release nor fallback runs.
    pub needs_hands: u32,
}

impl Tally {
    /// Opened, not lapsed, not proven: failed and silent ones included.
    pub fn unproven(&self) -> u32 {
        self.opened.saturating_sub(self.lapsed).saturating_sub(self.proven)
    }
}

/// One scope of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// What it covers.
    pub name: ScopeName,
    /// Places before any proof.
    pub initial: u32,
    /// The lab's tally; unused where the policy has no lab.
    pub lab: Tally,
    /// The tally of all other rings.
    pub main: Tally,
    /// Places, by ring.
    pub places: Vec<u32>,
    /// Devices whose words are left out: they have no place and take room all the same.
    pub quarantined: u32,
}

impl Scope {
    /// The tally that a ring counts in.
    pub fn tally(&self, lab: bool) -> &Tally {
        if lab { &self.lab } else { &self.main }
    }

    pub(super) fn tally_mut(&mut self, lab: bool) -> &mut Tally {
        if lab { &mut self.lab } else { &mut self.main }
    }

    /// Unproven places in all rings, and those that are quarantined.
    pub fn unproven(&self) -> u32 {
        self.lab.unproven().saturating_add(self.main.unproven()).saturating_add(self.quarantined)
    }

    /// How many places may be unproven while a ring of this sort is open: F8, and of all devices never more than the policy's share.
    pub fn bound(&self, window: &WindowRule, lab: bool) -> u32 {
        let tally = self.tally(lab);
        let proven = tally.proven.saturating_sub(tally.proven_late);
        let bound = self.initial.saturating_add(window.growth.saturating_mul(proven));
        if self.name == ScopeName::All {
            bound.min(window.share_of(self.places.iter().copied().fold(0, u32::saturating_add)))
        } else {
            bound
        }
    }

    /// Its places in the rings through `ring`, of the lab or of the others.
    pub(crate) fn places_through(&self, ring: u8, rings: &[Ring], lab: bool) -> u32 {
        let open = self.places.iter().zip(rings).take(usize::from(ring) + 1);
        open.filter(|(_, rule)| rule.lab == lab).map(|(places, _)| *places).sum()
    }

    /// How many known hard failures halt at once while a ring of this sort is open whose rings so far hold `held` places of the scope: the
    /// wedge rule (F8). A single failure wedges nothing: in a ring with one place of a stratum it would halt clean rollouts.
    pub(crate) fn wedges_at(&self, window: &WindowRule, lab: bool, held: u32) -> u32 {
        self.bound(window, lab).saturating_sub(self.quarantined).min(held).max(2)
    }

    /// Failed, overdue, and whether they are all that is unproven in a full window.
    pub(crate) fn spent(&self, window: &WindowRule, lab: bool) -> (u32, u32, bool) {
        let (failed, overdue) = (self.lab.failed + self.main.failed, self.lab.overdue + self.main.overdue);
        let unproven = self.unproven();
        let full = unproven >= self.bound(window, lab);
        (failed, overdue, full && failed + overdue + self.quarantined >= unproven)
    }

    /// Places that took the release and are not proven, in all rings: what the go path counts by itself.
    pub fn taken_unproven(&self) -> u32 {
        let of = |tally: &Tally| tally.taken.saturating_sub(tally.proven);
        of(&self.lab) + of(&self.main) + self.quarantined
    }
}

/// All scopes of a rollout and which of them each stratum belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scopes {
    scopes: Vec<Scope>,
    of_stratum: Vec<Vec<usize>>,
    values_by_attribute: Vec<u32>,
}

impl Scopes {
    /// The scopes of a policy for these strata. Index 0 is all devices.
    pub fn new(policy: &Policy, strata: &[StratumName]) -> Scopes {
        let rings = policy.rings.len();
        let scope = |name, initial| Scope {
            name,
            initial,
            lab: Tally::default(),
            main: Tally::default(),
            places: vec![0; rings],
            quarantined: 0,
        };
        let mut scopes = vec![scope(ScopeName::All, policy.window.initial_all)];
        let mut of_stratum = vec![vec![0]; strata.len()];
        let mut values_by_attribute = Vec::new();
        for (position, attribute) in policy.strata.by.iter().enumerate() {
            let first = scopes.len();
            for (stratum, scopes_of_it) in strata.iter().zip(&mut of_stratum) {
                let value = policy.strata.values_of(stratum).and_then(|values| values.get(position));
                let value = value.map_or(Strata::OTHER, |value| value.as_str()).to_owned();
                let name = ScopeName::Value { attribute: attribute.clone(), value };
                let known = scopes.iter().position(|scope| scope.name == name);
                scopes_of_it.push(known.unwrap_or_else(|| {
                    scopes.push(scope(name, policy.window.initial_value));
                    scopes.len() - 1
                }));
            }
            values_by_attribute.push(u32::try_from(scopes.len() - first).unwrap_or(u32::MAX));
        }
        for (stratum, scopes_of_it) in strata.iter().zip(&mut of_stratum) {
            let name = ScopeName::Stratum { stratum: stratum.clone() };
            scopes_of_it.push(scopes.len());
            scopes.push(scope(name, policy.window.initial_stratum));
        }
        Scopes { scopes, of_stratum, values_by_attribute }
    }

    /// Every scope, all devices first, then values, then strata.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.scopes.iter()
    }

    /// The scope of all devices.
    pub fn all(&self) -> Option<&Scope> {
        self.scopes.first()
    }

    /// The indices of the scopes that a stratum belongs to.
    pub fn of_stratum(&self, stratum: usize) -> &[usize] {
        self.of_stratum.get(stratum).map_or(&[], Vec::as_slice)
    }

    /// The scope at an index.
    pub fn get(&self, index: usize) -> Option<&Scope> {
        self.scopes.get(index)
    }

    /// How many values each stratifying attribute has.
    pub fn values_by_attribute(&self) -> &[u32] {
        &self.values_by_attribute
    }

    /// Changes the tally of every scope of a stratum.
    pub(crate) fn count(&mut self, stratum: usize, lab: bool, change: impl Fn(&mut Tally)) {
        self.each_of(stratum, |scope| change(scope.tally_mut(lab)));
    }

    pub(crate) fn add_places(&mut self, stratum: usize, ring: usize, count: u32) {
        self.each_of(stratum, |scope| {
            if let Some(places) = scope.places.get_mut(ring) {
                *places = places.saturating_add(count);
            }
        });
    }

    /// One more device whose words are left out. Where nobody else is of its stratum, it counts in the scopes of its values.
    pub(super) fn quarantine(&mut self, index: Option<usize>, strata: &Strata, stratum: &StratumName) {
        if let Some(index) = index {
            return self.each_of(index, |scope| scope.quarantined += 1);
        }
        let values: Vec<&str> = strata.values_of(stratum).into_iter().flatten().map(|value| value.as_str()).collect();
        for scope in &mut self.scopes {
            let holds = match &scope.name {
                ScopeName::All => true,
                ScopeName::Stratum { .. } => false,
                ScopeName::Value { attribute, value } => {
                    let position = strata.by.iter().position(|known| known == attribute);
                    position.is_some_and(|at| *value == *values.get(at).copied().unwrap_or(Strata::OTHER))
                }
            };
            scope.quarantined += u32::from(holds);
        }
    }

    /// Takes a device that took the release out of what is counted, but not out of the window.
    pub(super) fn leave_out(&mut self, (stratum, ring): (usize, u8), lab: bool, taken: &Taken) {
        let (proven, failed) = (u32::from(taken.proven), u32::from(taken.failed.is_some() && !taken.proven));
        let overdue = u32::from(taken.overdue);
        self.each_of(stratum, |scope| {
            let tally = scope.tally_mut(lab);
            tally.opened = tally.opened.saturating_sub(1);
            tally.taken = tally.taken.saturating_sub(1);
            tally.proven = tally.proven.saturating_sub(proven);
            tally.failed = tally.failed.saturating_sub(failed);
            tally.overdue = tally.overdue.saturating_sub(overdue);
            scope.quarantined += 1;
            if let Some(places) = scope.places.get_mut(usize::from(ring)) {
                *places = places.saturating_sub(1);
            }
        });
    }

    pub(super) fn remove_place(&mut self, stratum: usize, ring: usize) {
        self.each_of(stratum, |scope| {
            if let Some(places) = scope.places.get_mut(ring) {
                *places = places.saturating_sub(1);
            }
        });
    }

    fn each_of(&mut self, stratum: usize, change: impl Fn(&mut Scope)) {
        for index in self.of_stratum.get(stratum).into_iter().flatten() {
            if let Some(scope) = self.scopes.get_mut(*index) {
                change(scope);
            }
        }
    }
}
