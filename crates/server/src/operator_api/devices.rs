//! `/devices`: the fleet.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use tidegate_control::command::Command;
use tidegate_control::state::{Device, Said, State as Known};
use tidegate_domain::ids::{DeviceId, PackageName};
use tidegate_domain::observation::Trouble;
use tidegate_domain::selector::Selector;
use tidegate_wire::device::PackageStatus;
use tidegate_wire::operator::{DevicePackageView, DeviceView, ReasonRequest, RetirementView, TroubleView};
use utoipa::IntoParams;

use super::page::Page;
use super::person::{Approver, Person, Viewer};
use super::rollouts::reason;
use crate::app::App;
use crate::asked::{Asked, Named};
use crate::body::Json;
use crate::clock::now;
use crate::problem::Refused;

/// Which devices are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Only devices that this selector means, such as `os == "linux"`.
    select: Option<String>,
    /// At most so many, 1 to 10000. Usually 1000.
    limit: Option<usize>,
    /// Only what follows this id: the last one of the page before.
    after: Option<String>,
}

/// Enrolled devices.
#[utoipa::path(get, path = "/devices", tag = "devices", params(Wanted),
    responses((status = OK, body = Vec<DeviceView>)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Refused> {
    let Wanted { select, limit, after } = wanted;
    let select: Selector = match select {
        Some(text) => text.parse().map_err(|e| Refused::invalid("selector", format!("query field `select`: {e}")))?,
        None => Selector::default(),
    };
    let state = app.desk.state()?;
    let meant = state.devices().iter().filter(|(_, device)| select.matches(&device.enrolment.attributes));
    let all = meant.map(|(id, device)| (id.to_string(), (id, device)));
    Page::new(limit, after).answer(all, |(id, device)| view(&app, &state, id, device))
}

/// A device.
#[utoipa::path(get, path = "/devices/{device}", tag = "devices", params(("device" = String, Path)),
    responses((status = OK, body = DeviceView)))]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
    Named(id): Named<DeviceId>,
) -> Result<axum::Json<DeviceView>, Refused> {
    let state = app.desk.state()?;
    let device = state.device(&id).ok_or_else(|| Refused::unknown("device", &id))?;
    Ok(axum::Json(view(&app, &state, &id, device)))
}

/// Takes a device out of the fleet: its token is good for nothing from then on, no rollout counts on it any more, and its id is free for a
/// new key.
#[utoipa::path(post, path = "/devices/{device}/retire", tag = "devices", params(("device" = String, Path)),
    request_body = ReasonRequest, responses((status = OK, body = DeviceView)))]
pub(crate) async fn retire(
    State(app): State<Arc<App>>,
    person: Person<Approver>,
    Named(id): Named<DeviceId>,
    Json(request): Json<ReasonRequest>,
) -> Result<axum::Json<DeviceView>, Refused> {
    let reason = reason(request)?;
    app.desk.ask(Command::Retire { device: id.clone(), by: person.name, reason }).await?;
    let state = app.desk.state()?;
    let device = state.device(&id).ok_or_else(|| Refused::unknown("device", &id))?;
    Ok(axum::Json(view(&app, &state, &id, device)))
}

fn view(app: &App, state: &Known, id: &DeviceId, device: &Device) -> DeviceView {
    let (at, attributes, holds) = (now(), &device.enrolment.attributes, state.holds().iter());
    let seen = app.presence.seen(id);
    let checked_in = seen.as_ref().map(|seen| seen.packages.as_slice()).unwrap_or_default();
    let mut packages: Vec<DevicePackageView> =
        checked_in.iter().map(|status| now_running(status, device.said.get(&status.package))).collect();
    let unsaid = device.said.iter().filter(|(package, _)| !checked_in.iter().any(|s| s.package == **package));
    packages.extend(unsaid.map(|(package, said)| last_known(package, said)));
    DeviceView {
        device: id.clone(),
        ring: device.enrolment.ring.clone(),
        attributes: device.enrolment.attributes.clone(),
        enrolled_at_ms: device.enrolled_at_ms,
        seen_at_ms: seen.as_ref().map(|seen| seen.at),
        retired: device.retired.as_ref().map(|retired| RetirementView {
            at_ms: retired.at_ms,
            by: retired.by.clone(),
            reason: retired.reason.clone(),
        }),
        held_by: holds
            .filter(|(_, hold)| hold.is_in_force(at) && hold.means(id, attributes))
            .map(|(n, _)| *n)
            .collect(),
        packages,
    }
}

fn now_running(status: &PackageStatus, said: Option<&Said>) -> DevicePackageView {
    DevicePackageView {
        package: status.package.clone(),
        current: status.current,
        fallback: status.fallback,
        state: status.state.clone(),
        healthy: status.healthy,
        last_report: said.map(|said| said.word.clone()),
        trouble: said.and_then(|said| said.trouble.as_ref()).map(trouble),
    }
}

fn last_known(package: &PackageName, said: &Said) -> DevicePackageView {
    DevicePackageView {
        package: package.clone(),
        current: said.current,
        fallback: said.fallback,
        state: "unknown".to_owned(),
        healthy: matches!(said.word.as_str(), "healthy" | "proven" | "returned"),
        last_report: Some(said.word.clone()),
        trouble: said.trouble.as_ref().map(trouble),
    }
}

pub(super) fn trouble(told: &Trouble) -> TroubleView {
    TroubleView { what: told.what.clone(), detail: told.detail.clone(), at_ms: told.at_ms }
}
