//! The server over real HTTP: its main job, its promises, its manners.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod fleet;
mod main_job;
mod played;
