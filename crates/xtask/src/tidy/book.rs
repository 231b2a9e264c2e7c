//! The book: every page of `docs/` is in `docs/SUMMARY.md`, and every link between pages, pictures included, leads somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Finding;

/// Looks at the pages below `docs/`.
///
/// # Errors
/// When a page cannot be read.
pub(super) fn check(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let docs = root.join("docs");
    let mut pages = Vec::new();
    find(&docs, &mut pages)?;
    let summary = docs.join("SUMMARY.md");
    let text = fs::read_to_string(&summary).with_context(|| summary.display().to_string())?;
    let listed: BTreeSet<PathBuf> = text.lines().flat_map(links).map(|link| docs.join(link)).collect();
    let mut findings = Vec::new();
    for page in &pages {
        let path = page.strip_prefix(root).unwrap_or(page).to_owned();
        let finding = |line, what, right: &str| Finding { path: path.clone(), line, what, right: right.to_owned() };
        if *page != summary && !listed.contains(page) {
            findings.push(finding(1, "the page is not in docs/SUMMARY.md".to_owned(), "a line for it there"));
        }
        let text = fs::read_to_string(page).with_context(|| path.display().to_string())?;
        let folder = page.parent().unwrap_or(&docs);
        for (number, line) in text.lines().enumerate() {
            for link in links(line).filter(|link| !folder.join(link).exists()) {
                findings.push(finding(number + 1, format!("the link to {link} leads nowhere"), "a page that there is"));
            }
        }
    }
    Ok(findings)
}

fn find(folder: &Path, pages: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, pages)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    pages.sort();
    Ok(())
}

/// Where a line's links lead within the repository, without the place inside a page.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let paths = targets.filter(|target| !target.contains("://")).filter_map(|target| target.split('#').next());
    paths.filter(|path| !path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_not_listed_and_a_link_that_leads_nowhere_are_found() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join("docs").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("SUMMARY.md", "- [One](one.md)\n- [Two](sub/two.md)\n");
        write("one.md", "[two](sub/two.md#here) and [elsewhere](https://example.org/x.md)");
        write("sub/two.md", "[one](../one.md), [gone](three.md)");
        write("four.md", "");
        let found: Vec<String> = check(root.path()).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("docs/four.md") && found[1].contains("three.md"), "{found:?}");
    }
}
