//! All rollouts, the newest first.

use maud::{Markup, html};
use tidegate_domain::ids::{PackageName, RolloutId, Version};
use tidegate_domain::time::WallTime;

use crate::frame::{self, Viewer as Who};
use crate::instants::instant;

pub use crate::frame::Viewer;

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
pub fn page(lines: &[RolloutLine], more: usize, viewer: Who<'_>) -> String {
    frame::page("Rollouts", Some(viewer), None, &table(lines, more)).into_string()
}

fn table(lines: &[RolloutLine], more: usize) -> Markup {
    html! {
        h1 { "Rollouts" }
        @if lines.is_empty() {
            p { "There is none yet. A release is published, a policy applied, and then an order starts one:" }
            pre { "tidegate rollout start PACKAGE VERSION --policy NAME@DIGEST --key order.key" }
        } @else {
            table {
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
                            td { span class=(format!("phase {}", line.phase)) { (line.phase) } }
                            td { (line.proven) " of " (line.places) }
                            td { (line.harmed) }
                            td { (instant(line.started_at_ms)) }
                        }
                    }
                }
            }
            @if more > 0 { p { "and " (more) " older ones; " code { "tidegate rollout list" } " shows all" } }
        }
    }
}
