//! Seeded dice and exact binomials for the tests of this folder. It is never part of what ships.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A seeded source of events; the same seed gives the same events on every machine.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Uniform in [0, 1).
    pub(super) fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// How many of `devices` have an event of probability `rate`.
    pub(super) fn events(&mut self, devices: u32, rate: f64) -> u32 {
        (0..devices).map(|_| u32::from(self.uniform() < rate)).sum()
    }
}

/// The probability of exactly `events` among `size` devices that each have one with probability `rate`.
pub(super) fn binomial(size: u32, events: u32, rate: f64) -> f64 {
    let ways: f64 = (0..events).map(|i| f64::from(size - i) / f64::from(i + 1)).product();
    ways * rate.powi(events as i32) * (1.0 - rate).powi((size - events) as i32)
}
