//! The log: who did what, when, to what; the latest first.

use maud::{Markup, html};
use tidegate_domain::time::WallTime;

use crate::frame::{self, Live, Part, Viewer};
use crate::instants::instant;

/// A part of the log.
#[derive(Debug, Clone)]
pub struct LogPage {
    /// The lines, the latest first.
    pub lines: Vec<LogLine>,
    /// What they were narrowed to: who, what, about; empty for all.
    pub wanted: [String; 3],
    /// All words of acts.
    pub words: &'static [&'static str],
    /// Where to look further back, where there is more.
    pub before: Option<u64>,
}

/// An act.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// The number of its record.
    pub entry: u64,
    /// When.
    pub at_ms: WallTime,
    /// Who.
    pub who: String,
    /// What.
    pub what: String,
    /// About what.
    pub about: String,
    /// More, in words.
    pub detail: String,
}

/// The page.
pub fn page(view: &LogPage, viewer: Viewer<'_>) -> String {
    let [who, what, about] = &view.wanted;
    let body = html! {
        h1 { "Log" }
        form.search method="get" action="/console/log" role="search" {
            label { "Who " input name="who" value=(who) maxlength="80"; }
            label { "What " select name="what" {
                option value="" selected[what.is_empty()] { "anything" }
                @for word in view.words { option value=(word) selected[*word == what.as_str()] { (word.replace('_', " ")) } }
            } }
            label { "About " input name="about" value=(about) maxlength="200"; }
            button type="submit" { "Show" }
        }
        (lines(view))
        @if let Some(before) = view.before {
            form method="get" action="/console/log" {
                input type="hidden" name="who" value=(who); input type="hidden" name="what" value=(what);
                input type="hidden" name="about" value=(about); input type="hidden" name="before" value=(before);
                button type="submit" { "Look further back" }
            }
        }
    };
    frame::page("Log", Part::Log, viewer, Live::No, &body)
}

fn lines(view: &LogPage) -> Markup {
    html! {
        @if view.lines.is_empty() { p { "Nothing of that sort here." } }
        @else {
            section {
                div.scroll tabindex="0" { table.stacked {
                    thead { tr { th scope="col" { "when" } th scope="col" { "who" } th scope="col" { "what" } th scope="col" { "about" } th scope="col" { "in words" } th scope="col" { "record" } } }
                    tbody {
                        @for line in &view.lines {
                            tr {
                                td { (instant(line.at_ms)) } td { (line.who) } td { (line.what.replace('_', " ")) } td.wrap { (line.about) } td.wrap { (line.detail) } td.number { (line.entry) }
                            }
                        }
                    }
                } }
            }
        }
    }
}
