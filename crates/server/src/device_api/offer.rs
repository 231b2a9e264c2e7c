//! `GET /offers/{rollout}`: all that a device needs to judge for itself.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tidegate_control::state::{AppliedPolicy, Course};
use tidegate_domain::ids::{DeviceId, RolloutId};
use tidegate_domain::rollout::place::Stage;
use tidegate_wire::device::Offer;

use super::caller::Caller;
use crate::app::App;
use crate::asked::Named;
use crate::problem::Refused;

/// All that a device needs to judge for itself whether it may take a release.
#[utoipa::path(get, path = "/offers/{rollout}", tag = "device", params(("rollout" = String, Path)),
    responses((status = OK, body = Offer)))]
pub(crate) async fn offer(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<RolloutId>,
) -> Result<Response, Refused> {
    let unknown = || Refused::unknown("offer", &id);
    let offer = {
        let state = app.desk.state()?;
        let course = state.rollouts().get(&id).ok_or_else(unknown)?;
        let policy = state.policies().get(&course.order_body.policy).ok_or_else(unknown)?;
        let part = Some(course).filter(|course| state.has_part(&caller.device, course));
        part.and_then(|course| offered(course, policy, &caller.device)).ok_or_else(unknown)?
    };
    caller.answer(&offer)
}

/// None where the device's place is not open and the device is not ordered back.
fn offered(course: &Course, policy: &AppliedPolicy, device: &DeviceId) -> Option<Offer> {
    let (_, row, place) = course.rollout.place_of(device)?;
    let permit = match place.stage {
        Stage::Open { step } => course.permit(step)?,
        _ => course.return_of(device)?,
    };
    Some(Offer {
        order: course.order.clone(),
        policy: policy.record.clone(),
        permit: permit.clone(),
        addendum: course.addendum(row.addendum).cloned(),
        place: course.proven_place(device)?,
    })
}
