//! The null's edge under every guess of a grid, found once for blocks of the same sizes.
//! It never sees an outcome and never changes what a process says; it only spares the finding.

use super::counts::{BlockCounts, Exposure};
use super::projection::{DeviceTerms, GRID_POINTS, Guess, Null};
use super::share::Share;

/// What the blocks of one size add to a process of one null hypothesis, before their outcome is known: the part of
/// [`HaltProcess::enter`](super::HaltProcess::enter) and [`ClearanceProcess::enter`](super::ClearanceProcess::enter)
/// that costs. Made by a process, and good for every process with the same null and margin: a block that enters the
/// scope *all*, its attribute values and its stratum needs it once.
#[derive(Clone, Debug, PartialEq)]
pub struct Edges {
    null: Null,
    margin: Share,
    sizes: Exposure,
    terms: [DeviceTerms; GRID_POINTS],
}

impl Edges {
    /// The edges for blocks of `sizes`. A null has one grid, so the two always belong together.
    pub(super) fn new(grid: &[Guess; GRID_POINTS], null: Null, margin: Share, sizes: Exposure) -> Self {
        let terms = DeviceTerms::of(grid, null, margin.get(), sizes);
        Self { null, margin, sizes, terms }
    }

    /// Whether these are the edges that a process of this null and margin needs for a block of `sizes`.
    pub(super) fn are_for(&self, null: Null, margin: Share, sizes: Exposure) -> bool {
        self.null == null && self.margin == margin && self.sizes == sizes
    }

    /// Adds a block's outcome to `ln_points`, one a guess in the grid's order.
    pub(super) fn add(&self, block: BlockCounts, ln_points: &mut [f64; GRID_POINTS]) {
        ln_points.iter_mut().zip(&self.terms).for_each(|(ln_e, terms)| *ln_e += terms.ln_e(block));
    }
}
