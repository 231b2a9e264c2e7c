//! What goes on while this server is down, and what does not: declared, and shown by a test.

use maud::html;

use crate::frame::{self, Live, Part, Viewer};

/// What goes on.
const GOES_ON: [&str; 6] = [
    "Payloads run, restart and serve. No device asks anybody before it starts what it has.",
    "A device that took a bad release returns to its fallback by itself, before the content is read a fourth time.",
    "Devices keep what they report, and send it when the server is back.",
    "A halt that was acknowledged stands, also over a crash of the server.",
    "Files that were fetched stay verified and staged.",
    "Proofs that are under way go on counting while there is contact, and pause without it.",
];

/// What waits.
const WAITS: [&str; 5] = [
    "No device takes a release: a go needs the server.",
    "No window opens and no ring passes: permits need the server.",
    "Nobody enrols.",
    "Orders back after a halt wait; a device's own return does not.",
    "This console, the log and the webhooks. What happened meanwhile is told afterwards.",
];

/// The page.
pub fn page(viewer: Viewer<'_>) -> String {
    let body = html! {
        h1 { "What goes on while this server is down" }
        section aria-labelledby="on" {
            h2 id="on" { "Goes on" }
            ul { @for what in GOES_ON { li { (what) } } }
        }
        section aria-labelledby="waits" {
            h2 id="waits" { "Waits" }
            ul { @for what in WAITS { li { (what) } } }
        }
        p { "Closing needs least: a halt key halts without this server's log, account or planner (" code { "tidegate rollout halt --key" } ")." }
    };
    frame::page("Continuity", Part::Overview, viewer, Live::No, &body)
}
