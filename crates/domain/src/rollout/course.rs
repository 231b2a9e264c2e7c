//! How facts change a rollout. One method a fact; what no longer fits (late, repeated, unknown) changes nothing.

use super::block::Tick;
use super::fact::{AddedPlace, Fact, RowCount};
use super::gate::BandCounts;
use super::place::{PlaceRef, Seen, Stage, Taken};
use super::{Issued, Phase, Rollout, waiting};
use crate::ids::{DeviceId, StratumName};
use crate::observation::{FailureReason, Observation};
use crate::time::{Elapsed, WallTime};

impl Rollout {
    /// Applies a recorded fact. `at` is the instant of its record.
    pub fn apply(&mut self, fact: &Fact, at: WallTime) {
        match fact {
            Fact::Took { device } => self.took(device, at),
            Fact::Observed { device, observation, age_ms } => {
                self.observed(device, observation, Elapsed::from_ms(*age_ms), at);
            }
            Fact::PermitIssued { step, counts, take_by_ms } => self.permit_issued(*step, counts, *take_by_ms, at),
            Fact::Lapsed { step } => self.lapsed(*step),
            Fact::AddendumIssued { number, places } => self.addendum_issued(*number, places),
            Fact::BlockOpened { tick, stratum, lab, controls } => self.block_opened(*tick, stratum, *lab, controls),
            Fact::BandEntered { block, band } => self.band_entered(*block, *band),
            Fact::RingPassed { ring } => self.ring = self.ring.max(ring.saturating_add(1)),
            Fact::Completed => self.phase = Phase::Completed { at_ms: at },
            Fact::Halted { reasons } => self.phase = Phase::Halted { reasons: reasons.clone(), at_ms: at },
            Fact::Paused { by } => self.pause(by),
            Fact::Resumed { .. } => self.resume(at),
            Fact::Escalated { why } => self.escalated = Some(*why),
        }
    }

    fn pause(&mut self, by: &crate::ids::OperatorName) {
        if self.phase == Phase::Running {
            self.phase = Phase::Paused { by: by.clone() };
        }
    }

    fn resume(&mut self, at: WallTime) {
        if matches!(self.phase, Phase::Paused { .. }) {
            self.phase = Phase::Running;
        }
        // A person has looked: the watchdog starts anew.
        self.escalated = None;
        self.last_opened_at = Some(at);
    }

    fn took(&mut self, device: &DeviceId, at: WallTime) {
        let Some((place_ref, row, place)) = self.place_of(device) else { return };
        if !matches!(place.stage, Stage::Open { .. }) {
            return;
        }
        let (stratum, ring, lab, evidence) = (row.stratum, place.ring, self.is_lab(place.ring), place.evidence);
        if let Some(place) = self.place_mut(place_ref) {
            place.stage = Stage::Taken(Taken::new(at));
        }
        self.scopes.count(usize::from(stratum), lab, |tally| tally.taken += 1);
        if let Some(tally) = self.rings.get_mut(usize::from(ring)) {
            tally.taken += 1;
        }
        count_by_stratum(&mut self.strata_taken, stratum, ring);
        if let Some(reached @ None) = self.ring_reached.get_mut(usize::from(ring)) {
            *reached = Some(at);
        }
        if evidence {
            let tick = self.horizons().tick(at);
            self.blocks.gather(Tick { tick, stratum, lab }, place_ref);
        }
    }

    fn observed(&mut self, device: &DeviceId, observation: &Observation, age: Elapsed, at: WallTime) {
        let Some((place_ref, row, place)) = self.place_of(device) else { return };
        let (stratum, ring) = (row.stratum, place.ring);
        match &place.stage {
            Stage::Control { block, .. } => {
                let opened_at = self.blocks.get(*block).map_or(at, |block| block.opened_at_ms);
                let band = self.horizons().band_of(at.since(opened_at));
                if let Some(Stage::Control { seen, .. }) = self.place_mut(place_ref).map(|place| &mut place.stage) {
                    note(seen, observation, band);
                }
            }
            Stage::Taken(_) => self.observed_taken(place_ref, stratum, ring, observation, age),
            Stage::Waiting | Stage::Open { .. } | Stage::Lapsed => {}
        }
    }

    fn observed_taken(&mut self, at: PlaceRef, stratum: u16, ring: u8, observation: &Observation, age: Elapsed) {
        let band = self.horizons().band_of(age);
        let Some(Stage::Taken(taken)) = self.place_mut(at).map(|place| &mut place.stage) else { return };
        note(&mut taken.seen, observation, band);
        let before = (taken.proven, taken.failed.is_some(), taken.overdue);
        match observation {
            Observation::Healthy => taken.hears_good_news(),
            Observation::Proven { .. } => {
                taken.hears_good_news();
                taken.proven |= taken.failed.is_none();
            }
            Observation::Failed { reason, .. } => taken.fails(*reason),
            Observation::Returned { .. } => {
                taken.returned = true;
                taken.well = true;
                taken.needs_hands = false;
            }
            Observation::NeedsHands { reason } => {
                taken.fails(*reason);
                taken.needs_hands = true;
            }
            Observation::Activating { .. } | Observation::Refused { .. } | Observation::ContactLostBoth => {}
        }
        let after = (taken.proven, taken.failed.is_some(), taken.overdue);
        self.recount(stratum, ring, before, after);
    }

    /// Carries a change of one taken place into every tally. `(proven, failed, overdue)` before and after.
    fn recount(&mut self, stratum: u16, ring: u8, before: (bool, bool, bool), after: (bool, bool, bool)) {
        let newly_proven = after.0 && !before.0;
        let newly_failed = after.1 && !before.1;
        let unproven_failure = newly_failed && !after.0;
        let overdue = i32::from(after.2) - i32::from(before.2);
        let lab = self.is_lab(ring);
        self.scopes.count(usize::from(stratum), lab, |tally| {
            tally.proven += u32::from(newly_proven);
            tally.failed += u32::from(unproven_failure);
            tally.overdue = tally.overdue.saturating_add_signed(overdue);
        });
        if let Some(tally) = self.rings.get_mut(usize::from(ring)) {
            tally.proven += u32::from(newly_proven);
            tally.failed += u32::from(newly_failed);
            tally.silent = tally.silent.saturating_add_signed(overdue);
        }
        if newly_proven {
            count_by_stratum(&mut self.strata_proven, stratum, ring);
        }
    }

    fn permit_issued(&mut self, step: u32, counts: &[RowCount], take_by_ms: WallTime, at: WallTime) {
        let mut ranges = Vec::new();
        for count in counts {
            let stratum = self.stratum_index(&count.stratum);
            let row = self
                .rows
                .iter()
                .position(|row| Some(usize::from(row.stratum)) == stratum && row.addendum == count.addendum);
            if let Some(row) = row.filter(|row| self.rows.get(*row).is_some_and(|row| row.opened < count.count)) {
                ranges.push(self.open_row(row, count.count, step));
            }
        }
        self.permits.push(Issued { step, take_by_ms, lapsed: false, ranges });
        self.last_opened_at = Some(at);
        self.escalated = None;
    }

    fn open_row(&mut self, row_index: usize, to: u32, step: u32) -> (u32, u32, u32) {
        let Some(row) = self.rows.get_mut(row_index) else { return (0, 0, 0) };
        let from = row.opened;
        let to = to.min(super::number(row.places.len()));
        row.opened = to;
        let stratum = usize::from(row.stratum);
        let mut rings = Vec::new();
        for place in row.places.get_mut(from as usize..to as usize).into_iter().flatten() {
            place.stage = Stage::Open { step };
            rings.push(place.ring);
            if let Some(fresh) = self.fresh.get_mut(stratum).filter(|_| !place.was_control) {
                *fresh = fresh.saturating_sub(1);
            }
        }
        for ring in rings {
            let lab = self.is_lab(ring);
            self.scopes.count(stratum, lab, |tally| tally.opened += 1);
            if let Some(tally) = self.rings.get_mut(usize::from(ring)) {
                tally.opened += 1;
            }
        }
        (super::number(row_index), from, to)
    }

    fn lapsed(&mut self, step: u32) {
        let Some(permit) = self.permits.iter_mut().find(|permit| permit.step == step && !permit.lapsed) else { return };
        permit.lapsed = true;
        for (row_index, from, to) in permit.ranges.clone() {
            let Some(row) = self.rows.get_mut(row_index as usize) else { continue };
            let stratum = usize::from(row.stratum);
            let mut rings = Vec::new();
            for place in row.places.get_mut(from as usize..to as usize).into_iter().flatten() {
                if place.stage == (Stage::Open { step }) {
                    place.stage = Stage::Lapsed;
                    rings.push(place.ring);
                }
            }
            for ring in rings {
                let lab = self.is_lab(ring);
                self.scopes.count(stratum, lab, |tally| tally.lapsed += 1);
                if let Some(tally) = self.rings.get_mut(usize::from(ring)) {
                    tally.lapsed += 1;
                }
            }
        }
    }

    fn addendum_issued(&mut self, number: u32, places: &[AddedPlace]) {
        self.addenda = number;
        let mut by_stratum: std::collections::BTreeMap<usize, Vec<&AddedPlace>> = std::collections::BTreeMap::new();
        for place in places {
            if let Some(stratum) = self.stratum_index(&place.stratum) {
                by_stratum.entry(stratum).or_default().push(place);
            }
        }
        for (stratum, added) in by_stratum {
            for place in &added {
                self.forget_lapsed(place);
            }
            let row = added.into_iter().map(|p| waiting(p.device.clone(), p.ring, p.evidence)).collect();
            self.add_row(stratum, number, row, 0);
        }
    }

    /// A device that comes back stands in its ring once, not twice.
    fn forget_lapsed(&mut self, added: &AddedPlace) {
        let lapsed = self.place_of(&added.device).is_some_and(|(_, _, place)| place.stage == Stage::Lapsed);
        if let Some(tally) = self.rings.get_mut(usize::from(added.ring)).filter(|_| lapsed) {
            tally.places = tally.places.saturating_sub(1);
            tally.lapsed = tally.lapsed.saturating_sub(1);
            tally.opened = tally.opened.saturating_sub(1);
        }
    }

    fn block_opened(&mut self, tick: u64, stratum: &StratumName, lab: bool, controls: &[DeviceId]) {
        let Some(stratum) = self.stratum_index(stratum).and_then(|index| u16::try_from(index).ok()) else { return };
        let refs: Vec<PlaceRef> = controls.iter().filter_map(|device| self.where_is.get(device).copied()).collect();
        let id = self.blocks.upcoming_id();
        for at in &refs {
            if let Some(place) = self.place_mut(*at) {
                place.stage = Stage::Control { block: id, seen: Seen::default() };
                place.was_control = true;
            }
        }
        if let Some(fresh) = self.fresh.get_mut(usize::from(stratum)) {
            *fresh = fresh.saturating_sub(super::number(refs.len()));
        }
        self.blocks.open(Tick { tick, stratum, lab }, refs, &self.horizons());
    }

    fn band_entered(&mut self, id: u32, band: u8) {
        let Some(block) = self.blocks.get(id).cloned() else { return };
        let treated: Vec<Seen> = block.treated.iter().filter_map(|at| self.seen(*at)).collect();
        let controls: Vec<Seen> = block.controls.iter().filter_map(|at| self.seen(*at)).collect();
        let second = band == 2;
        if !block.of.lab {
            let scopes = self.scopes.of_stratum(usize::from(block.of.stratum)).to_vec();
            self.gate.enter(&scopes, second, &BandCounts::of(&treated, &controls, second));
        }
        if second {
            if !block.of.lab {
                self.gate.enter_clearance(&treated, &controls);
            }
            self.blocks.close(id);
            for at in &block.controls {
                if let Some(place) = self.place_mut(*at) {
                    place.stage = Stage::Waiting;
                }
            }
        } else {
            self.blocks.mark_first_entered(id);
        }
        for at in block.treated {
            self.look_for_silence(at, second);
        }
    }

    fn seen(&self, at: PlaceRef) -> Option<Seen> {
        match &self.place(at)?.1.stage {
            Stage::Taken(taken) => Some(taken.seen),
            Stage::Control { seen, .. } => Some(*seen),
            Stage::Waiting | Stage::Open { .. } | Stage::Lapsed => None,
        }
    }

    /// Marks a device as overdue that was not healthy in the band that just ended.
    fn look_for_silence(&mut self, at: PlaceRef, second: bool) {
        let Some((row, place)) = self.place(at) else { return };
        let (stratum, ring) = (row.stratum, place.ring);
        let Some(Stage::Taken(taken)) = self.place_mut(at).map(|place| &mut place.stage) else { return };
        let before = (taken.proven, taken.failed.is_some(), taken.overdue);
        let healthy = taken.seen.healthy.get(usize::from(second)).copied().unwrap_or(false);
        if !healthy && !taken.proven && taken.failed.is_none() {
            taken.overdue = true;
            taken.well = false;
        }
        let after = (taken.proven, taken.failed.is_some(), taken.overdue);
        self.recount(stratum, ring, before, after);
    }
}

impl Taken {
    fn hears_good_news(&mut self) {
        self.overdue = false;
        self.well = self.failed.is_none() || self.returned;
    }

    fn fails(&mut self, reason: FailureReason) {
        self.failed.get_or_insert(reason);
        self.overdue = false;
        self.well = false;
    }
}

fn note(seen: &mut Seen, observation: &Observation, band: Option<usize>) {
    let Some(band) = band else { return };
    let (row, hit) = match observation {
        Observation::Healthy | Observation::Proven { .. } => (&mut seen.healthy, true),
        Observation::Failed { .. } | Observation::NeedsHands { .. } => (&mut seen.hard, true),
        Observation::Activating { .. }
        | Observation::Returned { .. }
        | Observation::Refused { .. }
        | Observation::ContactLostBoth => (&mut seen.healthy, false),
    };
    if let Some(cell) = row.get_mut(band) {
        *cell |= hit;
    }
}

fn count_by_stratum(table: &mut [Vec<u32>], stratum: u16, ring: u8) {
    if let Some(cell) = table.get_mut(usize::from(stratum)).and_then(|rings| rings.get_mut(usize::from(ring))) {
        *cell += 1;
    }
}
