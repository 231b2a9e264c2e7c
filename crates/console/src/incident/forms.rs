//! What a person can do about an incident, as forms beside what they are about. Each says what it does. The server reads the fields in
//! `server/src/console/acts.rs`.

use maud::{Markup, html};
use tidegate_domain::attributes::AttributeValue;
use tidegate_domain::case::{Act, Cause, Role, Stage, Task};
use tidegate_domain::ids::OperatorName;

use super::IncidentPage;
use crate::written::{was, why};

const WHEN: &str = "20min ago, or 2026-11-27T19:00+01:00";

/// Names that fields offer while somebody writes.
pub(super) fn names(view: &IncidentPage) -> Markup {
    html! {
        datalist id="operators" { @for name in &view.operators { option value=(name) {} } }
        datalist id="customers" { @for name in view.customers.iter().filter_map(|one| one.name.as_ref()) { option value=(name) {} } }
    }
}

fn is_closed(view: &IncidentPage) -> bool {
    view.case.stage() == Stage::Closed
}

/// A form behind its title; unfolded where it was not done.
fn form(view: &IncidentPage, act: &str, title: &str, press: &str, fields: &Markup) -> Markup {
    let written = view.problem.as_ref();
    html! {
        details open[written.is_some_and(|written| written.act == act)] {
            summary { (title) }
            (why(written, act))
            form.act method="post" action=(format!("{}/acts", view.path())) {
                input type="hidden" name="act" value=(act);
                (fields)
                button type="submit" { (press) }
            }
        }
    }
}

fn owner(view: &IncidentPage, act: &str, me: &str) -> Markup {
    let value = was(view.problem.as_ref(), act, "owner", me);
    html! { label { "Owner (empty: nobody)" input name="owner" value=(value) maxlength="64" list="operators"; } }
}

fn long(view: &IncidentPage, act: &str, name: &str, question: &str) -> Markup {
    html! { label { (question) textarea name=(name) required maxlength="4000" rows="2" { (was(view.problem.as_ref(), act, name, "")) } } }
}

fn short(view: &IncidentPage, act: &str, name: &str, question: &str, hint: &str) -> Markup {
    let value = was(view.problem.as_ref(), act, name, "");
    html! { label { (question) input name=(name) value=(value) maxlength="64" placeholder=(hint); } }
}

pub(super) fn note(view: &IncidentPage) -> Markup {
    form(
        view,
        "note",
        "Write into the timeline",
        "Write",
        &html! {
            (long(view, "note", "text", "What happened"))
            (short(view, "note", "at", "When (empty: now)", WHEN))
        },
    )
}

pub(super) fn task(view: &IncidentPage, me: &str) -> Markup {
    let (written, act) = (view.problem.as_ref(), "task");
    html! {
        @if !is_closed(view) {
            (form(view, act, "Add something to do", "Add", &html! {
                (long(view, act, "text", "What"))
                (owner(view, act, me))
                (short(view, act, "due", "Due in (may be empty)", "4h, or 2026-11-28T12:00+01:00"))
                label { "For customer (may be empty)" input name="customer" maxlength="64" list="customers" value=(was(written, act, "customer", "")); }
                (short(view, act, "device", "About device (may be empty)", ""))
            }))
        }
    }
}

/// Something to do for a customer.
pub(super) fn task_for(view: &IncidentPage, customer: &AttributeValue) -> Markup {
    html! {
        @if !is_closed(view) {
            form.act method="post" action=(format!("{}/acts", view.path())) {
                input type="hidden" name="act" value="task";
                input type="hidden" name="customer" value=(customer);
                (long(view, "task", "text", "What"))
                label { "Owner (empty: nobody)" input name="owner" maxlength="64" list="operators"; }
                (short(view, "task", "due", "Due in (may be empty)", "4h"))
                button type="submit" { "Add" }
            }
        }
    }
}

/// That a task is done, or who does it. What lets releases be ordered again is not done by being signed in.
pub(super) fn about_task(view: &IncidentPage, number: u32, task: &Task) -> Markup {
    let written =
        view.problem.as_ref().filter(|one| one.fields.get("task").is_some_and(|text| *text == number.to_string()));
    let one = |act: &str, title: &str, press: &str, field: &Markup| {
        html! {
            details open[written.is_some_and(|written| written.act == act)] {
                summary { (title) }
                (why(written, act))
                form.act method="post" action=(format!("{}/acts", view.path())) {
                    input type="hidden" name="act" value=(act); input type="hidden" name="task" value=(number);
                    (field)
                    button type="submit" { (press) }
                }
            }
        }
    };
    let how = html! { label { "How" textarea name="words" required maxlength="4000" rows="2" { (was(written, "done", "words", "")) } } };
    let whom = html! { label { "To (empty: nobody)" input name="owner" maxlength="64" list="operators" value=(was(written, "assign", "owner", "")); } };
    html! {
        @if task.lesson.is_some_and(|lesson| lesson.blocks) { p { "An approver says that it is done: " code { "tidegate incident done " (view.incident) " " (number) " \"how\"" } } }
        @else { (one("done", "Done", "Done", &how)) }
        @if !is_closed(view) { (one("assign", "Give to somebody", "Give", &whom)) }
    }
}

pub(super) fn role(view: &IncidentPage, me: &str) -> Markup {
    let (written, act) = (view.problem.as_ref(), "role");
    html! {
        @if !is_closed(view) {
            (form(view, act, "Take or give a role", "Give", &html! {
                label { "Role" select name="role" {
                    @for role in Role::ALL { option value=(role.word()) selected[was(written, act, "role", "") == role.word()] { (role.word()) } }
                } }
                label { "To (empty: nobody)" input name="operator" value=(was(written, act, "operator", me)) maxlength="64" list="operators"; }
            }))
        }
    }
}

pub(super) fn instruct(view: &IncidentPage) -> Markup {
    let (written, act) = (view.problem.as_ref(), "instruct");
    html! {
        @if !view.case.instructions.is_empty() {
            ul { @for one in &view.case.instructions {
                li { @if one.select.as_str() == "true" { "all devices" } @else { code { (one.select) } } ": " span.steps { (one.text) } }
            } }
        }
        @if !is_closed(view) {
            (form(view, act, "What to do at devices that need hands", "Add", &html! {
                label { "At devices (a selector; empty: all)" input name="select" maxlength="4096" placeholder="os == \"windows\"" value=(was(written, act, "select", "")); }
                label { "What to do" textarea name="text" required maxlength="4000" rows="3" { (was(written, act, "text", "")) } }
            }))
        }
    }
}

pub(super) fn contact(view: &IncidentPage) -> Markup {
    let (written, act) = (view.problem.as_ref(), "contact");
    html! {
        @if !is_closed(view) {
            (form(view, act, "Whom to speak to", "Keep", &html! {
                label { "Customer" input name="customer" required maxlength="64" list="customers" value=(was(written, act, "customer", "")); }
                label { "Whom, and how to reach them" input name="text" required maxlength="4000" value=(was(written, act, "text", "")); }
            }))
        }
    }
}

pub(super) fn lesson(view: &IncidentPage, me: &str) -> Markup {
    let act = "lesson";
    html! {
        @if !is_closed(view) {
            (form(view, act, "Add a lesson", "Add", &html! {
                (long(view, act, "text", "What changes, so that it does not happen again; or why nothing does"))
                (owner(view, act, me))
                (short(view, act, "due", "Due in (may be empty)", "14d"))
                @if let Some(package) = &view.case.package {
                    label.choice { input type="checkbox" name="blocks" value="yes"; "No release of " (package) " is ordered until an approver says that it is done" }
                }
            }))
        }
    }
}

/// The template of the cause: four questions. What is recorded stands beside them, and as a draft in those that records answer.
pub(super) fn explain(view: &IncidentPage) -> Markup {
    let act = "explain";
    let said = |of: fn(&Cause) -> &String, draft: &str| {
        view.case.cause.as_ref().map_or(draft.to_owned(), |cause| of(cause).clone())
    };
    let field = |name: &str, question: &str, first: &str| {
        let text = was(view.problem.as_ref(), act, name, first).to_owned();
        html! { label { (question) textarea name=(name) required maxlength="4000" rows="3" { (text) } } }
    };
    let halt = view.halt.as_ref();
    let trigger = halt.and(view.events.first()).map(|(_, text)| format!("{text}.")).unwrap_or_default();
    let contained = halt.map(|halt| {
        format!("When it was halted {} devices had taken it: {}.", halt.devices.exposed, halt.reasons.join("; "))
    });
    html! {
        @if !is_closed(view) {
            section aria-labelledby="explain" {
                h2 id="explain" { "Explain it" }
                p { "What is recorded:" }
                ul { @for (at, text) in &view.events { li { (crate::instants::instant(*at)) ": " (text) } } }
                @if let Some(halt) = halt { ul { @for reason in &halt.reasons { li { "the gate: " (reason) } } @for one in &halt.suspects { li { "suspect: " (one) } } } }
                (why(view.problem.as_ref(), act))
                form.act method="post" action=(format!("{}/acts", view.path())) {
                    input type="hidden" name="act" value=(act);
                    (field("mechanism", "What went wrong, from the change to the harm?", &said(|cause| &cause.mechanism, "")))
                    (field("trigger", "What set it off?", &said(|cause| &cause.trigger, &trigger)))
                    (field("not_caught", "Why did nothing stop it earlier?", &said(|cause| &cause.not_caught, "")))
                    (field("contained_by", "What made it no worse?", &said(|cause| &cause.contained_by, &contained.unwrap_or_default())))
                    button type="submit" { "Say so" }
                }
            }
        }
    }
}

/// The next stage: what it still lacks, or the form that says that it is reached.
pub(super) fn reach(view: &IncidentPage, me: &str) -> Markup {
    let case = &view.case;
    let Some(next) = case.stage().next() else { return html! {} };
    let by_itself = case.halted && next <= Stage::Restored;
    let lacks = me
        .parse::<OperatorName>()
        .ok()
        .and_then(|me| case.may(&Act::Reach { stage: next, at_ms: view.now_ms }, &me, view.now_ms).err());
    html! {
        section aria-labelledby="reach" {
            h2 id="reach" { "Next: " (next.word()) }
            (why(view.problem.as_ref(), "reach"))
            @if by_itself { p { "This happens by itself, once every device that took the release says that it is well, on what it had before or on another release." } }
            @else if let Some(lacks) = lacks { p { "Not yet: " (lacks) "." } }
            @else {
                p { "You say so as the commander. It is written into the log and cannot be taken back." }
                form.act method="post" action=(format!("{}/acts", view.path())) {
                    input type="hidden" name="act" value="reach";
                    input type="hidden" name="stage" value=(next.word());
                    (short(view, "reach", "at", "When (empty: now)", WHEN))
                    button type="submit" { "It is " (next.word()) }
                }
            }
            (role(view, me))
        }
    }
}
