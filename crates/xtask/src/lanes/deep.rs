//! The long lanes: one for every package that holds a test named `deep_*`.
//! They are found by reading the sources, so that a deep test which somebody writes cannot be left out of the run.
//! Such a test is marked `#[ignore = "deep: run by cargo xtask test --deep"]` and prints its results as `figure: ...` lines.

use std::path::Path;

use crate::tidy::workspace::Workspace;

/// The packages that have deep tests, by name, in order.
///
/// # Errors
/// When a source file or manifest of the workspace cannot be read.
pub(super) fn packages(root: &Path) -> anyhow::Result<Vec<String>> {
    let workspace = Workspace::load(root)?;
    let with_deep = workspace.crates.iter().filter(|krate| krate.files.iter().any(|file| has_deep_test(&file.masked)));
    Ok(with_deep.map(|krate| krate.package.clone()).collect())
}

/// The arguments of `cargo test` for a package's deep tests. Output is shown after each suite, since
/// that is what keeps `figure:` lines whole.
pub(super) fn arguments(package: &str) -> Vec<String> {
    ["test", "--release", "-p", package, "--", "--ignored", "deep_", "--show-output"].map(str::to_owned).to_vec()
}

fn has_deep_test(masked: &str) -> bool {
    masked.contains("#[ignore") && masked.contains("fn deep_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deep_test_is_found_by_its_name_and_mark() {
        assert!(has_deep_test("#[test]\n#[ignore =      ]\nfn deep_ten_thousand_devices() {}"));
        assert!(!has_deep_test("fn deep_water() {}"));
        assert!(!has_deep_test("#[ignore]\nfn other() {}"));
    }
}
