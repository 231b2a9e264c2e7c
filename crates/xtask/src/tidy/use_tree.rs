//! Reads `use` trees: `a::{b, c::{d, e as f}}` into the paths that it names, with the name each gets.
//! It works on masked source and takes what it does not understand for a plain path.

use super::source::{closing, find_words, ident_at, is_ident};

/// One path that a `use` tree names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// The path's segments; `*` is one for a glob.
    pub(crate) segments: Vec<String>,
    /// The name that it is used by.
    pub(crate) name: String,
}

/// The paths named by a tree, such as the text between `use` and `;`.
pub(crate) fn leaves(tree: &str) -> Vec<Leaf> {
    let mut found = Vec::new();
    collect(&[], tree, &mut found);
    found
}

/// Every `use` of masked source: its offset and the paths that it names.
pub(crate) fn uses(masked: &str) -> Vec<(usize, Vec<Leaf>)> {
    let statement = |start: usize| {
        let rest = masked.get(start + 3..)?;
        let end = rest.find(';')?;
        Some((start, leaves(rest.get(..end)?)))
    };
    find_words(masked, "use").into_iter().filter_map(statement).collect()
}

/// The paths that go on at `offset`, right after a `crate::` or `super::`.
pub(crate) fn paths_at(masked: &str, offset: usize) -> Vec<Leaf> {
    let rest = masked.get(offset..).unwrap_or_default();
    if rest.starts_with('{') {
        let inside = closing(masked, offset).and_then(|end| masked.get(offset..=end));
        return leaves(inside.unwrap_or_default());
    }
    let end = rest.find(|character| !is_ident(character) && character != ':').unwrap_or(rest.len());
    leaves(rest.get(..end).unwrap_or_default().trim_end_matches(':'))
}

fn collect(before: &[String], tree: &str, found: &mut Vec<Leaf>) {
    let mut segments = before.to_vec();
    let mut rest = tree.trim().trim_start_matches("::");
    loop {
        if let Some(group) = rest.strip_prefix('{') {
            for part in split_top(group.trim_end().trim_end_matches('}')) {
                collect(&segments, part, found);
            }
            return;
        }
        let word = ident_at(rest);
        let word = if word.is_empty() && rest.starts_with('*') { "*" } else { word };
        if word.is_empty() {
            return;
        }
        if word != "self" || segments.is_empty() {
            segments.push(word.to_owned());
        }
        rest = rest.get(word.len()..).unwrap_or_default().trim_start();
        match rest.strip_prefix("::") {
            Some(after) => rest = after.trim_start(),
            None => break,
        }
    }
    let alias = rest.strip_prefix("as ").map(|alias| ident_at(alias.trim_start()));
    let last = segments.last().cloned().unwrap_or_default();
    found.push(Leaf { name: alias.map_or(last, str::to_owned), segments });
}

/// Splits at commas that stand in no inner group.
fn split_top(group: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let at_top = |character: char| {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    };
    let parts = group.split(at_top).map(str::trim);
    parts.filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(tree: &str) -> Vec<String> {
        leaves(tree).iter().map(|leaf| format!("{}={}", leaf.segments.join("::"), leaf.name)).collect()
    }

    #[test]
    fn groups_aliases_and_self_are_expanded() {
        assert_eq!(
            shown("std::{fs::{self, File as F}, io::Read, net}"),
            ["std::fs=fs", "std::fs::File=F", "std::io::Read=Read", "std::net=net"]
        );
        assert_eq!(shown("crate::gate::*"), ["crate::gate::*=*"]);
        assert_eq!(shown("  {\n a::b,\n c,\n}"), ["a::b=b", "c=c"]);
    }

    #[test]
    fn paths_go_on_after_their_root() {
        let text = "crate::{gate::Gate, window}; crate::fleet::Device::new(x)";
        assert_eq!(paths_at(text, 7).len(), 2);
        let second = text.rfind("fleet").unwrap();
        assert_eq!(paths_at(text, second)[0].segments, ["fleet", "Device", "new"]);
    }
}
