//! The gate: what the evidence says, as data. `Pass | Wait(reasons) | Halt(reasons)`, never a bool.
//!
//! It holds F2 processes for every scope, signal and band, F3 for every scope's first crashes, F5's F2 for numbers where the release declares
//! any, F4 for lateness where the policy asks for it, F6 clearance for every ring after the lab, and knows F7's weights. It never opens anything and never looks at a clock.

use serde::{Deserialize, Serialize};

use super::Rollout;
use super::band::{BandCounts, block_counts};
use super::place::Seen;
use super::processes::{Processes, share};
pub use super::reason::{HaltReason, Signal, Verdict, WaitReason};
use super::scope::{Scope, ScopeName, Scopes};
use crate::evidence::{
    Accused, ClearanceProcess, HaltProcess, PROCESSES_PER_SCOPE, Suspect, Weights, blamed, lab, lab_threshold,
    ln_weighted_sum, threshold,
};
use crate::ids::RingName;
use crate::policy::{GateRule, HaltReach, Policy};
use crate::time::WallTime;

/// The processes of a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// By scope.
    halt: Vec<Processes>,
    /// By ring: hard, silent. The lab has none.
    clear: Vec<Option<[ClearanceProcess; 2]>>,
    /// By scope: the weight of each of its processes of hard failures (F7), which have half of their scope's; the others share the rest.
    weights: Vec<f64>,
    /// What the halting processes come to. They change when a band enters, and are asked at every step.
    against: Against,
    /// By scope: ln of the average of its e-values.
    by_scope: Vec<f64>,
    /// By ring, what the clearing processes come to.
    cleared: Vec<Option<[f64; 2]>>,
    /// The stretch between two closings of parts of the fleet, from 1.
    stretch: u32,
}

/// The evidence against a release.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// ln of the weighted sum of all halting e-values (F7).
    pub ln_e: f64,
    /// The index of the scope that contributes most.
    pub scope: usize,
    /// The signal that does.
    pub signal: Signal,
    /// The age band that does, 1 or 2; 0 for a process over both.
    pub band: u8,
}

/// The share of those blamed that may be innocent.
pub const BLAME_FALSE_SHARE: f64 = 0.05;

impl Gate {
    /// `numbers` says whether the release declares any.
    pub(crate) fn new(policy: &Policy, scopes: &Scopes, numbers: bool) -> Gate {
        let strata = scopes.iter().filter(|scope| matches!(scope.name, ScopeName::Stratum { .. })).count();
        let weights = Weights::for_scopes(scopes.values_by_attribute(), super::number(strata));
        let mut gate = Gate {
            halt: scopes.iter().map(|_| Processes::new(&policy.gate, numbers)).collect(),
            clear: clearances(policy),
            stretch: 1,
            weights: scopes.iter().map(|scope| weight_of(scope, scopes, &weights)).collect(),
            against: Against { ln_e: 0.0, scope: 0, signal: Signal::Hard, band: 1 },
            by_scope: Vec::new(),
            cleared: Vec::new(),
        };
        gate.weigh();
        gate.weigh_clearance();
        gate
    }

    /// Goes on where the gate of an earlier order of the same files stood: scopes of the same name keep their processes. Clearance begins anew,
    /// for past success lowers no gate.
    pub(super) fn go_on_from(
        &mut self,
        scopes: &Scopes,
        policy: &Policy,
        numbers: bool,
        (held_scopes, earlier): (&Scopes, &Gate),
    ) {
        for (scope, processes) in scopes.iter().zip(&mut self.halt) {
            let held = held_scopes.iter().position(|held| held.name == scope.name);
            if let Some(held) = held.and_then(|index| earlier.halt.get(index)) {
                *processes = held.clone().under(&policy.gate, numbers);
            }
        }
        self.stretch = self.stretch.max(earlier.stretch);
        self.weigh();
    }

    /// After a part of the fleet was closed: what is to be known of the rest is learnt from now on. The processes of all scopes that held a
    /// closed stratum begin anew, and so does clearance.
    pub(super) fn begin_anew(&mut self, scopes: &[usize], policy: &Policy, numbers: bool) {
        for index in scopes {
            if let Some(processes) = self.halt.get_mut(*index) {
                *processes = Processes::new(&policy.gate, numbers);
            }
        }
        self.clear = clearances(policy);
        self.stretch += 1;
        self.weigh();
        self.weigh_clearance();
    }

    pub(crate) fn enter(&mut self, scopes: &[usize], counts: &BandCounts) {
        let band = usize::from(counts.second);
        type Pick = fn(&mut Processes) -> Option<&mut [HaltProcess; 2]>;
        let picks: [(_, Pick); 3] = [
            (counts.hard, |processes| Some(&mut processes.hard)),
            (counts.silent, |processes| Some(&mut processes.silent)),
            (counts.outside, |processes| processes.outside.as_mut()),
        ];
        for (counts, pick) in picks {
            let Some(counts) = counts else { continue };
            // Every scope's process of a signal has the same margin, so that the costly part is worked out once.
            let mut edges = None;
            for index in scopes {
                let pair = self.halt.get_mut(*index).and_then(pick);
                let Some(process) = pair.and_then(|pair| pair.get_mut(band)) else { continue };
                let edges = edges.get_or_insert_with(|| process.edges(counts.exposure()));
                process.enter_at(edges, counts);
            }
        }
        for index in scopes {
            let Some(processes) = self.halt.get_mut(*index) else { continue };
            counts.crashes.iter().for_each(|(side, at_risk)| processes.crash.enter(*side, *at_risk));
            if let (Some(process), Some(block)) = (&mut processes.late, &counts.late) {
                process.enter_block(block);
            }
        }
        self.weigh_again(scopes);
    }

    /// A whole block enters clearance when its second band does: failed in either band, silent at its end.
    /// Silence is left out where nobody could be heard.
    pub(super) fn enter_clearance(&mut self, treated: &[Seen], controls: &[Seen], deaf: bool) {
        let hard = |seen: &Seen| seen.hard != [false; 2] || seen.elsewhere != [false; 2];
        let silent = |seen: &Seen| !seen.healthy[1];
        let silence = if deaf { None } else { block_counts(treated, controls, |_| true, silent) };
        let counts = [block_counts(treated, controls, |_| true, hard), silence];
        for (signal, counts) in counts.into_iter().enumerate() {
            let Some(counts) = counts else { continue };
            let mut edges = None;
            for processes in self.clear.iter_mut().flatten() {
                let Some(process) = processes.get_mut(signal) else { continue };
                let edges = edges.get_or_insert_with(|| process.edges(counts.exposure()));
                process.enter_at(edges, counts);
            }
        }
        self.weigh_clearance();
    }

    fn weigh(&mut self) {
        self.by_scope = self.halt.iter().map(average).collect();
        self.weigh_together();
    }

    /// After blocks entered these scopes and no other.
    fn weigh_again(&mut self, scopes: &[usize]) {
        for index in scopes {
            if let (Some(processes), Some(of_scope)) = (self.halt.get(*index), self.by_scope.get_mut(*index)) {
                *of_scope = average(processes);
            }
        }
        self.weigh_together();
    }

    fn weigh_together(&mut self) {
        let mut terms = Vec::with_capacity(self.halt.len() * 7);
        for (index, (hard, processes)) in self.weights.iter().zip(&self.halt).enumerate() {
            let of_scope = hard * f64::from(PROCESSES_PER_SCOPE);
            terms.extend(
                processes.each().map(|(signal, band, share, ln_e)| (of_scope * share, ln_e, index, signal, band)),
            );
        }
        let heavy = terms.iter().filter(|term| term.0 > 0.0).map(|term| (term.0.ln() + term.1, term));
        let leading = heavy.max_by(|a, b| a.0.total_cmp(&b.0));
        let (scope, signal, band) = leading.map_or((0, Signal::Hard, 1), |(_, term)| (term.2, term.3, term.4));
        let ln_e = ln_weighted_sum(terms.iter().map(|term| (term.0, term.1)));
        self.against = Against { ln_e, scope, signal, band };
    }

    fn weigh_clearance(&mut self) {
        let ln_e = |processes: &Option<[ClearanceProcess; 2]>| {
            processes.as_ref().map(|processes| processes.each_ref().map(ClearanceProcess::ln_e))
        };
        self.cleared = self.clear.iter().map(ln_e).collect();
    }

    /// The evidence against the release.
    pub fn against(&self) -> Against {
        self.against
    }

    /// Each scope with ln of the average of its e-values.
    pub(super) fn by_scope<'a>(&'a self, scopes: &'a Scopes) -> impl Iterator<Item = (&'a ScopeName, f64)> {
        scopes.iter().map(|scope| &scope.name).zip(self.by_scope.iter().copied())
    }

    /// Which values and strata the evidence points at: those to blame, and up to three more that come closest. Among those blamed, at
    /// most [`BLAME_FALSE_SHARE`] are innocent in expectation.
    pub fn suspects(&self, scopes: &Scopes) -> Vec<Accused<ScopeName>> {
        let named = scopes.iter().zip(&self.by_scope).filter(|(scope, _)| scope.name != ScopeName::All);
        let suspects: Vec<_> = named.filter_map(|(scope, ln_e)| Suspect::new(scope.name.clone(), *ln_e).ok()).collect();
        let mut accused = blamed(&suspects, share(BLAME_FALSE_SHARE));
        accused.retain(|one| one.ln_e > 0.0);
        let count = accused.iter().filter(|one| one.blamed).count();
        accused.truncate(count.max(3));
        accused
    }

    /// ln of the clearance e-values of a ring: hard, silent. None for a lab.
    pub fn clearance(&self, ring: u8) -> Option<[f64; 2]> {
        *self.cleared.get(usize::from(ring))?
    }
}

/// ln of the average of a scope's e-values.
fn average(processes: &Processes) -> f64 {
    ln_weighted_sum(processes.each().map(|(_, _, share, ln_e)| (share, ln_e)))
}

fn weight_of(scope: &Scope, scopes: &Scopes, weights: &Weights) -> f64 {
    match &scope.name {
        ScopeName::All => weights.all(),
        ScopeName::Stratum { .. } => weights.stratum(),
        ScopeName::Value { attribute, .. } => {
            let mut seen = Vec::new();
            for scope in scopes.iter() {
                match &scope.name {
                    ScopeName::Value { attribute, .. } if !seen.contains(&attribute) => seen.push(attribute),
                    ScopeName::All | ScopeName::Value { .. } | ScopeName::Stratum { .. } => {}
                }
            }
            seen.iter().position(|known| *known == attribute).map_or(0.0, |place| weights.value_of_attribute(place))
        }
    }
}

fn clearances(policy: &Policy) -> Vec<Option<[ClearanceProcess; 2]>> {
    let clear = |ring: &crate::policy::Ring| {
        let both = || [ClearanceProcess::new(share(ring.clear_hard)), ClearanceProcess::new(share(ring.clear_silent))];
        (!ring.lab).then(both)
    };
    policy.rings.iter().map(clear).collect()
}

/// ln of what the weighted sum of the halting e-values must reach under a policy.
pub(crate) fn ln_threshold(policy: &Policy) -> f64 {
    let lab_share = if policy.has_lab() { policy.gate.lab_share } else { 0.0 };
    threshold(share(policy.gate.alpha), share(lab_share)).ln()
}

/// What the lab's own test says when so many of the `size` of its devices that took the release failed, crashed or are silent.
pub(crate) fn lab_evidence(rule: &GateRule, size: u32, failures: u32) -> Option<HaltReason> {
    let failures = failures.min(size);
    let ln_e = lab::ln_e(size, failures);
    let ln_threshold = lab_threshold(share(rule.alpha), share(rule.lab_share)).ln();
    (ln_e >= ln_threshold).then_some(HaltReason::LabEvidence { size, failures, ln_e, ln_threshold })
}

impl Rollout {
    /// What the gate says now of the open ring.
    pub fn verdict(&self, now: WallTime) -> Verdict {
        let halts = self.halt_reasons();
        if !halts.is_empty() {
            return Verdict::Halt(halts);
        }
        let waits = self.wait_reasons(now);
        if waits.is_empty() { Verdict::Pass } else { Verdict::Wait(waits) }
    }

    pub(super) fn halt_reasons(&self) -> Vec<HaltReason> {
        let broken =
            self.broken.first().into_iter().map(|device| HaltReason::InvariantBroken { device: device.clone() });
        let wedged = self.open_scopes().filter_map(|scope| self.wedged(scope));
        let mut reasons: Vec<HaltReason> = broken.chain(wedged).collect();
        if reasons.is_empty() {
            reasons.extend(self.open_scopes().filter_map(|scope| self.exhausted(scope)));
        }
        let Against { ln_e, scope: index, signal, band } = self.gate.against();
        let ln_threshold = self.ln_halt();
        if let Some(scope) = self.scopes.get(index).filter(|_| ln_e >= ln_threshold) {
            reasons.push(HaltReason::Evidence { ln_e, ln_threshold, scope: scope.name.clone(), signal, band });
        }
        let lab = self.rings.first().filter(|_| self.policy.has_lab());
        reasons.extend(lab.and_then(|tally| lab_evidence(&self.policy.gate, tally.taken, tally.troubled)));
        reasons
    }

    /// ln of what the evidence must reach to halt. Under `halt = "scope"` each stretch between closings has its part of `alpha`.
    pub(super) fn ln_halt(&self) -> f64 {
        let whole = ln_threshold(&self.policy);
        match self.policy.halt {
            HaltReach::Rollout => whole,
            HaltReach::Scope => {
                let stretch = f64::from(self.gate.stretch);
                whole + (stretch * (stretch + 1.0)).ln()
            }
        }
    }

    /// The scopes that hold a stratum which is not closed.
    pub(super) fn open_scopes(&self) -> impl Iterator<Item = &Scope> {
        let open = |index: usize| {
            (0..self.strata.len())
                .any(|stratum| !self.is_closed(stratum) && self.scopes.of_stratum(stratum).contains(&index))
        };
        let all = self.closed.is_empty();
        self.scopes.iter().enumerate().filter(move |(index, _)| all || open(*index)).map(|(_, scope)| scope)
    }

    fn wedged(&self, scope: &Scope) -> Option<HaltReason> {
        let (rules, lab) = (&self.policy, self.is_lab(self.ring));
        let held = scope.places_through(self.ring, &rules.rings, lab);
        let (failed, places) = (scope.tally(lab).failed, scope.wedges_at(&rules.window, lab, held));
        (failed >= places).then(|| HaltReason::Wedged { scope: scope.name.clone(), failed, places })
    }

    fn exhausted(&self, scope: &Scope) -> Option<HaltReason> {
        let (failed, overdue, full) = scope.spent(&self.policy.window, self.is_lab(self.ring));
        (full && failed > 0).then(|| HaltReason::WindowExhausted { scope: scope.name.clone(), failed, overdue })
    }

    /// The ring that is open, by name.
    pub fn ring_name(&self) -> Option<&RingName> {
        self.policy.rings.get(usize::from(self.ring)).map(|ring| &ring.name)
    }
}
