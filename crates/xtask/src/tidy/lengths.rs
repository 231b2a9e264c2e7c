//! Lengths: a file has at most 400 production lines, a function at most 70, unless the dated list of exceptions says more.
//! Test code is not measured.

use std::collections::BTreeSet;
use std::path::Path;

use super::Finding;
use super::exceptions::{Exceptions, LIST};
use super::source::functions;
use super::workspace::{SourceFile, Workspace};

/// Production lines of a file.
const FILE_LINES_MAX: usize = 400;
/// Lines of a function, from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Checks every file that ships, and that every exception is still needed.
pub(super) fn check(workspace: &Workspace, exceptions: &Exceptions) -> Vec<Finding> {
    let mut used = BTreeSet::new();
    let mut found = Vec::new();
    for file in workspace.crates.iter().flat_map(|krate| krate.production_files()) {
        found.extend(check_file(file, exceptions, &mut used));
    }
    for (index, entry) in exceptions.entries.iter().enumerate().filter(|(index, _)| !used.contains(index)) {
        let what = entry.function.as_deref().map(|name| format!("function {name} of ")).unwrap_or_default();
        found.push(Finding {
            path: Path::new(LIST).to_path_buf(),
            line: 1,
            what: format!("entry {} ({what}{}) is no longer needed", index + 1, entry.path.display()),
            right: "the entry removed".to_owned(),
        });
    }
    found
}

fn check_file(file: &SourceFile, exceptions: &Exceptions, used: &mut BTreeSet<usize>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut limit = |usual: usize, lines: usize, function: Option<&str>| {
        let entry = exceptions.find(&file.path, function).filter(|_| lines > usual);
        used.extend(entry);
        entry.and_then(|index| exceptions.entries.get(index)).map_or(usual, |entry| entry.lines)
    };
    let lines = file.production.lines;
    let most = limit(FILE_LINES_MAX, lines, None);
    if lines > most {
        found.push(Finding {
            path: file.path.clone(),
            line: most,
            what: format!("the file has {lines} production lines"),
            right: format!("at most {most}: split it where its words change, or give a reason in {LIST}"),
        });
    }
    for function in functions(&file.production.text) {
        let most = limit(FUNCTION_LINES_MAX, function.lines, Some(&function.name));
        if function.lines > most {
            found.push(Finding {
                path: file.path.clone(),
                line: function.line,
                what: format!("the function {} has {} lines", function.name, function.lines),
                right: format!("at most {most}: name its steps as functions, or give a reason in {LIST}"),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::workspace::testing::one;
    use super::*;

    fn with_function(lines: usize) -> Workspace {
        let text = format!("fn long() {{\n{}}}\n", "    x();\n".repeat(lines - 2));
        one("domain", &[("src/a.rs", &text)])
    }

    fn list(lines: usize) -> Exceptions {
        let text = format!(
            "[[exception]]\npath = \"crates/domain/src/a.rs\"\nfunction = \"long\"\nlines = {lines}\nreason = \"r\"\ndate = 2025-11-02\n"
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn a_long_function_is_found_and_tests_are_not_measured() {
        assert!(check(&with_function(70), &Exceptions::default()).is_empty());
        assert_eq!(check(&with_function(71), &Exceptions::default()).len(), 1);
        let test = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(500));
        assert!(check(&one("domain", &[("src/a.rs", &test)]), &Exceptions::default()).is_empty());
    }

    #[test]
    fn a_long_file_is_found() {
        let text = "//! x\n".repeat(401);
        let found = check(&one("domain", &[("src/a.rs", &text)]), &Exceptions::default());
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn an_exception_has_a_ceiling_and_goes_when_it_is_not_needed() {
        assert!(check(&with_function(80), &list(80)).is_empty());
        assert_eq!(check(&with_function(81), &list(80)).len(), 1);
        let found = check(&with_function(60), &list(80));
        assert!(found[0].what.contains("no longer needed"), "{found:?}");
    }
}
