//! The device's wall time: what the system says, but never before what is known to have passed already.

use std::time::{SystemTime, UNIX_EPOCH};

use tidegate_domain::time::WallTime;

/// When this code was written, at the earliest: 2026-01-01. No device that runs it lives before.
const BUILT_MS: u64 = 1_767_225_600_000;

/// Now, by the system's clock, but not before `witnessed` (the newest instant in a record that root signed) or before this code.
pub(crate) fn now(witnessed: WallTime) -> WallTime {
    let system_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let system = WallTime::from_ms(u64::try_from(system_ms).unwrap_or(u64::MAX));
    system.max(witnessed).max(WallTime::from_ms(BUILT_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_fell_back_is_held_at_what_is_known_to_have_passed() {
        let ahead = WallTime::from_ms(now(WallTime::default()).as_ms() + 1_000_000);
        assert_eq!(now(ahead), ahead);
        assert!(now(WallTime::default()) >= WallTime::from_ms(BUILT_MS));
    }
}
