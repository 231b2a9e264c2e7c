//! A fleet in one process, for knowing what a policy would do before anybody signs it.
//!
//! [`scenario`] describes a world; [`compare`] runs policies and rivals' rules in it side by side. The device machine, the guard, the
//! planner and the gate are those that ship; seeded time, network and faults are all that is simulated.

mod calendar;
pub mod catalogue;
mod chance;
pub mod compare;
mod conducted;
mod fate;
mod fitting;
mod gate;
mod life;
pub mod many;
mod names;
pub mod outcome;
mod population;
mod reading;
mod record;
pub mod replay;
pub mod report;
pub mod rivals;
mod run;
pub mod scenario;
mod spread;

pub use run::{Progress, to_the_end};
