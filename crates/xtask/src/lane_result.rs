//! What one lane's run says of itself, and how tests are counted from cargo's output.
//! It neither runs nor prints anything.

use std::fmt;
use std::time::Duration;

/// How a lane ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is as it should be.
    Passed {
        /// A few words for the table.
        note: String,
    },
    /// Something is wrong; the run exits with 1.
    Failed {
        /// A few words for the table.
        note: String,
    },
    /// The lane, or a part of it, cannot run on this machine.
    Skipped {
        /// What is missing.
        reason: String,
        /// The command that would install it.
        install: String,
    },
}

/// A lane that has ended.
#[derive(Debug, Clone)]
pub(crate) struct LaneResult {
    /// The lane's name.
    pub(crate) name: String,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// The tests that it ran, if it is a lane that runs tests.
    pub(crate) tally: Option<Tally>,
    /// How long it took.
    pub(crate) elapsed: Duration,
    /// Lines that its tests printed beginning with `figure:`, without that word.
    pub(crate) figures: Vec<String>,
}

/// Tests counted from cargo's `test result:` lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
}

impl Tally {
    /// Adds what the line reports, if it is one of cargo's `test result:` lines.
    pub(crate) fn count(&mut self, line: &str) {
        let Some(result) = line.trim().strip_prefix("test result:") else {
            return;
        };
        for part in result.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(word)) = (words.next(), words.next()) else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed_over_suites_and_other_lines_are_not_counted() {
        let mut tally = Tally::default();
        tally.count("test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        tally
            .count("test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 1 filtered out; finished in 1.20s");
        tally.count("the daemon said: 9 passed; 9 failed");
        assert_eq!(tally, Tally { passed: 16, failed: 2 });
    }
}
