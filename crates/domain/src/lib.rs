//! The pure rules of Tidegate: fleet, releases, policies, rosters, windows, the gate, the planner, the device machine, incidents.
//!
//! Nothing here reads a clock, a file or a socket, draws a random number or waits. Time and chance are arguments.
//! Start with [`rollout`] (what the server plans) and [`device`] (what a device steps through).

pub mod attributes;
pub mod case;
pub mod device;
pub mod digest;
pub mod envelope;
pub mod evidence;
pub mod ids;
pub mod incident;
pub mod observation;
pub mod policy;
pub mod policy_check;
pub mod release;
pub mod rollout;
pub mod roster;
pub mod selector;
pub mod time;
