//! All rollouts, the newest first.

use maud::{Markup, html};
use tidegate_domain::ids::{PackageName, RolloutId, Version};
use tidegate_domain::time::WallTime;

use crate::frame::{self, Live, Part, Viewer};
use crate::instants::instant;
use crate::phrases::{count, label, nothing_yet};

/// A rollout in a list. Units: places.
#[derive(Debug, Clone)]
pub struct RolloutLine {
    /// The rollout.
    pub rollout: RolloutId,
    /// The package.
    pub package: PackageName,
    /// The version.
    pub version: Version,
    /// The phase's word.
    pub phase: String,
    /// Whether somebody is called: it goes no further alone.
    pub calls: bool,
    /// When it started.
    pub started_at_ms: WallTime,
    /// Places in all rings.
    pub places: u32,
    /// Proven.
    pub proven: u32,
    /// Failed or silent.
    pub harmed: u32,
}

/// The page.
pub fn page(lines: &[RolloutLine], more: usize, viewer: Viewer<'_>) -> String {
    let body = html! {
        h1 { "Rollouts" }
        @if lines.is_empty() { (none_yet()) }
        @else { section { (table(lines)) @if more > 0 { p { "and " (more) " older ones; " code { "tidegate rollout list" } " shows all" } } } }
    };
    frame::page("Rollouts", Part::Rollouts, viewer, Live::No, &body)
}

pub(crate) fn none_yet() -> Markup {
    nothing_yet(
        "There is none yet. A release is published, a policy applied, and then an order starts one:",
        &["tidegate rollout start PACKAGE VERSION --policy NAME@DIGEST --key order.key"],
    )
}

/// The lines as a table.
pub(crate) fn table(lines: &[RolloutLine]) -> Markup {
    html! {
        div.scroll tabindex="0" { table.stacked {
            thead {
                tr {
                    th scope="col" { "rollout" } th scope="col" { "release" } th scope="col" { "phase" }
                    th scope="col" { "proven" } th scope="col" { "harmed" } th scope="col" { "started" }
                }
            }
            tbody {
                @for line in lines {
                    tr {
                        th scope="row" { a href=(format!("/console/rollouts/{}", line.rollout)) { (line.rollout) } }
                        td { (line.package) " " (line.version) }
                        td { (label(&line.phase)) @if line.calls { " " (label("waits for a person")) } }
                        td { (count(u64::from(line.proven))) " of " (count(u64::from(line.places))) span.narrow { " proven" } }
                        td class=(if line.harmed > 0 { "harmed" } else { "" }) { (count(u64::from(line.harmed))) span.narrow { " harmed" } }
                        td { (instant(line.started_at_ms)) }
                    }
                }
            }
        } }
    }
}
