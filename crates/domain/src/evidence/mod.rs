//! The statistics of the gate: what blocks of treated devices and their controls say about a release.
//! Everything here is anytime-valid: it may be looked at after every step and its false-alarm rate holds.
//! It never reads a clock, draws a number, decides a halt or keeps a device: counts go in, logarithms of
//! e-values come out.
//!
//! # What enters, and when
//!
//! Failures are heard of sooner than successes, so a test that counts what has arrived sees bad luck in every
//! release. What may enter is therefore fixed before it is known:
//!
//! 1. The unit is a **block**: the treated devices of one tick, one stratum and one maintenance group, and the
//!    controls drawn for them. Its members, and the ages at which it is looked at, are settled when it opens.
//!    Control comes from the same stratum and group, passes the same filter, answers in the same tick, stays
//!    unexposed until its block has closed, and serves once in a release.
//! 2. A block has two **age bands**: from the go to `downtime` plus two check-ins, and from there to the proof
//!    plus two check-ins. The second band counts those still at risk when it begins. A failure belongs to the band
//!    of the device's *age* when it failed, not to the moment that somebody heard of it. Each band enters once, one
//!    check-in after its end. The bands feed separate processes, which are averaged: a product would charge the
//!    survivors twice.
//! 3. A device without a healthy report at its band's end is **silent**, an event of its own signal. Nobody is left
//!    out for want of data, treated or control.
//! 4. Nothing enters before its band is over, not even what is already known.
//! 5. Blocks enter in the order in which they opened, and the size of a block may depend on earlier blocks only. That
//!    order is the filtration of every process here.
//! 6. A block without control says nothing against a release: its e-value is 1. For a release its treated can speak
//!    alone: who fails less often than `delta` does not fail more often than any control by `delta`.
//!
//! Strata are never pooled into one block, and e-values that share controls are averaged with fixed weights
//! ([`Weights`], [`ln_weighted_sum`]), never multiplied.
//!
//! # Which process answers what
//!
//! | Question | Process |
//! |---|---|
//! | Do the treated fail more than control, by more than is tolerated? | [`HaltProcess`] |
//! | Is it shown that they do not fail more by as much as `delta`? | [`ClearanceProcess`] |
//! | Does the lab, which has no control, fail more than any lab should? | [`lab::ln_e`] |
//! | Could this policy on this fleet halt or pass at all? | [`HaltForecast`], [`clears`] |
//! | Do the treated crash more in the same time, where crashes are rare? | [`RareEventProcess`] |
//! | Do the treated report later than control? Optional: a restart is a delay too | [`LogrankProcess`] |
//! | Are the treated slower, larger or hungrier than the control was before? | [`HaltProcess`] on values above [`Quantile99`] |
//! | What is the mean so far, and how sure is it? To show, never to halt | [`MeanSoFar`] |
//! | Which of many explains a rise in failures? | [`blamed`] |
//!
//! A process whose blocks enter several scopes finds its null's edge once for all of them ([`Edges`]).

mod blame;
mod clearance;
mod combine;
mod control_ratio;
mod counts;
mod edges;
mod forecast;
pub mod lab;
mod logrank;
mod means;
pub mod odds;
mod projection;
mod rare_events;
mod rate_ratio;
mod safe_proportions;
mod share;

#[cfg(test)]
mod chance;

pub use blame::{Accused, Suspect, SuspectError, blamed};
pub use clearance::ClearanceProcess;
pub use combine::{LN_OF_NOTHING, PROCESSES_PER_SCOPE, Weights, lab_threshold, ln_weighted_sum, threshold};
pub use control_ratio::{ControlRatio, block_size_max, control_count, treated_with_control_max};
pub use counts::{BlockCounts, CountsError, Exposure};
pub use edges::Edges;
pub use forecast::{
    FleetShape, ForecastError, ForecastWindow, HaltForecast, clears, could_clear, smallest_delta_that_clears,
};
pub use logrank::{LogrankProcess, Unreported, UnreportedError};
pub use means::{MAGNITUDE_MAX, MeanSoFar, Quantile99, VALUES_MAX, ValueError};
pub use rare_events::{DeviceTime, RareEventProcess};
pub use rate_ratio::Side;
pub use safe_proportions::HaltProcess;
pub use share::{Share, ShareError};
