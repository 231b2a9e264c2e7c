//! Instants as people write them: with an offset, on the clock of a time zone, as a date (its midnight), or as a time from now.

use anyhow::{Result, bail};
use jiff::tz::TimeZone;
use tidegate_domain::time::{Elapsed, WallTime};

/// An instant to come; `30d` is in thirty days.
///
/// # Errors
/// Names the flag, what was written, and what would be right.
pub(crate) fn to_come(flag: &str, text: &str, now: WallTime, zone: &TimeZone) -> Result<WallTime> {
    match fixed(text, zone).or_else(|| text.parse().ok().map(|time: Elapsed| now.after(time))) {
        Some(at) => Ok(at),
        None => bail!(
            "{flag} {text:?}: expected 2026-12-20, 2026-12-20T18:00, 2026-12-20T18:00:00Z or a time from now such as 30d"
        ),
    }
}

/// An instant gone by; `30d` is thirty days ago.
///
/// # Errors
/// Names the flag, what was written, and what would be right.
pub(crate) fn gone_by(flag: &str, text: &str, now: WallTime, zone: &TimeZone) -> Result<WallTime> {
    let ago = |time: Elapsed| WallTime::from_ms(now.as_ms().saturating_sub(time.as_ms()));
    match fixed(text, zone).or_else(|| text.parse().ok().map(ago)) {
        Some(at) => Ok(at),
        None => bail!(
            "{flag} {text:?}: expected 2026-11-27, 2026-11-27T18:00, 2026-11-27T18:00:00Z or how long ago, such as 7d"
        ),
    }
}

fn fixed(text: &str, zone: &TimeZone) -> Option<WallTime> {
    let civil = || Some(text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(zone.clone()).ok()?.timestamp());
    let at = text.parse::<jiff::Timestamp>().ok().or_else(civil)?;
    u64::try_from(at.as_millisecond()).ok().map(WallTime::from_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::instant;

    #[test]
    fn an_instant_is_what_people_mean_by_it() {
        let now = WallTime::from_ms(100 * 86_400_000);
        let zone = TimeZone::get("Europe/Amsterdam").unwrap();
        let at = |text: &str| to_come("--from", text, now, &zone).map(instant).map_err(|e| e.to_string());
        assert_eq!(at("2026-12-20").unwrap(), "2026-12-19 23:00:00Z");
        assert_eq!(at("2026-12-20T18:00").unwrap(), "2026-12-20 17:00:00Z");
        assert_eq!(at("2026-07-01T18:00").unwrap(), "2026-07-01 16:00:00Z");
        assert_eq!(at("2026-12-20T18:00:00Z").unwrap(), "2026-12-20 18:00:00Z");
        assert_eq!(to_come("--from", "30d", now, &zone).unwrap(), WallTime::from_ms(130 * 86_400_000));
        assert_eq!(gone_by("--since", "30d", now, &zone).unwrap(), WallTime::from_ms(70 * 86_400_000));
        assert!(at("next week").unwrap_err().contains("expected"));
        assert!(gone_by("--since", "lately", now, &zone).unwrap_err().to_string().contains("how long ago"));
    }
}
