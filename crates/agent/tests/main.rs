//! The agent and the guard as processes, against a server that speaks the device API with real signatures, killed wherever it hurts.
//! No stand-in for what a device does: real files, real payloads, real signals.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod activation;
mod bad_input;
mod bench;
mod clock;
mod drills;
mod fleet;
mod forbidden;
mod guarding;
mod leftovers;
mod observing;
mod own;
mod recovery;
mod saying;
mod server;
mod storage;
mod taken_down;
