//! `GET /offers/{rollout}`: all that a device needs to judge for itself.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tidegate_control::state::Course;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, RolloutId};
use tidegate_domain::rollout::Row;
use tidegate_domain::rollout::place::Stage;
use tidegate_domain::roster::{Place, ProvenPlace, merkle};
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
        let state = app.desk.state().await?;
        let course = state.rollouts().get(&id).ok_or_else(unknown)?;
        let policy = state.policies().get(&course.order_body.policy).ok_or_else(unknown)?;
        let (permit, addendum, place) = place(course, &caller.device).ok_or_else(unknown)?;
        Offer { order: course.order.clone(), policy: policy.record.clone(), permit, addendum, place }
    };
    caller.answer(&offer)
}

type Placed = (
    tidegate_trust::signed::Unverified<tidegate_trust::records::Permit>,
    Option<tidegate_trust::signed::Unverified<tidegate_trust::records::Addendum>>,
    ProvenPlace,
);

fn place(course: &Course, device: &DeviceId) -> Option<Placed> {
    let (at, row, place) = course.rollout.place_of(device)?;
    let Stage::Open { step } = place.stage else { return None };
    let permit = course.permit(step)?.clone();
    let addendum = course.addendum(row.addendum).cloned();
    let places: Vec<Place> = row.places.iter().filter_map(|place| in_row(course, row, place)).collect();
    let leaves: Vec<Digest> = places.iter().map(Place::leaf).collect();
    let proof = merkle::proof(&leaves, at.index as usize)?;
    let place = places.get(at.index as usize)?.clone();
    Some((permit, addendum, ProvenPlace { place, addendum: row.addendum, index: at.index, proof }))
}

fn in_row(course: &Course, row: &Row, place: &tidegate_domain::rollout::place::PlaceState) -> Option<Place> {
    let stratum = course.rollout.stratum(row.stratum)?.clone();
    Some(Place { device: place.device.clone(), stratum, ring: place.ring })
}
