//! How a command's answer is shown: one JSON value, or text with tables. Errors are one line.
//! Never writes to standard output anything but the answer.

use anyhow::Result;
use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use serde::Serialize;
use serde_json::Value;
use tidegate_domain::time::WallTime;

/// What a command came to, in both forms.
pub(crate) struct Answer {
    /// For programs.
    json: Value,
    /// For people.
    text: String,
    /// The exit code; 0 unless the answer itself is bad news.
    exit: u8,
}

impl Answer {
    /// An answer with exit code 0.
    pub(crate) fn new(json: impl Serialize, text: impl Into<String>) -> Result<Answer> {
        Ok(Answer { json: serde_json::to_value(json)?, text: text.into(), exit: 0 })
    }

    /// The same with exit code 1: what was asked for was done, and it says that something is wrong.
    pub(crate) fn into_bad_news(self) -> Answer {
        self.with_exit(1)
    }

    /// The same with another exit code.
    pub(crate) fn with_exit(self, exit: u8) -> Answer {
        Answer { exit, ..self }
    }

    /// An answer that was shown already, as it came.
    pub(crate) fn shown(exit: u8) -> Answer {
        Answer { json: Value::Null, text: String::new(), exit }
    }

    /// Writes the answer to standard output and gives the exit code. A reader that went away is no error.
    pub(crate) fn show(&self, json: bool) -> u8 {
        let text = if json { self.json.to_string() } else { self.text.clone() };
        if !self.text.is_empty() {
            line(&text);
        }
        self.exit
    }
}

/// Writes one line to standard output. A reader that went away is no error.
pub(crate) fn line(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
}

/// A table with these column heads.
pub(crate) fn table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    let style = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));
    table.load_style(style).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(heads);
    table
}

/// A list of names and values, one a line, the values in one column.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    facts.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

/// An instant for people, in UTC, to the second.
pub(crate) fn instant(at: WallTime) -> String {
    let ms = i64::try_from(at.as_ms()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| format!("{ms} ms"), |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// An instant that may not have come, or a dash.
pub(crate) fn instant_or_dash(at: Option<WallTime>) -> String {
    at.map_or_else(|| "-".to_owned(), instant)
}

/// An error and what caused it, on one line, nothing said twice.
pub(crate) fn error_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = one_line(&cause.to_string());
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
    }
    line
}

/// A text of several lines as one, without the drawings by which parsers point at a place.
pub(crate) fn one_line(text: &str) -> String {
    let drawn = |line: &&str| !line.is_empty() && !line.chars().all(|c| "^|~- ".contains(c));
    let quoted = |line: &&str| {
        let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
        !rest.trim_start().starts_with("| ")
    };
    let lines: Vec<&str> = text.lines().map(str::trim).filter(drawn).filter(quoted).collect();
    let joined = lines.join(": ").replace(":: ", ": ");
    joined.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_whatever_its_parts_say() {
        let toml =
            "TOML parse error at line 1, column 1\n  |\n1 | nme = 1\n  | ^^^\nunknown field `nme`, expected `name`\n";
        assert_eq!(one_line(toml), "TOML parse error at line 1, column 1: unknown field `nme`, expected `name`");
        let inner = std::io::Error::other("no room");
        let error = anyhow::Error::new(inner).context("cannot write x: no room");
        assert_eq!(error_line(&error), "cannot write x: no room");
    }

    #[test]
    fn instants_are_written_in_utc() {
        assert_eq!(instant(WallTime::from_ms(1_795_367_340_000)), "2026-11-22 17:09:00Z");
        assert!(instant(WallTime::from_ms(u64::MAX)).contains("ms"));
    }
}
