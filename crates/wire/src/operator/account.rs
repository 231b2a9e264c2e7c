//! The account: who did what, when, to what.

use serde::{Deserialize, Serialize};
use tidegate_domain::time::WallTime;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountLine {
    /// The number of the log entry that says it; one entry may say several lines.
    pub entry: u64,
    /// When it was recorded.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub at_ms: WallTime,
    /// An operator's name; `key ` and the beginning of an id for what a key signed; `gate` or `server` for what they did by themselves.
    pub who: String,
    /// A stable word, such as `halted`.
    pub what: String,
    /// A rollout, release, policy, device, operator or hold.
    pub about: String,
    /// More, in words.
    pub detail: String,
}

/// A part of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountPart {
    /// The lines that were asked for, oldest first.
    pub lines: Vec<AccountLine>,
    /// Up to which entry the log was looked through: ask on behind it.
    pub through: u64,
    /// The last entry of the log.
    pub last: u64,
}
