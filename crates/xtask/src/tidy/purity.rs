//! What the pure crates may not say: anything that reads the clock, files, network, environment or chance,
//! starts threads, or is async. Clippy forbids the calls; this finds the imports, types and keywords too.

use super::Finding;
use super::arrows::PURE;
use super::source::{find_words, line_of};
use super::use_tree::uses;
use super::workspace::{SourceFile, Workspace};

/// What is looked for, and what would be right instead.
const BANNED: &[(&str, &str)] = &[
    ("std::fs", "bytes as an argument, read by a crate that may do I/O"),
    ("std::net", "messages as arguments, carried by a crate that may do I/O"),
    ("std::env", "settings as arguments"),
    ("std::process", "an effect in the returned plan"),
    ("std::thread", "one call that returns; the caller owns the threads"),
    ("thread::", "one call that returns; the caller owns the threads"),
    ("std::time::Instant", "Elapsed as an argument"),
    ("Instant::now", "Elapsed as an argument"),
    ("SystemTime", "WallTime as an argument"),
    ("Timestamp::now", "WallTime as an argument"),
    ("Zoned::now", "WallTime as an argument"),
    ("async fn", "a plain function that returns effects"),
    ("async move", "a plain function that returns effects"),
    ("tokio::", "a plain function that returns effects"),
    ("getrandom", "a seed as an argument"),
    ("rand::rng", "a seed as an argument"),
    ("thread_rng", "a seed as an argument"),
    ("OsRng", "a seed as an argument"),
    ("RandomState", "a BTreeMap, or a hasher with a seed from outside"),
];

/// Checks the sources of the pure crates.
pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let pure = workspace.crates.iter().filter(|krate| PURE.contains(&krate.folder.as_str()) && !krate.is_example);
    pure.flat_map(|krate| krate.production_files()).flat_map(check_file).collect()
}

fn check_file(file: &SourceFile) -> Vec<Finding> {
    let text = &file.production.text;
    let mut found = Vec::new();
    for (banned, right) in BANNED {
        let spoken = find_words(text, banned);
        let imported =
            uses(text).into_iter().filter(|(_, leaves)| leaves.iter().any(|leaf| names(&leaf.segments, banned)));
        for offset in spoken.into_iter().chain(imported.map(|(offset, _)| offset)) {
            found.push(Finding {
                path: file.path.clone(),
                line: line_of(text, offset),
                what: format!("a pure crate says '{banned}'"),
                right: (*right).to_owned(),
            });
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Whether an imported path is or lies below the banned one.
fn names(segments: &[String], banned: &str) -> bool {
    let banned: Vec<&str> = banned.split("::").filter(|part| !part.is_empty()).collect();
    segments.len() >= banned.len() && segments.iter().zip(&banned).all(|(segment, word)| segment == word)
}

#[cfg(test)]
mod tests {
    use super::super::workspace::testing::one;
    use super::*;

    #[test]
    fn a_pure_crate_may_not_read_the_clock_or_files_even_by_a_grouped_import() {
        let text = "use std::{\n    fs,\n    collections::BTreeMap,\n};\nfn now() { let _ = Instant::now(); }\n";
        let found = check(&one("domain", &[("src/lib.rs", text)]));
        let shown: Vec<(usize, &str)> = found.iter().map(|finding| (finding.line, finding.what.as_str())).collect();
        assert_eq!(shown, [(1, "a pure crate says 'std::fs'"), (5, "a pure crate says 'Instant::now'")]);
    }

    #[test]
    fn comments_literals_tests_and_other_crates_are_free() {
        let text = "// std::fs\nconst A: &str = \"tokio::\";\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        assert!(check(&one("domain", &[("src/lib.rs", text)])).is_empty());
        assert!(check(&one("agent", &[("src/lib.rs", "use std::fs;")])).is_empty());
    }
}
