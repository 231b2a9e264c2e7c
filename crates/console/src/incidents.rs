//! All incidents, and the way to open one by hand.

use maud::{Markup, html};
use tidegate_domain::case::Stage;
use tidegate_domain::ids::{IncidentId, OperatorName};
use tidegate_domain::time::WallTime;

use crate::frame::{self, Live, Part, Viewer};
use crate::instants::instant;
use crate::phrases::{count, label, nothing_yet};
use crate::written::{Written, was, why};

/// An incident in the list.
#[derive(Debug, Clone)]
pub struct IncidentRow {
    /// The incident.
    pub incident: IncidentId,
    /// In a few words.
    pub title: String,
    /// How far it has come.
    pub stage: Stage,
    /// Who leads.
    pub commander: Option<OperatorName>,
    /// When it was noticed.
    pub opened_at_ms: WallTime,
    /// Devices that took the release.
    pub exposed: u32,
    /// Well again.
    pub restored: u32,
    /// Somebody must come.
    pub need_hands: u32,
}

/// The page.
pub fn page(rows: &[IncidentRow], more: usize, problem: Option<&Written>, viewer: Viewer<'_>) -> String {
    let body = html! {
        h1 { "Incidents" }
        @if rows.is_empty() { (nothing_yet("There was none. A halt opens one by itself; people open others below.", &[])) }
        @else { section { (table(rows)) @if more > 0 { p { "and " (more) " older ones" } } } }
        (open_form(problem))
    };
    frame::page("Incidents", Part::Incidents, viewer, Live::No, &body)
}

/// The rows as a table.
pub(crate) fn table(rows: &[IncidentRow]) -> Markup {
    html! {
        div.scroll tabindex="0" { table.stacked {
            thead { tr {
                th scope="col" { "incident" } th scope="col" { "stage" } th scope="col" { "what" } th scope="col" { "commander" }
                th scope="col" { "opened" } th scope="col" { "well again" } th scope="col" { "need hands" }
            } }
            tbody {
                @for row in rows {
                    tr {
                        th scope="row" { a href=(format!("/console/incidents/{}", row.incident)) { (row.incident) } }
                        td { (label(row.stage.word())) } td.wrap { (row.title) }
                        td { @match &row.commander { Some(who) => (who), None => "nobody" } }
                        td { (instant(row.opened_at_ms)) }
                        td { @if row.exposed > 0 { (count(u64::from(row.restored))) " of " (count(u64::from(row.exposed))) } @else { "-" } span.narrow { " well again" } }
                        td class=(if row.need_hands > 0 { "harmed" } else { "" }) { (count(u64::from(row.need_hands))) span.narrow { " need hands" } }
                    }
                }
            }
        } }
    }
}

fn open_form(problem: Option<&Written>) -> Markup {
    html! {
        section aria-labelledby="open" {
            h2 id="open" { "Open an incident" }
            p { "It changes nothing in any rollout: it begins a case that people work on." }
            (why(problem, "open"))
            form.act method="post" action="/console/incidents" {
                label { "In a few words" input name="title" required maxlength="4000" value=(was(problem, "open", "title", "")); }
                label { "About package (may be empty)" input name="package" maxlength="64" value=(was(problem, "open", "package", "")); }
                label { "Noticed (empty: now)" input name="at" maxlength="40" placeholder="20min ago, or 2026-11-27T19:00+01:00" value=(was(problem, "open", "at", "")); }
                button type="submit" { "Open" }
            }
        }
    }
}
