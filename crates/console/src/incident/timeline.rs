//! What happened when, and what is to be done. When something happened and when it was written down stand apart.

use maud::{Markup, html};
use tidegate_domain::case::Task;
use tidegate_domain::time::{Elapsed, WallTime};

use super::{IncidentPage, forms};
use crate::instants::instant;
use crate::phrases::{label, of_many};

/// The most lines of the timeline that a page shows: the latest.
const LINES_MAX: usize = 200;
/// What is written down later than this is said to be.
const AT_ONCE: Elapsed = Elapsed::from_s(60);

struct Line<'a> {
    at: WallTime,
    recorded: WallTime,
    by: &'a str,
    text: String,
}

pub(super) fn timeline(view: &IncidentPage) -> Markup {
    let case = &view.case;
    let happened =
        view.events.iter().map(|(at, text)| Line { at: *at, recorded: *at, by: "by itself", text: text.clone() });
    let notes = case.notes.iter().map(|one| Line {
        at: one.at_ms,
        recorded: one.recorded_at_ms,
        by: one.by.as_str(),
        text: one.text.clone(),
    });
    let stages = case.reached.iter().map(|one| Line {
        at: one.at_ms,
        recorded: one.recorded_at_ms,
        by: one.by.as_ref().map_or("by itself", |by| by.as_str()),
        text: format!("{}.", one.stage.word()),
    });
    let mut lines: Vec<Line<'_>> = happened.chain(stages).chain(notes).collect();
    lines.sort_by_key(|line| (line.at, line.recorded));
    let earlier = lines.len().saturating_sub(LINES_MAX);
    lines.drain(..earlier);
    html! {
        section aria-labelledby="timeline" {
            h2 id="timeline" { "Timeline" }
            @if earlier > 0 { p { (of_many(earlier as u64, "line", "lines")) " before these: " code { "tidegate incident show " (view.incident) } " has all." } }
            div.scroll tabindex="0" { table.stacked {
                thead { tr { th scope="col" { "happened" } th scope="col" { "what" } th scope="col" { "by" } th scope="col" { "written down" } } }
                tbody {
                    @for line in &lines {
                        tr {
                            td { (instant(line.at)) } td.wrap { (line.text) } td.brief { (line.by) }
                            td { (instant(line.recorded)) @if line.recorded.since(line.at) > AT_ONCE { " (" (later(line)) " later)" } }
                        }
                    }
                }
            } }
            (forms::note(view))
        }
    }
}

fn later(line: &Line<'_>) -> Elapsed {
    let late = line.recorded.since(line.at).as_ms();
    Elapsed::from_s(if late >= 3_600_000 { late / 60_000 * 60 } else { late / 1_000 })
}

/// The tasks that are wanted, with what can be done about each, and what adds more.
pub(super) fn tasks(view: &IncidentPage, wanted: impl Fn(&Task) -> bool, title: &str, more: &Markup) -> Markup {
    let all: Vec<(u32, &Task)> = view.case.numbered().filter(|(_, task)| wanted(task)).collect();
    html! {
        section aria-labelledby="tasks" {
            h2 id="tasks" { (title) }
            @if all.is_empty() { p { "Nothing is to be done yet." } }
            @else {
                div.scroll tabindex="0" { table.stacked {
                    thead { tr {
                        th scope="col" { "number" } th scope="col" { "what" } th scope="col" { "owner" } th scope="col" { "due" } th scope="col" { "done" }
                    } }
                    tbody {
                        @for (number, task) in all {
                            tr {
                                th scope="row" { (number) }
                                td.wrap {
                                    @if let Some(lesson) = task.lesson { (label("lesson")) " " @if lesson.blocks && task.done.is_none() { (label("blocks releases")) " " } }
                                    (task.text)
                                    @if let Some(customer) = &task.customer { " (" (customer) ")" }
                                    @if let Some(device) = &task.device { " (" a href=(format!("/console/devices/{device}")) { (device) } ")" }
                                }
                                td { @match &task.owner { Some(owner) => (owner), None => "nobody" } }
                                td class=(if is_late(task, view.now_ms) { "harmed" } else { "" }) {
                                    @match task.due_ms { Some(due) => { (instant(due)) @if is_late(task, view.now_ms) { " (late)" } }, None => "-" }
                                }
                                td.wrap {
                                    @if let Some(done) = &task.done { (done.by) ", " (instant(done.at_ms)) ": " (done.words) }
                                    @else { (forms::about_task(view, number, task)) }
                                }
                            }
                        }
                    }
                } }
            }
            (more)
        }
    }
}

fn is_late(task: &Task, now: WallTime) -> bool {
    task.done.is_none() && task.due_ms.is_some_and(|due| due < now)
}
