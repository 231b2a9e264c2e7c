//! The planner: a rollout and a moment in, a plan out. It changes nothing itself and knows nothing that it was not given.
//!
//! The plan's facts are to be recorded and then applied; its effects say what must be done before that and after it.
//! Every step asks in the same order: what has lapsed, which blocks open, which bands enter, what the gate says, what may open.

use std::collections::{BTreeMap, BTreeSet};

use super::block::Tick;
use super::fact::{AddedPlace, Escalation, Fact, RowCount};
use super::place::PlaceRef;
use super::reason::{HaltReason, Verdict};
use super::report::StepReport;
use super::{Phase, Rollout};
use crate::ids::DeviceId;
use crate::policy::Strata;
use crate::time::WallTime;

/// What the planner may know besides the rollout.
pub struct Moment<'a> {
    /// Now.
    pub now: WallTime,
    /// Whether a device checked in during this tick and said that it is well.
    pub well_in_tick: &'a dyn Fn(&DeviceId, u64) -> bool,
    /// Whether a device was heard of just now, so that a new place for it makes sense.
    pub present: &'a dyn Fn(&DeviceId) -> bool,
    /// Since when the server answers devices and takes steps without a gap.
    pub serving_since: WallTime,
    /// Devices without a place that the policy may reach.
    pub joiners: Vec<AddedPlace>,
    /// Unproven devices of all other rollouts.
    pub unproven_elsewhere: u32,
    /// The envelope's bound over all rollouts.
    pub unproven_everywhere_max: u32,
}

/// What should happen next.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Plan {
    /// The rollout's next state, as the facts that lead there. Empty: nothing to record.
    pub next: Vec<Fact>,
    /// What must be done besides recording them, in their order.
    pub effects: Vec<Effect>,
    /// What was seen and decided, for people and for the account.
    pub report: StepReport,
}

/// What a plan asks of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The gate key signs the record that a fact stands for. Without the signature nothing of the plan is recorded.
    Sign {
        /// The fact's index in [`Plan::next`].
        fact: usize,
    },
    /// A person is called, once the facts are recorded.
    CallOperator {
        /// Why.
        why: Escalation,
    },
}

/// Says what should happen next to this rollout.
pub fn plan(rollout: &Rollout, moment: &Moment<'_>) -> Plan {
    plan_on(Held::Theirs(rollout), moment)
}

/// The same, and the plan's facts are applied: for whoever holds the rollout alone and can record what it applies.
pub fn plan_and_apply(rollout: &mut Rollout, moment: &Moment<'_>) -> Plan {
    plan_on(Held::Own(rollout), moment)
}

fn plan_on(rollout: Held<'_>, moment: &Moment<'_>) -> Plan {
    let mut step = Step { rollout, moment, next: Vec::new(), effects: Vec::new() };
    if !matches!(step.rollout.phase, Phase::Halted { .. }) {
        step.lapse();
    }
    step.open_blocks();
    step.enter_bands();
    match step.rollout.phase {
        Phase::Halted { .. } => step.order_back(),
        Phase::Running | Phase::Paused { .. } => {
            step.judge();
            step.order_back();
        }
        Phase::Completed { .. } if !step.rollout.broken.is_empty() => step.judge(),
        Phase::Completed { .. } => {
            if step.rollout.holdback_is_over(moment.now) {
                step.add(Fact::HoldbackEnded);
            }
            step.open_more();
            step.order_back();
        }
    }
    let report = StepReport::of(&step.rollout, moment.now);
    Plan { next: step.next, effects: step.effects, report }
}

/// The rollout that a step works on.
enum Held<'a> {
    /// Somebody else's, unchanged so far: most steps find nothing to do.
    Theirs(&'a Rollout),
    /// A copy of somebody else's, with the step's facts.
    Copied(Box<Rollout>),
    /// The caller's own.
    Own(&'a mut Rollout),
}

impl Held<'_> {
    fn apply(&mut self, fact: &Fact, at: WallTime) {
        if let Held::Theirs(rollout) = self {
            *self = Held::Copied(Box::new(rollout.clone()));
        }
        match self {
            Held::Theirs(_) => {}
            Held::Copied(rollout) => rollout.apply(fact, at),
            Held::Own(rollout) => rollout.apply(fact, at),
        }
    }
}

impl std::ops::Deref for Held<'_> {
    type Target = Rollout;

    fn deref(&self) -> &Rollout {
        match self {
            Held::Theirs(rollout) => rollout,
            Held::Copied(rollout) => rollout,
            Held::Own(rollout) => rollout,
        }
    }
}

struct Step<'a> {
    /// The rollout with the plan's facts.
    rollout: Held<'a>,
    moment: &'a Moment<'a>,
    next: Vec<Fact>,
    effects: Vec<Effect>,
}

impl Step<'_> {
    fn add(&mut self, fact: Fact) {
        self.rollout.apply(&fact, self.moment.now);
        self.next.push(fact);
    }

    fn add_signed(&mut self, fact: Fact) {
        self.effects.push(Effect::Sign { fact: self.next.len() });
        self.add(fact);
    }

    fn lapse(&mut self) {
        let over = |permit: &&super::Issued| !permit.lapsed && permit.take_by_ms < self.moment.now;
        let steps: Vec<u32> = self.rollout.permits.iter().filter(over).map(|permit| permit.step).collect();
        for step in steps {
            self.add(Fact::Lapsed { step });
        }
    }

    fn open_blocks(&mut self) {
        let horizons = self.rollout.horizons();
        let ripe: Vec<(Tick, u32)> =
            self.rollout.blocks.ripe(self.moment.now, &horizons).map(|(t, n)| (*t, self.evidence_in(n))).collect();
        for (of, treated) in ripe {
            let Some(stratum) = self.rollout.stratum(of.stratum).cloned() else { continue };
            let controls =
                if of.lab { Vec::new() } else { self.rollout.controls_for(&of, treated, self.moment.well_in_tick) };
            self.add(Fact::BlockOpened { tick: of.tick, stratum, lab: of.lab, controls });
        }
    }

    fn evidence_in(&self, treated: &[PlaceRef]) -> u32 {
        let counts = treated.iter().filter(|at| self.rollout.place(**at).is_some_and(|(_, place)| place.evidence));
        super::number(counts.count())
    }

    fn enter_bands(&mut self) {
        let horizons = self.rollout.horizons();
        // After a time away, what devices kept to themselves meanwhile comes with their next check-in.
        if self.moment.now < self.moment.serving_since.after(horizons.check_in) {
            return;
        }
        let can_be_heard_from = self.moment.serving_since.after(horizons.check_in.times(2));
        let due: Vec<Fact> = self
            .rollout
            .blocks
            .iter()
            .filter(|block| block.due_at(&horizons) <= self.moment.now)
            .map(|block| Fact::BandEntered {
                block: block.id,
                band: if block.first_entered { 2 } else { 1 },
                deaf: block.band_ends_at(&horizons) < can_be_heard_from,
            })
            .collect();
        due.into_iter().for_each(|fact| self.add(fact));
    }

    fn judge(&mut self) {
        match self.rollout.verdict(self.moment.now) {
            Verdict::Halt(reasons) => self.halt(reasons),
            _ if self.rollout.phase != Phase::Running => {}
            Verdict::Pass if usize::from(self.rollout.ring) + 1 < self.rollout.rings.len() => {
                self.add(Fact::RingPassed { ring: self.rollout.ring });
                self.open_more();
            }
            Verdict::Pass => self.add_signed(Fact::Completed),
            Verdict::Wait(_) => {
                self.open_more();
                self.escalate();
            }
        }
    }

    /// The rollout, or under a policy that says so the parts that the evidence is confined to.
    fn halt(&mut self, reasons: Vec<HaltReason>) {
        let Some(scopes) = self.rollout.confined_to(&reasons) else {
            return self.add_signed(Fact::Halted { reasons });
        };
        self.add(Fact::ScopeHalted { scopes, reasons });
        self.effects.push(Effect::CallOperator { why: Escalation::ScopeHalted });
    }

    fn escalate(&mut self) {
        let why: Option<Escalation> = self.rollout.escalation(self.moment.now);
        if let Some(why) = why.filter(|why| self.rollout.escalated != Some(*why)) {
            self.effects.push(Effect::CallOperator { why });
            self.add(Fact::Escalated { why });
        }
    }

    fn open_more(&mut self) {
        if self.moment.now > self.rollout.identity.expires_at_ms {
            return;
        }
        self.add_places();
        let counts = Opening::new(&self.rollout, self.moment).widest();
        if counts.is_empty() {
            return;
        }
        let step = super::number(self.rollout.permits.len()) + 1;
        let take_by_ms = self.moment.now.after(self.rollout.policy.pace.take_within);
        self.add_signed(Fact::PermitIssued { step, counts, take_by_ms });
    }

    /// After a halt, of the rollout or of a part of the fleet, under a policy that says so.
    fn order_back(&mut self) {
        let counts = self.rollout.widest_return();
        if !counts.is_empty() {
            let step = super::number(self.rollout.returns.len()) + 1;
            self.add_signed(Fact::ReturnIssued { step, counts });
        }
    }

    /// Devices whose place lapsed and that are back, and devices that joined late, get places behind the others.
    fn add_places(&mut self) {
        let mut places = Vec::new();
        for at in &self.rollout.away {
            let Some((row, place)) = self.rollout.place(*at) else { continue };
            if self.rollout.is_closed(usize::from(row.stratum)) {
                continue;
            }
            let Some(stratum) = self.rollout.stratum(row.stratum) else { continue };
            if (self.moment.present)(&place.device) {
                let (device, stratum) = (place.device.clone(), stratum.clone());
                places.push(AddedPlace { device, stratum, ring: place.ring, evidence: place.evidence });
            }
        }
        let rollout = &self.rollout;
        let fits = |joiner: &&AddedPlace| {
            rollout.may_join(&joiner.device)
                && rollout.stratum_index(&joiner.stratum).is_some_and(|stratum| !rollout.is_closed(stratum))
                && usize::from(joiner.ring) < rollout.rings.len()
        };
        places.extend(self.moment.joiners.iter().filter(fits).cloned());
        if !places.is_empty() {
            places.sort_by(|a, b| (a.ring, &a.device).cmp(&(b.ring, &b.device)));
            let mut devices = BTreeSet::new();
            places.retain(|place| devices.insert(place.device.clone()));
            let number = self.rollout.addenda + 1;
            self.add_signed(Fact::AddendumIssued { number, places });
        }
    }
}

/// Finds how far every row can be opened: breadth first, one place a row in turn, within the window of every scope.
struct Opening<'a> {
    rollout: &'a Rollout,
    opened: Vec<u32>,
    added: Vec<u32>,
    added_elsewhere_max: u32,
    cut: Vec<u32>,
}

impl<'a> Opening<'a> {
    fn new(rollout: &'a Rollout, moment: &Moment<'_>) -> Opening<'a> {
        let unproven = rollout.scopes.all().map_or(0, super::scope::Scope::unproven);
        let everywhere = moment.unproven_elsewhere.saturating_add(unproven);
        Opening {
            rollout,
            opened: rollout.rows.iter().map(|row| row.opened).collect(),
            added: vec![0; rollout.scopes.iter().count()],
            added_elsewhere_max: moment.unproven_everywhere_max.saturating_sub(everywhere),
            cut: (0..rollout.strata.len()).map(|stratum| rollout.openable_with_control(stratum)).collect(),
        }
    }

    fn widest(mut self) -> Vec<RowCount> {
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
        let closed = self.rollout.is_closed(usize::from(row.stratum));
        let open = !closed && place.ring <= self.rollout.ring && place.is_waiting();
        open.then_some((usize::from(row.stratum), place.ring))
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
