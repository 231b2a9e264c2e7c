//! `POST /go`: a device takes a release. The take is durable before the go is signed, and no go is signed after a halt.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tidegate_control::command::{Answer, Command, OnlineKey, OnlineSigner as _};
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

pub(crate) async fn go(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(request): Json<Unverified<GoRequest>>,
) -> Result<Response, Refused> {
    let asked = request.danger_unchecked_body().map_err(|e| Refused::invalid(e.kind(), e.to_string()))?;
    let command = Command::Take { device: caller.device.clone(), request };
    let answer = app.desk.ask(command).await.inspect_err(|_| count(&app.metrics.takes_refused))?;
    let Answer::Go(rollout) = answer else {
        return Err(Refused::unavailable("internal", "the take was not answered with a go"));
    };
    drill::reach(drill::Point::BeforeGo);
    if halted(&app, &rollout) {
        count(&app.metrics.takes_refused);
        return Err(Refused::new(axum::http::StatusCode::CONFLICT, "rollout_not_running", "the rollout is halted"));
    }
    count(&app.metrics.takes);
    caller.answer(&signed(&app, asked)?)
}

fn halted(app: &App, rollout: &RolloutId) -> bool {
    let phase_halted = |state: &tidegate_control::state::State| {
        let course = state.rollouts().get(rollout);
        course.is_none_or(|course| matches!(course.rollout.phase(), Phase::Halted { .. }))
    };
    app.halts.holds(rollout) || phase_halted(&app.desk.state())
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
