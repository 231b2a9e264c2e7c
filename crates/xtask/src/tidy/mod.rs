//! The house rules that the compiler does not check: which crate may use which, what pure crates may not touch,
//! module circles, lengths, names, headers, where OS-specific calls may stand, and that the book is whole.
//! Each rule is a module that reads the workspace and returns findings; none of them writes anything.

mod arrows;
mod book;
mod circles;
mod exceptions;
mod headers;
mod lengths;
mod names;
mod os_calls;
mod purity;
mod source;
mod use_tree;
pub(crate) mod workspace;

use std::fmt;
use std::path::{Path, PathBuf};

use exceptions::Exceptions;
use workspace::Workspace;

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The file, from the workspace's root.
    pub(crate) path: PathBuf,
    /// The line, from 1.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) what: String,
    /// What would be right.
    pub(crate) right: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(f, "{path}:{}: {}; right would be: {}", self.line, self.what, self.right)
    }
}

/// What the check of a whole workspace found.
#[derive(Debug)]
#[must_use]
pub(crate) struct Report {
    /// How many source files were read.
    pub(crate) files: usize,
    /// Every finding, by file and line.
    pub(crate) findings: Vec<Finding>,
}

/// Checks the workspace at `root` against every rule.
///
/// # Errors
/// When a source file, a manifest or the list of exceptions cannot be read or parsed.
pub(crate) fn check(root: &Path) -> anyhow::Result<Report> {
    let workspace = Workspace::load(root)?;
    let exceptions = Exceptions::load(root)?;
    let mut findings = arrows::check(&workspace);
    findings.extend(purity::check(&workspace));
    findings.extend(circles::check(&workspace));
    findings.extend(lengths::check(&workspace, &exceptions));
    findings.extend(names::check(&workspace));
    findings.extend(headers::check(&workspace));
    findings.extend(os_calls::check(&workspace));
    findings.extend(book::check(root)?);
    findings.sort();
    findings.dedup();
    let files = workspace.crates.iter().map(|krate| krate.files.len()).sum();
    Ok(Report { files, findings })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_where_what_and_what_would_be_right() {
        let finding = Finding {
            path: PathBuf::from("crates/domain/src/gate.rs"),
            line: 7,
            what: "a pure crate reads the clock".to_owned(),
            right: "take the time as an argument".to_owned(),
        };
        assert_eq!(
            finding.to_string(),
            "crates/domain/src/gate.rs:7: a pure crate reads the clock; right would be: take the time as an argument"
        );
    }
}
