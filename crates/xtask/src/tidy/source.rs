//! Rust source made safe to search: comments and literals blanked, test items blanked, functions measured.
//! It is no parser: it knows comments, literals, brackets and a few keywords, and keeps every byte at its offset.

/// The source with comments and literals as spaces; same length, same lines.
pub(crate) fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        match hidden_until(bytes, at) {
            Some(end) => {
                blank(&mut out, at, end);
                at = end;
            }
            None => at += 1,
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A search hit's line, from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// Offsets at which `word` stands alone in masked source: no identifier goes on at either end.
pub(crate) fn find_words(masked: &str, word: &str) -> Vec<usize> {
    let open_end = !word.chars().next_back().is_some_and(is_ident);
    let alone = |offset: &usize| {
        let before = masked.get(..*offset).and_then(|text| text.chars().next_back());
        let after = masked.get(offset + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(is_ident) && (open_end || !after.is_some_and(is_ident))
    };
    masked.match_indices(word).map(|(offset, _)| offset).filter(alone).collect()
}

/// Whether a character can be part of an identifier.
pub(crate) fn is_ident(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The identifier at the beginning of `text`, which may be empty.
pub(crate) fn ident_at(text: &str) -> &str {
    let end = text.find(|character| !is_ident(character)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// Source without its test items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Production {
    /// The masked source with every test item as spaces.
    pub(crate) text: String,
    /// Lines that do not belong to a test item.
    pub(crate) lines: usize,
    /// Offsets and names of `#[cfg(test)] mod name;`.
    pub(crate) test_modules: Vec<(usize, String)>,
}

/// Blanks every item under `#[cfg(test)]` or `#[cfg(all(test, ...))]`.
pub(crate) fn production(masked: &str) -> Production {
    let mut out = masked.as_bytes().to_vec();
    let mut lines = masked.lines().count();
    let mut test_modules = Vec::new();
    let mut from = 0;
    while let Some(start) = next_test_mark(masked, from) {
        let (item, end) = item_bounds(masked, start);
        blank(&mut out, start, end);
        lines = lines.saturating_sub(line_of(masked, end.saturating_sub(1)) + 1 - line_of(masked, start));
        let text = masked.get(item..end).unwrap_or_default();
        if let Some(name) = text.strip_prefix("mod ").and_then(|rest| rest.trim().strip_suffix(';')) {
            test_modules.push((start, name.trim().to_owned()));
        }
        from = end;
    }
    Production { text: String::from_utf8_lossy(&out).into_owned(), lines, test_modules }
}

/// A function with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The line of its `fn`, from 1.
    pub(crate) line: usize,
    /// Lines from its `fn` to its closing brace.
    pub(crate) lines: usize,
}

/// Every function with a body in masked source, nested ones too.
pub(crate) fn functions(masked: &str) -> Vec<Function> {
    let measure = |start: usize| {
        let rest = masked.get(start + 2..)?;
        let name = ident_at(rest.trim_start());
        let body = body_start(masked, start)?;
        let end = closing(masked, body)?;
        let line = line_of(masked, start);
        (!name.is_empty()).then(|| Function { name: name.to_owned(), line, lines: line_of(masked, end) + 1 - line })
    };
    find_words(masked, "fn").into_iter().filter_map(measure).collect()
}

/// The offset of the bracket that closes the one at `open`.
pub(crate) fn closing(masked: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, byte) in masked.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(offset);
                }
            }
            _ => {}
        }
    }
    None
}

fn blank(out: &mut [u8], start: usize, end: usize) {
    for byte in out.iter_mut().take(end).skip(start).filter(|byte| **byte != b'\n') {
        *byte = b' ';
    }
}

/// Where the comment or literal that begins at `at` ends; `None` when none begins there.
fn hidden_until(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    if rest.starts_with(b"//") {
        return Some(at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()));
    }
    if rest.starts_with(b"/*") {
        return Some(at + block_comment(rest));
    }
    let after_ident = at > 0 && bytes.get(at - 1).is_some_and(|byte| is_ident(char::from(*byte)));
    let prefix = rest.iter().take(2).take_while(|byte| b"bcr".contains(byte)).count();
    if prefix > 0 && after_ident {
        return None;
    }
    let raw = prefix > 0 && rest.get(prefix - 1) == Some(&b'r');
    let literal = rest.get(prefix..)?;
    let length = match literal.first()? {
        b'"' if raw => raw_string(literal),
        b'#' if raw => raw_string(literal),
        b'"' => Some(quoted(literal, b'"')),
        b'\'' if prefix == 0 || rest.first() == Some(&b'b') => char_literal(literal),
        _ => None,
    };
    length.map(|length| at + prefix + length)
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(pair) = rest.get(at..at + 2) {
        match pair {
            b"/*" => depth += 1,
            b"*/" => depth = depth.saturating_sub(1),
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Length of `"..."` or `#"..."#` after a prefix with `r`; `None` for a raw identifier such as `r#type`.
fn raw_string(literal: &[u8]) -> Option<usize> {
    let hashes = literal.iter().take_while(|byte| **byte == b'#').count();
    if literal.get(hashes) != Some(&b'"') {
        return None;
    }
    let mut end = vec![b'"'];
    end.resize(hashes + 1, b'#');
    let body = literal.get(hashes + 1..)?;
    let length = body.windows(end.len()).position(|window| window == end);
    Some(length.map_or(literal.len(), |length| hashes + 1 + length + end.len()))
}

/// Length of a literal with escapes that begins and ends with `quote`.
fn quoted(literal: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(byte) = literal.get(at) {
        match byte {
            b'\\' => at += 2,
            byte if *byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    literal.len()
}

/// Length of a character literal; `None` for a lifetime.
fn char_literal(literal: &[u8]) -> Option<usize> {
    if literal.get(1) == Some(&b'\\') {
        return Some(quoted(literal, b'\''));
    }
    let first = literal.get(1)?;
    let width = match first {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0.. => 4,
    };
    (literal.get(1 + width) == Some(&b'\'')).then_some(width + 2)
}

fn next_test_mark(masked: &str, from: usize) -> Option<usize> {
    let rest = masked.get(from..)?;
    let marks = ["#[cfg(test)]", "#[cfg(all(test"];
    marks.iter().filter_map(|mark| rest.find(mark)).min().map(|offset| from + offset)
}

/// Where the item behind the attributes at `start` begins, and where it ends.
fn item_bounds(masked: &str, start: usize) -> (usize, usize) {
    let mut item = start;
    while let Some(close) =
        masked.get(item..).filter(|text| text.starts_with("#[")).and_then(|_| closing(masked, item + 1))
    {
        let rest = masked.get(close + 1..).unwrap_or_default();
        item = close + 1 + (rest.len() - rest.trim_start().len());
    }
    (item, item_end(masked, item))
}

fn item_end(masked: &str, item: usize) -> usize {
    const KEYWORDS: &[&str] = &[
        "pub",
        "fn",
        "mod",
        "use",
        "impl",
        "struct",
        "enum",
        "const",
        "static",
        "type",
        "trait",
        "async",
        "extern",
        "macro_rules",
        "let",
    ];
    let is_item = KEYWORDS.contains(&ident_at(masked.get(item..).unwrap_or_default()));
    let mut depth = 0_usize;
    for (offset, byte) in masked.bytes().enumerate().skip(item) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth == 0 => return offset,
            b')' | b']' => depth -= 1,
            b'}' => {
                depth -= 1;
                let rest = masked.get(offset + 1..).unwrap_or_default().trim_start();
                if depth == 0 && !rest.starts_with(';') {
                    return offset + 1;
                }
            }
            b';' if depth == 0 => return offset + 1,
            b',' if depth == 0 && !is_item => return offset + 1,
            _ => {}
        }
    }
    masked.len()
}

/// The brace that opens the body of the function whose `fn` is at `start`; `None` when it has no body.
fn body_start(masked: &str, start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, byte) in masked.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.checked_sub(1)?,
            b'{' if depth == 0 => return Some(offset),
            b';' | b'}' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay() {
        let text = "let a = \"std::fs\"; // tokio::\n/* x /* y */ z */ let b = r#\"q\"uote\"#;\nlet c = 'x'; let d: &'static str = b\"z\\\"\";";
        let masked = mask(text);
        assert_eq!(masked.len(), text.len());
        assert_eq!(masked.lines().count(), 3);
        for gone in ["std::fs", "tokio", "y */", "uote", "'x'", "z"] {
            assert!(!masked.contains(gone), "{gone} in {masked}");
        }
        assert!(masked.contains("&'static str") && masked.contains("let b ="), "{masked}");
    }

    #[test]
    fn brackets_in_literals_do_not_count_and_raw_identifiers_are_kept() {
        let masked = mask("fn a() { let r#type = '{'; let x = '\\''; let y = \"}}\"; }");
        assert!(masked.contains("r#type"), "{masked}");
        assert_eq!(masked.matches(['{', '}']).count(), 2, "{masked}");
    }

    #[test]
    fn words_stand_alone() {
        assert_eq!(find_words("thread::x my_thread::y std::thread::z", "thread::").len(), 2);
        assert_eq!(find_words("SystemTime SystemTimes", "SystemTime").len(), 1);
    }

    #[test]
    fn test_items_are_not_production() {
        let text = "use a;\n#[cfg(test)]\nuse b::{c, d};\nfn x() {}\n#[cfg(test)]\nmod far;\n#[cfg(test)]\n#[allow(z)]\nmod tests {\n    fn y() {}\n}\n";
        let production = production(text);
        assert_eq!(production.lines, 2);
        assert_eq!(production.test_modules.len(), 1);
        assert_eq!(production.test_modules[0].1, "far");
        assert!(production.text.contains("fn x") && !production.text.contains("fn y"));
        assert!(!production.text.contains("use b"));
    }

    #[test]
    fn a_test_field_ends_at_its_comma() {
        let production = production("struct A {\n    #[cfg(test)]\n    seen: u8,\n    kept: u8,\n}\n");
        assert!(production.text.contains("kept") && !production.text.contains("seen"));
    }

    #[test]
    fn functions_are_measured_from_fn_to_brace() {
        let text = "trait T { fn none(&self) -> u8; }\npub fn a(x: [u8; 3]) -> u8\nwhere\n    u8: Copy,\n{\n    let f: fn(u8) -> u8 = g;\n}\n";
        let found = functions(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].name.as_str(), found[0].line, found[0].lines), ("a", 2, 6));
    }
}
