//! OS-specific calls of the agent stand in its one `os` module, so that another system is one module's work.
//! This list stands in for the Windows check on machines that do not have that target.

use super::Finding;
use super::source::{closing, find_words, line_of};
use super::workspace::{SourceFile, Workspace};

/// Paths that exist on some systems only.
const PATHS: &[&str] = &["rustix::", "std::os::", "libc::", "nix::", "windows_sys::"];
/// Words that make a `cfg` depend on the system.
const CFG_WORDS: &[&str] = &["unix", "windows", "target_os", "target_family"];

/// Checks what the agent ships.
pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let agent = workspace.crates.iter().filter(|krate| krate.folder == "agent" && !krate.is_example);
    let files = agent.flat_map(|krate| krate.production_files());
    files.filter(|file| !in_os_module(file)).flat_map(check_file).collect()
}

fn in_os_module(file: &SourceFile) -> bool {
    let first = file.module_path().into_iter().next().unwrap_or_default();
    first == "os" || first.starts_with("os_")
}

fn check_file(file: &SourceFile) -> Vec<Finding> {
    let text = &file.production.text;
    let paths = PATHS.iter().flat_map(|path| find_words(text, path).into_iter().map(|at| (at, (*path).to_owned())));
    let cfgs = ["cfg(", "cfg_attr(", "cfg!("]
        .iter()
        .flat_map(|mark| find_words(text, mark).into_iter().map(|at| (at, at + mark.len() - 1)));
    let on_system = cfgs.filter_map(|(at, open)| {
        let inside = text.get(open..closing(text, open)?)?;
        let word = CFG_WORDS.iter().find(|word| !find_words(inside, word).is_empty())?;
        Some((at, format!("cfg({word})")))
    });
    let finding = |(offset, what): (usize, String)| Finding {
        path: file.path.clone(),
        line: line_of(text, offset),
        what: format!("the agent says '{what}' outside its os module"),
        right: "a function of crates/agent/src/os that says what is wanted, called from here".to_owned(),
    };
    paths.chain(on_system).map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::super::workspace::testing::one;
    use super::*;

    #[test]
    fn os_calls_outside_the_os_module_are_found_with_their_lines() {
        let text =
            "use rustix::fs::sync;\n#[cfg(not(unix))]\nfn a() {}\nfn b() { if cfg!(target_os = \"linux\") {} }\n";
        let found = check(&one("agent", &[("src/slot.rs", text)]));
        let lines: Vec<usize> = found.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [1, 2, 4], "{found:?}");
    }

    #[test]
    fn the_os_module_tests_and_other_crates_are_free() {
        let text = "use std::os::unix::fs::symlink;\n";
        let files = [("src/os.rs", text), ("src/os/linux.rs", text), ("src/os_windows.rs", text), ("tests/a.rs", text)];
        assert!(check(&one("agent", &files)).is_empty());
        assert!(check(&one("server", &[("src/lib.rs", text)])).is_empty());
    }
}
