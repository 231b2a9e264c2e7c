//! Content files: `templates.json`, its limits, and the two that the demonstration ships.
//! Parsing judges form alone. That a criterion reads beyond the inputs is not seen here: that is the flaw.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::inputs::INPUTS;

/// The name of the content file in the content folder.
pub const FILE_NAME: &str = "templates.json";

/// Bytes of a content file at most.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// Templates of a content file at most.
pub const TEMPLATES_MAX: usize = 1000;
/// Criteria of a template at most.
pub const CRITERIA_MAX: usize = 64;
/// Bytes of a version, name or criterion at most.
pub const WORD_BYTES_MAX: usize = 200;

/// A criterion that matches anything and therefore reads nothing.
pub const WILDCARD: &str = "*";

/// A content file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// The content's version, which the sensor repeats in its health.
    pub version: String,
    /// What to look for.
    pub templates: Vec<Template>,
}

/// One pattern of behaviour: criterion `i` is matched against input `i`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// What the pattern is called in findings.
    pub name: String,
    /// `*`, or text in which `*` stands for anything.
    pub criteria: Vec<String>,
}

/// Why a content file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The file is not there or cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not the JSON that it should be.
    #[error("{FILE_NAME} does not parse: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Something is too long or too many.
    #[error("{FILE_NAME}: {what} is {actual}, at most {most} is allowed")]
    TooMuch {
        /// What is counted.
        what: &'static str,
        /// How much there is.
        actual: u64,
        /// How much there may be.
        most: u64,
    },
}

/// Reads and parses the content file of a folder.
///
/// # Errors
/// When the file cannot be read, does not parse, or is beyond a limit.
pub fn load(dir: &Path) -> Result<Content, ContentError> {
    let path = dir.join(FILE_NAME);
    let unreadable = |source| ContentError::Unreadable { path: path.display().to_string(), source };
    let file = File::open(&path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    parse(&bytes)
}

/// Parses a content file.
///
/// # Errors
/// When it does not parse or is beyond a limit.
pub fn parse(bytes: &[u8]) -> Result<Content, ContentError> {
    at_most("the length in bytes", bytes.len(), usize::try_from(FILE_BYTES_MAX).unwrap_or(usize::MAX))?;
    let content: Content = serde_json::from_slice(bytes)?;
    at_most("the version's length", content.version.len(), WORD_BYTES_MAX)?;
    at_most("the number of templates", content.templates.len(), TEMPLATES_MAX)?;
    for template in &content.templates {
        at_most("a name's length", template.name.len(), WORD_BYTES_MAX)?;
        at_most("a template's number of criteria", template.criteria.len(), CRITERIA_MAX)?;
        for criterion in &template.criteria {
            at_most("a criterion's length", criterion.len(), WORD_BYTES_MAX)?;
        }
    }
    Ok(content)
}

/// The text of a content file that every sensor can use: it names 21 fields, and the 21st is a wildcard.
#[must_use]
pub fn good(version: &str) -> String {
    text(version, WILDCARD)
}

/// The text of a content file after Channel File 291: its 21st criterion is the first that is not a wildcard.
#[must_use]
pub fn channel_file_291(version: &str) -> String {
    text(version, "pipe-*")
}

fn text(version: &str, twenty_first: &str) -> String {
    let mut criteria = vec![WILDCARD.to_owned(); INPUTS];
    if let Some(first) = criteria.first_mut() {
        *first = "pipe-*".to_owned();
    }
    let known = Template { name: "named pipe opened".to_owned(), criteria: criteria.clone() };
    criteria.push(twenty_first.to_owned());
    let newest = Template { name: "named pipe used for control".to_owned(), criteria };
    let content = serde_json::json!({ "version": version, "templates": [known, newest] });
    format!("{content:#}\n")
}

fn at_most(what: &'static str, actual: usize, most: usize) -> Result<(), ContentError> {
    if actual <= most {
        return Ok(());
    }
    Err(ContentError::TooMuch {
        what,
        actual: u64::try_from(actual).unwrap_or(u64::MAX),
        most: u64::try_from(most).unwrap_or(u64::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_files_differ_in_the_twenty_first_criterion_alone() {
        let good = parse(good("1.0.0").as_bytes()).unwrap();
        let bad = parse(channel_file_291("1.0.0").as_bytes()).unwrap();
        assert_eq!(good.templates[1].criteria.len(), INPUTS + 1);
        assert_eq!(good.templates[1].criteria[INPUTS], WILDCARD);
        assert_ne!(bad.templates[1].criteria[INPUTS], WILDCARD);
        assert_eq!(good.templates[0], bad.templates[0]);
        assert_eq!(good.templates[1].criteria[..INPUTS], bad.templates[1].criteria[..INPUTS]);
    }

    #[test]
    fn what_is_beyond_a_limit_or_unknown_is_refused() {
        let with = |criteria: usize| {
            let criteria = vec![WILDCARD; criteria];
            serde_json::json!({"version": "1", "templates": [{"name": "a", "criteria": criteria}]}).to_string()
        };
        assert!(parse(with(CRITERIA_MAX).as_bytes()).is_ok());
        assert!(parse(with(CRITERIA_MAX + 1).as_bytes()).is_err());
        assert!(parse(good(&"v".repeat(WORD_BYTES_MAX + 1)).as_bytes()).is_err());
        assert!(parse(b"{\"version\":\"1\",\"templates\":[],\"more\":1}").is_err());
        assert!(parse(&vec![b' '; usize::try_from(FILE_BYTES_MAX).unwrap() + 1]).is_err());
    }

    #[test]
    fn errors_are_one_line() {
        for bytes in [&b"{"[..], b"", b"\xff", b"{\n\"version\": 3\n}"] {
            assert_eq!(parse(bytes).unwrap_err().to_string().lines().count(), 1);
        }
    }
}
