//! The HTTP shell around control and store: device API and operator API.
//!
//! [`conductor`] is the one thread that changes anything; handlers hand it commands and read its state. [`halts`] is the way to stop
//! that needs none of it. Start with [`Server::start`].

mod app;
mod asked;
mod backup;
mod body;
pub mod clock;
mod conductor;
mod console;
mod counted;
mod device_api;
pub mod drill;
mod export;
mod halts;
mod journal;
mod keys;
mod metrics;
mod oidc;
mod openapi;
mod operator_api;
mod outbound;
mod presence;
mod problem;
mod prune;
mod random;
mod rebuild;
mod routes;
mod scrape;
mod serve;
mod sessions;
mod start;
mod unstalled;
mod webhooks;
mod weekly;
mod workshop;

pub use backup::{About, RestoreReport, backup, restore};
pub use export::export;
pub use keys::ServerKeys;
pub use prune::{PruneReport, prune};
pub use rebuild::{RebuildReport, rebuild};
pub use start::{Server, Settings};
