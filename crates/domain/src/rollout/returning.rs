//! The way back after a halt: which devices that took the release are ordered to return to their fallback, and when.
//!
//! A return is a change like any other: it can fail too. So it is paced like a window, in every scope:
//! `on their way <= initial + growth x back`. A device's own return needs nobody and waits for nothing.

use std::collections::BTreeMap;

use super::fact::RowCount;
use super::place::{PlaceState, Stage, Taken};
use super::{Phase, Rollout, Row, number};
use crate::ids::DeviceId;
use crate::policy::OnHalt;

/// A permit of kind `revert` that was issued.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IssuedReturn {
    /// Its step; the steps of returns count by themselves.
    pub step: u32,
    /// How far each row is reached now.
    pub counts: Vec<RowCount>,
}

impl Rollout {
    /// The permits of kind `revert` so far.
    pub fn returns(&self) -> &[IssuedReturn] {
        &self.returns
    }

    /// Whether the device of this place is to return: it took the release, a permit of kind `revert` reaches it, and it has not said
    /// that it is back, nor that it needs hands.
    pub fn is_to_return(&self, row: &Row, index: u32) -> bool {
        index < row.returning && row.places.get(index as usize).is_some_and(|place| on_release(place).is_some())
    }

    /// Whether devices may still have to be ordered back.
    pub(super) fn has_returns_left(&self) -> bool {
        self.policy.on_halt == OnHalt::Revert
            && self.rows.iter().any(|row| row.returning < row.opened && self.is_to_be_left(row))
    }

    /// Every device that took what is halted: the whole release, or in a part of the fleet.
    pub fn taken_of_halted(&self) -> impl Iterator<Item = (&DeviceId, &Taken)> {
        self.rows.iter().filter(|row| self.is_to_be_left(row)).flat_map(Row::taken)
    }

    /// Whether devices of this row are to leave the release: it was halted, or their stratum was.
    pub(crate) fn is_to_be_left(&self, row: &Row) -> bool {
        matches!(self.phase, Phase::Halted { .. }) || self.is_closed(usize::from(row.stratum))
    }

    pub(super) fn return_issued(&mut self, step: u32, counts: &[RowCount]) {
        if self.returns.last().is_some_and(|last| last.step >= step) {
            return;
        }
        for count in counts {
            let Some(stratum) = self.stratum_index(&count.stratum) else { continue };
            let is_it = |row: &&mut Row| usize::from(row.stratum) == stratum && row.addendum == count.addendum;
            if let Some(row) = self.rows.iter_mut().find(is_it) {
                row.returning = row.returning.max(count.count.min(row.opened));
            }
        }
        self.returns.push(IssuedReturn { step, counts: counts.to_vec() });
    }

    /// How far every row may be reached now; empty where that is no farther than before. Breadth first, a device a row in turn.
    pub(super) fn widest_return(&self) -> Vec<RowCount> {
        if !self.has_returns_left() {
            return Vec::new();
        }
        let mut pacing = Pacing::new(self);
        let mut reached: Vec<u32> = self.rows.iter().map(|row| row.returning).collect();
        loop {
            let mut moved = false;
            for (row, reached) in self.rows.iter().zip(&mut reached).filter(|(row, _)| self.is_to_be_left(row)) {
                moved |= pacing.reach_one(row, reached);
            }
            if !moved {
                break;
            }
        }
        let farther = self.rows.iter().zip(&reached).any(|(row, reached)| row.returning < *reached);
        if !farther {
            return Vec::new();
        }
        let mut counts = BTreeMap::new();
        for (row, reached) in self.rows.iter().zip(&reached).filter(|(_, reached)| **reached > 0) {
            if let Some(stratum) = self.stratum(row.stratum) {
                counts.insert(RowCount { stratum: stratum.clone(), addendum: row.addendum, count: *reached }, ());
            }
        }
        counts.into_keys().collect()
    }
}

/// A device that took the release and is not back: what it would take to bring it back is an order.
fn on_release(place: &PlaceState) -> Option<&Taken> {
    match &place.stage {
        Stage::Taken(taken) if !taken.returned && !taken.moved_on && !taken.needs_hands => Some(taken),
        Stage::Taken(_) | Stage::Waiting | Stage::Control { .. } | Stage::Open { .. } | Stage::Lapsed => None,
    }
}

/// How many are on their way back, and back, in each scope.
struct Pacing<'a> {
    rollout: &'a Rollout,
    on_their_way: Vec<u32>,
    back: Vec<u32>,
}

impl<'a> Pacing<'a> {
    fn new(rollout: &'a Rollout) -> Pacing<'a> {
        let scopes = rollout.scopes.iter().count();
        let mut pacing = Pacing { rollout, on_their_way: vec![0; scopes], back: vec![0; scopes] };
        for row in &rollout.rows {
            let reached = row.places.get(..row.returning as usize).unwrap_or_default();
            let is_back = |place: &&PlaceState| matches!(&place.stage, Stage::Taken(taken) if taken.returned);
            let back = number(reached.iter().filter(is_back).count());
            // One that had failed before it was ordered back is in no more danger than it was.
            let moving = number(reached.iter().filter_map(on_release).filter(|taken| taken.well).count());
            for index in rollout.scopes.of_stratum(usize::from(row.stratum)) {
                add(&mut pacing.on_their_way, *index, moving);
                add(&mut pacing.back, *index, back);
            }
        }
        pacing
    }

    /// Reaches the next device of a row, and with it all behind it that need no order. Whether it went any farther.
    fn reach_one(&mut self, row: &Row, reached: &mut u32) -> bool {
        let before = *reached;
        while *reached < row.opened {
            let next = row.places.get(*reached as usize).and_then(on_release);
            if let Some(taken) = next.filter(|taken| taken.well) {
                let scopes = self.rollout.scopes.of_stratum(usize::from(row.stratum));
                if *reached > before || !scopes.iter().all(|index| self.has_room(*index)) {
                    break;
                }
                debug_assert!(!taken.returned);
                scopes.iter().for_each(|index| add(&mut self.on_their_way, *index, 1));
            }
            *reached += 1;
        }
        *reached > before
    }

    fn has_room(&self, index: usize) -> bool {
        let Some(scope) = self.rollout.scopes.get(index) else { return false };
        let of = |counts: &[u32]| counts.get(index).copied().unwrap_or(0);
        let bound = self.rollout.policy.window.growth.saturating_mul(of(&self.back)).saturating_add(scope.initial);
        of(&self.on_their_way) < bound
    }
}

fn add(counts: &mut [u32], index: usize, n: u32) {
    if let Some(count) = counts.get_mut(index) {
        *count = count.saturating_add(n);
    }
}
