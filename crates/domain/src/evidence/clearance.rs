//! Clearance: positive evidence that a release is no worse than control by as much as `delta`.
//! Passing needs it; the absence of an alarm is never taken for it, and past success never counts towards it.

use serde::{Deserialize, Serialize};

use super::counts::{BlockCounts, Exposure};
use super::edges::Edges;
use super::projection::{GRID_POINTS, Guess, Null, ln_mean};
use super::share::Share;

/// The e-process that clears one signal in scope *all*, cumulative over the rings after the lab.
///
/// - **Null hypothesis**: in every block, the mean event probability of the treated is at least that of its
///   control plus `delta`. In a block without control, the same of the control that it would have had: then that mean
///   is at least `delta`, and the treated alone can contradict it.
/// - **Filtration**: blocks in the order in which they opened; a block's sizes depend on earlier blocks only.
/// - **Units**: `ln_e` is a natural logarithm without unit; under the null, the probability that it ever reaches
///   `ln(1/beta)` is at most `beta` (Ville).
/// - **Source**: the projection of [`HaltProcess`](super::HaltProcess) with its sign turned, e-values averaged over
///   the fixed grid C24.
///
/// Rings with different `delta` have a process each, fed with the same blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClearanceProcess {
    delta: Share,
    /// ln of the product of the blocks' e-values, one a guess of [`C24`], in its order.
    ln_points: [f64; GRID_POINTS],
}

impl ClearanceProcess {
    /// A process that has seen nothing. `delta` is the excess of the event probability that must be excluded.
    #[must_use]
    pub fn new(delta: Share) -> Self {
        Self { delta, ln_points: [0.0; GRID_POINTS] }
    }

    /// Enters one closed block. The caller keeps the order of opening and enters each block once.
    pub fn enter(&mut self, block: BlockCounts) {
        self.edges(block.exposure()).add(block, &mut self.ln_points);
    }

    /// What blocks of `sizes` need to enter this process, or any other of the same `delta`: see [`Edges`].
    #[must_use]
    pub fn edges(&self, sizes: Exposure) -> Edges {
        Edges::new(&C24, Null::AtLeast, self.delta, sizes)
    }

    /// Enters one closed block as [`enter`](Self::enter) does, bit for bit, with edges found before. Where they are
    /// those of another `delta` or of other sizes, they are found anew: the wrong edges cost time, never truth.
    pub fn enter_at(&mut self, edges: &Edges, block: BlockCounts) {
        if edges.are_for(Null::AtLeast, self.delta, block.exposure()) {
            edges.add(block, &mut self.ln_points);
        } else {
            self.enter(block);
        }
    }

    /// ln of the e-value so far: the evidence that the treated are not worse by `delta`. 0 before any block.
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        ln_mean(&C24, &self.ln_points)
    }

    /// Whether the evidence suffices now, at an error of `beta`.
    #[must_use]
    pub fn cleared(&self, beta: Share) -> bool {
        self.ln_e() >= -beta.get().ln()
    }
}

const fn guess(control: f64, treated: f64, weight: f64) -> Guess {
    Guess { control, treated, weight }
}

/// The grid of guesses: A in {1e-4, 1e-3, 1e-2, 5e-2}; B = A (the release changes nothing) with 0.4 of the weight, 2A with
/// 0.12, 4A and 10A with 0.06 each, and the rates 0.05 with 0.24 and 0.15 with 0.12. The last two are for small fleets
/// with a coarse `delta`, where one failing device is already a twentieth or a tenth of all. A guess that is not below
/// A + `delta` says nothing.
const C24: [Guess; GRID_POINTS] = [
    guess(1e-4, 1e-4, 0.1),
    guess(1e-4, 2e-4, 0.03),
    guess(1e-4, 4e-4, 0.015),
    guess(1e-4, 1e-3, 0.015),
    guess(1e-4, 0.05, 0.06),
    guess(1e-4, 0.15, 0.03),
    guess(1e-3, 1e-3, 0.1),
    guess(1e-3, 2e-3, 0.03),
    guess(1e-3, 4e-3, 0.015),
    guess(1e-3, 1e-2, 0.015),
    guess(1e-3, 0.05, 0.06),
    guess(1e-3, 0.15, 0.03),
    guess(1e-2, 1e-2, 0.1),
    guess(1e-2, 2e-2, 0.03),
    guess(1e-2, 4e-2, 0.015),
    guess(1e-2, 0.1, 0.015),
    guess(1e-2, 0.05, 0.06),
    guess(1e-2, 0.15, 0.03),
    guess(5e-2, 5e-2, 0.1),
    guess(5e-2, 0.1, 0.03),
    guess(5e-2, 0.2, 0.015),
    guess(5e-2, 0.5, 0.015),
    guess(5e-2, 0.05, 0.06),
    guess(5e-2, 0.15, 0.03),
];

#[cfg(test)]
mod tests;
