//! What an attacker between repository and device may try, each attempt a test; and what a server refuses to take.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bench;
mod device;
mod garbage;
mod upload;
