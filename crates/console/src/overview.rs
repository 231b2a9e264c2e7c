//! What is under way and what needs somebody, and, while the house is new, what to do next.

use maud::{Markup, html};

use crate::frame::{self, Live, Part, Viewer};
use crate::incidents::{self, IncidentRow};
use crate::rollouts::{self, RolloutLine};

/// The whole of it in short.
#[derive(Debug, Clone, Default)]
pub struct OverviewPage {
    /// What to do first; empty once all of it was done.
    pub first: Vec<FirstStep>,
    /// Rollouts that run or are paused, the latest first.
    pub under_way: Vec<RolloutLine>,
    /// The last ones that are over.
    pub over: Vec<RolloutLine>,
    /// Incidents that are not closed.
    pub incidents: Vec<IncidentRow>,
    /// What should be looked after: keys that end, a restore that somebody must look at.
    pub alerts: Vec<String>,
    /// Whether P4 is in force, in words.
    pub p4: String,
}

/// A step of the first run.
#[derive(Debug, Clone)]
pub struct FirstStep {
    /// What is reached by it.
    pub what: &'static str,
    /// How.
    pub command: String,
    /// Whether it was done.
    pub done: bool,
}

/// The page.
pub fn page(view: &OverviewPage, viewer: Viewer<'_>) -> String {
    let body = html! { div data-part="" { (changing(view)) } };
    frame::page("Overview", Part::Overview, viewer, Live::Watched("/console/events"), &body)
}

/// The part that changes.
pub fn part(view: &OverviewPage) -> String {
    changing(view).into_string()
}

fn changing(view: &OverviewPage) -> Markup {
    html! {
        h1 { "Overview" }
        (first(&view.first))
        @if !view.alerts.is_empty() {
            section aria-labelledby="alerts" { h2 id="alerts" { "To look after" } ul.alerts { @for one in &view.alerts { li { (one) } } } }
        }
        @if !view.incidents.is_empty() {
            section.alarm aria-labelledby="incidents" { h2 id="incidents" { "Incidents that are not closed" } (incidents::table(&view.incidents)) }
        }
        section aria-labelledby="under-way" {
            h2 id="under-way" { "Under way" }
            @if view.under_way.is_empty() && view.over.is_empty() { (rollouts::none_yet()) }
            @else if view.under_way.is_empty() { p { "No rollout is under way." } }
            @else { (rollouts::table(&view.under_way)) }
        }
        @if !view.over.is_empty() {
            section aria-labelledby="over" { h2 id="over" { "Lately over" } (rollouts::table(&view.over)) p { a href="/console/rollouts" { "All rollouts" } } }
        }
        p.about { "P4 " (view.p4) ": one server is trusted to open windows. " a href="/console/trust" { "What is trusted" } ". " a href="/console/continuity" { "What goes on while this server is down" } "." }
    }
}

fn first(steps: &[FirstStep]) -> Markup {
    let Some(next) = steps.iter().position(|step| !step.done) else { return html! {} };
    html! {
        section aria-labelledby="first" {
            h2 id="first" { "From here to a first release" }
            ol.first {
                @for (at, step) in steps.iter().enumerate() {
                    li class=(if step.done { "done" } else { "" }) aria-current=[(at == next).then_some("step")] {
                        (step.what) @if step.done { " " span.proven { "done" } }
                        @if !step.done { pre tabindex="0" { (step.command) } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_house_says_what_to_do_next_and_one_that_works_does_not() {
        let step = |what, done| FirstStep { what, command: "tidegate x".to_owned(), done };
        let view = OverviewPage {
            first: vec![step("a", true), step("b", false), step("c", false)],
            ..OverviewPage::default()
        };
        let shown = part(&view);
        assert_eq!(shown.matches(">tidegate x").count(), 2, "{shown}");
        assert!(shown.contains("aria-current=\"step\">b"), "{shown}");
        let view = OverviewPage { first: vec![step("a", true)], ..OverviewPage::default() };
        assert!(!part(&view).contains("From here"));
    }
}
