//! Drawings, as SVG that reads in both themes: colours are classes of the style sheet.

use maud::{Markup, html};

/// A part of a ring: how much of it, what it is, and the class that colours it.
pub(crate) struct Part {
    pub(crate) count: u32,
    pub(crate) what: &'static str,
    pub(crate) class: &'static str,
}

/// The circumference that a radius of 15.9155 gives: a hundred, so that shares are lengths.
const RADIUS: &str = "15.9155";

/// A ring that fills: its parts in order, out of `whole`. What is left is not opened yet.
pub(crate) fn ring(name: &str, parts: &[Part], whole: u32) -> Markup {
    let said: Vec<String> = parts.iter().map(|part| format!("{} {}", part.count, part.what)).collect();
    let label = format!("Ring {name}: {} of {whole} places", said.join(", "));
    let shares = parts.iter().scan(0.0, |begins, part| {
        let share = share(part.count, whole);
        let at = *begins;
        *begins += share;
        Some((part.class, share, at))
    });
    html! {
        svg.ring viewBox="0 0 42 42" role="img" aria-label=(label) {
            circle.empty cx="21" cy="21" r=(RADIUS) {}
            @for (class, share, at) in shares {
                @if share > 0.0 {
                    circle class=(class) cx="21" cy="21" r=(RADIUS) transform="rotate(-90 21 21)"
                        stroke-dasharray=(format!("{share:.2} {:.2}", 100.0 - share)) stroke-dashoffset=(format!("{:.2}", -at)) {}
                }
            }
            text x="21" y="21" dy=".35em" { (format!("{:.0}%", share_of_first(parts, whole))) }
        }
    }
}

fn share_of_first(parts: &[Part], whole: u32) -> f64 {
    parts.first().map_or(0.0, |part| share(part.count, whole).floor())
}

fn share(count: u32, whole: u32) -> f64 {
    if whole == 0 { 0.0 } else { (f64::from(count) * 100.0 / f64::from(whole)).min(100.0) }
}

/// A bar that is full when a window is: how much of a bound is used.
pub(crate) fn bar(used: u32, bound: u32) -> Markup {
    let share = if bound == 0 { if used == 0 { 0.0 } else { 100.0 } } else { share(used, bound) };
    let class = if used >= bound && used > 0 { "bar full" } else { "bar" };
    html! {
        svg class=(class) viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label=(format!("{used} of {bound}")) {
            rect.empty width="100" height="6" {}
            rect.used width=(format!("{share:.1}")) height="6" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_says_in_words_what_it_draws() {
        let part = |count, what| Part { count, what, class: "x" };
        let drawn = ring("broad", &[part(1, "proven"), part(2, "failed")], 4).into_string();
        assert!(drawn.contains("aria-label=\"Ring broad: 1 proven, 2 failed of 4 places\""), "{drawn}");
        assert!(drawn.contains("stroke-dasharray=\"25.00 75.00\" stroke-dashoffset=\"-0.00\""), "{drawn}");
        assert!(drawn.contains("stroke-dasharray=\"50.00 50.00\" stroke-dashoffset=\"-25.00\""), "{drawn}");
        assert!(drawn.contains(">25%<"), "{drawn}");
        assert!(ring("empty", &[part(0, "proven")], 0).into_string().contains(">0%<"));
    }

    #[test]
    fn a_window_that_is_used_up_is_full_and_one_of_nothing_is_not() {
        assert!(bar(2, 2).into_string().contains("bar full"));
        assert!(!bar(0, 0).into_string().contains("bar full"));
        assert!(bar(1, 0).into_string().contains("width=\"100.0\""));
    }
}
