//! The rollout's promises, tried from outside: random schedules against an independent count, planners that lie, and whole fleets
//! that live through good and bad releases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accusing;
mod bounded_exposure;
mod clocks;
mod count;
mod demonstration;
mod dice;
mod drawing;
mod fleet;
mod going_on;
mod halting;
mod large_fleets;
mod measuring;
mod one_id;
mod parts;
mod quarantine;
mod returning;
mod scenarios;
mod schedule;
mod shipped_policies;
mod signals;
mod six_strata;
