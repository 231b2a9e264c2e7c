//! Blocks: the devices that took the release in one tick and stratum, with the controls they are held against.
//!
//! Sizes and horizons are fixed when a block opens. Each of its two age bands enters the gate once, one check-in after its end, so that
//! failures, which are heard of sooner than successes, cannot enter before them. Nothing enters early.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::place::PlaceRef;
use crate::policy::Policy;
use crate::time::{Elapsed, WallTime};

/// The ages at which the bands end, and the interval that ticks and lateness are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizons {
    /// End of band 1: downtime and two check-ins.
    pub first: Elapsed,
    /// End of band 2: downtime, proof and two check-ins, and at least one check-in after band 1. The downtime belongs in it:
    /// a sound release that uses all of it would otherwise be proven after its own deadline.
    pub second: Elapsed,
    /// The check-in interval.
    pub check_in: Elapsed,
}

/// What makes two takes members of the same block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tick {
    /// Wall time divided by the check-in interval.
    pub tick: u64,
    /// Index of the stratum.
    pub stratum: u16,
    /// Lab takes have blocks of their own, without control.
    pub lab: bool,
}

/// An open block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Its number, in the order of opening.
    pub id: u32,
    /// What its members have in common.
    pub of: Tick,
    /// The end of its tick; bands of controls count from here.
    pub opened_at_ms: WallTime,
    /// Devices that took the release.
    pub treated: Vec<PlaceRef>,
    /// Unexposed devices.
    pub controls: Vec<PlaceRef>,
    /// Whether band 1 has entered.
    pub first_entered: bool,
}

/// All blocks that are not closed yet. Closed ones leave only their contribution in the gate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Blocks {
    gathering: Vec<(Tick, Vec<PlaceRef>)>,
    open: BTreeMap<u32, Block>,
    next_id: u32,
}

impl Horizons {
    /// The horizons for a release's downtime under a policy.
    pub fn new(downtime: Elapsed, policy: &Policy) -> Horizons {
        let check_in = policy.pace.check_in;
        let first = downtime.plus(check_in.times(2));
        let second = first.plus(policy.prove.duration.max(check_in));
        Horizons { first, second, check_in }
    }

    /// The tick that an instant falls into.
    pub fn tick(&self, at: WallTime) -> u64 {
        at.as_ms() / self.check_in.as_ms().max(1)
    }

    /// The instant at which a tick is over.
    pub fn end_of(&self, tick: u64) -> WallTime {
        WallTime::from_ms(tick.saturating_add(1).saturating_mul(self.check_in.as_ms()))
    }

    /// How many times two check-ins after the start of band 2 an age is.
    pub(super) fn slot_of(&self, age: Elapsed) -> u64 {
        age.as_ms().saturating_sub(self.first.as_ms()) / self.check_in.times(2).as_ms().max(1)
    }

    /// The band (0 or 1) that an age falls into; none past the last one.
    pub fn band_of(&self, age: Elapsed) -> Option<usize> {
        if age <= self.first {
            Some(0)
        } else if age <= self.second {
            Some(1)
        } else {
            None
        }
    }
}

impl Block {
    /// From when on the band that comes next may enter.
    pub fn due_at(&self, horizons: &Horizons) -> WallTime {
        self.band_ends_at(horizons).after(horizons.check_in)
    }

    /// When the band that comes next ends for the last of its members.
    pub fn band_ends_at(&self, horizons: &Horizons) -> WallTime {
        self.opened_at_ms.after(if self.first_entered { horizons.second } else { horizons.first })
    }
}

impl Blocks {
    /// The open blocks in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Block> {
        self.open.values()
    }

    /// Whether nothing is gathering and no block is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.gathering.is_empty()
    }

    /// The block of this number, while it is open.
    pub fn get(&self, id: u32) -> Option<&Block> {
        self.open.get(&id)
    }

    /// Whether the block of a device that took the release at this instant can still be waiting for it.
    pub fn covers(&self, taken_at: WallTime, horizons: &Horizons) -> bool {
        let tick = horizons.tick(taken_at);
        self.gathering.iter().any(|(of, _)| of.tick == tick) || self.open.values().any(|block| block.of.tick == tick)
    }

    /// Ticks that are over and whose takes are not a block yet.
    pub fn ripe(&self, now: WallTime, horizons: &Horizons) -> impl Iterator<Item = (&Tick, &[PlaceRef])> {
        let horizons = *horizons;
        self.gathering
            .iter()
            .filter(move |(of, _)| horizons.end_of(of.tick) <= now)
            .map(|(of, treated)| (of, treated.as_slice()))
    }

    /// Takes of a stratum, outside the lab, that are not a block yet.
    pub(super) fn gathering_in(&self, stratum: usize) -> u32 {
        let of_it = self.gathering.iter().filter(|(of, _)| usize::from(of.stratum) == stratum && !of.lab);
        of_it.map(|(_, treated)| super::number(treated.len())).sum()
    }

    pub(super) fn gather(&mut self, of: Tick, place: PlaceRef) {
        match self.gathering.iter_mut().find(|(known, _)| *known == of) {
            Some((_, treated)) => treated.push(place),
            None => self.gathering.push((of, vec![place])),
        }
    }

    pub(super) fn open(&mut self, of: Tick, controls: Vec<PlaceRef>, horizons: &Horizons) -> Option<u32> {
        let position = self.gathering.iter().position(|(known, _)| *known == of)?;
        let (of, treated) = self.gathering.remove(position);
        self.next_id += 1;
        let opened_at_ms = horizons.end_of(of.tick);
        let block = Block { id: self.next_id, of, opened_at_ms, treated, controls, first_entered: false };
        self.open.insert(self.next_id, block);
        Some(self.next_id)
    }

    pub(super) fn mark_first_entered(&mut self, id: u32) {
        if let Some(block) = self.open.get_mut(&id) {
            block.first_entered = true;
        }
    }

    pub(super) fn close(&mut self, id: u32) -> Option<Block> {
        self.open.remove(&id)
    }
}
