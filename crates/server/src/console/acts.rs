//! What people do by forms: whatever closes, the work on incidents, and approvals that the browser's own key signed. Nothing opens by being
//! signed in.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use tidegate_console::{Written, incident as pages};
use tidegate_control::command::{Answer, Command, PersonsHalt, Refusal, Why};
use tidegate_domain::case::{Act, Cause, Role, Stage};
use tidegate_domain::ids::{IncidentId, RolloutId};
use tidegate_trust::keys::PublicKey;
use tidegate_trust::records::Approval;
use tidegate_trust::signed::Unverified;
use tidegate_wire::operator::ReasonRequest;

use super::form::{Fields, Posted, gone_by, misread, optional, required, text, to_come, word};
use super::incidents;
use super::sorry::Sorry;
use crate::app::App;
use crate::operator_api::rollouts::reason;
use crate::problem::Refused;

/// Opens an incident.
pub(super) async fn open(State(app): State<Arc<App>>, Posted { who, fields }: Posted) -> Result<Response, Sorry> {
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
            let written = Written { act: "open".to_owned(), problem: refusal.to_string(), fields };
            let page = incidents::list_page(&app, &who, Some(&written))?;
            Ok((status(&refusal), Html(page)).into_response())
        }
    }
}

/// Does something about an incident.
pub(super) async fn act(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Posted { who, fields }: Posted,
) -> Result<Response, Sorry> {
    let incident: IncidentId = id.parse().map_err(|_| Sorry::Unknown("incident"))?;
    let done = match read(&fields).and_then(|act| by_session(&app, &incident, act)) {
        Ok(act) => app.desk.ask(Command::WorkOn { incident: incident.clone(), by: who.name.clone(), act }).await,
        Err(refusal) => Err(refusal),
    };
    match done {
        Ok(_) => Ok(Redirect::to(&format!("/console/incidents/{incident}")).into_response()),
        Err(refusal) => {
            let mut view = incidents::view(&app, &id)?;
            view.problem = Some(Written { act: text(&fields, "act"), problem: refusal.to_string(), fields });
            Ok((status(&refusal), Html(pages::page(&view, who.viewer()))).into_response())
        }
    }
}

/// What somebody who is signed in may do: not what lets releases be ordered again.
fn by_session(app: &App, incident: &IncidentId, act: Act) -> Result<Act, Refusal> {
    let Act::Done { task, .. } = &act else { return Ok(act) };
    let blocks = app.desk.state()?.cases().get(incident).is_some_and(|case| case.blocking().any(|(n, _)| n == *task));
    if !blocks {
        return Ok(act);
    }
    let detail = format!(
        "lesson {task} blocks releases: an approver says that it is done, with `tidegate incident done {incident} {task}`"
    );
    Err(Refusal::new(Why::NotAllowed, "blocking_lesson", detail))
}

/// Halts a rollout.
pub(super) async fn halt(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Posted { who, fields }: Posted,
) -> Result<Response, Sorry> {
    let (rollout, reason) = meant(&app, &id, &fields)?;
    let kept = app.halt(&rollout, PersonsHalt { by: who.name, reason, record: None }).await;
    kept.map_err(|error| Sorry::NotNow(format!("It is halted in this process, but kept nowhere: {error:#}")))?;
    Ok(Redirect::to(&format!("/console/rollouts/{rollout}")).into_response())
}

/// Pauses a rollout.
pub(super) async fn pause(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Posted { who, fields }: Posted,
) -> Result<Response, Sorry> {
    let (rollout, reason) = meant(&app, &id, &fields)?;
    let asked = Command::Pause { rollout: rollout.clone(), by: who.name, reason };
    app.desk.ask(asked).await.map_err(|refusal| Sorry::Failed(refusal.into()))?;
    Ok(Redirect::to(&format!("/console/rollouts/{rollout}")).into_response())
}

/// Lets the next ring of a rollout open, by what the browser's own key signed. The session says who brings it; the signature is the approval.
pub(super) async fn approve(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Posted { who, fields }: Posted,
) -> Result<Response, Sorry> {
    let (rollout, reason) = meant(&app, &id, &fields)?;
    let approval = Box::new(signed(&fields).map_err(|refusal| Sorry::Failed(refusal.into()))?);
    let asked = Command::Approve { rollout: rollout.clone(), approval, by: who.name, reason };
    app.desk.ask(asked).await.map_err(|refusal| Sorry::Failed(refusal.into()))?;
    Ok(Redirect::to(&format!("/console/rollouts/{rollout}")).into_response())
}

/// A record from a form: its body, the public key, the signature.
fn signed(fields: &Fields) -> Result<Unverified<Approval>, Refusal> {
    let key = text(fields, "key");
    let mut bytes = [0; 32];
    hex::decode_to_slice(&key, &mut bytes).map_err(|_| misread("key", &key, "64 hexadecimal digits"))?;
    let key = PublicKey::from_bytes(bytes).map_err(|_| misread("key", &key, "an Ed25519 public key"))?;
    let body: serde_json::Value = required_json(fields, "body")?;
    let record = serde_json::json!({"body": body, "signatures": [{"key": key.id(), "sig": text(fields, "sig")}]});
    Unverified::parse(record.to_string().as_bytes())
        .map_err(|error| Refusal::new(Why::Invalid, "field", format!("fields `body` and `sig`: {error}")))
}

fn required_json(fields: &Fields, name: &str) -> Result<serde_json::Value, Refusal> {
    let found = text(fields, name);
    serde_json::from_str(&found).map_err(|_| misread(name, &found, "JSON"))
}

/// The rollout, and why. While nothing recorded has been read yet, whatever id is given is believed: closing too much is cheap.
fn meant(app: &App, id: &str, fields: &Fields) -> Result<(RolloutId, String), Sorry> {
    let rollout: RolloutId = id.parse().map_err(|_| Sorry::Unknown("rollout"))?;
    if app.desk.state().is_ok_and(|state| !state.rollouts().contains_key(&rollout)) {
        return Err(Sorry::Unknown("rollout"));
    }
    let reason = reason(ReasonRequest { reason: text(fields, "reason") }).map_err(Sorry::Failed)?;
    Ok((rollout, reason))
}

fn status(refusal: &Refusal) -> StatusCode {
    Refused::from(refusal.clone()).status()
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
    use crate::clock::now;

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
}
