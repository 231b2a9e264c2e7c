//! `/incidents`: what halts left behind, and how far it is mended.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tidegate_control::state::Said;
use tidegate_domain::ids::{DeviceId, IncidentId};
use tidegate_domain::incident::{Incident, IncidentState};
use tidegate_domain::rollout::place::Taken;
use tidegate_wire::operator::{ExposedDevice, IncidentView};

use super::devices::trouble;
use super::page::Page;
use super::person::{Person, Viewer};
use crate::app::App;
use crate::asked::{Asked, Named};
use crate::problem::Refused;

/// All incidents, without their devices.
#[utoipa::path(get, path = "/incidents", tag = "incidents", params(Page),
    responses((status = OK, body = Vec<IncidentView>)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
    Asked(page): Asked<Page>,
) -> Result<Response, Refused> {
    let state = app.desk.state()?;
    let all = state.incidents().iter().map(|(id, incident)| (id.to_string(), incident));
    page.answer(all, view)
}

/// An incident with every device that took the release.
#[utoipa::path(get, path = "/incidents/{incident}", tag = "incidents", params(("incident" = String, Path)),
    responses((status = OK, body = IncidentView)))]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
    Named(id): Named<IncidentId>,
) -> Result<axum::Json<IncidentView>, Refused> {
    let state = app.desk.state()?;
    let incident = state.incidents().get(&id).ok_or_else(|| Refused::unknown("incident", &id))?;
    let devices = state.rollouts().get(&incident.rollout).into_iter().flat_map(|course| {
        let package = &course.order_body.package;
        let said = |device| state.device(device).and_then(|device| device.said.get(package));
        course.rollout.taken_of_halted().map(move |(device, taken)| exposed(device, taken, said(device)))
    });
    Ok(axum::Json(IncidentView { devices: devices.collect(), ..view(incident) }))
}

/// An incident without its devices.
fn view(incident: &Incident) -> IncidentView {
    let counts = incident.devices;
    IncidentView {
        incident: incident.id.clone(),
        rollout: incident.rollout.clone(),
        parts: incident.parts.iter().map(ToString::to_string).collect(),
        state: incident.state.word().to_owned(),
        opened_at_ms: incident.opened_at_ms,
        restored_at_ms: match incident.state {
            IncidentState::Open => None,
            IncidentState::Restored { at_ms } => Some(at_ms),
        },
        reasons: incident.reasons.iter().map(ToString::to_string).collect(),
        exposed: counts.exposed,
        harmed: counts.harmed,
        restored: counts.restored,
        back_without_hands: counts.back_without_hands,
        need_hands: counts.needs_hands,
        devices: Vec::new(),
    }
}

fn exposed(device: &DeviceId, taken: &Taken, said: Option<&Said>) -> ExposedDevice {
    let trouble = said.and_then(trouble);
    ExposedDevice { device: device.clone(), taken_at_ms: taken.at_ms, state: word(taken).to_owned(), trouble }
}

pub(crate) fn word(taken: &Taken) -> &'static str {
    match taken {
        Taken { needs_hands: true, .. } => "needs_hands",
        Taken { returned: true, .. } => "returned",
        Taken { failed: Some(_), .. } => "failed",
        Taken { overdue: true, .. } => "silent",
        Taken { proven: true, .. } => "proven",
        Taken { well: true, .. } => "healthy",
        _ => "pending",
    }
}
