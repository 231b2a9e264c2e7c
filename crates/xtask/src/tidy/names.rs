//! Names that say nothing: a module or crate called `utils` collects what nobody found a place for.

use super::Finding;
use super::source::{find_words, ident_at, line_of};
use super::workspace::{CrateSource, SourceFile, Workspace};

const FORBIDDEN: &[&str] = &["common", "core", "utils", "util", "helpers", "helper", "misc", "types", "manager"];

/// Checks crate folders, files, their folders, and inline modules; test code too.
pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    workspace.crates.iter().flat_map(check_crate).collect()
}

fn check_crate(krate: &CrateSource) -> Vec<Finding> {
    let mut found: Vec<Finding> = krate.files.iter().flat_map(check_file).collect();
    if FORBIDDEN.contains(&krate.folder.as_str()) {
        found.push(finding(&krate.manifest_path, 1, &krate.folder));
    }
    found
}

fn check_file(file: &SourceFile) -> Vec<Finding> {
    let path = file.in_crate.with_extension("");
    let parts = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let by_path = parts.filter(|name| FORBIDDEN.contains(&name.as_str()));
    let mut found: Vec<Finding> = by_path.map(|name| finding(&file.path, 1, &name)).collect();
    for offset in find_words(&file.masked, "mod ") {
        let name = ident_at(file.masked.get(offset + 4..).unwrap_or_default().trim_start());
        if FORBIDDEN.contains(&name) {
            found.push(finding(&file.path, line_of(&file.masked, offset), name));
        }
    }
    found
}

fn finding(path: &std::path::Path, line: usize, name: &str) -> Finding {
    Finding {
        path: path.to_path_buf(),
        line,
        what: format!("'{name}' says nothing about what is inside"),
        right: "the noun that its contents share, from the glossary".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::workspace::testing::one;
    use super::*;

    #[test]
    fn forbidden_names_are_found_as_file_folder_and_inline_module() {
        let files = [
            ("src/utils.rs", ""),
            ("src/helpers/window.rs", ""),
            ("src/lib.rs", "//! x\nmod types { }\nmod typesetting { }"),
        ];
        let found = check(&one("domain", &files));
        let lines: Vec<usize> = found.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [1, 1, 2], "{found:?}");
    }
}
