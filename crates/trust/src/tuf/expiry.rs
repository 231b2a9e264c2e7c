//! When a piece of metadata stops counting: whole seconds since 1970, written `2026-11-22T17:09:00Z`.
//! Never reads a clock; whoever asks brings the time.

use std::fmt;

/// The instant from which metadata no longer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expiry(jiff::Timestamp);

/// An expiry that cannot be written, or a text that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} is not an expiry: a UTC time in whole seconds such as `2026-11-22T17:09:00Z`, 1970 to 9999, is right")]
pub struct ExpiryError {
    /// What was given, cut to 80 characters.
    pub found: String,
}

impl Expiry {
    /// The expiry at this many milliseconds since 1970 (UTC), cut to the second.
    ///
    /// # Errors
    /// When the year would be past 9999.
    pub fn from_ms(unix_ms: u64) -> Result<Expiry, ExpiryError> {
        let refuse = || ExpiryError { found: format!("{unix_ms} ms") };
        let second = i64::try_from(unix_ms / 1000).map_err(|_| refuse())?;
        jiff::Timestamp::from_second(second).map(Expiry).map_err(|_| refuse())
    }

    /// Parses the written form, and only that form.
    ///
    /// # Errors
    /// When the text has another offset, fractions, or is no time at all.
    pub fn parse(text: &str) -> Result<Expiry, ExpiryError> {
        let refuse = || ExpiryError { found: format!("{:?}", text.chars().take(80).collect::<String>()) };
        let instant: jiff::Timestamp = text.parse().map_err(|_| refuse())?;
        if instant.as_second() < 0 || instant.subsec_nanosecond() != 0 || instant.to_string() != text {
            return Err(refuse());
        }
        Ok(Expiry(instant))
    }

    /// Milliseconds since 1970 (UTC).
    pub fn as_ms(self) -> u64 {
        u64::try_from(self.0.as_millisecond()).unwrap_or(0)
    }

    /// Whether it has come at this time (milliseconds since 1970).
    pub fn has_come(self, now_ms: u64) -> bool {
        self.as_ms() <= now_ms
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_instant_has_one_written_form() {
        let expiry = Expiry::from_ms(1_795_367_340_999).unwrap();
        assert_eq!(Expiry::parse(&expiry.to_string()), Ok(expiry));
        assert_eq!(expiry.as_ms(), 1_795_367_340_000);
        for text in [
            "2026-11-22T17:09:00+00:00",
            "2026-11-22T17:09:00.5Z",
            "2026-11-22 17:09:00Z",
            "1969-12-31T23:59:59Z",
            "now",
        ] {
            assert!(Expiry::parse(text).is_err(), "{text}");
        }
        assert!(Expiry::from_ms(u64::MAX).is_err());
    }

    #[test]
    fn metadata_expires_at_its_expiry_and_not_after_it() {
        let expiry = Expiry::from_ms(5_000).unwrap();
        assert!(!expiry.has_come(4_999));
        assert!(expiry.has_come(5_000));
    }
}
