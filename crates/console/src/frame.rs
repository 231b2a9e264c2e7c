//! What every page has around it: the way to the other pages, who looks, and where its changing part comes from.

use maud::{DOCTYPE, Markup, html};

use crate::{ICON_PATH, KEYS_PATH, LIVE_PATH, STYLE_PATH};

/// How often a page is fetched anew where no script keeps it up to date, in seconds.
const AGAIN_S: &str = "5";

/// Who looks.
#[derive(Debug, Clone, Copy)]
pub struct Viewer<'a> {
    /// The operator's name.
    pub name: &'a str,
}

/// The parts of the console that the head of each page leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Overview,
    Rollouts,
    Fleet,
    Releases,
    Policies,
    Incidents,
    Trust,
    Log,
}

const PARTS: [(Part, &str, &str); 8] = [
    (Part::Overview, "Overview", "/console/"),
    (Part::Rollouts, "Rollouts", "/console/rollouts"),
    (Part::Fleet, "Fleet", "/console/fleet"),
    (Part::Releases, "Releases", "/console/releases"),
    (Part::Policies, "Policies", "/console/policies"),
    (Part::Incidents, "Incidents", "/console/incidents"),
    (Part::Trust, "Trust", "/console/trust"),
    (Part::Log, "Log", "/console/log"),
];

/// Where the changing part of a page comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Live<'a> {
    /// Nothing on it changes by itself.
    No,
    /// What belongs here is being worked out: the page is fetched again at once.
    Soon,
    /// The page leads on by itself.
    Elsewhere(&'a str),
    /// A page to look at: without scripts it is fetched anew from time to time.
    Watched(&'a str),
    /// A page to write on: without scripts it stays as it is, so that nobody's words are lost.
    Worked(&'a str),
}

impl<'a> Live<'a> {
    fn events(self) -> Option<&'a str> {
        match self {
            Live::No | Live::Soon | Live::Elsewhere(_) => None,
            Live::Watched(path) | Live::Worked(path) => Some(path),
        }
    }
}

/// A page for somebody who is signed in.
pub(crate) fn page(title: &str, part: Part, viewer: Viewer<'_>, live: Live<'_>, body: &Markup) -> String {
    let head = html! {
        (ways(Some(part)))
        form method="post" action="/console/leave" {
            span { (viewer.name) }
            button type="submit" { "Sign out" }
        }
    };
    whole(title, &head, live, body)
}

/// The way to the parts of the console.
fn ways(here: Option<Part>) -> Markup {
    html! {
        nav aria-label="Console" {
            @for (other, name, path) in PARTS {
                a href=(path) aria-current=[(Some(other) == here).then_some("page")] { (name) }
            }
        }
    }
}

/// A page in the place of one that is not there.
pub(crate) fn astray(title: &str, body: &Markup) -> String {
    whole(title, &ways(None), Live::No, body)
}

/// A page for nobody in particular.
pub(crate) fn outside(title: &str, body: &Markup) -> String {
    whole(title, &html! {}, Live::No, body)
}

/// A page for nobody in particular that leads on by itself.
pub(crate) fn leading_on(title: &str, to: &str, body: &Markup) -> String {
    whole(title, &html! {}, Live::Elsewhere(to), body)
}

fn whole(title: &str, head: &Markup, live: Live<'_>, body: &Markup) -> String {
    let events = live.events();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Tidegate" }
                link rel="icon" type="image/svg+xml" href=(ICON_PATH);
                link rel="stylesheet" href=(STYLE_PATH);
                script src=(LIVE_PATH) defer {}
                script src=(KEYS_PATH) defer {}
                @if let Live::Soon = live { meta http-equiv="refresh" content="1"; }
                @if let Live::Elsewhere(path) = live { meta http-equiv="refresh" content={ "0; url=" (path) }; }
                @if let Live::Watched(_) = live { noscript { meta http-equiv="refresh" content=(AGAIN_S); } }
            }
            body {
                a.skip href="#main" { "To the content" }
                header { a.name href="/console/" { "Tidegate" } (head) }
                main id="main" data-events=[events] { (body) }
                @if !head.0.is_empty() { footer { p id="zone" { "Times are in UTC." } p { a href="/console/continuity" { "What goes on while this server is down" } } } }
                @if events.is_some() { p.state id="connection" role="status" {} }
            }
        }
    };
    page.into_string()
}
