//! What a device's words, and its silence, change: the standing of its place and every tally that counts it.
//! One device's word changes its own place only; nothing here opens, closes or judges.

use super::Rollout;
use super::course::count_by_stratum;
use super::place::{PlaceRef, Seen, Stage, Taken};
use crate::observation::{FailureReason, Observation};
use crate::time::{Elapsed, WallTime};

impl Rollout {
    /// What [`Fact::Observed`](super::fact::Fact::Observed) does, for whoever knows the device's place already.
    pub fn observed_at(&mut self, place_ref: PlaceRef, observation: &Observation, age: Elapsed, at: WallTime) {
        let Some((_, place)) = self.place(place_ref) else { return };
        match &place.stage {
            Stage::Control { block, .. } => {
                let opened_at = self.blocks.get(*block).map_or(at, |block| block.opened_at_ms);
                let band = self.horizons().band_of(at.since(opened_at));
                if let Some(Stage::Control { seen, .. }) = self.place_mut(place_ref).map(|place| &mut place.stage) {
                    note(seen, observation, band);
                }
            }
            Stage::Taken(_) => self.observed_taken(place_ref, observation, age),
            Stage::Waiting | Stage::Open { .. } | Stage::Lapsed => {}
        }
    }

    fn observed_taken(&mut self, at: PlaceRef, observation: &Observation, age: Elapsed) {
        let band = self.horizons().band_of(age);
        let Some(Stage::Taken(taken)) = self.place_mut(at).map(|place| &mut place.stage) else { return };
        note(&mut taken.seen, observation, band);
        let before = Standing::of(taken);
        match observation {
            Observation::Healthy => taken.hears_good_news(),
            Observation::Proven { .. } => {
                taken.hears_good_news();
                taken.proven |= taken.failed.is_none();
            }
            // On its way back because it was told to: that is no failure of the release.
            Observation::Failed { reason: FailureReason::Reverted, .. } => {}
            Observation::Failed { reason, .. } => taken.fails(*reason),
            Observation::Returned { reason } => {
                // Reports can be lost: who returned by itself has failed, whether or not it said so before.
                if *reason != FailureReason::Reverted {
                    taken.fails(*reason);
                }
                taken.returned = true;
                taken.well = true;
                taken.needs_hands = false;
            }
            Observation::NeedsHands { reason } => {
                taken.fails(*reason);
                taken.needs_hands = true;
                taken.well = false;
            }
            Observation::Activating { .. } | Observation::Refused { .. } | Observation::ContactLostBoth => {}
        }
        self.recount(at, before);
    }

    /// Carries a change of one taken place into every tally.
    fn recount(&mut self, at: PlaceRef, before: Standing) {
        let Some((row, place)) = self.place(at) else { return };
        let Stage::Taken(taken) = &place.stage else { return };
        let (after, evidence, of_order) = (Standing::of(taken), place.evidence, row.addendum == 0);
        let (stratum, ring) = (row.stratum, place.ring);
        let proven = u32::from(after.proven && !before.proven);
        let proven_late = if evidence { 0 } else { proven };
        let newly_failed = after.failed && !before.failed;
        let failed_unproven = u32::from(newly_failed && !after.proven);
        let overdue = i32::from(after.overdue) - i32::from(before.overdue);
        let well = i32::from(after.well) - i32::from(before.well);
        let back = i32::from(after.back) - i32::from(before.back);
        let needs_hands = i32::from(after.needs_hands) - i32::from(before.needs_hands);
        let lab = self.is_lab(ring);
        self.scopes.count(usize::from(stratum), lab, |tally| {
            tally.proven += proven;
            tally.proven_late += proven_late;
            tally.failed += failed_unproven;
            tally.overdue = tally.overdue.saturating_add_signed(overdue);
        });
        if let Some(tally) = self.rings.get_mut(usize::from(ring)) {
            tally.proven += proven;
            tally.proven_late += proven_late;
            tally.failed += u32::from(newly_failed);
            tally.silent = tally.silent.saturating_add_signed(overdue);
            tally.well = tally.well.saturating_add_signed(well);
            tally.back = tally.back.saturating_add_signed(back);
            tally.needs_hands = tally.needs_hands.saturating_add_signed(needs_hands);
        }
        if proven > proven_late {
            count_by_stratum(&mut self.strata_proven, stratum, ring);
        }
        if of_order {
            let left = i32::from(!after.settled) - i32::from(!before.settled);
            self.order_left = self.order_left.saturating_add_signed(left);
        }
    }

    /// Marks a device as overdue that was not healthy in the band that just ended. After the second band nothing more is
    /// waited for.
    pub(super) fn band_is_over(&mut self, at: PlaceRef, second: bool) {
        let Some(Stage::Taken(taken)) = self.place_mut(at).map(|place| &mut place.stage) else { return };
        let before = Standing::of(taken);
        let healthy = taken.seen.healthy.get(usize::from(second)).copied().unwrap_or(false);
        if !healthy && !taken.proven && taken.failed.is_none() {
            taken.overdue = true;
            taken.well = false;
        }
        taken.heard_out |= second;
        self.recount(at, before);
    }
}

/// What the tallies count of a device that took the release.
#[derive(Clone, Copy)]
struct Standing {
    proven: bool,
    failed: bool,
    overdue: bool,
    settled: bool,
    well: bool,
    back: bool,
    needs_hands: bool,
}

impl Standing {
    fn of(taken: &Taken) -> Standing {
        Standing {
            proven: taken.proven,
            failed: taken.failed.is_some(),
            overdue: taken.overdue,
            settled: !taken.pending(),
            well: taken.well,
            back: taken.returned && !taken.needs_hands,
            needs_hands: taken.needs_hands,
        }
    }
}

impl Taken {
    fn hears_good_news(&mut self) {
        self.overdue = false;
        self.well = self.failed.is_none() || self.returned;
    }

    /// A failure that is heard of again, or after the return, does not make a device unwell that is back on its fallback.
    fn fails(&mut self, reason: FailureReason) {
        self.failed.get_or_insert(reason);
        self.overdue = false;
        self.well &= self.returned;
    }
}

fn note(seen: &mut Seen, observation: &Observation, band: Option<usize>) {
    let Some(band) = band else { return };
    let (row, hit) = match observation {
        Observation::Healthy | Observation::Proven { .. } => (&mut seen.healthy, true),
        Observation::NeedsHands { .. } => (&mut seen.hard, true),
        Observation::Failed { reason, .. } | Observation::Returned { reason } => {
            (&mut seen.hard, *reason != FailureReason::Reverted)
        }
        Observation::Activating { .. } | Observation::Refused { .. } | Observation::ContactLostBoth => {
            (&mut seen.healthy, false)
        }
    };
    if let Some(cell) = row.get_mut(band) {
        *cell |= hit;
    }
}
