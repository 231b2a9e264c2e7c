//! The e-processes of one scope against a release, by signal and band, and how they share their scope's weight.

use serde::{Deserialize, Serialize};

use super::reason::Signal;
use crate::evidence::{HaltProcess, LogrankProcess, RareEventProcess, Share};
use crate::policy::GateRule;

/// The processes of one scope against the release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Processes {
    /// Hard failures, by band.
    pub(super) hard: [HaltProcess; 2],
    /// Silence, by band.
    pub(super) silent: [HaltProcess; 2],
    /// First crashes, over both bands: who crashed in the first is not at risk in the second.
    pub(super) crash: RareEventProcess,
    /// Numbers outside their bounds, by band; none where the release declares none.
    pub(super) outside: Option<[HaltProcess; 2]>,
    /// The time to the first healthy report of band 2; none where the policy does not ask for it.
    pub(super) late: Option<LogrankProcess>,
}

/// Which processes there are besides those that every gate has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watched {
    /// Of the numbers that the release declares.
    pub(crate) numbers: bool,
    /// Of lateness.
    pub(crate) lateness: bool,
}

impl Processes {
    pub(super) fn new(rule: &GateRule, numbers: bool) -> Processes {
        let both = |tolerate: f64| [HaltProcess::new(share(tolerate)), HaltProcess::new(share(tolerate))];
        Processes {
            hard: both(rule.tolerate_hard),
            silent: both(rule.tolerate_silent),
            crash: RareEventProcess::new(),
            // As much as for silence: a number is no failure.
            outside: numbers.then(|| both(rule.tolerate_silent)),
            late: rule.watch_lateness.then(LogrankProcess::new),
        }
    }

    /// These, as they go on under another order of the same files: what they show so far is kept, each margin is the new policy's. Numbers that
    /// nobody watched before begin now.
    pub(super) fn under(self, rule: &GateRule, numbers: bool) -> Processes {
        let hard = self.hard.map(|process| process.under(share(rule.tolerate_hard)));
        let silent = self.silent.map(|process| process.under(share(rule.tolerate_silent)));
        let new = Processes::new(rule, numbers);
        let held = self.outside.map(|pair| pair.map(|process| process.under(share(rule.tolerate_silent))));
        let outside = new.outside.map(|new| held.unwrap_or(new));
        let late = new.late.map(|new| self.late.unwrap_or(new));
        Processes { hard, silent, crash: self.crash, outside, late }
    }

    /// ln of each e-value with its signal, its band, and its share of the scope's weight. The shares add up to 1.
    pub(super) fn each(&self) -> impl Iterator<Item = (Signal, u8, f64, f64)> {
        let watched = Watched { numbers: self.outside.is_some(), lateness: self.late.is_some() };
        let of = |signal: Signal, share: f64, pair: &[HaltProcess; 2]| {
            let [first, second] = pair.each_ref().map(HaltProcess::ln_e);
            [(signal, 1, share, first), (signal, 2, share, second)]
        };
        let rest = share_of(Signal::Silent, watched);
        let outside = self.outside.iter().flat_map(move |pair| of(Signal::Number, rest, pair));
        let crash = (Signal::Crash, 0, rest, self.crash.ln_e());
        let late = self.late.iter().map(move |process| (Signal::Late, 2, rest, process.ln_e()));
        of(Signal::Hard, share_of(Signal::Hard, watched), &self.hard)
            .into_iter()
            .chain(of(Signal::Silent, rest, &self.silent))
            .chain([crash])
            .chain(outside)
            .chain(late)
    }
}

/// The share of its scope's weight that each process of a signal has: hard failures half in two bands, the others the rest, evenly.
pub(crate) fn share_of(signal: Signal, watched: Watched) -> f64 {
    match signal {
        Signal::Hard => 0.25,
        Signal::Silent | Signal::Crash | Signal::Number | Signal::Late => {
            // Silence in two bands, crashes, numbers in two bands, lateness.
            0.5 / f64::from(3 + 2 * u8::from(watched.numbers) + u8::from(watched.lateness))
        }
    }
}

/// A policy's numbers were checked when it was parsed; a number that slipped through is moved to the nearest good one.
pub(super) fn share(value: f64) -> Share {
    let near = if value.is_finite() { value.clamp(1e-12, 1.0 - 1e-12) } else { 0.5 };
    Share::new(near).unwrap_or(Share::HALF)
}
