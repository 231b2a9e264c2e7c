//! The server over real HTTP: its main job, its promises, its manners.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod again;
mod approving;
mod backing_up;
mod bad_input;
mod child;
mod collecting;
mod console;
mod crash;
mod document;
mod evidence;
mod fleet;
mod halting;
mod holding;
mod incidents;
mod listener;
mod log;
mod lying_planner;
mod main_job;
mod manners;
mod oidc;
mod played;
mod pruning;
mod rebuilding;
mod resuming;
mod returning;
mod signed_halt;
mod troubleshooting;
mod webhooks;
mod world;
