//! The safe test of two proportions with a margin: do the treated fail more than their controls?
//! It never halts anything by itself (the gate weighs all scopes together) and never forgets a block.

use serde::{Deserialize, Serialize};

use super::counts::{BlockCounts, Exposure};
use super::edges::Edges;
use super::projection::{GRID_POINTS, Guess, Null, ln_mean};
use super::share::Share;

/// The e-process of one scope, one signal and one age band.
///
/// - **Null hypothesis**: in every block, the mean event probability of the treated is at most that of its
///   control plus `tolerate`. Probabilities may differ from device to device and drift from block to block.
/// - **Filtration**: blocks in the order in which they opened; a block's sizes depend on earlier blocks only.
/// - **Units**: `ln_e` is a natural logarithm without unit; under the null, the probability that it ever reaches
///   `ln(1/a)` is at most `a` (Ville).
/// - **Source**: Turner, Ly and Grünwald's E-variables for two proportions, projected onto a null with a margin;
///   e-values (not their logarithms) averaged over the fixed grid G24.
///
/// Costs the same for every block, whatever its size, and holds two dozen numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HaltProcess {
    tolerate: Share,
    /// ln of the product of the blocks' e-values, one a guess of [`G24`], in its order.
    ln_points: [f64; GRID_POINTS],
    /// What they come to: asked far more often than a block enters.
    ln_e: f64,
}

impl HaltProcess {
    /// A process that has seen nothing. `tolerate` is the excess of the event probability that is no reason to halt
    /// (an update by itself fails a little).
    #[must_use]
    pub fn new(tolerate: Share) -> Self {
        let ln_points = [0.0; GRID_POINTS];
        Self { tolerate, ln_points, ln_e: ln_mean(&G24, &ln_points) }
    }

    /// The same process under another margin from now on: each block counts under the margin that it entered with, and what the product of
    /// all of them shows holds as before.
    #[must_use]
    pub fn under(self, tolerate: Share) -> Self {
        Self { tolerate, ..self }
    }

    /// Enters one closed block. The caller keeps the order of opening and enters each block once.
    pub fn enter(&mut self, block: BlockCounts) {
        let edges = self.edges(block.exposure());
        self.add(&edges, block);
    }

    /// What blocks of `sizes` need to enter this process, or any other of the same `tolerate`: see [`Edges`].
    #[must_use]
    pub fn edges(&self, sizes: Exposure) -> Edges {
        Edges::new(&G24, Null::AtMost, self.tolerate, sizes)
    }

    /// Enters one closed block as [`enter`](Self::enter) does, bit for bit, with edges found before. Where they are
    /// those of another `tolerate` or of other sizes, they are found anew: the wrong edges cost time, never truth.
    pub fn enter_at(&mut self, edges: &Edges, block: BlockCounts) {
        if edges.are_for(Null::AtMost, self.tolerate, block.exposure()) {
            self.add(edges, block);
        } else {
            self.enter(block);
        }
    }

    fn add(&mut self, edges: &Edges, block: BlockCounts) {
        edges.add(block, &mut self.ln_points);
        self.ln_e = ln_mean(&G24, &self.ln_points);
    }

    /// ln of the e-value so far: the evidence that the treated fail more than is tolerated. 0 before any block.
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        self.ln_e
    }
}

const fn guess(control: f64, treated: f64) -> Guess {
    Guess { control, treated, weight: 0.7 / 20.0 }
}

const fn brick(control: f64) -> Guess {
    Guess { control, treated: 0.98, weight: 0.3 / 4.0 }
}

/// The grid of guesses: A in {1e-4, 1e-3, 1e-2, 5e-2} with B = A times {2, 4, 10, 30, 100} (where that reaches 0.6,
/// 0.3 + 0.1 log10 of the multiple), 0.7 of the weight; and B = 0.98 for each A, 0.3 of the weight.
const G24: [Guess; GRID_POINTS] = [
    guess(1e-4, 2e-4),
    guess(1e-4, 4e-4),
    guess(1e-4, 1e-3),
    guess(1e-4, 3e-3),
    guess(1e-4, 1e-2),
    brick(1e-4),
    guess(1e-3, 2e-3),
    guess(1e-3, 4e-3),
    guess(1e-3, 1e-2),
    guess(1e-3, 3e-2),
    guess(1e-3, 1e-1),
    brick(1e-3),
    guess(1e-2, 2e-2),
    guess(1e-2, 4e-2),
    guess(1e-2, 1e-1),
    guess(1e-2, 3e-1),
    guess(1e-2, 0.5),
    brick(1e-2),
    guess(5e-2, 1e-1),
    guess(5e-2, 2e-1),
    guess(5e-2, 5e-1),
    guess(5e-2, 0.447_712_125_471_966_24),
    guess(5e-2, 0.5),
    brick(5e-2),
];

#[cfg(test)]
mod tests;
