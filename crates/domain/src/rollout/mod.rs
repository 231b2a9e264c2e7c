//! A rollout: one release on its way through a fleet, as fast as evidence of health allows.
//!
//! [`Rollout`] is what is known; [`fact::Fact`]s are all that can happen to it; [`planner::plan`] says what should happen next; [`gate`] judges;
//! [`Rollout::may_take`] is the go path's own check of the window. Nothing here signs, stores or sends.

pub mod accusing;
mod approval;
pub(crate) mod band;
pub mod block;
pub mod closing;
pub(crate) mod controls;
mod course;
mod entering;
pub mod fact;
pub mod gate;
pub mod going_on;
pub mod hearing;
mod holdback;
mod identity;
mod lateness;
mod learning;
pub mod measuring;
mod opening;
pub mod place;
pub mod planner;
mod pool;
pub(crate) mod processes;
pub mod quarantine;
pub mod reason;
pub mod report;
pub mod returning;
mod ring_tally;
pub mod scope;
pub mod take;
mod waiting;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::ids::{DeviceId, OperatorName, RolloutId, StratumName};
use crate::policy::{Policy, Ring};
use crate::roster::Place;
use crate::time::WallTime;
use approval::Given;
use block::Blocks;
use closing::Closed;
use entering::Went;
use fact::Escalation;
use gate::Gate;
pub use identity::Identity;
use learning::Learning;
use measuring::Measured;
use place::{PlaceRef, PlaceState, Stage};
use pool::Pool;
use reason::HaltReason;
use returning::IssuedReturn;
pub use ring_tally::RingTally;
use scope::Scopes;

/// Where a rollout stands as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// Permits may open.
    Running,
    /// A person stopped the opening; evidence is still gathered.
    Paused {
        /// Who.
        by: OperatorName,
        /// In their words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// Stopped for good; no go is given.
    Halted {
        /// Why.
        reasons: Vec<HaltReason>,
        /// When.
        at_ms: WallTime,
    },
    /// The last ring passed. Late devices still enter, under the same window.
    Completed {
        /// When.
        at_ms: WallTime,
    },
}

impl Phase {
    /// The stable word.
    pub fn word(&self) -> &'static str {
        match self {
            Phase::Running => "running",
            Phase::Paused { .. } => "paused",
            Phase::Halted { .. } => "halted",
            Phase::Completed { .. } => "completed",
        }
    }
}

/// One roster as it stands: the order's roster of a stratum, or what an addendum added to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Index of the stratum.
    pub stratum: u16,
    /// 0 for the order's roster, else the addendum's number.
    pub addendum: u32,
    /// Places open from the front.
    pub opened: u32,
    /// Places from the front whose devices are ordered back, where they took the release.
    pub returning: u32,
    /// Places at the end that the holdback keeps shut.
    pub held_back: u32,
    /// Those that can serve as control.
    pub fresh: Pool,
    /// The places, by ring, then by rank.
    pub places: Vec<PlaceState>,
}

impl Row {
    /// Its devices that were given a go, with what became of them.
    fn taken(&self) -> impl Iterator<Item = (&DeviceId, &place::Taken)> {
        self.places.iter().filter_map(|place| match &place.stage {
            Stage::Taken(taken) => Some((&place.device, taken)),
            Stage::Waiting | Stage::Control { .. } | Stage::Open { .. } | Stage::Lapsed => None,
        })
    }
}

/// A permit that was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// Its step.
    pub step: u32,
    /// What is not taken by then lapses.
    pub take_by_ms: WallTime,
    /// Whether it has lapsed already.
    pub lapsed: bool,
    /// The places it opened: row, first, one past the last.
    pub ranges: Vec<(u32, u32, u32)>,
}

/// One release on its way through a fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    pub(crate) identity: Identity,
    pub(crate) policy: Policy,
    pub(crate) phase: Phase,
    pub(crate) ring: u8,
    pub(crate) ring_reached: Vec<Option<WallTime>>,
    pub(crate) rings: Vec<RingTally>,
    pub(crate) strata: Vec<StratumName>,
    pub(crate) strata_proven: Vec<Vec<u32>>,
    pub(crate) strata_taken: Vec<Vec<u32>>,
    pub(crate) order_left: u32,
    pub(crate) rows: Vec<Row>,
    pub(crate) scopes: Scopes,
    pub(crate) permits: Vec<Issued>,
    pub(crate) returns: Vec<IssuedReturn>,
    pub(crate) addenda: u32,
    /// Places that lapsed and whose devices have no new one.
    pub(crate) away: BTreeSet<PlaceRef>,
    pub(crate) blocks: Blocks,
    pub(crate) gate: Gate,
    pub(crate) last_opened_at: Option<WallTime>,
    pub(crate) escalated: Option<Escalation>,
    /// The devices on which something was done that their owner forbids for good.
    pub(crate) broken: BTreeSet<DeviceId>,
    /// The parts that were halted alone.
    pub(crate) closed: Vec<Closed>,
    pub(crate) closed_strata: BTreeSet<usize>,
    /// The rings that a person let open, and how far.
    pub(crate) approved: BTreeMap<u8, Given>,
    /// The numbers that the release declares.
    pub(crate) measured: Vec<Measured>,
    /// The bounds of those that it declares without one.
    pub(crate) learning: Vec<Learning>,
    /// The last rollout before this one that brought the same files.
    pub(crate) goes_on_from: Option<RolloutId>,
    /// What the halting processes went through.
    pub(crate) went: Vec<Went>,
    /// Devices whose words are left out.
    pub(crate) quarantined: BTreeSet<DeviceId>,
    #[serde(skip)]
    pub(crate) where_is: HashMap<DeviceId, PlaceRef>,
}

impl Rollout {
    /// A rollout at its start: nothing open. `rosters` are those that the order commits to. `is_evidence` says of a device
    /// whether it was enrolled before the release was published: no other is evidence for it. A device that they name more than once has the
    /// first of its places and no other.
    pub fn start(
        identity: Identity,
        policy: Policy,
        rosters: BTreeMap<StratumName, Vec<Place>>,
        is_evidence: impl Fn(&DeviceId) -> bool,
    ) -> Rollout {
        let strata: Vec<StratumName> = rosters.keys().cloned().collect();
        let rings = policy.rings.len();
        let scopes = Scopes::new(&policy, &strata);
        let gate = Gate::new(&policy, &scopes, !identity.numbers.is_empty());
        let measured = Measured::of_all(&identity.numbers);
        let learning = Learning::of_all(&identity.numbers);
        let mut rollout = Rollout {
            identity,
            phase: Phase::Running,
            ring: 0,
            ring_reached: vec![None; rings],
            rings: vec![RingTally::default(); rings],
            strata_proven: vec![vec![0; rings]; strata.len()],
            strata_taken: vec![vec![0; rings]; strata.len()],
            order_left: 0,
            rows: Vec::new(),
            scopes,
            permits: Vec::new(),
            returns: Vec::new(),
            addenda: 0,
            away: BTreeSet::new(),
            blocks: Blocks::default(),
            gate,
            last_opened_at: None,
            escalated: None,
            broken: BTreeSet::new(),
            closed: Vec::new(),
            closed_strata: BTreeSet::new(),
            approved: BTreeMap::new(),
            measured,
            learning,
            goes_on_from: None,
            went: Vec::new(),
            quarantined: BTreeSet::new(),
            where_is: HashMap::new(),
            policy,
            strata,
        };
        rollout.where_is.reserve(rosters.values().map(Vec::len).sum());
        for (stratum, places) in rosters.into_values().enumerate() {
            let row = number(rollout.rows.len());
            let mut kept: Vec<PlaceState> = Vec::with_capacity(places.len());
            for place in places {
                if let Entry::Vacant(nowhere) = rollout.where_is.entry(place.device.clone()) {
                    nowhere.insert(PlaceRef { row, index: number(kept.len()) });
                    let evidence = is_evidence(&place.device);
                    kept.push(PlaceState { evidence, ..PlaceState::waiting(place.device, place.ring) });
                }
            }
            let held_back = rollout.to_hold_back(&kept);
            rollout.push_row(stratum, 0, kept, held_back);
        }
        rollout
    }

    /// Rebuilds what is not stored: the index from devices to places. Call after reading a rollout back.
    pub fn reindex(&mut self) {
        self.where_is.clear();
        self.where_is.reserve(self.rows.iter().map(|row| row.places.len()).sum());
        for (row_index, row) in self.rows.iter().enumerate() {
            for (index, place) in row.places.iter().enumerate() {
                let at = PlaceRef { row: number(row_index), index: number(index) };
                self.where_is.insert(place.device.clone(), at);
            }
        }
    }

    /// Adds places behind the others, and points each of their devices to its new one.
    pub(crate) fn add_row(&mut self, stratum: usize, addendum: u32, places: Vec<PlaceState>) {
        let row = number(self.rows.len());
        for (index, place) in places.iter().enumerate() {
            self.where_is.insert(place.device.clone(), PlaceRef { row, index: number(index) });
        }
        self.push_row(stratum, addendum, places, 0);
    }

    fn push_row(&mut self, stratum: usize, addendum: u32, places: Vec<PlaceState>, held_back: u32) {
        for place in places.iter().take(places.len().saturating_sub(held_back as usize)) {
            self.count_place(stratum, place.ring, addendum == 0, place.evidence);
        }
        let stratum = u16::try_from(stratum).unwrap_or(u16::MAX);
        let fresh = Pool::of(&places);
        self.rows.push(Row { stratum, addendum, opened: 0, returning: 0, held_back, fresh, places });
    }

    /// What the order fixed.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Where it stands as a whole.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The index of the open ring.
    pub fn ring(&self) -> u8 {
        self.ring
    }

    /// What is counted in each ring.
    pub fn rings(&self) -> impl Iterator<Item = (&Ring, &RingTally)> {
        self.policy.rings.iter().zip(&self.rings)
    }

    /// The scopes with their tallies.
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// The gate's processes.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Places of the order's own rosters that are still to be opened, taken or heard of, without those held back.
    pub fn places_left(&self) -> u32 {
        self.order_left
    }

    /// The permits issued so far.
    pub fn permits(&self) -> &[Issued] {
        &self.permits
    }

    /// The blocks that are open.
    pub fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// The rows as they stand.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The name of the stratum at an index.
    pub fn stratum(&self, index: u16) -> Option<&StratumName> {
        self.strata.get(usize::from(index))
    }

    /// The index of a stratum.
    pub(crate) fn stratum_index(&self, name: &StratumName) -> Option<usize> {
        self.strata.iter().position(|known| known == name)
    }

    /// Where a device stands, if it has a place.
    pub fn place_of(&self, device: &DeviceId) -> Option<(PlaceRef, &Row, &PlaceState)> {
        let at = *self.where_is.get(device)?;
        let row = self.rows.get(at.row as usize)?;
        Some((at, row, row.places.get(at.index as usize)?))
    }

    /// Whether planning steps can still change anything: it runs, is paused, has open blocks, or devices to order back.
    pub fn needs_steps(&self) -> bool {
        !matches!(self.phase, Phase::Halted { .. }) || !self.blocks.is_empty() || self.has_returns_left()
    }

    /// How many devices have a place.
    pub fn place_count(&self) -> usize {
        self.where_is.len()
    }

    /// Every device that was given a go, with what became of it.
    pub fn taken(&self) -> impl Iterator<Item = (&DeviceId, &place::Taken)> {
        self.rows.iter().flat_map(Row::taken)
    }

    pub(crate) fn is_lab(&self, ring: u8) -> bool {
        self.policy.rings.get(usize::from(ring)).is_some_and(|ring| ring.lab)
    }

    pub(crate) fn horizons(&self) -> block::Horizons {
        block::Horizons::new(self.identity.downtime, &self.policy)
    }

    pub(crate) fn place_mut(&mut self, at: PlaceRef) -> Option<&mut PlaceState> {
        self.rows.get_mut(at.row as usize)?.places.get_mut(at.index as usize)
    }

    /// The place at a position, with its row.
    pub fn place(&self, at: PlaceRef) -> Option<(&Row, &PlaceState)> {
        let row = self.rows.get(at.row as usize)?;
        Some((row, row.places.get(at.index as usize)?))
    }
}

pub(crate) fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
