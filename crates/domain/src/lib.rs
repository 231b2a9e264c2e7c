//! The pure rules: fleet, releases, policies, windows, the gate, the planner and the device machine.

pub mod evidence;
