//! The conduct loop as a machine without I/O: what may be asked, what is known, what is planned, what must be durable first.
//!
//! [`command`] holds every rule of acceptance, [`state`] is the fold of everything recorded, [`conduct`] the machine that keeps the
//! lease, plans and writes, [`contract`] what it asks of a store. Nothing here reads a clock or a file, draws at random, or waits.

pub mod account;
pub mod command;
pub mod conclusion;
pub mod conduct;
pub mod conformance;
pub mod contract;
pub mod decision;
pub mod history;
pub mod hold;
pub mod model_store;
pub mod presence;
pub mod pruning;
pub mod state;
pub mod trusted;
