//! Every word that the server can refuse with stands in docs/operate/troubleshoot.md, found by reading the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How a refusal is made: the next word in quotes is its kind.
const MADE_BY: [&str; 7] =
    ["Refusal::new(", "Refused::new(", "Refused::invalid(", "Refused::unavailable(", "refuse(", "conflict(", "wrong("];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push(path);
        }
    }
}

/// The word in quotes that follows within the first arguments, where it looks like a kind.
fn kind_behind(text: &str) -> Option<&str> {
    let near = text.get(..text.len().min(160)).unwrap_or(text);
    let (before, rest) = near.split_once('"')?;
    let word = rest.split_once('"')?.0;
    let plain = before.bytes().all(|b| b.is_ascii_alphanumeric() || b" \n:,_".contains(&b));
    (plain && !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
        .then_some(word)
}

#[test]
fn every_kind_of_refusal_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut files, mut kinds) = (Vec::new(), BTreeSet::new());
    sources(&root.join("crates/control/src"), &mut files);
    sources(&root.join("crates/server/src"), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let shipped = text.split("#[cfg(test)]").next().unwrap();
        for made_by in MADE_BY {
            kinds.extend(shipped.split(made_by).skip(1).filter_map(kind_behind).map(str::to_owned));
        }
    }
    assert!(kinds.len() > 80 && kinds.contains("held") && kinds.contains("no_fleet"), "{} found", kinds.len());
    let page = fs::read_to_string(root.join("docs/operate/troubleshoot.md")).unwrap();
    let unexplained: Vec<&String> = kinds.iter().filter(|kind| !page.contains(&format!("`{kind}`"))).collect();
    assert!(unexplained.is_empty(), "docs/operate/troubleshoot.md lacks {unexplained:?}");
}
