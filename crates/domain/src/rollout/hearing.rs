//! What a device's words, and its silence, change: the standing of its place and every tally that counts it.
//! One device's word changes its own place only; nothing here opens, closes or judges.

use std::collections::BTreeMap;

use super::Rollout;
use super::block::Horizons;
use super::course::count_by_stratum;
use super::place::{PlaceRef, Seen, Stage, Taken};
use crate::ids::{DeviceId, NumberName};
use crate::observation::{FailureReason, Observation};
use crate::time::{Elapsed, WallTime};

/// One thing that a device said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard<'a> {
    /// What it saw.
    pub observation: &'a Observation,
    /// How long after its go, by its own clock.
    pub age: Elapsed,
    /// What it said in numbers, in thousandths.
    pub numbers: &'a BTreeMap<NumberName, i64>,
}

impl Rollout {
    /// Whether this device's signed health reports are wanted now: it is a member of a block that is still open.
    pub fn wants_health_of(&self, device: &DeviceId) -> bool {
        match self.place_of(device).map(|(_, _, place)| &place.stage) {
            Some(Stage::Control { .. }) => true,
            Some(Stage::Taken(taken)) => taken.failed.is_none() && self.looks_at(taken),
            Some(Stage::Waiting | Stage::Open { .. } | Stage::Lapsed) | None => false,
        }
    }

    /// Whether the block of a device that took the release may still be open.
    pub fn looks_at(&self, taken: &Taken) -> bool {
        self.blocks.covers(taken.at_ms, &self.horizons())
    }

    /// What [`Fact::Observed`](super::fact::Fact::Observed) does, for whoever knows the device's place already.
    pub fn observed_at(&mut self, place_ref: PlaceRef, heard: &Heard<'_>, at: WallTime) {
        let Some((_, place)) = self.place(place_ref) else { return };
        match &place.stage {
            Stage::Control { block, .. } => {
                // A control has no go to count from: its block's opening stands for it.
                let opened_at = self.blocks.get(*block).map_or(at, |block| block.opened_at_ms);
                self.observed_control(place_ref, &Heard { age: at.since(opened_at), ..*heard });
            }
            Stage::Taken(_) => self.observed_taken(place_ref, heard),
            Stage::Waiting | Stage::Open { .. } | Stage::Lapsed => {}
        }
    }

    fn observed_control(&mut self, at: PlaceRef, heard: &Heard<'_>) {
        let horizons = self.horizons();
        let outside = self.hear_numbers(at, heard);
        if let Some(Stage::Control { seen, .. }) = self.place_mut(at).map(|place| &mut place.stage) {
            note(seen, heard, outside, &horizons);
        }
    }

    /// Takes what comes with a healthy word in numbers, and says whether it lies outside.
    fn hear_numbers(&mut self, at: PlaceRef, heard: &Heard<'_>) -> bool {
        let healthy = matches!(heard.observation, Observation::Healthy | Observation::Proven { .. });
        if !healthy || self.identity.numbers.is_empty() {
            return false;
        }
        self.measure(at, heard);
        self.is_outside(at, heard)
    }

    fn observed_taken(&mut self, at: PlaceRef, heard: &Heard<'_>) {
        let horizons = self.horizons();
        let outside = self.hear_numbers(at, heard);
        if let Observation::Failed { reason: FailureReason::InvariantBroken, .. } = heard.observation
            && let Some((_, place)) = self.place(at)
        {
            self.broken.insert(place.device.clone());
        }
        let Some(Stage::Taken(taken)) = self.place_mut(at).map(|place| &mut place.stage) else { return };
        let before = Standing::of(taken);
        note(&mut taken.seen, heard, outside, &horizons);
        match heard.observation {
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
                taken.needs_hands = !taken.moved_on;
                taken.well = taken.moved_on;
            }
            Observation::Activating { .. }
            | Observation::Crashed
            | Observation::Refused { .. }
            | Observation::ContactLostBoth => {}
        }
        self.recount(at, before);
    }

    /// A device that left the release for another one is well whatever it says of this one, and needs nobody.
    pub(super) fn moved_on(&mut self, at: PlaceRef) {
        let Some(Stage::Taken(taken)) = self.place_mut(at).map(|place| &mut place.stage) else { return };
        let before = Standing::of(taken);
        taken.moved_on = true;
        taken.well = true;
        taken.needs_hands = false;
        self.recount(at, before);
    }

    /// Counts a failure of another package on a device as one of this release's outcomes, in the band that the device is in now: a report of
    /// another package says its age since another go. The device stays well with this release itself.
    pub(super) fn troubled_elsewhere(&mut self, at: PlaceRef, now: WallTime) {
        let since = match self.place(at).map(|(_, place)| &place.stage) {
            Some(Stage::Taken(taken)) => taken.at_ms,
            Some(Stage::Control { block, .. }) => self.blocks.get(*block).map_or(now, |block| block.opened_at_ms),
            Some(Stage::Waiting | Stage::Open { .. } | Stage::Lapsed) | None => return,
        };
        let Some(band) = self.horizons().band_of(now.since(since)) else { return };
        let fails = |seen: &mut Seen| {
            if let Some(cell) = seen.elsewhere.get_mut(band) {
                *cell = true;
            }
        };
        match self.place_mut(at).map(|place| &mut place.stage) {
            Some(Stage::Control { seen, .. }) => fails(seen),
            Some(Stage::Taken(taken)) => fails(&mut taken.seen),
            Some(Stage::Waiting | Stage::Open { .. } | Stage::Lapsed) | None => {}
        }
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
        let harmed = i32::from(after.failed || after.overdue) - i32::from(before.failed || before.overdue);
        let troubled = i32::from(after.troubled) - i32::from(before.troubled);
        let well = i32::from(after.well) - i32::from(before.well);
        let back = i32::from(after.back) - i32::from(before.back);
        let healed = i32::from(after.is_healed()) - i32::from(before.is_healed());
        let moved_on = i32::from(after.moved_on) - i32::from(before.moved_on);
        let needs_hands = i32::from(after.needs_hands) - i32::from(before.needs_hands);
        let lab = self.is_lab(ring);
        self.scopes.count(usize::from(stratum), lab, |tally| {
            tally.proven += proven;
            tally.proven_late += proven_late;
            tally.failed += failed_unproven;
            tally.overdue = tally.overdue.saturating_add_signed(overdue);
            tally.harmed = tally.harmed.saturating_add_signed(harmed);
            tally.well = tally.well.saturating_add_signed(well);
            tally.back = tally.back.saturating_add_signed(back);
            tally.healed = tally.healed.saturating_add_signed(healed);
            tally.moved_on = tally.moved_on.saturating_add_signed(moved_on);
            tally.needs_hands = tally.needs_hands.saturating_add_signed(needs_hands);
        });
        if let Some(tally) = self.rings.get_mut(usize::from(ring)) {
            tally.proven += proven;
            tally.proven_late += proven_late;
            tally.failed += u32::from(newly_failed);
            tally.silent = tally.silent.saturating_add_signed(overdue);
            tally.troubled = tally.troubled.saturating_add_signed(troubled);
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
        if !healthy && !taken.proven && taken.failed.is_none() && !taken.moved_on {
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
    troubled: bool,
    settled: bool,
    well: bool,
    back: bool,
    moved_on: bool,
    needs_hands: bool,
}

impl Standing {
    fn of(taken: &Taken) -> Standing {
        Standing {
            proven: taken.proven,
            failed: taken.failed.is_some(),
            overdue: taken.overdue,
            troubled: taken.is_troubled(),
            settled: !taken.pending(),
            well: taken.well,
            back: taken.returned && !taken.needs_hands,
            moved_on: taken.moved_on && !taken.returned,
            needs_hands: taken.needs_hands,
        }
    }

    fn is_healed(self) -> bool {
        (self.failed || self.overdue) && self.well && !self.needs_hands
    }
}

impl Taken {
    fn hears_good_news(&mut self) {
        self.overdue = false;
        self.well = self.failed.is_none() || self.returned || self.moved_on;
    }

    /// A failure that is heard of again, or after the return, does not make a device unwell that is back on its fallback or has moved on.
    fn fails(&mut self, reason: FailureReason) {
        self.failed.get_or_insert(reason);
        self.overdue = false;
        self.well &= self.returned || self.moved_on;
    }
}

fn note(seen: &mut Seen, heard: &Heard<'_>, outside: bool, horizons: &Horizons) {
    let Some(band) = horizons.band_of(heard.age) else { return };
    let set = |cells: &mut [bool; 2], value: bool| {
        if let Some(cell) = cells.get_mut(band) {
            *cell = value;
        }
    };
    match heard.observation {
        Observation::Healthy | Observation::Proven { .. } => {
            set(&mut seen.healthy, true);
            set(&mut seen.outside, outside);
            if band == 1 {
                seen.is_back_in(horizons.slot_of(heard.age));
            }
        }
        Observation::Crashed => seen.crashes_at(heard.age),
        Observation::NeedsHands { reason } => {
            set(&mut seen.hard, true);
            note_crash(seen, *reason, heard.age);
        }
        Observation::Failed { reason, .. } | Observation::Returned { reason } if *reason != FailureReason::Reverted => {
            set(&mut seen.hard, true);
            note_crash(seen, *reason, heard.age);
        }
        Observation::Failed { .. }
        | Observation::Returned { .. }
        | Observation::Activating { .. }
        | Observation::Refused { .. }
        | Observation::ContactLostBoth => {}
    }
}

/// Who gave up because of crashes has crashed, whether or not each was heard of.
fn note_crash(seen: &mut Seen, reason: FailureReason, age: Elapsed) {
    if reason == FailureReason::Crashed {
        seen.crashes_at(age);
    }
}
