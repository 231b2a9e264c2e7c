//! Canonical JSON: one byte string for one value, so that a signature has one meaning.
//!
//! Object keys sorted by code point, no white space, integers only (at most 2^53 - 1 in size), strings with the least escaping.
//! A subset of RFC 8785 (JCS): where both accept a value, the bytes are the same.

use serde_json::Value;

/// The largest integer that every JSON reader keeps exactly.
const INTEGER_MAX: u64 = (1 << 53) - 1;
const DEPTH_MAX: usize = 32;

/// Why a value has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// Fractions and huge integers are read differently by different readers.
    #[error("number {0}: expected an integer of at most 2^53 - 1; write fractions as text")]
    Number(String),
    /// Nested too deeply.
    #[error("nested deeper than {DEPTH_MAX} levels")]
    Depth,
    /// An object key outside printable ASCII would sort differently by code point and by UTF-16 unit.
    #[error("object key {0:?}: expected printable ASCII")]
    Key(String),
}

/// The canonical bytes of a value.
///
/// # Errors
/// When the value holds a number that is no safe integer, a key outside ASCII, or is nested too deeply.
pub fn canonical_bytes(value: &Value) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::with_capacity(512);
    write(value, 0, &mut out)?;
    Ok(out)
}

fn write(value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    if depth > DEPTH_MAX {
        return Err(CanonicalError::Depth);
    }
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => {
            let safe = number.as_i64().map(i64::unsigned_abs).or(number.as_u64()).is_some_and(|n| n <= INTEGER_MAX);
            if !safe {
                return Err(CanonicalError::Number(number.to_string().chars().take(40).collect()));
            }
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, depth + 1, out)?;
            }
            out.push(b']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            out.push(b'{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if !key.bytes().all(|b| (0x20..0x7f).contains(&b)) {
                    return Err(CanonicalError::Key(key.chars().take(40).collect()));
                }
                if i > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write(item, depth + 1, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\r' => out.extend_from_slice(b"\\r"),
            c if (c as u32) < 0x20 => out.extend_from_slice(format!("\\u{:04x}", c as u32).as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_and_space_is_gone() {
        let bytes = canonical_bytes(&json!({"b": [1, true, null], "a": "x\n\u{1}\"é"})).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), "{\"a\":\"x\\n\\u0001\\\"é\",\"b\":[1,true,null]}");
    }

    #[test]
    fn fractions_and_huge_integers_are_refused() {
        assert!(canonical_bytes(&json!(0.5)).is_err());
        assert!(canonical_bytes(&json!(1_u64 << 53)).is_err());
        assert!(canonical_bytes(&json!(1.0)).is_err());
        assert!(canonical_bytes(&json!(-((1_i64 << 53) - 1))).is_ok());
    }

    #[test]
    fn deep_nesting_is_refused_before_the_stack_is() {
        let mut value = json!(0);
        for _ in 0..100 {
            value = json!([value]);
        }
        assert_eq!(canonical_bytes(&value), Err(CanonicalError::Depth));
    }
}
