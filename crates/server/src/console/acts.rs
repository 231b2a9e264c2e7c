//! What people do by forms: whatever closes, and the work on incidents. Nothing here opens anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use jiff::Timestamp;
use tidegate_console::incident as pages;
use tidegate_control::command::{Answer, Command, PersonsHalt, Refusal, Why};
use tidegate_domain::case::{Act, Cause, Role, Stage};
use tidegate_domain::ids::{IncidentId, RolloutId};
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_wire::operator::ReasonRequest;

use super::incidents;
use super::signing_in::{SignedIn, refuse_foreign};
use super::sorry::Sorry;
use crate::app::App;
use crate::clock::now;
use crate::operator_api::rollouts::reason;
use crate::problem::Refused;

type Fields = BTreeMap<String, String>;

/// Opens an incident.
pub(super) async fn open(
    State(app): State<Arc<App>>,
    who: SignedIn,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Result<Response, Sorry> {
    refuse_foreign(&headers)?;
    let asked = (|| {
        Ok(Command::OpenIncident {
            by: who.name.clone(),
            title: text(&fields, "title"),
            package: optional(&fields, "package")?,
            noticed_at_ms: gone_by(&fields, "at")?,
        })
    })();
    let answer = match asked {
        Ok(command) => app.desk.ask(command).await,
        Err(refusal) => Err(refusal),
    };
    match answer {
        Ok(Answer::Opened(id)) => Ok(Redirect::to(&format!("/console/incidents/{id}")).into_response()),
        Ok(_) => Err(Sorry::Failed(Refused::internal("an incident was not answered with its name"))),
        Err(refusal) => {
            let page = incidents::list_page(&app, &who, Some(&refusal.to_string()))?;
            Ok((status(&refusal), Html(page)).into_response())
        }
    }
}

/// Does something about an incident.
pub(super) async fn act(
    State(app): State<Arc<App>>,
    who: SignedIn,
    headers: HeaderMap,
    Path(id): Path<String>,
    Form(fields): Form<Fields>,
) -> Result<Response, Sorry> {
    refuse_foreign(&headers)?;
    let incident: IncidentId = id.parse().map_err(|_| Sorry::Unknown("incident"))?;
    let done = match read(&fields) {
        Ok(act) => app.desk.ask(Command::WorkOn { incident: incident.clone(), by: who.name.clone(), act }).await,
        Err(refusal) => Err(refusal),
    };
    match done {
        Ok(_) => Ok(Redirect::to(&format!("/console/incidents/{incident}")).into_response()),
        Err(refusal) => {
            let mut view = incidents::view(&app, &id)?;
            view.problem = Some(refusal.to_string());
            Ok((status(&refusal), Html(pages::page(&view, who.viewer()))).into_response())
        }
    }
}

/// Halts a rollout.
pub(super) async fn halt(
    State(app): State<Arc<App>>,
    who: SignedIn,
    headers: HeaderMap,
    Path(id): Path<String>,
    Form(fields): Form<Fields>,
) -> Result<Response, Sorry> {
    refuse_foreign(&headers)?;
    let rollout = known(&app, &id)?;
    let reason = reason(ReasonRequest { reason: text(&fields, "reason") }).map_err(Sorry::Failed)?;
    let kept = app.halt(&rollout, PersonsHalt { by: who.name, reason, record: None }).await;
    kept.map_err(|error| Sorry::NotNow(format!("It is halted in this process, but kept nowhere: {error:#}")))?;
    Ok(Redirect::to(&format!("/console/rollouts/{rollout}")).into_response())
}

/// Pauses a rollout.
pub(super) async fn pause(
    State(app): State<Arc<App>>,
    who: SignedIn,
    headers: HeaderMap,
    Path(id): Path<String>,
    Form(fields): Form<Fields>,
) -> Result<Response, Sorry> {
    refuse_foreign(&headers)?;
    let rollout = known(&app, &id)?;
    let reason = reason(ReasonRequest { reason: text(&fields, "reason") }).map_err(Sorry::Failed)?;
    let asked = Command::Pause { rollout: rollout.clone(), by: who.name, reason };
    app.desk.ask(asked).await.map_err(|refusal| Sorry::Failed(refusal.into()))?;
    Ok(Redirect::to(&format!("/console/rollouts/{rollout}")).into_response())
}

/// While nothing recorded has been read yet, whatever id is given is believed: closing too much is cheap.
fn known(app: &App, id: &str) -> Result<RolloutId, Sorry> {
    let rollout: RolloutId = id.parse().map_err(|_| Sorry::Unknown("rollout"))?;
    match app.desk.state() {
        Ok(state) if !state.rollouts().contains_key(&rollout) => Err(Sorry::Unknown("rollout")),
        _ => Ok(rollout),
    }
}

fn status(refusal: &Refusal) -> StatusCode {
    Refused::from(refusal.clone()).status()
}

fn misread(field: &str, found: &str, expected: impl std::fmt::Display) -> Refusal {
    Refusal::new(Why::Invalid, "field", format!("field `{field}` is {found:?}: expected {expected}"))
}

fn text(fields: &Fields, name: &str) -> String {
    // Browsers end the lines of a text area with both.
    fields.get(name).map(|text| text.trim().replace("\r\n", "\n")).unwrap_or_default()
}

/// A field that may be empty.
fn optional<T: std::str::FromStr>(fields: &Fields, name: &str) -> Result<Option<T>, Refusal>
where
    T::Err: std::fmt::Display,
{
    match text(fields, name) {
        found if found.is_empty() => Ok(None),
        found => found
            .parse()
            .map(Some)
            .map_err(|error: T::Err| Refusal::new(Why::Invalid, "field", format!("field `{name}`: {error}"))),
    }
}

fn required<T: std::str::FromStr>(fields: &Fields, name: &str) -> Result<T, Refusal>
where
    T::Err: std::fmt::Display,
{
    optional(fields, name)?.ok_or_else(|| misread(name, "", "something"))
}

/// One of a few words.
fn word<T: Copy>(fields: &Fields, name: &str, all: &[T], of: impl Fn(T) -> &'static str) -> Result<T, Refusal> {
    let found = text(fields, name);
    let words = || all.iter().map(|one| of(*one)).collect::<Vec<_>>().join(", ");
    all.iter().copied().find(|one| of(*one) == found).ok_or_else(|| misread(name, &found, words()))
}

const INSTANT: &str = "2026-11-27T18:00:00Z, or a time such as 20min";

/// An instant that is over: empty for now, an instant, or how long ago.
fn gone_by(fields: &Fields, name: &str) -> Result<WallTime, Refusal> {
    let found = text(fields, name);
    let at = now();
    if found.is_empty() {
        return Ok(at);
    }
    let ago = found.strip_suffix("ago").map_or(found.as_str(), str::trim_end).replace(' ', "");
    let ago = ago.parse().ok().map(|ago: Elapsed| WallTime::from_ms(at.as_ms().saturating_sub(ago.as_ms())));
    instant(&found).or(ago).ok_or_else(|| misread(name, &found, INSTANT))
}

/// An instant to come, or how long until then; none where it is empty.
fn to_come(fields: &Fields, name: &str) -> Result<Option<WallTime>, Refusal> {
    let found = text(fields, name);
    if found.is_empty() {
        return Ok(None);
    }
    let then = found.replace(' ', "").parse().ok().map(|time: Elapsed| now().after(time));
    instant(&found).or(then).map(Some).ok_or_else(|| misread(name, &found, INSTANT))
}

fn instant(text: &str) -> Option<WallTime> {
    let at: Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok().map(WallTime::from_ms)
}

/// The act that a form of an incident's page asks for.
fn read(fields: &Fields) -> Result<Act, Refusal> {
    Ok(match text(fields, "act").as_str() {
        "note" => Act::Note { at_ms: gone_by(fields, "at")?, text: text(fields, "text") },
        "task" => Act::Task {
            text: text(fields, "text"),
            owner: optional(fields, "owner")?,
            due_ms: to_come(fields, "due")?,
            customer: optional(fields, "customer")?,
            device: optional(fields, "device")?,
        },
        "lesson" => Act::Lesson {
            text: text(fields, "text"),
            owner: optional(fields, "owner")?,
            due_ms: to_come(fields, "due")?,
            blocks: fields.contains_key("blocks"),
        },
        "assign" => Act::Assign { task: required(fields, "task")?, owner: optional(fields, "owner")? },
        "done" => Act::Done { task: required(fields, "task")?, words: text(fields, "words") },
        "role" => {
            Act::Role { role: word(fields, "role", &Role::ALL, Role::word)?, operator: optional(fields, "operator")? }
        }
        "instruct" => {
            Act::Instruct { select: optional(fields, "select")?.unwrap_or_default(), text: text(fields, "text") }
        }
        "contact" => Act::Contact { customer: required(fields, "customer")?, text: text(fields, "text") },
        "explain" => Act::Explain {
            cause: Cause {
                mechanism: text(fields, "mechanism"),
                trigger: text(fields, "trigger"),
                not_caught: text(fields, "not_caught"),
                contained_by: text(fields, "contained_by"),
            },
        },
        "reach" => {
            Act::Reach { stage: word(fields, "stage", &Stage::ALL, Stage::word)?, at_ms: gone_by(fields, "at")? }
        }
        other => return Err(misread("act", other, "an act of the incident's page")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(all: &[(&str, &str)]) -> Fields {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn forms_are_read_into_acts_and_what_is_wrong_names_its_field() {
        let act =
            read(&fields(&[("act", "task"), ("text", " a\r\nb "), ("owner", ""), ("customer", "acme"), ("due", "4h")]));
        let Ok(Act::Task { text, owner: None, due_ms: Some(due), customer: Some(customer), device: None }) = act else {
            panic!("{act:?}")
        };
        assert_eq!((text.as_str(), customer.as_str()), ("a\nb", "acme"));
        assert!(due > now());
        for (wrong, field) in [
            (&[("act", "burn")][..], "act"),
            (&[("act", "done"), ("task", "x")], "task"),
            (&[("act", "done")], "task"),
            (&[("act", "reach"), ("stage", "happy")], "stage"),
            (&[("act", "note"), ("at", "soon")], "at"),
            (&[("act", "role"), ("role", "king")], "role"),
            (&[("act", "instruct"), ("select", "os =")], "select"),
        ] {
            let refusal = read(&fields(wrong)).unwrap_err();
            assert!(refusal.detail.contains(&format!("`{field}`")), "{wrong:?}: {refusal}");
        }
    }

    #[test]
    fn an_instant_is_now_where_it_is_empty_and_may_be_said_as_time_gone_by() {
        let of = |text: &str| gone_by(&fields(&[("at", text)]), "at").unwrap();
        assert!(now().since(of("")) < Elapsed::from_s(5));
        assert!(now().since(of("20min ago")) >= Elapsed::from_s(1_200));
        assert!(now().since(of("20 min")) >= Elapsed::from_s(1_200));
        assert_eq!(of("2024-07-19T04:09:00Z").as_ms(), 1_721_362_140_000);
        assert!(to_come(&fields(&[]), "due").unwrap().is_none());
    }
}
