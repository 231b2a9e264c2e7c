//! `POST /check-in`: the hot path. Answers from memory; an idle device writes nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tidegate_control::state::{Course, State as Known};
use tidegate_domain::ids::DeviceId;
use tidegate_domain::rollout::Phase;
use tidegate_domain::rollout::place::Stage;
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_wire::device::{CheckIn, CheckInAnswer, OfferNotice};

use super::caller::Caller;
use super::cloned;
use crate::app::App;
use crate::body::Json;
use crate::clock::now;
use crate::metrics::count;
use crate::problem::Refused;

/// A device says that it is there, and hears what it should know.
#[utoipa::path(post, path = "/check-in", tag = "device", request_body = CheckIn,
    responses((status = OK, body = CheckInAnswer)))]
pub(crate) async fn check_in(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(said): Json<CheckIn>,
) -> Result<Response, Refused> {
    said.check().map_err(|error| Refused::invalid(error.kind(), error.to_string()))?;
    count(&app.metrics.check_ins);
    let at = now();
    let answer = answer(&app, &*app.desk.state()?, &caller.device, &said, at);
    if app.presence.checked_in(&caller.device, said.packages, said.run, at) {
        tokio::spawn(cloned::hold(Arc::clone(&app), caller.device.clone()));
    }
    caller.answer(&answer)
}

fn answer(app: &App, state: &Known, device: &DeviceId, said: &CheckIn, at: WallTime) -> CheckInAnswer {
    let mut answer = CheckInAnswer {
        check_in_ms: app.idle_check_in.as_ms(),
        now_ms: at,
        store_epoch: app.store_epoch.clone(),
        offers: Vec::new(),
        health_wanted: Vec::new(),
        halts: Vec::new(),
        fleet_proven: Vec::new(),
        reverts: Vec::new(),
        key_list_version: state.key_list().map_or(0, |(_, list)| list.version),
        envelope_version: state.envelope().map_or(0, |(_, _, version)| *version),
    };
    for course in state.rollouts().values().filter(|course| state.has_part(device, course)) {
        add_course(app, state, device, said, course, at, &mut answer);
    }
    answer.offers.retain(|offer| !is_superseded(state, device, offer));
    answer
}

/// Whether a later order of the package has reached the device: it refuses an earlier one from then on.
fn is_superseded(state: &Known, device: &DeviceId, offer: &OfferNotice) -> bool {
    let Some(offered) = state.rollouts().get(&offer.rollout) else { return false };
    let reached = |course: &Course| {
        let place = course.rollout.place_of(device).map(|(_, _, place)| &place.stage);
        matches!(place, Some(Stage::Open { .. } | Stage::Lapsed | Stage::Taken(_)))
    };
    let of_package = state.rollouts().values().filter(|course| course.order_body.package == offer.package);
    let mut later = of_package.filter(|course| course.order_body.order_seq > offered.order_body.order_seq);
    later.any(|course| state.has_part(device, course) && reached(course))
}

fn add_course(
    app: &App,
    state: &Known,
    device: &DeviceId,
    said: &CheckIn,
    course: &Course,
    at: WallTime,
    answer: &mut CheckInAnswer,
) {
    let rollout = &course.rollout;
    let Some((_, _, place)) = rollout.place_of(device) else { return };
    let package = &course.order_body.package;
    let halted = app.halts.holds(&course.order_body.rollout);
    if matches!(rollout.phase(), Phase::Running | Phase::Paused { .. }) {
        let check_in = rollout.policy().pace.check_in.min(Elapsed::from_ms(answer.check_in_ms));
        answer.check_in_ms = check_in.as_ms();
    }
    if rollout.wants_health_of(device) && !answer.health_wanted.contains(package) {
        answer.health_wanted.push(package.clone());
    }
    if let Some(halt) = &course.halt
        && matches!(place.stage, Stage::Open { .. } | Stage::Taken(_))
    {
        answer.halts.push(halt.clone());
    }
    if let Some(proven) = &course.fleet_proven
        && said.packages.iter().any(|p| p.current == Some(course.order_body.release) && p.fallback != p.current)
    {
        answer.fleet_proven.push(proven.clone());
    }
    if course.return_of(device).is_some() && said.packages.iter().any(|p| p.current == Some(course.order_body.release))
    {
        answer.reverts.push(course.order_body.rollout.clone());
        answer.check_in_ms = answer.check_in_ms.min(rollout.policy().pace.check_in.as_ms());
    }
    if let Stage::Open { step } = place.stage
        && matches!(rollout.phase(), Phase::Running | Phase::Completed { .. })
        && !halted
        && state.held(device, package, at).is_none()
        && rollout.permits().iter().any(|permit| permit.step == step && at <= permit.take_by_ms)
        && let Some(permit) = course.permit(step)
    {
        let rollout = course.order_body.rollout.clone();
        answer.offers.push(OfferNotice { rollout, package: package.clone(), permit: permit.digest() });
    }
}
