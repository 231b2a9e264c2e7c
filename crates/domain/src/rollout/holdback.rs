//! The holdback: places at the end of each roster that stay shut while the release spreads, as control to the end and against faults that
//! show late. Where the policy sets an end, they open that long after the rollout is complete, under the window like all others.

use super::place::PlaceState;
use super::{Phase, Rollout};
use crate::time::WallTime;

impl Rollout {
    /// How many of a stratum's places are held back: a share of its last ring, rounded up.
    pub(super) fn to_hold_back(&self, places: &[PlaceState]) -> u32 {
        let last = self.policy.rings.len().saturating_sub(1);
        let in_last = places.iter().filter(|place| usize::from(place.ring) == last).count();
        (self.policy.holdback.share * in_last as f64).ceil() as u32
    }

    /// Whether what is held back is to be opened now.
    pub(super) fn holdback_is_over(&self, now: WallTime) -> bool {
        let (Phase::Completed { at_ms }, Some(duration)) = (&self.phase, self.policy.holdback.duration) else {
            return false;
        };
        now >= at_ms.after(duration) && self.rows.iter().any(|row| row.held_back > 0)
    }

    /// Places that were held back are places like others from now on.
    pub(super) fn end_holdback(&mut self) {
        for index in 0..self.rows.len() {
            let Some(row) = self.rows.get_mut(index) else { continue };
            let (stratum, from) = (usize::from(row.stratum), row.places.len().saturating_sub(row.held_back as usize));
            let of_order = row.addendum == 0;
            row.held_back = 0;
            let opened: Vec<(u8, bool)> =
                row.places.get(from..).unwrap_or_default().iter().map(|place| (place.ring, place.evidence)).collect();
            for (ring, evidence) in opened {
                self.count_place(stratum, ring, of_order, evidence);
            }
        }
    }

    /// Counts a place that is not held back.
    pub(super) fn count_place(&mut self, stratum: usize, ring: u8, of_order: bool, evidence: bool) {
        self.order_left += u32::from(of_order);
        self.scopes.add_places(stratum, usize::from(ring), 1);
        if let Some(tally) = self.rings.get_mut(usize::from(ring)) {
            tally.places += 1;
            tally.late += u32::from(!evidence);
        }
    }
}
