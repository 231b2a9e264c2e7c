//! Halting a part of a fleet alone, under a policy with `halt = "scope"`: what the evidence is confined to is closed, and the rest goes on.
//!
//! A closed stratum opens nothing and gives no go, for good. What it took stays in every window that holds it: no bound is widened by a
//! closing. The gate begins anew for the rest, and each closing makes it easier to halt wrongly; so the n-th stretch between closings has
//! `alpha / (n (n + 1))` of the release's `alpha`, which adds up to `alpha` over all of them.

use serde::{Deserialize, Serialize};

use super::entering::Went;
use super::place::{PlaceState, Stage};
use super::reason::HaltReason;
use super::scope::{ScopeName, Tally};
use super::{Phase, Rollout, Row};
use crate::policy::HaltReach;
use crate::time::WallTime;

/// A part of the fleet that was halted alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Closed {
    /// Which part.
    pub scope: ScopeName,
    /// Why.
    pub reasons: Vec<HaltReason>,
    /// When.
    pub at_ms: WallTime,
}

impl Rollout {
    /// The parts that were halted alone, in the order of their closing.
    pub fn closed(&self) -> &[Closed] {
        &self.closed
    }

    /// Whether a stratum is closed.
    pub fn is_closed(&self, stratum: usize) -> bool {
        self.closed_strata.contains(&stratum)
    }

    /// The scopes that are to be closed instead of halting the rollout; none where the policy or the evidence does not confine it: a reason
    /// that names everybody or nobody, a blamed scope elsewhere, or parts that hold half of the order's places.
    pub(super) fn confined_to(&self, reasons: &[HaltReason]) -> Option<Vec<ScopeName>> {
        if self.policy.halt != HaltReach::Scope || reasons.is_empty() {
            return None;
        }
        let mut scopes: Vec<ScopeName> = reasons.iter().map(scope_of).collect::<Option<_>>()?;
        scopes.sort();
        scopes.dedup();
        let mut strata: Vec<usize> = scopes.iter().flat_map(|scope| self.strata_of(scope)).collect();
        strata.extend(&self.closed_strata);
        strata.sort_unstable();
        strata.dedup();
        let elsewhere = |scope: &ScopeName| self.strata_of(scope).iter().all(|stratum| !strata.contains(stratum));
        let blamed = self.gate.suspects(&self.scopes).into_iter().filter(|one| one.blamed);
        if blamed.map(|one| one.name).any(|scope| elsewhere(&scope)) {
            return None;
        }
        let places = |stratum: usize| {
            let of_stratum = self.scopes.of_stratum(stratum).last().and_then(|index| self.scopes.get(*index));
            of_stratum.map_or(0, |scope| scope.places.iter().sum())
        };
        let (closing, all) =
            (strata.iter().map(|s| places(*s)).sum::<u32>(), (0..self.strata.len()).map(places).sum::<u32>());
        (closing.saturating_mul(2) < all).then_some(scopes)
    }

    /// The tallies of what is halted, lab and rest apart: of all devices, or of each stratum that is closed.
    pub(crate) fn halted_tallies(&self) -> impl Iterator<Item = &Tally> {
        let all = self.scopes.all().filter(|_| matches!(self.phase, Phase::Halted { .. }));
        let of_stratum = |stratum: &usize| self.scopes.get(*self.scopes.of_stratum(*stratum).last()?);
        let closed = self.closed_strata.iter().filter_map(of_stratum).filter(move |_| all.is_none());
        all.into_iter().chain(closed).flat_map(|scope| [&scope.lab, &scope.main])
    }

    /// The strata that a scope holds.
    fn strata_of(&self, scope: &ScopeName) -> Vec<usize> {
        let Some(index) = self.scopes.iter().position(|known| known.name == *scope) else { return Vec::new() };
        (0..self.strata.len()).filter(|stratum| self.scopes.of_stratum(*stratum).contains(&index)).collect()
    }

    /// What was closed under an earlier order of the same files stays so. The evidence of the rest began anew then.
    pub(super) fn stay_closed(&mut self, earlier: &Rollout) {
        for closed in &earlier.closed {
            let strata = self.strata_of(&closed.scope);
            if !strata.is_empty() && !self.closed.iter().any(|held| held.scope == closed.scope) {
                self.closed.push(closed.clone());
                self.closed_strata.extend(strata);
            }
        }
    }

    /// Closes scopes for good.
    pub(super) fn close(&mut self, scopes: &[ScopeName], reasons: &[HaltReason], at: WallTime) {
        let before = self.closed.len();
        for scope in scopes {
            if self.closed.iter().any(|closed| closed.scope == *scope) {
                continue;
            }
            let of_it = |reason: &&HaltReason| scope_of(reason).as_ref() == Some(scope);
            let reasons = reasons.iter().filter(of_it).cloned().collect();
            self.closed.push(Closed { scope: scope.clone(), reasons, at_ms: at });
            self.closed_strata.extend(self.strata_of(scope));
        }
        if self.closed.len() == before {
            return;
        }
        let scopes: Vec<usize> =
            self.closed_strata.iter().flat_map(|stratum| self.scopes.of_stratum(*stratum).iter().copied()).collect();
        self.gate.begin_anew(&scopes, &self.policy, !self.identity.numbers.is_empty());
        self.went.push(Went::Anew { scopes });
    }

    /// Places of a ring that will never open, because their stratum is closed: all of them, and those that are no evidence.
    pub(super) fn shut_for_good(&self, ring: usize) -> (u32, u32) {
        let of_ring = self.never_open().filter(|(_, place)| usize::from(place.ring) == ring);
        of_ring.fold((0, 0), |(all, late), (_, place)| (all + 1, late + u32::from(!place.evidence)))
    }

    /// The same of the order's own rosters, over all rings.
    pub(super) fn of_order_shut_for_good(&self) -> u32 {
        super::number(self.never_open().filter(|(row, _)| row.addendum == 0).count())
    }

    fn never_open(&self) -> impl Iterator<Item = (&Row, &PlaceState)> {
        let closed = self.rows.iter().filter(|row| self.is_closed(usize::from(row.stratum)));
        let places = closed.flat_map(|row| {
            let end = row.places.len().saturating_sub(row.held_back as usize);
            row.places.get(..end).unwrap_or_default().iter().map(move |place| (row, place))
        });
        places.filter(|(_, place)| matches!(place.stage, Stage::Waiting | Stage::Control { .. }))
    }
}

/// The scope that a reason names, where it is a part of the fleet.
fn scope_of(reason: &HaltReason) -> Option<ScopeName> {
    reason.scope().filter(|scope| **scope != ScopeName::All).cloned()
}
