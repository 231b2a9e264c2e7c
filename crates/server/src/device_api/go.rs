//! `POST /go`: a device takes a release. The take is durable before the go is signed, and no go is signed after a halt.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tidegate_control::command::{Answer, Command, OnlineKey, OnlineSigner as _};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::RolloutId;
use tidegate_domain::rollout::Phase;
use tidegate_trust::records::{Go, GoRequest};
use tidegate_trust::signed::Unverified;

use super::caller::Caller;
use crate::app::App;
use crate::body::Json;
use crate::clock::now;
use crate::drill;
use crate::metrics::count;
use crate::problem::Refused;

/// A staged device asks to take a release. 409 with the reason where it may not, now.
#[utoipa::path(post, path = "/go", tag = "device", request_body = inline(crate::openapi::Record),
    responses((status = OK, body = inline(crate::openapi::Record))))]
pub(crate) async fn go(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(request): Json<Unverified<GoRequest>>,
) -> Result<Response, Refused> {
    let asked = request.danger_unchecked_body().map_err(|e| Refused::invalid(e.kind(), e.to_string()))?;
    if let Some(known) = rollout_of(&app, &asked.order)? {
        refuse_halted(&app, &known)?;
    }
    let command = Command::Take { device: caller.device.clone(), request };
    let answer = app.desk.ask(command).await.inspect_err(|_| count(&app.metrics.takes_refused))?;
    let Answer::Go(rollout) = answer else {
        return Err(Refused::internal("the take was not answered with a go"));
    };
    drill::reach(drill::Point::BeforeGo);
    refuse_halted(&app, &rollout)?;
    if !is_running(&app, &rollout)? {
        count(&app.metrics.takes_refused);
        return Err(not_running());
    }
    count(&app.metrics.takes);
    caller.answer(&signed(&app, asked)?)
}

fn rollout_of(app: &App, order: &Digest) -> Result<Option<RolloutId>, Refused> {
    Ok(app.desk.state()?.rollout_of_order(order).map(|course| course.order_body.rollout.clone()))
}

fn is_running(app: &App, rollout: &RolloutId) -> Result<bool, Refused> {
    let state = app.desk.state()?;
    let phase = state.rollouts().get(rollout).map(|course| course.rollout.phase());
    Ok(matches!(phase, Some(Phase::Running | Phase::Paused { .. } | Phase::Completed { .. })))
}

fn refuse_halted(app: &App, rollout: &RolloutId) -> Result<(), Refused> {
    if !app.halts.holds(rollout) {
        return Ok(());
    }
    count(&app.metrics.takes_refused);
    Err(not_running())
}

fn not_running() -> Refused {
    Refused::new(StatusCode::CONFLICT, "rollout_not_running", "the rollout is halted")
}

/// The request was verified before the take was recorded; the go echoes what it asked.
fn signed(app: &App, asked: GoRequest) -> Result<Unverified<Go>, Refused> {
    let go = Go {
        fleet: asked.fleet,
        device: asked.device,
        order: asked.order,
        permit: asked.permit,
        nonce: asked.nonce,
        issued_at_ms: now(),
        ext: Default::default(),
    };
    let draft = Unverified::draft(&go).map_err(|e| Refused::unavailable(e.kind(), e.to_string()))?;
    let signature = app.keys.sign(OnlineKey::Gate, draft.bytes_to_sign())?;
    Ok(draft.with_signature(&app.keys.public_key(OnlineKey::Gate), signature))
}
