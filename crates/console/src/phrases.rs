//! Small pieces that many pages share: facts in two columns, numbers with room between thousands, digests cut short, and what to say
//! where there is nothing yet.

use maud::{Markup, html};
use tidegate_domain::digest::Digest;

/// Facts in two columns; those without a value are left out.
pub(crate) fn facts(all: &[(&str, Option<Markup>)]) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in all {
                @if let Some(value) = value { dt { (name) } dd { (value) } }
            }
        }
    }
}

/// A number that people can read: thousands apart.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut parts: Vec<&str> = Vec::new();
    let mut rest = digits.as_str();
    while let Some((front, last)) =
        rest.len().checked_sub(3).filter(|cut| *cut > 0).and_then(|cut| rest.split_at_checked(cut))
    {
        parts.push(last);
        rest = front;
    }
    parts.push(rest);
    parts.reverse();
    parts.join(",")
}

/// The beginning of a digest, with all of it at hand.
pub(crate) fn short(digest: &Digest) -> Markup {
    let text = digest.to_string();
    let digits = text.strip_prefix("sha256:").unwrap_or(&text);
    let beginning: String = digits.chars().take(12).collect();
    html! { code title=(text) { (beginning) } }
}

/// What to say where there is nothing yet, and what to do about it.
pub(crate) fn nothing_yet(what: &str, commands: &[&str]) -> Markup {
    html! {
        div.nothing {
            p { (what) }
            @if !commands.is_empty() { pre tabindex="0" { (commands.join("\n")) } }
        }
    }
}

/// A sentence in which commands stand between backticks.
pub(crate) fn prose(text: &str) -> Markup {
    html! { @for (at, part) in text.split('`').enumerate() { @if at % 2 == 1 { code { (part) } } @else { (part) } } }
}

/// A phase, a stage or a state as a label.
pub(crate) fn label(word: &str) -> Markup {
    html! { span class=(format!("phase {word}")) { (word.replace('_', " ")) } }
}

/// A time that people can read: seconds where it is short, minutes where it is not.
pub(crate) fn lasted(seconds: f64) -> String {
    if seconds < 120.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}

/// `1 device`, `2 devices`.
pub(crate) fn of_many(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let shown = [0, 7, 999, 1_000, 12_345, 8_500_000].map(count);
        assert_eq!(shown, ["0", "7", "999", "1,000", "12,345", "8,500,000"]);
        assert_eq!(
            (of_many(1, "device", "devices"), of_many(0, "device", "devices")),
            ("1 device".into(), "0 devices".into())
        );
    }

    #[test]
    fn a_digest_is_cut_short_and_stays_at_hand() {
        let shown = short(&Digest::of(b"x")).into_string();
        assert!(shown.contains(">2d711642b726<") && shown.contains("title=\"sha256:2d711642b726b044"), "{shown}");
    }
}
