//! Module circles: the top-level modules of a crate may use each other in one direction only.
//! It reads `crate::x`, `super::x` and names that the crate's root re-exports; the root itself may use everything.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::source::{find_words, line_of};
use super::use_tree::{paths_at, uses};
use super::workspace::{CrateSource, SourceFile, Workspace};

/// From module to module, with the place where the first uses the second.
type Edges<'a> = BTreeMap<String, BTreeMap<String, (&'a SourceFile, usize)>>;

/// Checks every crate; a circle is reported once, at the use that closes it.
pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    workspace.crates.iter().flat_map(check_crate).collect()
}

fn check_crate(krate: &CrateSource) -> Vec<Finding> {
    let edges = edges(krate);
    let mut done = BTreeSet::new();
    let mut found = Vec::new();
    for module in edges.keys() {
        walk(&edges, module, &mut Vec::new(), &mut done, &mut found);
    }
    found
}

/// Depth first; a step onto the path that is being walked closes a circle.
fn walk(
    edges: &Edges<'_>,
    module: &str,
    path: &mut Vec<String>,
    done: &mut BTreeSet<String>,
    found: &mut Vec<Finding>,
) {
    if done.contains(module) {
        return;
    }
    path.push(module.to_owned());
    for (next, (file, line)) in edges.get(module).into_iter().flatten() {
        if let Some(start) = path.iter().position(|name| name == next) {
            let mut circle = path.get(start..).unwrap_or_default().to_vec();
            circle.push(next.clone());
            found.push(Finding {
                path: file.path.clone(),
                line: *line,
                what: format!("modules in a circle: {}", circle.join(" -> ")),
                right: "what both need moved down into a module of its own".to_owned(),
            });
        } else {
            walk(edges, next, path, done, found);
        }
    }
    path.pop();
    done.insert(module.to_owned());
}

fn edges(krate: &CrateSource) -> Edges<'_> {
    let in_src = |file: &&SourceFile| file.in_crate.starts_with("src") && !file.in_crate.starts_with("src/bin");
    let files: Vec<&SourceFile> = krate.production_files().filter(in_src).collect();
    let modules: BTreeSet<String> = files.iter().filter_map(|file| file.module_path().first().cloned()).collect();
    let exports = root_exports(&files, &modules);
    let mut edges = Edges::new();
    for file in &files {
        let own_path = file.module_path();
        let Some(own) = own_path.first() else {
            continue;
        };
        for (head, line) in heads(&file.production.text, own_path.len()) {
            let target = if modules.contains(&head) { Some(&head) } else { exports.get(&head) };
            if let Some(target) = target.filter(|target| *target != own) {
                edges.entry(own.clone()).or_default().entry(target.clone()).or_insert((file, line));
            }
        }
    }
    edges
}

/// Names that the crate's root takes from its modules: name to module.
fn root_exports(files: &[&SourceFile], modules: &BTreeSet<String>) -> BTreeMap<String, String> {
    let roots = files.iter().filter(|file| file.module_path().is_empty());
    let leaves = roots.flat_map(|file| uses(&file.production.text)).flat_map(|(_, leaves)| leaves);
    leaves
        .filter_map(|leaf| {
            let mut segments = leaf.segments.iter().filter(|segment| !["crate", "self"].contains(&segment.as_str()));
            let module = segments.next()?;
            (modules.contains(module) && leaf.name != *module).then(|| (leaf.name.clone(), module.clone()))
        })
        .collect()
}

/// The first names after the crate's root in every path of a file that lies `depth` modules below it, with lines.
fn heads(text: &str, depth: usize) -> Vec<(String, usize)> {
    let to_root = "super::".repeat(depth);
    let mut found = Vec::new();
    for root in ["crate::", to_root.as_str()] {
        for offset in find_words(text, root) {
            // `a::crate::` does not exist, but `super::super::` must not be taken for its own tail.
            if text.get(..offset).is_some_and(|before| before.ends_with("::")) {
                continue;
            }
            let line = line_of(text, offset);
            let leaves = paths_at(text, offset + root.len());
            found.extend(leaves.into_iter().filter_map(|leaf| Some((leaf.segments.into_iter().next()?, line))));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::workspace::testing::one;
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        check(&one("domain", files)).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn two_modules_that_use_each_other_are_a_circle() {
        let found = circles(&[
            ("src/lib.rs", "mod gate; mod window;"),
            ("src/gate.rs", "use crate::window::Window;"),
            ("src/window.rs", "\nfn x() { crate::gate::y(); }"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("crates/domain/src/window.rs:2: modules in a circle: gate -> window -> gate"));
    }

    #[test]
    fn a_circle_through_super_a_group_or_the_roots_re_export_is_seen() {
        let files = |window: &'static str| {
            [
                ("src/lib.rs", "mod gate; mod window;\npub use gate::{Gate as Decision, other};"),
                ("src/gate/mod.rs", "mod soak;"),
                ("src/gate/soak.rs", "use super::super::window::Window;"),
                ("src/window.rs", window),
            ]
        };
        assert_eq!(circles(&files("use super::gate;")).len(), 1);
        assert_eq!(circles(&files("use crate::{x, gate::{y, z}};")).len(), 1);
        assert_eq!(circles(&files("use crate::Decision;")).len(), 1);
        assert_eq!(circles(&files("use crate::Other;")).len(), 0);
    }

    #[test]
    fn one_direction_and_tests_are_no_circle() {
        let found = circles(&[
            ("src/gate.rs", "use crate::window::Window; mod soak;"),
            ("src/gate/soak.rs", "use super::Gate; use crate::gate::Limit;"),
            ("src/window.rs", "#[cfg(test)]\nmod tests { use crate::gate::Gate; }"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }
}
