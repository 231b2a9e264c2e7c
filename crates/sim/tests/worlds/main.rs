//! Whole simulated fleets: what must come of them whatever the seed. Each failure names the command that replays it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod faults;
mod same_again;
mod servers;
mod weather;
mod world;
