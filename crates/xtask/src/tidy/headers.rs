//! Every file begins by saying what it does and what it never does: `//!` on its first line.

use super::Finding;
use super::workspace::Workspace;

/// Checks the first line of every Rust file.
pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let files = workspace.crates.iter().flat_map(|krate| &krate.files);
    let bare = files.filter(|file| !file.text.starts_with("//!"));
    bare.map(|file| Finding {
        path: file.path.clone(),
        line: 1,
        what: "the file does not begin with //!".to_owned(),
        right: "two to six //! lines: what it does and what it never does".to_owned(),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::workspace::testing::one;
    use super::*;

    #[test]
    fn a_file_without_a_header_is_found() {
        let found = check(&one("domain", &[("src/a.rs", "//! A.\n"), ("src/b.rs", "use x;\n//! B.\n")]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].path.ends_with("b.rs"));
    }
}
