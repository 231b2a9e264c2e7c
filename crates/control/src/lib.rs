//! The conduct loop as a machine without I/O, and the store's contract.

pub mod conformance;
pub mod contract;
pub mod model_store;
