//! How a rollout would have gone under other policies.

use maud::{Markup, html};
use tidegate_domain::ids::RolloutId;

use crate::frame::{self, Live, Part, Viewer};
use crate::phrases::{count, lasted};

/// What happened, and what would have.
#[derive(Debug, Clone)]
pub struct WhatIf {
    /// The policy that the order pinned.
    pub policy: String,
    /// Devices that took the release.
    pub exposed: u32,
    /// Of them, those that it failed on.
    pub harmed: u32,
    /// Seconds until it was halted.
    pub halted_after_s: Option<f64>,
    /// Seconds until it was complete.
    pub completed_after_s: Option<f64>,
    /// What would have happened.
    pub would: Vec<Would>,
}

/// What would have happened under a policy.
#[derive(Debug, Clone)]
pub struct Would {
    /// The policy.
    pub policy: String,
    /// Devices that would have taken it.
    pub exposed: u32,
    /// Of them, those that it would have failed on.
    pub harmed: u32,
    /// Of the exposed, those that never took it and do as another one of their stratum did.
    pub by_another: u32,
    /// Seconds until it would have been halted.
    pub halted_after_s: Option<f64>,
    /// Seconds until it would have been complete.
    pub completed_after_s: Option<f64>,
    /// Why it would have been halted.
    pub reasons: Vec<String>,
    /// What was changed in the policy so that it fits.
    pub notes: Vec<String>,
}

/// The page; none where it is being worked out, an error where it cannot be.
pub fn page(rollout: &RolloutId, made: Option<&Result<WhatIf, String>>, viewer: Viewer<'_>) -> String {
    let body = html! {
        p { a href=(format!("/console/rollouts/{rollout}")) { (rollout) } }
        h1 { "What if" }
        p.about { "The simulator replays what devices reported under other policies. Devices that never took the release do as others of their stratum did." }
        @match made {
            None => p role="status" { "It is being worked out. This page looks again by itself." },
            Some(Err(problem)) => {
                p.problem role="alert" { (problem) }
                p { "Where there is more time:" }
                pre tabindex="0" { "tidegate store export --data DIR > history.jsonl\ntidegate simulate --replay history.jsonl --policy expedited" }
            },
            Some(Ok(made)) => (table(made)),
        }
    };
    let live = if made.is_none() { Live::Soon } else { Live::No };
    frame::page("What if", Part::Rollouts, viewer, live, &body)
}

fn ended(halted: Option<f64>, completed: Option<f64>) -> Markup {
    html! {
        @match (halted, completed) {
            (Some(s), _) => { "halted after " (lasted(s)) },
            (None, Some(s)) => { "complete after " (lasted(s)) },
            (None, None) => "goes on",
        }
    }
}

/// The first reason, and the others where somebody asks for them.
fn why(one: &Would) -> Markup {
    let mut reasons = one.reasons.iter();
    html! {
        @match reasons.next() { Some(first) => (first), None => "-" }
        @if reasons.len() > 0 {
            details { summary { "and " (reasons.len()) " more" } ul { @for reason in reasons { li { (reason) } } } }
        }
        @if !one.notes.is_empty() {
            details { summary { "fitted to this fleet" } ul { @for note in &one.notes { li { (note) } } } }
        }
    }
}

fn table(made: &WhatIf) -> Markup {
    html! {
        section { div.scroll tabindex="0" { table.stacked {
            thead { tr { th scope="col" { "policy" } th scope="col" { "how it ends" } th scope="col" { "exposed" } th scope="col" { "harmed" } th scope="col" { "why" } } }
            tbody {
                tr {
                    th scope="row" { strong { (made.policy) } " (as it was)" } td { (ended(made.halted_after_s, made.completed_after_s)) }
                    td { (count(u64::from(made.exposed))) span.narrow { " exposed" } }
                    td { (count(u64::from(made.harmed))) span.narrow { " harmed" } } td { "-" }
                }
                @for one in &made.would {
                    tr {
                        th scope="row" { (one.policy) } td { (ended(one.halted_after_s, one.completed_after_s)) }
                        td { (count(u64::from(one.exposed))) span.narrow { " exposed" } @if one.by_another > 0 { " (" (count(u64::from(one.by_another))) " as others did)" } }
                        td { (count(u64::from(one.harmed))) span.narrow { " harmed" } }
                        td.wrap { (why(one)) }
                    }
                }
            }
        } } }
    }
}
