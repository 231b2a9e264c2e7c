//! How facts change a rollout. One method a fact; what no longer fits (late, repeated, unknown) changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::approval::Given;
use super::block::Tick;
use super::fact::{AddedPlace, Fact, RowCount};
use super::hearing::Heard;
use super::place::{PlaceRef, PlaceState, Seen, Stage, Taken};
use super::reason::HaltReason;
use super::{Issued, Phase, Rollout, Row};
use crate::ids::{DeviceId, StratumName};
use crate::time::{Elapsed, WallTime};

impl Rollout {
    /// Applies a recorded fact. `at` is the instant of its record.
    pub fn apply(&mut self, fact: &Fact, at: WallTime) {
        match fact {
            Fact::Took { device } => {
                if let Some((place, ..)) = self.place_of(device) {
                    self.took_at(place, at);
                }
            }
            Fact::Observed { device, observation, age_ms, numbers } => {
                if let Some((place, ..)) = self.place_of(device) {
                    let heard = Heard { observation, age: Elapsed::from_ms(*age_ms), numbers };
                    self.observed_at(place, &heard, at);
                }
            }
            Fact::TroubledElsewhere { device } => {
                if let Some((place, ..)) = self.place_of(device) {
                    self.troubled_elsewhere(place, at);
                }
            }
            Fact::BrokenBefore { device } => self.broken_before(device),
            Fact::MovedOn { device } => {
                if let Some((place, ..)) = self.place_of(device) {
                    self.moved_on(place);
                }
            }
            Fact::PermitIssued { step, counts, take_by_ms } => self.permit_issued(*step, counts, *take_by_ms, at),
            Fact::ReturnIssued { step, counts } => self.return_issued(*step, counts),
            Fact::Lapsed { step } => self.lapsed(*step),
            Fact::AddendumIssued { number, places } => self.addendum_issued(*number, places),
            Fact::BlockOpened { tick, stratum, lab, controls } => self.block_opened(*tick, stratum, *lab, controls),
            Fact::BandEntered { block, band, deaf } => self.band_entered(*block, *band, *deaf, at),
            Fact::RingPassed { ring } => self.ring_passed(*ring),
            Fact::Completed => self.complete(at),
            Fact::HoldbackEnded => self.end_holdback(),
            Fact::Halted { reasons } => self.halt(reasons, at),
            Fact::ScopeHalted { scopes, reasons } => self.close(scopes, reasons, at),
            Fact::Paused { by, reason } => self.pause(by, reason),
            Fact::Resumed { .. } => self.resume(at),
            Fact::Approved { ring, places, until_ms, .. } => {
                let places = places.unwrap_or(u32::MAX);
                self.approve(*ring, Given { places, until: *until_ms, addenda: self.addenda }, at);
            }
            Fact::Escalated { why } => self.escalated = Some(*why),
        }
    }

    fn ring_passed(&mut self, ring: u8) {
        let last = u8::try_from(self.rings.len().saturating_sub(1)).unwrap_or(u8::MAX);
        self.ring = self.ring.max(ring.saturating_add(1)).min(last);
    }

    fn complete(&mut self, at: WallTime) {
        if self.phase == Phase::Running {
            self.phase = Phase::Completed { at_ms: at };
        }
    }

    /// A halt is for good: neither a completion nor a second halt changes it.
    fn halt(&mut self, reasons: &[HaltReason], at: WallTime) {
        if !matches!(self.phase, Phase::Halted { .. }) {
            self.phase = Phase::Halted { reasons: reasons.to_vec(), at_ms: at };
        }
    }

    fn pause(&mut self, by: &crate::ids::OperatorName, reason: &str) {
        if self.phase == Phase::Running {
            self.phase = Phase::Paused { by: by.clone(), reason: reason.to_owned() };
        }
    }

    fn approve(&mut self, ring: u8, given: Given, at: WallTime) {
        self.approved.insert(ring, given);
        (self.escalated, self.last_opened_at) = (None, Some(at));
    }

    fn resume(&mut self, at: WallTime) {
        if matches!(self.phase, Phase::Paused { .. }) {
            self.phase = Phase::Running;
        }
        // A person has looked: the watchdog starts anew.
        self.escalated = None;
        self.last_opened_at = Some(at);
    }

    /// What [`Fact::Took`] does, for whoever knows the device's place already.
    pub fn took_at(&mut self, place_ref: PlaceRef, at: WallTime) {
        let Some((row, place)) = self.place(place_ref) else { return };
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
        if evidence {
            count_by_stratum(&mut self.strata_taken, stratum, ring);
        }
        if let Some(reached @ None) = self.ring_reached.get_mut(usize::from(ring)) {
            *reached = Some(at);
        }
        let tick = self.horizons().tick(at);
        self.blocks.gather(Tick { tick, stratum, lab }, place_ref);
    }

    fn permit_issued(&mut self, step: u32, counts: &[RowCount], take_by_ms: WallTime, at: WallTime) {
        if self.permits.last().is_some_and(|last| last.step >= step) {
            return;
        }
        let (mut ranges, mut progress) = (Vec::new(), false);
        for count in counts {
            let Some(stratum) = self.stratum_index(&count.stratum) else { continue };
            let is_it = |row: &Row| usize::from(row.stratum) == stratum && row.addendum == count.addendum;
            let Some(row) = self.rows.iter().position(is_it) else { continue };
            if let Some((range, first_time)) = self.open_row(row, count.count, step) {
                ranges.push(range);
                progress |= first_time;
            }
        }
        self.permits.push(Issued { step, take_by_ms, lapsed: false, ranges });
        if progress {
            self.last_opened_at = Some(at);
            self.escalated = None;
        }
    }

    /// Opens a row to a count, but nothing of a closed stratum, nothing that is held back and nothing behind a control whose block is open, whatever
    /// the permit says. Gives the range, and whether a place in it is open for its device's first time.
    fn open_row(&mut self, row_index: usize, to: u32, step: u32) -> Option<((u32, u32, u32), bool)> {
        if self.rows.get(row_index).is_some_and(|row| self.is_closed(usize::from(row.stratum))) {
            return None;
        }
        let row = self.rows.get_mut(row_index)?;
        let (from, stratum) = (row.opened, usize::from(row.stratum));
        let to = to.min(super::number(row.places.len()).saturating_sub(row.held_back));
        let (mut rings, mut first_time) = (Vec::new(), false);
        let waiting = (from..to).zip(row.places.get_mut(from as usize..to as usize)?.iter_mut());
        for (index, place) in waiting.take_while(|(_, place)| place.is_waiting()) {
            if place.is_fresh() {
                row.fresh.spend(index);
            }
            first_time |= !place.again;
            place.stage = Stage::Open { step };
            rings.push(place.ring);
        }
        row.opened = from.saturating_add(super::number(rings.len()));
        let opened = row.opened;
        for ring in rings {
            let lab = self.is_lab(ring);
            self.scopes.count(stratum, lab, |tally| tally.opened += 1);
            if let Some(tally) = self.rings.get_mut(usize::from(ring)) {
                tally.opened += 1;
            }
        }
        (opened > from).then_some(((super::number(row_index), from, opened), first_time))
    }

    fn lapsed(&mut self, step: u32) {
        let Some(permit) = self.permits.iter_mut().find(|permit| permit.step == step && !permit.lapsed) else { return };
        permit.lapsed = true;
        for (row_index, from, to) in permit.ranges.clone() {
            let Some(row) = self.rows.get_mut(row_index as usize) else { continue };
            let (stratum, of_order) = (usize::from(row.stratum), row.addendum == 0);
            let mut rings = Vec::new();
            for (index, place) in (from..to).zip(row.places.get_mut(from as usize..to as usize).into_iter().flatten()) {
                if place.stage == (Stage::Open { step }) {
                    place.stage = Stage::Lapsed;
                    rings.push(place.ring);
                    self.away.insert(PlaceRef { row: row_index, index });
                }
            }
            if of_order {
                self.order_left = self.order_left.saturating_sub(super::number(rings.len()));
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

    /// Adds places behind the others. A device that has a place already, unless it lapsed, gets no second one, and one that is
    /// quarantined gets none.
    fn addendum_issued(&mut self, number: u32, places: &[AddedPlace]) {
        if number <= self.addenda {
            return;
        }
        self.addenda = number;
        let mut by_stratum: BTreeMap<usize, Vec<PlaceState>> = BTreeMap::new();
        let mut added = BTreeSet::new();
        for place in places {
            let Some(stratum) = self.stratum_index(&place.stratum) else { continue };
            let earlier = self.place_of(&place.device).map(|(at, _, earlier)| (at, earlier.clone()));
            if earlier.as_ref().is_some_and(|(_, earlier)| earlier.stage != Stage::Lapsed)
                || self.quarantined.contains(&place.device)
                || !added.insert(&place.device)
            {
                continue;
            }
            let mut new =
                PlaceState { evidence: place.evidence, ..PlaceState::waiting(place.device.clone(), place.ring) };
            if let Some((at, earlier)) = earlier {
                self.forget_lapsed(at, &earlier);
                new.again = true;
                new.was_control = earlier.was_control;
                new.evidence &= earlier.evidence;
            }
            by_stratum.entry(stratum).or_default().push(new);
        }
        for (stratum, row) in by_stratum {
            self.add_row(stratum, number, row);
        }
    }

    /// A device that comes back stands in its ring and scopes once, not twice.
    fn forget_lapsed(&mut self, at: PlaceRef, place: &PlaceState) {
        let Some(stratum) = self.place(at).map(|(row, _)| usize::from(row.stratum)) else { return };
        self.away.remove(&at);
        self.scopes.remove_place(stratum, usize::from(place.ring));
        self.scopes.count(stratum, self.is_lab(place.ring), |tally| {
            tally.lapsed = tally.lapsed.saturating_sub(1);
            tally.opened = tally.opened.saturating_sub(1);
        });
        if let Some(tally) = self.rings.get_mut(usize::from(place.ring)) {
            tally.places = tally.places.saturating_sub(1);
            tally.late = tally.late.saturating_sub(u32::from(!place.evidence));
            tally.lapsed = tally.lapsed.saturating_sub(1);
            tally.opened = tally.opened.saturating_sub(1);
        }
    }

    fn block_opened(&mut self, tick: u64, stratum: &StratumName, lab: bool, controls: &[DeviceId]) {
        let Some(stratum) = self.stratum_index(stratum).and_then(|index| u16::try_from(index).ok()) else { return };
        let is_fresh = |at: &PlaceRef| {
            self.place(*at).is_some_and(|(row, place)| row.stratum == stratum && place.is_fresh() && !lab)
        };
        let controls: BTreeSet<&DeviceId> = controls.iter().collect();
        let refs: Vec<PlaceRef> =
            controls.into_iter().filter_map(|device| self.where_is.get(device).copied()).filter(is_fresh).collect();
        let horizons = self.horizons();
        let Some(id) = self.blocks.open(Tick { tick, stratum, lab }, refs.clone(), &horizons) else { return };
        for at in &refs {
            if let Some(place) = self.place_mut(*at) {
                place.stage = Stage::Control { block: id, seen: Seen::default() };
                place.was_control = true;
            }
            if let Some(row) = self.rows.get_mut(at.row as usize) {
                row.fresh.spend(at.index);
            }
        }
    }
}

pub(super) fn count_by_stratum(table: &mut [Vec<u32>], stratum: u16, ring: u8) {
    if let Some(cell) = table.get_mut(usize::from(stratum)).and_then(|rings| rings.get_mut(usize::from(ring))) {
        *cell += 1;
    }
}
