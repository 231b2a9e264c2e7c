//! How far a step may open: every row as far as the windows of all its scopes leave room, breadth first. It reads; it opens nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::Rollout;
use super::fact::RowCount;
use super::planner::Moment;
use crate::policy::Strata;
use crate::time::WallTime;

/// Finds how far every row can be opened: breadth first, one place a row in turn, within the window of every scope.
pub(super) struct Opening<'a> {
    rollout: &'a Rollout,
    /// By stratum: whether people hold it.
    shut: Vec<bool>,
    opened: Vec<u32>,
    added: Vec<u32>,
    added_elsewhere_max: u32,
    cut: Vec<u32>,
    now: WallTime,
}

impl<'a> Opening<'a> {
    pub(super) fn new(rollout: &'a Rollout, moment: &Moment<'_>) -> Opening<'a> {
        let unproven = rollout.scopes.all().map_or(0, super::scope::Scope::unproven);
        let everywhere = moment.unproven_elsewhere.saturating_add(unproven);
        Opening {
            rollout,
            shut: rollout.strata.iter().map(|stratum| (moment.shut)(stratum)).collect(),
            opened: rollout.rows.iter().map(|row| row.opened).collect(),
            added: vec![0; rollout.scopes.iter().count()],
            added_elsewhere_max: moment.unproven_everywhere_max.saturating_sub(everywhere),
            now: moment.now,
            cut: (0..rollout.strata.len()).map(|stratum| rollout.openable_with_control(stratum)).collect(),
        }
    }

    /// The counts of the next permit; none where nothing more may be opened.
    pub(super) fn widest(mut self) -> Vec<RowCount> {
        // `other`, the stratum of everything that the policy does not list, opens when the others have nothing left to open.
        let is_other =
            |row: &super::Row| self.rollout.stratum(row.stratum).is_some_and(|s| s.as_str() == Strata::OTHER);
        let others: BTreeSet<usize> =
            (0..self.rollout.rows.len()).filter(|i| self.rollout.rows.get(*i).is_some_and(is_other)).collect();
        let listed: Vec<usize> = (0..self.rollout.rows.len()).filter(|i| !others.contains(i)).collect();
        self.open_in_turn(&listed);
        if !listed.iter().any(|row| self.is_left(*row)) {
            self.open_in_turn(&others.into_iter().collect::<Vec<_>>());
        }
        self.counts()
    }

    fn open_in_turn(&mut self, rows: &[usize]) {
        loop {
            let before: u32 = self.opened.iter().sum();
            for row in rows {
                self.open_one(*row);
            }
            if self.opened.iter().sum::<u32>() == before {
                return;
            }
        }
    }

    fn open_one(&mut self, row: usize) {
        let Some((stratum, ring)) = self.next_in_ring(row) else { return };
        let lab = self.rollout.is_lab(ring);
        let scopes = self.rollout.scopes.of_stratum(stratum);
        let room = self.added.first().is_none_or(|all| *all < self.added_elsewhere_max)
            && (lab || self.cut.get(stratum).is_none_or(|cut| *cut > 0))
            && scopes.iter().all(|index| self.has_room(*index, lab));
        if !room {
            return;
        }
        for index in scopes {
            if let Some(added) = self.added.get_mut(*index) {
                *added += 1;
            }
        }
        if let Some(cut) = self.cut.get_mut(stratum).filter(|_| !lab) {
            *cut -= 1;
        }
        if let Some(opened) = self.opened.get_mut(row) {
            *opened += 1;
        }
    }

    /// Whether a roster of the order still has shut places in the open rings. A control that its block holds back is one.
    /// Addenda are not asked: somebody always joins or returns.
    fn is_left(&self, row_index: usize) -> bool {
        let Some((row, opened)) = self.rollout.rows.get(row_index).zip(self.opened.get(row_index)) else {
            return false;
        };
        if self.rollout.is_closed(usize::from(row.stratum)) {
            return false;
        }
        let end = row.places.len().saturating_sub(row.held_back as usize);
        let next = row.places.get(..end).and_then(|places| places.get(*opened as usize));
        row.addendum == 0 && next.is_some_and(|place| place.ring <= self.rollout.ring)
    }

    /// Stratum and ring of the next place of a row, if it is in an open ring, not kept back and not promised as control.
    fn next_in_ring(&self, row_index: usize) -> Option<(usize, u8)> {
        let row = self.rollout.rows.get(row_index)?;
        let next = *self.opened.get(row_index)?;
        let end = super::number(row.places.len()).saturating_sub(row.held_back);
        let place = row.places.get(next as usize).filter(|_| next < end)?;
        let stratum = usize::from(row.stratum);
        let closed = self.rollout.is_closed(stratum) || self.shut.get(stratum).copied().unwrap_or(false);
        let open = !closed
            && place.ring <= self.rollout.ring
            && place.is_waiting()
            && self.is_approved(place.ring, row.addendum, place.again);
        open.then_some((stratum, place.ring))
    }

    /// Whether a place is among those that people let open, where the ring's policy asks them. Who joined since is not, and who lapsed and
    /// came back is.
    fn is_approved(&self, ring: u8, addendum: u32, again: bool) -> bool {
        let given = self.rollout.given(ring, self.now);
        self.rollout.is_approved(ring, self.now) || given.is_some_and(|given| again || addendum <= given.addenda)
    }

    fn has_room(&self, index: usize, lab: bool) -> bool {
        let (Some(scope), Some(added)) = (self.rollout.scopes.get(index), self.added.get(index)) else { return false };
        scope.unproven().saturating_add(*added) < scope.bound(&self.rollout.policy.window, lab)
    }

    fn counts(&self) -> Vec<RowCount> {
        let changed = self.rollout.rows.iter().zip(&self.opened).any(|(row, opened)| row.opened < *opened);
        if !changed {
            return Vec::new();
        }
        let mut counts: BTreeMap<RowCount, ()> = BTreeMap::new();
        for (row, opened) in self.rollout.rows.iter().zip(&self.opened).filter(|(_, opened)| **opened > 0) {
            if let Some(stratum) = self.rollout.stratum(row.stratum) {
                counts.insert(RowCount { stratum: stratum.clone(), addendum: row.addendum, count: *opened }, ());
            }
        }
        counts.into_keys().collect()
    }
}
