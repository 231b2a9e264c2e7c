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

/// A bar for a share of a whole.
pub(crate) fn share_bar(part: u64, whole: u64) -> Markup {
    let share = if whole == 0 { 0.0 } else { (part as f64 * 100.0 / whole as f64).min(100.0) };
    html! {
        svg.bar viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label=(format!("{share:.1} percent")) {
            rect.empty width="100" height="6" {}
            rect.used width=(format!("{share:.2}")) height="6" {}
        }
    }
}

/// A line of a chart: what it says, the class that colours it, and its points: how far along, how high, both from 0 to 1.
pub(crate) struct Course {
    pub(crate) class: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// What stands at a chart's edges: the heights of its top and bottom, and its beginning and end.
pub(crate) struct Edges {
    pub(crate) top: String,
    pub(crate) bottom: &'static str,
    pub(crate) begins: Markup,
    pub(crate) ends: Markup,
}

/// Straight lines across a chart, from 0 to 1: a height that is not to be reached, and the instant of a halt.
#[derive(Default)]
pub(crate) struct Lines {
    pub(crate) bound: Option<f64>,
    pub(crate) halt: Option<f64>,
}

/// Lines over time.
pub(crate) fn chart(label: &str, courses: &[Course], across: &Lines, edges: &Edges) -> Markup {
    let y = |high: f64| 60.0 - high.clamp(0.0, 1.0) * 56.0 - 2.0;
    let line = |points: &[(f64, f64)]| {
        let each = points.iter().map(|(along, high)| format!("{:.2},{:.2}", along.clamp(0.0, 1.0) * 200.0, y(*high)));
        each.collect::<Vec<_>>().join(" ")
    };
    let halt = across.halt.map(|along| format!("{:.2}", along.clamp(0.0, 1.0) * 199.0 + 0.5));
    let bound = across.bound.map(|bound| format!("{:.2}", y(bound)));
    html! {
        div.plot {
            span.top { (edges.top) }
            svg.chart viewBox="0 0 200 60" preserveAspectRatio="none" role="img" aria-label=(label) {
                line.axis x1="0" y1="59" x2="200" y2="59" {}
                @if let Some(bound) = bound { line.bound x1="0" x2="200" y1=(bound) y2=(bound) {} }
                @if let Some(halt) = halt { line.halt x1=(halt) x2=(halt) y1="0" y2="60" {} }
                @for course in courses { polyline class=(course.class) points=(line(&course.points)) {} }
            }
            span.bottom { (edges.bottom) }
            span.begins { (edges.begins) }
            span.ends { (edges.ends) }
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
