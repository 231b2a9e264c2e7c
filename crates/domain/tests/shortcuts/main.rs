//! Shortcuts that a gate must not take, each beside the rule that it would replace, on the same draws of sound releases.
//!
//! Rates are out of all runs; the figures of the independent simulation behind the rules stand beside them in what is printed. Where 1 in
//! 1,000 would need too many runs, an error of 1 in 20 is asked for: the bound holds for each.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod arrival;
mod cohorts;
mod combining;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tidegate_domain::evidence::{BlockCounts, HaltProcess, Share};

/// The rate at which every device fails in these worlds, treated or not, unless a test says otherwise.
pub(crate) const RATE: f64 = 0.01;
/// The error that is asked for: 1 false halt in 20.
pub(crate) const ALPHA: f64 = 0.05;

/// Seeded draws.
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(crate) fn share(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// How many of `devices` fail.
    pub(crate) fn failures(&mut self, devices: u32, rate: f64) -> u32 {
        (0..devices).map(|_| u32::from(self.share() < rate)).sum()
    }
}

pub(crate) fn process() -> HaltProcess {
    HaltProcess::new(Share::new(5e-4).unwrap())
}

pub(crate) fn counts(treated: u32, treated_events: u32, control: u32, control_events: u32) -> BlockCounts {
    BlockCounts::new(treated, treated_events, control, control_events).unwrap()
}

/// In how many of `runs` worlds the rule and the shortcut halt: each world says for both whether they ever crossed.
pub(crate) fn halts(runs: u64, mut world: impl FnMut(&mut Dice) -> (bool, bool)) -> (f64, f64) {
    let (mut rule, mut shortcut) = (0_u32, 0_u32);
    for seed in 0..runs {
        let (by_rule, by_shortcut) = world(&mut Dice::new(seed));
        rule += u32::from(by_rule);
        shortcut += u32::from(by_shortcut);
    }
    (f64::from(rule) / runs as f64, f64::from(shortcut) / runs as f64)
}
