//! Which crate may use which of ours, as the design's "allowed arrows" say, and which third-party crates some may not use.
//! Only what ships counts: normal and build dependencies; a test may use anything.

use super::Finding;
use super::workspace::{CrateSource, Workspace};

/// A crate's folder and the crates of ours that it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("trust", &["domain"]),
    ("keyring", &["domain", "trust"]),
    ("control", &["domain", "trust"]),
    ("wire", &["domain", "trust"]),
    ("store", &["control", "domain"]),
    ("console", &["domain"]),
    ("sim", &["control", "domain", "trust"]),
    ("agent", &["domain", "keyring", "trust", "wire"]),
    ("server", &["console", "control", "domain", "keyring", "sim", "store", "trust", "wire"]),
    ("xtask", &["domain"]),
];

/// The one crate that may use every other.
const TOP: &str = "cli";

/// Crates that decide and never act: no I/O, no clock, no chance of their own, no async.
pub(super) const PURE: &[&str] = &["domain", "trust", "control", "console"];

/// What a pure crate may not depend on.
const IMPURE: &[&str] = &[
    "async-trait",
    "axum",
    "crossbeam",
    "futures",
    "futures-util",
    "getrandom",
    "hyper",
    "hyper-util",
    "object_store",
    "rand",
    "rayon",
    "reqwest",
    "rustix",
    "smol",
    "socket2",
    "sqlx",
    "tempfile",
    "time",
    "tokio",
    "tokio-util",
    "tower",
    "tower-http",
    "ureq",
];

/// What an example may not depend on: it stands for a program that knows nothing of Tidegate.
const NOT_IN_EXAMPLES: &[&str] = &["axum", "sqlx", "tokio"];

/// Checks every crate's manifest.
pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    workspace.crates.iter().flat_map(check_crate).collect()
}

fn check_crate(krate: &CrateSource) -> Vec<Finding> {
    if krate.folder == TOP && !krate.is_example {
        return Vec::new();
    }
    let allowed = match ARROWS.iter().find(|(folder, _)| *folder == krate.folder) {
        _ if krate.is_example => &[],
        Some((_, allowed)) => *allowed,
        None => {
            return vec![Finding {
                path: krate.manifest_path.clone(),
                line: 1,
                what: format!("the crate '{}' is not in the table of allowed arrows", krate.folder),
                right: "an ADR that names what the crate prohibits, and a row in crates/xtask/src/tidy/arrows.rs"
                    .to_owned(),
            }];
        }
    };
    let dependencies = dependencies(&krate.manifest);
    dependencies.iter().filter_map(|name| judge(krate, allowed, name)).collect()
}

fn judge(krate: &CrateSource, allowed: &[&str], dependency: &str) -> Option<Finding> {
    let folder = &krate.folder;
    let (what, right) = if let Some(ours) = dependency.strip_prefix("tidegate-") {
        if allowed.contains(&ours) {
            return None;
        }
        let may = if allowed.is_empty() { "none of ours".to_owned() } else { allowed.join(", ") };
        (format!("{folder} depends on {ours}"), format!("{folder} may use {may}"))
    } else if krate.is_example && NOT_IN_EXAMPLES.contains(&dependency) {
        (
            format!("the example {folder} depends on {dependency}"),
            "examples use the standard library and small crates".to_owned(),
        )
    } else if !krate.is_example && PURE.contains(&folder.as_str()) && IMPURE.contains(&dependency) {
        (
            format!("the pure crate {folder} depends on {dependency}"),
            "time, chance and I/O come in as arguments from a crate that may have them".to_owned(),
        )
    } else {
        return None;
    };
    Some(Finding {
        path: krate.manifest_path.clone(),
        line: line_of_dependency(&krate.manifest, dependency),
        what,
        right,
    })
}

/// The package names of everything that ships with the crate; a renamed dependency counts by its real name.
fn dependencies(manifest: &str) -> Vec<String> {
    let table: toml::Table = manifest.parse().unwrap_or_default();
    let mut found = named(&table);
    let targets = table.get("target").and_then(toml::Value::as_table);
    for target in targets.into_iter().flat_map(toml::Table::values) {
        found.extend(target.as_table().map(named).unwrap_or_default());
    }
    found
}

fn named(table: &toml::Table) -> Vec<String> {
    let sections = ["dependencies", "build-dependencies"];
    let entries = sections.iter().filter_map(|section| table.get(*section)?.as_table()).flatten();
    let name = |(key, value): (&String, &toml::Value)| {
        let real = value.get("package").and_then(toml::Value::as_str);
        real.unwrap_or(key).to_owned()
    };
    entries.map(name).collect()
}

fn line_of_dependency(manifest: &str, dependency: &str) -> usize {
    let at_start = manifest.lines().position(|line| {
        let after = line.trim_start().strip_prefix(dependency);
        after.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    });
    let anywhere = || manifest.lines().position(|line| line.contains(dependency));
    at_start.or_else(anywhere).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::super::workspace::testing::krate;
    use super::*;

    #[test]
    fn an_agent_may_not_use_the_server() {
        let manifest = "[dependencies]\ntidegate-wire.workspace = true\ntidegate-server.workspace = true\n";
        let found = check_crate(&krate("agent", manifest, &[]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].line, 3);
        assert_eq!(found[0].what, "agent depends on server");
    }

    #[test]
    fn a_renamed_or_target_bound_dependency_counts_by_its_real_name() {
        let manifest = "[target.'cfg(unix)'.dependencies]\nrecords = { package = \"tidegate-store\", path = \"x\" }\n";
        let found = check_crate(&krate("agent", manifest, &[]));
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn tests_may_use_anything_and_the_cli_everything() {
        let manifest = "[dev-dependencies]\ntidegate-server.workspace = true\n";
        assert!(check_crate(&krate("agent", manifest, &[])).is_empty());
        let manifest = "[dependencies]\ntidegate-server.workspace = true\n";
        assert!(check_crate(&krate("cli", manifest, &[])).is_empty());
    }

    #[test]
    fn a_pure_crate_may_not_depend_on_a_runtime() {
        let found = check_crate(&krate("control", "[dependencies]\ntokio = \"1\"\n", &[]));
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn a_new_crate_needs_its_row() {
        assert_eq!(check_crate(&krate("extras", "", &[])).len(), 1);
    }
}
