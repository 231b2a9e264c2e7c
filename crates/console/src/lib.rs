//! What operators look at: view models in, HTML and SVG out.
//!
//! Pure: it reads no clock, file or socket, and knows nothing of requests. Everything that comes from outside (device names, reasons, a
//! payload's last words) is text to it and leaves it escaped. Pages can be read without scripts; with them the part that changes is kept
//! up to date.

pub mod approval;
pub mod continuity;
pub mod device;
mod drawing;
pub mod fleet;
mod frame;
pub mod incident;
pub mod incidents;
mod instants;
pub mod log;
pub mod overview;
mod phrases;
pub mod policies;
pub mod releases;
pub mod rollout;
pub mod rollouts;
pub mod signing_in;
pub mod trust;
pub mod what_if;
mod written;

pub use frame::Viewer;
pub use written::Written;

/// The style sheet, for both themes and every width.
pub const STYLE: &str = include_str!("../assets/style.css");
/// The script that keeps the changing part of a page up to date.
pub const LIVE: &str = include_str!("../assets/live.js");
/// The script of the key that a browser holds.
pub const KEYS: &str = include_str!("../assets/keys.js");
/// The sign of the house.
pub const ICON: &str = include_str!("../assets/icon.svg");
/// Where they are served.
pub const STYLE_PATH: &str = "/console/style.css";
/// See [`STYLE_PATH`].
pub const LIVE_PATH: &str = "/console/live.js";
/// See [`STYLE_PATH`].
pub const KEYS_PATH: &str = "/console/keys.js";
/// See [`STYLE_PATH`].
pub const ICON_PATH: &str = "/console/icon.svg";
