//! `/policies`: how packages may spread.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tidegate_control::command::Command;
use tidegate_control::state::State as Known;
use tidegate_domain::digest::Digest;
use tidegate_wire::operator::{PolicyRequest, PolicyView};

use super::page::Page;
use super::person::{Approver, Person, Viewer};
use crate::app::App;
use crate::asked::{Asked, Named};
use crate::body::Json;
use crate::problem::Refused;

/// All policies that were applied, without their texts.
#[utoipa::path(get, path = "/policies", tag = "policies", params(Page),
    responses((status = OK, body = Vec<PolicyView>)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
    Asked(page): Asked<Page>,
) -> Result<Response, Refused> {
    let state = app.desk.state()?;
    let all = state.policies().keys().map(|digest| (digest.to_string(), digest));
    page.answer(all, |digest| view(&state, digest).map(|policy| PolicyView { text: None, ..policy }))
}

/// A policy with its text.
#[utoipa::path(get, path = "/policies/{digest}", tag = "policies", params(("digest" = String, Path)),
    responses((status = OK, body = PolicyView)))]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
    Named(digest): Named<Digest>,
) -> Result<axum::Json<PolicyView>, Refused> {
    found(&app, &digest).map(axum::Json)
}

/// Applies a policy that an order key signed. It counts for rollouts that are started from now on.
#[utoipa::path(post, path = "/policies", tag = "policies", request_body = PolicyRequest,
    responses((status = CREATED, body = PolicyView)))]
pub(crate) async fn apply(
    State(app): State<Arc<App>>,
    _person: Person<Approver>,
    Json(PolicyRequest { policy }): Json<PolicyRequest>,
) -> Result<(StatusCode, axum::Json<PolicyView>), Refused> {
    let body = policy.danger_unchecked_body().map_err(|e| Refused::invalid(e.kind(), e.to_string()))?;
    app.desk.ask(Command::ApplyPolicy(policy)).await?;
    Ok((StatusCode::CREATED, axum::Json(found(&app, &body.policy_digest())?)))
}

fn found(app: &App, digest: &Digest) -> Result<PolicyView, Refused> {
    let state = app.desk.state()?;
    view(&state, digest).ok_or_else(|| Refused::unknown("policy", digest))
}

fn view(state: &Known, digest: &Digest) -> Option<PolicyView> {
    let applied = state.policies().get(digest)?;
    let newer = |other: &&tidegate_control::state::AppliedPolicy| {
        other.policy.name == applied.policy.name && other.applied_at_ms > applied.applied_at_ms
    };
    Some(PolicyView {
        name: applied.policy.name.clone(),
        digest: *digest,
        applied_at_ms: applied.applied_at_ms,
        current: state.policies().values().find(newer).is_none(),
        text: Some(applied.text.clone()),
    })
}
