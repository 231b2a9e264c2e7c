//! Two kinds of time that cannot be mixed: what the wall clock says and how much time has passed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An instant by the wall clock, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(u64);

impl WallTime {
    /// Milliseconds since the epoch.
    pub const fn from_ms(ms: u64) -> WallTime {
        WallTime(ms)
    }

    /// Milliseconds since the epoch.
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// How much time lies between `earlier` and this instant; zero where time ran backwards.
    pub fn since(self, earlier: WallTime) -> Elapsed {
        Elapsed(self.0.saturating_sub(earlier.0))
    }

    /// This instant and `elapsed` more.
    #[must_use]
    pub fn after(self, elapsed: Elapsed) -> WallTime {
        WallTime(self.0.saturating_add(elapsed.0))
    }
}

/// An amount of time in milliseconds. Written `250ms`, `4s`, `10min`, `1h30min`, `14d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Elapsed(u64);

/// A text that is not an amount of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an amount of time: expected for example `250ms`, `4s`, `10min`, `1h30min` or `14d`")]
pub struct ElapsedError(String);

const UNITS_MS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

impl Elapsed {
    /// No time at all.
    pub const ZERO: Elapsed = Elapsed(0);

    /// Milliseconds.
    pub const fn from_ms(ms: u64) -> Elapsed {
        Elapsed(ms)
    }

    /// Seconds.
    pub const fn from_s(s: u64) -> Elapsed {
        Elapsed(s.saturating_mul(1_000))
    }

    /// Milliseconds.
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// Both amounts together; stops at the largest one.
    #[must_use]
    pub const fn plus(self, other: Elapsed) -> Elapsed {
        Elapsed(self.0.saturating_add(other.0))
    }

    /// A third of this amount.
    #[must_use]
    pub const fn third(self) -> Elapsed {
        Elapsed(self.0 / 3)
    }

    /// This amount `n` times; stops at the largest one.
    #[must_use]
    pub const fn times(self, n: u64) -> Elapsed {
        Elapsed(self.0.saturating_mul(n))
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.pad("0s");
        }
        let mut text = String::new();
        let mut rest = self.0;
        for (unit, ms) in UNITS_MS {
            if rest >= ms {
                text.push_str(&format!("{}{unit}", rest / ms));
                rest %= ms;
            }
        }
        f.pad(&text)
    }
}

impl FromStr for Elapsed {
    type Err = ElapsedError;

    fn from_str(text: &str) -> Result<Elapsed, ElapsedError> {
        let refuse = || ElapsedError(text.chars().take(40).collect());
        let mut rest = text;
        let mut total_ms = 0_u64;
        if rest.is_empty() || rest.len() > 40 {
            return Err(refuse());
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let letters = tail.bytes().take_while(u8::is_ascii_lowercase).count();
            let (unit, tail) = tail.split_at(letters);
            let number: u64 = number.parse().map_err(|_| refuse())?;
            let (_, unit_ms) = UNITS_MS.into_iter().find(|(name, _)| *name == unit).ok_or_else(refuse)?;
            total_ms = number.checked_mul(unit_ms).and_then(|ms| total_ms.checked_add(ms)).ok_or_else(refuse)?;
            rest = tail;
        }
        Ok(Elapsed(total_ms))
    }
}

impl From<Elapsed> for String {
    fn from(elapsed: Elapsed) -> String {
        elapsed.to_string()
    }
}

impl TryFrom<String> for Elapsed {
    type Error = ElapsedError;

    fn try_from(text: String) -> Result<Elapsed, ElapsedError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_time_read_as_people_write_them() {
        for (text, ms) in [("4s", 4_000), ("1h30min", 5_400_000), ("250ms", 250), ("14d", 1_209_600_000), ("0s", 0)] {
            assert_eq!(text.parse(), Ok(Elapsed::from_ms(ms)));
            assert_eq!(Elapsed::from_ms(ms).to_string(), text);
        }
        for text in ["", "4", "s", "4 s", "-4s", "4m", "99999999999999999999d", "18446744073709551615d"] {
            assert!(text.parse::<Elapsed>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn time_that_runs_backwards_counts_as_none() {
        assert_eq!(WallTime::from_ms(5).since(WallTime::from_ms(9)), Elapsed::ZERO);
    }
}
