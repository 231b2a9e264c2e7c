//! What a policy's statistics will do on a fleet, before anything is opened: how many failures first halt it, and
//! whether a sound release could ever clear its rings. It runs the real processes on assumed outcomes; it holds no
//! shortcut formula, and its answers are forecasts, never evidence.

use thiserror::Error;

use super::clearance::ClearanceProcess;
use super::control_ratio::{ControlRatio, block_size_max, control_count};
use super::counts::{BlockCounts, Exposure};
use super::edges::Edges;
use super::safe_proportions::HaltProcess;
use super::share::Share;

/// A release that breaks every device that takes it, met by one process of the gate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HaltForecast {
    /// Excess of the event probability that is no reason to halt.
    pub tolerate: Share,
    /// What the weighted sum must reach, as [`threshold`](super::threshold) gives it.
    pub threshold: f64,
    /// The process's weight in that sum, as [`Weights`](super::Weights) gives it: for scope *all*,
    /// [`Weights::all`](super::Weights::all).
    pub weight: f64,
    /// Controls for each treated device.
    pub ratio: ControlRatio,
    /// Treated devices in each block.
    pub block_size: u32,
}

/// Blocks after which [`HaltForecast::failures_to_halt`] gives up.
const HALT_BLOCKS_MAX: u32 = 10_000;

impl HaltForecast {
    /// How many failures first reach the threshold when every control is healthy: whole blocks fail one after another,
    /// and of the last one only as many as are needed. The other processes are taken to add nothing. `None` when that
    /// never happens: empty blocks, a tolerance that hides even a brick, or a weight or threshold that is no number above 0.
    #[must_use]
    pub fn failures_to_halt(&self) -> Option<u32> {
        if ![self.weight, self.threshold].iter().all(|number| number.is_finite() && *number > 0.0) {
            return None;
        }
        let control = self.ratio.controls_for(self.block_size);
        let mut process = HaltProcess::new(self.tolerate);
        let edges = process.edges(Exposure { treated: self.block_size, control });
        for block in 0..HALT_BLOCKS_MAX {
            if self.halts_after(&process, &edges, self.block_size)? {
                let in_block = self.fewest_in_block(&process, &edges)?;
                return block.checked_mul(self.block_size)?.checked_add(in_block);
            }
            process.enter_at(&edges, BlockCounts::new(self.block_size, self.block_size, control, 0).ok()?);
        }
        None
    }

    /// Whether one more block with `failures` failures reaches the threshold.
    fn halts_after(&self, process: &HaltProcess, edges: &Edges, failures: u32) -> Option<bool> {
        let control = self.ratio.controls_for(self.block_size);
        let mut process = process.clone();
        process.enter_at(edges, BlockCounts::new(self.block_size, failures, control, 0).ok()?);
        Some(self.weight.ln() + process.ln_e() >= self.threshold.ln())
    }

    /// The fewest failures of the next block that halt, given that all of them do. Every failure adds evidence, so
    /// halving finds it.
    fn fewest_in_block(&self, process: &HaltProcess, edges: &Edges) -> Option<u32> {
        let (mut too_few, mut enough) = (0, self.block_size);
        while enough - too_few > 1 {
            let middle = too_few + (enough - too_few) / 2;
            if self.halts_after(process, edges, middle)? {
                enough = middle;
            } else {
                too_few = middle;
            }
        }
        Some(enough)
    }
}

/// Whether the blocks of all rings after the lab, up to the one in question and in the order of opening, could clear
/// `delta` at an error of `beta` with a sound release: 90 % of the treated so far proven, and failing at `base_rate` but
/// one at least; control failing at `base_rate` too, rounded in its own favour.
#[must_use]
pub fn clears(blocks: &[Exposure], delta: Share, beta: Share, base_rate: Share) -> bool {
    assumed_outcomes(blocks, base_rate).is_some_and(|outcomes| outcomes_clear(&outcomes, delta, beta))
}

/// Whether the blocks could clear `delta` at an error of `beta` at all: when every device, treated or control, is healthy.
#[must_use]
pub fn could_clear(blocks: &[Exposure], delta: Share, beta: Share) -> bool {
    let flawless = |block: &Exposure| BlockCounts::new(block.treated, 0, block.control, 0).ok();
    let outcomes: Option<Vec<BlockCounts>> = blocks.iter().map(flawless).collect();
    outcomes.is_some_and(|outcomes| outcomes_clear(&outcomes, delta, beta))
}

/// The smallest `delta` that the blocks could clear, as in [`clears`], to two significant digits from 0.00010 to 0.99;
/// `None` when they clear none of them.
#[must_use]
pub fn smallest_delta_that_clears(blocks: &[Exposure], beta: Share, base_rate: Share) -> Option<Share> {
    let outcomes = assumed_outcomes(blocks, base_rate)?;
    let (mut tried, mut clearing) = (0, DELTA_STEPS - 1);
    let mut smallest = delta_at(clearing).filter(|delta| outcomes_clear(&outcomes, *delta, beta))?;
    while tried < clearing {
        let middle = tried + (clearing - tried) / 2;
        let delta = delta_at(middle)?;
        if outcomes_clear(&outcomes, delta, beta) {
            clearing = middle;
            smallest = delta;
        } else {
            tried = middle + 1;
        }
    }
    Some(smallest)
}

fn outcomes_clear(outcomes: &[BlockCounts], delta: Share, beta: Share) -> bool {
    let mut process = ClearanceProcess::new(delta);
    outcomes.iter().for_each(|block| process.enter(*block));
    process.cleared(beta)
}

/// The blocks with the outcomes assumed of a sound release. Shares are rounded over all blocks so far, not in each.
fn assumed_outcomes(blocks: &[Exposure], base_rate: Share) -> Option<Vec<BlockCounts>> {
    let (mut treated, mut control) = (0_u64, 0_u64);
    let (mut entered, mut failed, mut control_failed) = (0_u64, 0_u64, 0_u64);
    let mut outcomes = Vec::with_capacity(blocks.len());
    for block in blocks {
        treated += u64::from(block.treated);
        control += u64::from(block.control);
        let failed_now = ((treated as f64 * base_rate.get()).ceil() as u64).min(treated) - failed;
        let entered_now = treated.min((treated * 9).div_ceil(10) + failed + failed_now) - entered;
        let control_failed_now = (control as f64 * base_rate.get()).floor() as u64 - control_failed;
        failed += failed_now;
        entered += entered_now;
        control_failed += control_failed_now;
        let [size, events, control_events] =
            [entered_now.max(failed_now), failed_now, control_failed_now].map(u32::try_from);
        let (size, control_events) = (size.ok()?, control_events.ok()?.min(block.control));
        outcomes.push(BlockCounts::new(size, events.ok()?, block.control, control_events).ok()?);
    }
    Some(outcomes)
}

/// Steps of the deltas tried: 0.00010, 0.00011, … 0.00099, 0.0010, … 0.99.
const DELTA_STEPS: u32 = 360;

fn delta_at(step: u32) -> Option<Share> {
    Share::two_digit(step.checked_add(720)?)
}

/// The window that a forecast opens a fleet by; places are devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForecastWindow {
    /// Places before any proof, over the whole fleet.
    pub initial_all: u32,
    /// Places before any proof in one stratum.
    pub initial_stratum: u32,
    /// Places that each proven device adds.
    pub growth: u32,
}

/// The fleet that a policy's clearance is tried on: its rings after the lab, evenly spread over its strata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetShape {
    rings: Vec<u32>,
    holdback: u32,
    strata: u32,
}

/// Why a [`FleetShape`] was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ForecastError {
    /// No ring after the lab, or more of them than a policy may have.
    #[error("{given} rings after the lab: a forecast takes 1 to {RINGS_MAX}")]
    Rings {
        /// The number of rings given.
        given: usize,
    },
    /// A number of strata that no policy may have.
    #[error("{given} strata: a policy has 1 to {STRATA_MAX}")]
    Strata {
        /// The number of strata given.
        given: u32,
    },
    /// More devices than can be counted.
    #[error("the rings and the holdback hold more devices than 2^32 - 1")]
    Devices,
}

impl ForecastError {
    /// The stable word for this error.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Rings { .. } => "rings_out_of_range",
            Self::Strata { .. } => "strata_out_of_range",
            Self::Devices => "too_many_devices",
        }
    }
}

const RINGS_MAX: usize = 64;
const STRATA_MAX: u32 = 64;

/// Waves after which a window that barely opens is given up as stalled.
const WAVES_MAX: u32 = 1_000;

/// One stratum while its fleet is opened.
#[derive(Clone, Copy, Default)]
struct StratumSoFar {
    opened: u32,
    used_as_control: u32,
}

impl FleetShape {
    /// A fleet whose rings after the lab hold `rings` devices in their order, and whose `holdback` devices stay unexposed.
    ///
    /// # Errors
    /// [`ForecastError`] when a number is outside what a policy may say.
    pub fn new(rings: &[u32], holdback: u32, strata: u32) -> Result<Self, ForecastError> {
        if rings.is_empty() || rings.len() > RINGS_MAX {
            return Err(ForecastError::Rings { given: rings.len() });
        }
        if strata == 0 || strata > STRATA_MAX {
            return Err(ForecastError::Strata { given: strata });
        }
        if rings.iter().try_fold(holdback, |sum, size| sum.checked_add(*size)).is_none() {
            return Err(ForecastError::Devices);
        }
        Ok(Self { rings: rings.to_vec(), holdback, strata })
    }

    /// The blocks that open the rings through place `ring` after the lab (0 is the first): wave after wave, as the window
    /// allows with 90 % of what is open proven, a block a stratum, each with the control that its stratum's unused pool
    /// allows and no wider than still leaves it some ([`block_size_max`]), while there is any. `None` for a
    /// ring that does not exist or that the window never fills.
    #[must_use]
    pub fn blocks_through(&self, ring: usize, window: ForecastWindow) -> Option<Vec<Exposure>> {
        let fleet = self.rings.iter().fold(self.holdback, |sum, size| sum.saturating_add(*size));
        let mut strata = vec![StratumSoFar::default(); self.strata as usize];
        let (mut ring_end, mut waves, mut blocks) = (0_u32, 0_u32, Vec::new());
        for size in self.rings.get(..=ring)? {
            ring_end = ring_end.saturating_add(*size);
            while strata.iter().map(|stratum| stratum.opened).sum::<u32>() < ring_end {
                let wave = self.wave(&mut strata, ring_end, fleet, window);
                waves += 1;
                if wave.is_empty() || waves > WAVES_MAX {
                    return None;
                }
                blocks.extend(wave);
            }
        }
        Some(blocks)
    }

    /// Opens what the window leaves free in every stratum and over all of them, up to the end of the ring.
    fn wave(&self, strata: &mut [StratumSoFar], ring_end: u32, fleet: u32, window: ForecastWindow) -> Vec<Exposure> {
        let opened = strata.iter().map(|stratum| stratum.opened).sum();
        let mut places = free_places(opened, window.initial_all, window.growth);
        let mut wave = Vec::new();
        for ((stratum, so_far), strata_left) in (0..self.strata).zip(strata).zip((1..=self.strata).rev()) {
            let members = |devices: u32| devices.saturating_sub(stratum).div_ceil(self.strata);
            let unused_pool = (members(fleet) - so_far.opened).saturating_sub(so_far.used_as_control);
            let treated = (members(ring_end) - so_far.opened)
                .min(free_places(so_far.opened, window.initial_stratum, window.growth))
                .min(places.div_ceil(strata_left))
                .min(block_size_max(unused_pool));
            if treated > 0 {
                let control = control_count(treated, unused_pool.saturating_sub(treated));
                wave.push(Exposure { treated, control });
                so_far.opened += treated;
                so_far.used_as_control += control;
                places -= treated;
            }
        }
        wave
    }
}

/// Places that a window leaves free once 90 % of `opened` devices are proven.
fn free_places(opened: u32, initial: u32, growth: u32) -> u32 {
    let proven = (u64::from(opened) * 9).div_ceil(10);
    let unproven = u64::from(opened) - proven;
    let bound = u64::from(growth).saturating_mul(proven).saturating_add(u64::from(initial));
    u32::try_from(bound.saturating_sub(unproven)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
