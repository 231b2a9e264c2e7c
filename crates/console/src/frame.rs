//! What every page has around it.

use maud::{DOCTYPE, Markup, html};

use crate::{ICON_PATH, LIVE_PATH, STYLE_PATH};

/// How often a page is fetched anew where no script keeps it up to date, in seconds.
const AGAIN_S: &str = "5";

/// Who looks.
#[derive(Debug, Clone, Copy)]
pub struct Viewer<'a> {
    /// The operator's name.
    pub name: &'a str,
}

/// A page. `events` is where its changing part comes from, where it has one.
pub(crate) fn page(title: &str, viewer: Option<Viewer<'_>>, events: Option<&str>, body: &Markup) -> Markup {
    html! {
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
                @if events.is_some() { noscript { meta http-equiv="refresh" content=(AGAIN_S); } }
            }
            body {
                a.skip href="#main" { "To the content" }
                header {
                    a.name href="/console/" { "Tidegate" }
                    @if let Some(viewer) = viewer {
                        form method="post" action="/console/leave" {
                            span { (viewer.name) }
                            button type="submit" { "Sign out" }
                        }
                    }
                }
                main id="main" data-events=[events] { (body) }
                @if events.is_some() { p.state id="connection" role="status" {} }
            }
        }
    }
}
