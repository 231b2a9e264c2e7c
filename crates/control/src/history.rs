//! A store's log as text, one entry a line: what `tidegate store export` writes and the simulator replays. Text in, entries out; the body
//! is kept byte for byte.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidegate_domain::time::WallTime;

use crate::contract::bounds::BODY_BYTES_MAX;
use crate::contract::{Entry, NewEntry, Seq, Table};

/// The longest line that anybody reads, in bytes: a body of the largest size and what stands around it.
pub const LINE_BYTES_MAX: usize = BODY_BYTES_MAX + 4_096;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    seq: Seq,
    table: Table,
    kind: String,
    subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unique_key: Option<String>,
    at_ms: WallTime,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// Why a line is no entry of a history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// Longer than any entry.
    #[error("a line of {0} bytes: at most {LINE_BYTES_MAX}")]
    TooLong(usize),
    /// Not JSON of an entry's shape.
    #[error("{0}")]
    Shape(String),
    /// An entry is missing or comes twice.
    #[error("entry {found} where {expected} is right: `tidegate store export` writes all of them, in order")]
    OutOfOrder {
        /// The number that would be next.
        expected: Seq,
        /// The number that stands there.
        found: Seq,
    },
}

/// An entry as a line, without its end.
///
/// # Errors
/// When its body is no JSON, which no store holds.
pub fn line_of(entry: &Entry) -> Result<String, HistoryError> {
    let shape = |error: &dyn std::fmt::Display| HistoryError::Shape(error.to_string());
    let Entry { seq, content } = entry;
    let body = std::str::from_utf8(&content.body).map_err(|e| shape(&e))?;
    if body.contains(['\n', '\r']) {
        return Err(shape(&format!("entry {seq}: its body has more than one line")));
    }
    let line = Line {
        seq: *seq,
        table: content.table,
        kind: content.kind.clone(),
        subject: content.subject.clone(),
        unique_key: content.unique_key.clone(),
        at_ms: content.at,
        body: serde_json::from_str(body).map_err(|e| shape(&e))?,
    };
    serde_json::to_string(&line).map_err(|e| shape(&e))
}

/// Reads entries from lines, in order from the first one of the log.
#[derive(Debug, Default)]
pub struct HistoryReader {
    last: Seq,
}

impl HistoryReader {
    /// Reads the next line.
    ///
    /// # Errors
    /// When it is too long, no entry, or not the next one.
    pub fn read(&mut self, line: &str) -> Result<Entry, HistoryError> {
        if line.len() > LINE_BYTES_MAX {
            return Err(HistoryError::TooLong(line.len()));
        }
        let line: Line<'_> = serde_json::from_str(line).map_err(|e| HistoryError::Shape(e.to_string()))?;
        let expected = self.last.plus(1);
        if line.seq != expected {
            return Err(HistoryError::OutOfOrder { expected, found: line.seq });
        }
        self.last = line.seq;
        let content = NewEntry {
            table: line.table,
            kind: line.kind,
            subject: line.subject,
            unique_key: line.unique_key,
            at: line.at_ms,
            body: line.body.get().as_bytes().to_vec(),
        };
        Ok(Entry { seq: line.seq, content })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entry(seq: u64, body: &str) -> Entry {
        let content = NewEntry {
            table: Table::Reports,
            kind: "take".to_owned(),
            subject: "d1".to_owned(),
            unique_key: Some("take/r.1/d1".to_owned()),
            at: WallTime::from_ms(5),
            body: body.as_bytes().to_vec(),
        };
        Entry { seq: Seq::from_u64(seq), content }
    }

    #[test]
    fn an_entry_reads_back_byte_for_byte() {
        let first = entry(1, "{\"b\":1.50, \"a\": [true]}");
        let line = line_of(&first).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(HistoryReader::default().read(&line), Ok(first));
    }

    #[test]
    fn what_is_no_history_is_refused_with_what_is_wrong() {
        let lines: Vec<String> = [1, 3].map(|seq| line_of(&entry(seq, "{}")).unwrap()).to_vec();
        let mut reader = HistoryReader::default();
        reader.read(&lines[0]).unwrap();
        let gap = reader.read(&lines[1]).unwrap_err().to_string();
        assert!(gap.contains("entry 3 where 2 is right"), "{gap}");
        assert!(matches!(reader.read(&lines[0]), Err(HistoryError::OutOfOrder { .. })));
        assert!(matches!(reader.read("{"), Err(HistoryError::Shape(_))));
        assert!(matches!(reader.read(&"x".repeat(LINE_BYTES_MAX + 1)), Err(HistoryError::TooLong(_))));
    }
}
