//! Halting: by an operator, or by whoever holds a key of scope `halt`, with no login. Closing is cheap: neither needs the conduct loop
//! or room on the disk.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use tidegate_control::command::{PersonsHalt, accept_halt};
use tidegate_domain::ids::RolloutId;
use tidegate_domain::rollout::Phase;
use tidegate_wire::operator::{HaltAnswer, HaltTarget, ReasonRequest, SignedHaltRequest};

use super::concluded;
use super::person::{Person, Viewer};
use super::rollouts::reason;
use crate::app::App;
use crate::asked::Named;
use crate::body::Json;
use crate::clock::now;
use crate::problem::Refused;

/// The most bytes of a signed halt: whoever sends it has not logged in.
const SIGNED_HALT_BYTES_MAX: usize = 16 << 10;

/// Stops a rollout for good. Needs the least role and neither the conduct loop nor room on the disk: where the log cannot be
/// written now, the halt stands in the halt file and the answer is 202.
#[utoipa::path(post, path = "/rollouts/{rollout}/halt", tag = "rollouts", params(("rollout" = String, Path)),
    request_body = ReasonRequest,
    responses((status = OK, body = HaltAnswer), (status = ACCEPTED, body = HaltAnswer)))]
pub(crate) async fn halt(
    State(app): State<Arc<App>>,
    person: Person<Viewer>,
    Named(rollout): Named<RolloutId>,
    Json(request): Json<ReasonRequest>,
) -> Result<Response, Refused> {
    let reason = reason(request)?;
    // While nothing recorded has been read yet, whatever id is given is believed: halting too much is cheap.
    if let Ok(state) = app.desk.state()
        && !state.rollouts().contains_key(&rollout)
    {
        return Err(concluded::unknown(&state, &rollout));
    }
    kept(&app, rollout, PersonsHalt { by: person.name, reason, record: None }).await
}

/// What a signed halt of this rollout must name. Asks for no login, so that whoever holds a halt key can use it: an order's digest is no
/// secret, every device has it.
#[utoipa::path(get, path = "/halts/{rollout}", tag = "rollouts", params(("rollout" = String, Path)),
    responses((status = OK, body = HaltTarget)))]
pub(crate) async fn target(
    State(app): State<Arc<App>>,
    Named(rollout): Named<RolloutId>,
) -> Result<axum::Json<HaltTarget>, Refused> {
    let state = app.desk.state()?;
    let course = state.rollouts().get(&rollout).ok_or_else(|| concluded::unknown(&state, &rollout))?;
    let (fleet, order) = (course.order_body.fleet, course.rollout.identity().order);
    Ok(axum::Json(HaltTarget { rollout, fleet, order }))
}

/// Stops a rollout for good by a record that a live key of scope `halt` signed. Asks for no login: the signature is the authority. Sending
/// it again changes nothing.
#[utoipa::path(post, path = "/halts", tag = "rollouts", request_body = SignedHaltRequest,
    responses((status = OK, body = HaltAnswer), (status = ACCEPTED, body = HaltAnswer)))]
pub(crate) async fn signed(
    State(app): State<Arc<App>>,
    Json(SignedHaltRequest { halt }): Json<SignedHaltRequest, SIGNED_HALT_BYTES_MAX>,
) -> Result<Response, Refused> {
    let (rollout, halt, is_halted) = {
        let state = app.desk.state()?;
        let (rollout, halt) = accept_halt(&state, now(), halt)?;
        let phase = state.rollouts().get(&rollout).map(|course| course.rollout.phase());
        let is_halted = matches!(phase, Some(Phase::Halted { .. }));
        (rollout, halt, is_halted)
    };
    // Devices hold the records of halts: one that is played back must not cost a write.
    if is_halted {
        return Ok(axum::Json(HaltAnswer { rollout, recorded: true }).into_response());
    }
    kept(&app, rollout, halt).await
}

async fn kept(app: &App, rollout: RolloutId, halt: PersonsHalt) -> Result<Response, Refused> {
    let recorded = app.halt(&rollout, halt).await.map_err(|error| {
        Refused::unavailable("halt_not_kept", format!("halted in this process, but kept nowhere: {error:#}"))
    })?;
    let status = if recorded { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, axum::Json(HaltAnswer { rollout, recorded })).into_response())
}
