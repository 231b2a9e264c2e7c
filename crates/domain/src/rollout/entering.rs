//! How a band of a block enters the gate, and what is kept of it: enough to enter it again without some of its members.

use serde::{Deserialize, Serialize};

use super::Rollout;
use super::band::BandCounts;
use super::block::Tick;
use super::gate::Gate;
use super::place::{PlaceRef, Seen, Stage};
use crate::evidence::LogrankProcess;
use crate::time::{Elapsed, WallTime};

/// What the halting processes went through, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "went", rename_all = "snake_case")]
pub(crate) enum Went {
    /// A band entered.
    Band(Box<EnteredBand>),
    /// A part of the fleet was closed: these scopes began anew.
    Anew {
        /// Their indices.
        scopes: Vec<usize>,
    },
}

/// A band as it entered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EnteredBand {
    of: Tick,
    second: bool,
    deaf: bool,
    treated: Cohort,
    controls: Cohort,
    late: Option<LogrankProcess>,
}

/// One side of a block when a band of it entered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cohort {
    /// All members that are evidence.
    members: u32,
    /// Those of which anything else was seen than that they are healthy.
    marked: Vec<(PlaceRef, Seen)>,
}

impl Cohort {
    fn of(members: &[(PlaceRef, Seen)], second: bool, first: Elapsed) -> Cohort {
        let counted = members.iter().map(|(at, seen)| (*at, counted(*seen, second, first)));
        let marked = counted.filter(|(_, seen)| *seen != healthy(second)).collect();
        Cohort { members: super::number(members.len()), marked }
    }

    /// What was seen of its members, without those that `is_out` names and, of the healthy ones, without so many.
    fn seen(&self, second: bool, is_out: impl Fn(PlaceRef) -> bool, healthy_out: u32) -> Vec<Seen> {
        let left_of_marked = self.marked.iter().filter(|(at, _)| !is_out(*at)).map(|(_, seen)| *seen);
        let unmarked = self.members.saturating_sub(super::number(self.marked.len())).saturating_sub(healthy_out);
        left_of_marked.chain(std::iter::repeat_n(healthy(second), unmarked as usize)).collect()
    }

    fn marks(&self, at: PlaceRef) -> bool {
        self.marked.iter().any(|(marked, _)| *marked == at)
    }
}

/// What a band counts of a member of whom nothing else was seen than health.
fn healthy(second: bool) -> Seen {
    Seen { healthy: [true, second], ..Seen::default() }
}

/// What a band counts of what was seen: see [`BandCounts::of`].
fn counted(seen: Seen, second: bool, first: Elapsed) -> Seen {
    let Seen { hard, elsewhere, healthy, outside, crashed, .. } = seen;
    if second {
        return Seen { hard, elsewhere, healthy, outside: [false, outside[1]], crashed, back_in: None };
    }
    let crashed = crashed.filter(|_| seen.crashed_at().is_some_and(|age| age <= first));
    let elsewhere = [elsewhere[0], false];
    Seen {
        hard: [hard[0], false],
        elsewhere,
        healthy: [healthy[0], false],
        outside: [outside[0], false],
        crashed,
        back_in: None,
    }
}

impl Rollout {
    pub(super) fn band_entered(&mut self, id: u32, band: u8, deaf: bool, at: WallTime) {
        let Some(block) = self.blocks.get(id).cloned() else { return };
        let second = block.first_entered;
        if band != if second { 2 } else { 1 } {
            return;
        }
        let members = |places: &[PlaceRef]| -> Vec<(PlaceRef, Seen)> {
            places.iter().filter_map(|at| Some((*at, self.seen(*at)?))).collect()
        };
        let (treated, controls) = (members(&block.treated), members(&block.controls));
        // What a closed part of the fleet still comes to says nothing of the rest.
        let counts = !block.of.lab && !self.is_closed(usize::from(block.of.stratum));
        if counts {
            let first = self.horizons().first;
            let entered = EnteredBand {
                of: block.of,
                second,
                deaf,
                treated: Cohort::of(&treated, second, first),
                controls: Cohort::of(&controls, second, first),
                late: (self.policy.gate.watch_lateness && second && !deaf).then(|| self.lateness_in(&block)),
            };
            let seen = |members: &[(PlaceRef, Seen)]| members.iter().map(|(_, seen)| *seen).collect::<Vec<_>>();
            let (treated, controls) = (seen(&treated), seen(&controls));
            let mut counts = BandCounts::of(&treated, &controls, second, deaf, first);
            counts.late.clone_from(&entered.late);
            self.gate.enter(self.scopes.of_stratum(usize::from(block.of.stratum)), &counts);
            if second {
                self.gate.enter_clearance(&treated, &controls, deaf);
            }
            self.went.push(Went::Band(Box::new(entered)));
        }
        if second {
            self.blocks.close(id);
            self.fix_bounds(at);
            for at in &block.controls {
                if let Some(place) = self.place_mut(*at) {
                    place.stage = Stage::Waiting;
                }
            }
        } else {
            self.blocks.mark_first_entered(id);
        }
        // In a band that nobody could be heard in, nobody is late; the second one is the last word all the same.
        for at in block.treated.into_iter().filter(|_| second || !deaf) {
            self.band_is_over(at, second);
        }
    }

    /// Enters a band once more, without what was seen of some places. A healthy control of theirs stays: it speaks against the release.
    pub(super) fn enter_again(
        &self,
        gate: &mut Gate,
        band: &EnteredBand,
        is_out: impl Fn(PlaceRef) -> bool,
        healthy_out: u32,
    ) {
        let treated = band.treated.seen(band.second, &is_out, healthy_out);
        let controls = band.controls.seen(band.second, &is_out, 0);
        let mut counts = BandCounts::of(&treated, &controls, band.second, band.deaf, self.horizons().first);
        counts.late.clone_from(&band.late);
        gate.enter(self.scopes.of_stratum(usize::from(band.of.stratum)), &counts);
    }

    /// Whether a place was a healthy member of the treated of a band.
    pub(super) fn was_healthy_in(&self, band: &EnteredBand, at: PlaceRef) -> bool {
        let Some((row, place)) = self.place(at).filter(|(_, place)| place.evidence) else { return false };
        let Stage::Taken(taken) = &place.stage else { return false };
        let of = Tick { tick: self.horizons().tick(taken.at_ms), stratum: row.stratum, lab: self.is_lab(place.ring) };
        of == band.of && !band.treated.marks(at)
    }

    /// What a member of a block counts with; nothing for a device that is no evidence.
    pub(super) fn seen(&self, at: PlaceRef) -> Option<Seen> {
        match &self.place(at).filter(|(_, place)| place.evidence)?.1.stage {
            Stage::Taken(taken) => Some(taken.seen),
            Stage::Control { seen, .. } => Some(*seen),
            Stage::Waiting | Stage::Open { .. } | Stage::Lapsed => None,
        }
    }
}
