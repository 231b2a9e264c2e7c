//! The one place where the server reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use tidegate_domain::time::WallTime;

/// Now. A clock before 1970 reads as 1970.
pub fn now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
