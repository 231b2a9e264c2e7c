//! A comparison as one page that needs nothing else: a table, exposure curves, the course of the evidence, and the frontier of devices
//! harmed against time to the whole fleet.

mod chart;
mod page;

pub use page::{lasting, page};
