//! What a person can do about an incident, as forms. Each says what it does. The server reads the fields in `server/src/console/acts.rs`.

use maud::{Markup, html};
use tidegate_domain::case::{Role, Stage};

use super::IncidentPage;

const WHEN: &str = "20min ago, or 2026-11-27T18:00:00Z";

/// All forms that fit where the case stands.
pub(super) fn all(view: &IncidentPage, me: &str) -> Markup {
    let case = &view.case;
    let closed = case.stage() == Stage::Closed;
    html! {
        section aria-labelledby="work" {
            h2 id="work" { "Work on it" }
            div.forms {
                (form(view, "note", "Write into the timeline", "Write", &html! {
                    label { "What happened" textarea name="text" required maxlength="4000" rows="2" {} }
                    label { "When (empty: now)" input name="at" maxlength="40" placeholder=(WHEN); }
                }))
                @if !closed {
                    (form(view, "task", "Add something to do", "Add", &html! {
                        label { "What" textarea name="text" required maxlength="4000" rows="2" {} }
                        (owner(me))
                        label { "Due in (may be empty)" input name="due" maxlength="40" placeholder="4h, or 2026-11-28T12:00:00Z"; }
                        label { "For customer (may be empty)" input name="customer" maxlength="64"; }
                        label { "About device (may be empty)" input name="device" maxlength="64"; }
                    }))
                }
                @if case.tasks.iter().any(|task| task.done.is_none()) {
                    (form(view, "done", "A task or a lesson is done", "Done", &html! {
                        (task_choice(view))
                        label { "How" textarea name="words" required maxlength="4000" rows="2" {} }
                    }))
                }
                @if !closed {
                    @if case.tasks.iter().any(|task| task.done.is_none()) {
                        (form(view, "assign", "Give a task to somebody", "Give", &html! { (task_choice(view)) (owner(me)) }))
                    }
                    (form(view, "role", "Take or give a role", "Give", &html! {
                        label { "Role" select name="role" { @for role in Role::ALL { option value=(role.word()) { (role.word()) } } } }
                        label { "To (empty: nobody)" input name="operator" value=(me) maxlength="64"; }
                    }))
                    (form(view, "instruct", "What to do at devices that need hands", "Add", &html! {
                        label { "At devices (a selector; empty: all)" input name="select" maxlength="4096" placeholder="os == \"windows\""; }
                        label { "What to do" textarea name="text" required maxlength="4000" rows="3" {} }
                    }))
                    (form(view, "contact", "Whom to speak to", "Keep", &html! {
                        label { "Customer" input name="customer" required maxlength="64"; }
                        label { "Whom, and how to reach them" input name="text" required maxlength="4000"; }
                    }))
                    (lesson(view, me))
                }
            }
        }
        @if !closed { (explain(view)) (reach(view)) }
    }
}

fn form(view: &IncidentPage, act: &str, title: &str, press: &str, fields: &Markup) -> Markup {
    html! {
        details {
            summary { (title) }
            form.act method="post" action=(format!("{}/acts", view.path())) {
                input type="hidden" name="act" value=(act);
                (fields)
                button type="submit" { (press) }
            }
        }
    }
}

fn owner(me: &str) -> Markup {
    html! { label { "Owner (empty: nobody)" input name="owner" value=(me) maxlength="64"; } }
}

fn task_choice(view: &IncidentPage) -> Markup {
    let brief = |text: &str| text.chars().take(60).collect::<String>();
    html! {
        label { "Which" select name="task" {
            @for (number, task) in view.case.numbered().filter(|(_, task)| task.done.is_none()) {
                option value=(number) { (number) ": " (brief(&task.text)) }
            }
        } }
    }
}

fn lesson(view: &IncidentPage, me: &str) -> Markup {
    form(
        view,
        "lesson",
        "Add a lesson",
        "Add",
        &html! {
            label { "What changes, so that it does not happen again; or why nothing does" textarea name="text" required maxlength="4000" rows="2" {} }
            (owner(me))
            label { "Due in (may be empty)" input name="due" maxlength="40" placeholder="14d"; }
            @if let Some(package) = &view.case.package {
                label.choice { input type="checkbox" name="blocks" value="yes"; "No release of " (package) " is ordered until it is done" }
            }
        },
    )
}

/// The template of the cause: four questions, with what is recorded beside them.
fn explain(view: &IncidentPage) -> Markup {
    let said = |of: fn(&tidegate_domain::case::Cause) -> &String| {
        view.case.cause.as_ref().map(of).cloned().unwrap_or_default()
    };
    let field = |name: &str, question: &str, text: String| {
        html! { label { (question) textarea name=(name) required maxlength="4000" rows="3" { (text) } } }
    };
    html! {
        section aria-labelledby="explain" {
            h2 id="explain" { "Explain it" }
            p { "What is recorded:" }
            ul { @for (at, text) in &view.events { li { (crate::instants::instant(*at)) ": " (text) } } }
            @if let Some(halt) = &view.halt { ul { @for reason in &halt.reasons { li { "the gate: " (reason) } } @for one in &halt.suspects { li { "suspect: " (one) } } } }
            form.act method="post" action=(format!("{}/acts", view.path())) {
                input type="hidden" name="act" value="explain";
                (field("mechanism", "What went wrong, from the change to the harm?", said(|cause| &cause.mechanism)))
                (field("trigger", "What set it off?", said(|cause| &cause.trigger)))
                (field("not_caught", "Why did nothing stop it earlier?", said(|cause| &cause.not_caught)))
                (field("contained_by", "What made it no worse?", said(|cause| &cause.contained_by)))
                button type="submit" { "Say so" }
            }
        }
    }
}

fn reach(view: &IncidentPage) -> Markup {
    let case = &view.case;
    let Some(next) = case.stage().next() else { return html! {} };
    let by_itself = case.halted && next <= Stage::Restored;
    let commander = case.roles.get(&Role::Commander);
    html! {
        section aria-labelledby="reach" {
            h2 id="reach" { "Next: " (next.word()) }
            @if by_itself { p { "This happens by itself, once every device that took the release says that it is well." } }
            @else {
                p { "The commander says so" @match commander { Some(who) => { ": " (who) "." }, None => "; nobody is it yet." } " It is written into the log and cannot be taken back." }
                form.act method="post" action=(format!("{}/acts", view.path())) {
                    input type="hidden" name="act" value="reach";
                    input type="hidden" name="stage" value=(next.word());
                    label { "When (empty: now)" input name="at" maxlength="40" placeholder=(WHEN); }
                    button type="submit" { "It is " (next.word()) }
                }
            }
        }
    }
}
