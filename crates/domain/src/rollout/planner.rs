//! The planner: a rollout and a moment in, a plan out. It changes nothing itself and knows nothing that it was not given.
//!
//! The plan's facts are to be recorded and then applied; its effects say what must be done before that and after it.
//! Every step asks in the same order: what has lapsed, which blocks open, which bands enter, what the gate says, what may open.

use std::collections::BTreeSet;

use super::block::Tick;
use super::fact::{AddedPlace, Escalation, Fact};
use super::opening::Opening;
use super::place::PlaceRef;
use super::reason::{HaltReason, Verdict};
use super::report::StepReport;
use super::{Phase, Rollout};
use crate::ids::{DeviceId, StratumName};
use crate::time::WallTime;

/// What the planner may know besides the rollout.
pub struct Moment<'a> {
    /// Now.
    pub now: WallTime,
    /// Whether a device checked in during this tick and said that it is well.
    pub well_in_tick: &'a dyn Fn(&DeviceId, u64) -> bool,
    /// Whether a device was heard of just now, so that a new place for it makes sense.
    pub present: &'a dyn Fn(&DeviceId) -> bool,
    /// Strata of which nothing opens now, because people hold them.
    pub shut: &'a dyn Fn(&StratumName) -> bool,
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
        // While people hold a part of the fleet, that nothing opens is what they wanted.
        let held = || self.rollout.strata.iter().any(|stratum| (self.moment.shut)(stratum));
        let why: Option<Escalation> =
            self.rollout.escalation(self.moment.now).filter(|why| *why != Escalation::Stalled || !held());
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
