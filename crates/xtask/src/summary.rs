//! What a run says at its end: a table of lanes and, when tests ran, one plain line that counts them.
//! It only formats; deciding what failed is the lanes' business.

use crate::lane_result::{LaneResult, Outcome, Tally};

/// One lane's end in one line.
pub(crate) fn line(result: &LaneResult) -> String {
    let (word, note) = match &result.outcome {
        Outcome::Passed { note } => ("passed", note.clone()),
        Outcome::Failed { note } => ("FAILED", note.clone()),
        Outcome::Skipped { reason, install } => ("skipped", format!("{reason}; to have it: {install}")),
    };
    let row = format!("{:<28} {word:<8} {:>7.1}s  {note}", result.name, result.elapsed.as_secs_f64());
    row.trim_end().to_owned()
}

/// The table of all lanes; its last line counts the tests, when any lane ran tests.
pub(crate) fn table(results: &[LaneResult]) -> String {
    let mut text = String::from("\n");
    for result in results {
        text.push_str(&line(result));
        text.push('\n');
    }
    let tallies: Vec<Tally> = results.iter().filter_map(|result| result.tally).collect();
    if !tallies.is_empty() {
        let all =
            Tally { passed: tallies.iter().map(|t| t.passed).sum(), failed: tallies.iter().map(|t| t.failed).sum() };
        text.push_str(&format!("{all}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_last_line_counts_the_tests_alone() {
        let result = |name: &str, outcome, tally| LaneResult {
            name: name.to_owned(),
            outcome,
            tally,
            elapsed: Duration::from_millis(1500),
            figures: Vec::new(),
        };
        let skipped = Outcome::Skipped { reason: "no target".to_owned(), install: "rustup target add x".to_owned() };
        let passed = Outcome::Passed { note: String::new() };
        let text = table(&[
            result("windows", skipped, None),
            result("tests", passed.clone(), Some(Tally { passed: 7, failed: 0 })),
        ]);
        assert_eq!(text.lines().last(), Some("7 passed, 0 failed"));
        assert!(text.contains("no target; to have it: rustup target add x"), "{text}");
        assert!(!table(&[result("fmt", passed, None)]).contains("passed, "));
    }
}
