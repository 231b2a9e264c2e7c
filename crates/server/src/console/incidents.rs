//! The pages of incidents.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use tidegate_console::incident::{self as pages, Customer, HaltPart, HitDevice, IncidentPage};
use tidegate_console::incidents::{self as list, IncidentRow};
use tidegate_console::{Viewer, Written};
use tidegate_control::state::{Course, State as Known};
use tidegate_domain::attributes::AttributeValue;
use tidegate_domain::case::{CUSTOMER, Case, Role, Stage};
use tidegate_domain::evidence::odds::Odds;
use tidegate_domain::ids::IncidentId;
use tidegate_domain::incident::Incident;
use tidegate_domain::time::WallTime;
use tidegate_wire::operator::{CustomerView, ExposedDevice, TroubleView};

use super::events;
use super::signing_in::SignedIn;
use super::sorry::Sorry;
use crate::app::App;
use crate::clock::now;
use crate::operator_api::incidents as api;

/// The most incidents of the list.
const ROWS_MAX: usize = 200;
/// The most operators that fields offer.
const OPERATORS_MAX: usize = 200;

/// All incidents.
pub(super) async fn list(State(app): State<Arc<App>>, who: SignedIn) -> Result<Html<String>, Sorry> {
    Ok(Html(list_page(&app, &who, None)?))
}

pub(super) fn list_page(app: &App, who: &SignedIn, problem: Option<&Written>) -> Result<String, Sorry> {
    let state = super::state(app)?;
    let mut rows = rows(&state);
    let more = rows.len().saturating_sub(ROWS_MAX);
    rows.truncate(ROWS_MAX);
    Ok(list::page(&rows, more, problem, who.viewer()))
}

/// All incidents as rows: those that are not closed first, the latest first.
pub(super) fn rows(state: &Known) -> Vec<IncidentRow> {
    let row = |(id, case): (&IncidentId, &Case)| {
        let counts = state.incidents().get(id).map(|incident| incident.devices).unwrap_or_default();
        IncidentRow {
            incident: id.clone(),
            title: case.title.clone(),
            stage: case.stage(),
            commander: case.roles.get(&Role::Commander).cloned(),
            opened_at_ms: case.reached(Stage::Detected).map(|reached| reached.at_ms).unwrap_or_default(),
            exposed: counts.exposed,
            restored: counts.restored,
            need_hands: counts.needs_hands,
        }
    };
    let mut rows: Vec<IncidentRow> = state.cases().iter().map(row).collect();
    rows.sort_by_key(|row| (row.stage == Stage::Closed, Reverse(row.opened_at_ms), row.incident.clone()));
    rows
}

/// An incident.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    who: SignedIn,
    Path(id): Path<String>,
) -> Result<Html<String>, Sorry> {
    Ok(Html(pages::page(&view(&app, &id)?, who.viewer())))
}

/// Where somebody reloads the answer to a form: back to the incident.
pub(super) async fn back(Path(id): Path<String>) -> Result<Redirect, Sorry> {
    let id: IncidentId = id.parse().map_err(|_| Sorry::Unknown("incident"))?;
    Ok(Redirect::to(&format!("/console/incidents/{id}")))
}

/// Its changing part.
pub(super) async fn changes(
    State(app): State<Arc<App>>,
    who: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Sorry> {
    view(&app, &id)?;
    let name = who.name.to_string();
    events::stream(app, who, move |app| view(app, &id).map(|view| pages::part(&view, Viewer { name: &name })))
}

/// A customer in it.
pub(super) async fn customer(
    State(app): State<Arc<App>>,
    who: SignedIn,
    Path((id, customer)): Path<(String, String)>,
) -> Result<Html<String>, Sorry> {
    let unknown = || Sorry::Unknown("customer");
    let customer: AttributeValue = customer.parse().map_err(|_| unknown())?;
    let shown = pages::customer_page(&view(&app, &id)?, &customer, who.viewer());
    shown.map(Html).ok_or_else(unknown)
}

/// Whose devices are wanted.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    customer: Option<AttributeValue>,
}

/// The devices that need hands.
pub(super) async fn hands(
    State(app): State<Arc<App>>,
    who: SignedIn,
    Path(id): Path<String>,
    Query(Wanted { customer }): Query<Wanted>,
) -> Result<Html<String>, Sorry> {
    Ok(Html(pages::hands_page(&view(&app, &id)?, customer.as_ref(), who.viewer())))
}

/// The same to print.
pub(super) async fn sheet(
    State(app): State<Arc<App>>,
    _who: SignedIn,
    Path(id): Path<String>,
    Query(Wanted { customer }): Query<Wanted>,
) -> Result<Html<String>, Sorry> {
    Ok(Html(pages::hands_sheet(&view(&app, &id)?, customer.as_ref())))
}

/// The same as comma-separated values.
pub(super) async fn csv(
    State(app): State<Arc<App>>,
    _who: SignedIn,
    Path(id): Path<String>,
    Query(Wanted { customer }): Query<Wanted>,
) -> Result<Response, Sorry> {
    let state = super::state(&app)?;
    let id: IncidentId = id.parse().map_err(|_| Sorry::Unknown("incident"))?;
    let case = state.cases().get(&id).ok_or(Sorry::Unknown("incident"))?;
    let devices = api::needing_hands(&state, &id, case, customer.as_ref());
    let text = api::sheet(case, &devices).map_err(|e| Sorry::NotNow(e.to_string()))?;
    // The name holds only what incident ids may hold.
    let named = format!("attachment; filename=\"{id}-hands.csv\"");
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, named)], text)
        .into_response())
}

/// An incident as its pages show it.
pub(super) fn view(app: &App, id: &str) -> Result<IncidentPage, Sorry> {
    let id: IncidentId = id.parse().map_err(|_| Sorry::Unknown("incident"))?;
    let state = super::state(app)?;
    let case = state.cases().get(&id).ok_or(Sorry::Unknown("incident"))?;
    let mut exposed = api::exposed(&state, &id, case);
    let customers = api::customers(case, &exposed);
    let rank = |one: &ExposedDevice| {
        let worst = ["needs_hands", "silent", "failed", "pending"].iter().position(|word| *word == one.state);
        (worst.unwrap_or(usize::MAX), one.taken_at_ms)
    };
    exposed.sort_by_key(rank);
    let incident = state.incidents().get(&id);
    let course = incident.and_then(|incident| state.rollouts().get(&incident.rollout));
    Ok(IncidentPage {
        halt: incident.map(|incident| halt(incident, course)),
        events: course.map(|course| events_of(course, &exposed)).unwrap_or_default(),
        case: case.clone(),
        customers: customers.into_iter().map(customer_of).collect(),
        devices: exposed.into_iter().map(|one| hit(&state, one)).collect(),
        now_ms: now(),
        operators: state.operators().keys().take(OPERATORS_MAX).map(ToString::to_string).collect(),
        problem: None,
        incident: id,
    })
}

fn halt(incident: &Incident, course: Option<&Course>) -> HaltPart {
    let mut well_at_ms: Vec<WallTime> = incident.well.values().copied().collect();
    well_at_ms.sort();
    let suspects = course.map(|course| course.rollout.gate().suspects(course.rollout.scopes())).unwrap_or_default();
    let suspect = |scope: String, ln_e: f64, blamed: bool| {
        let word = if blamed { "to blame" } else { "suspected" };
        format!("{scope} is {word}: chance brings as much {} times", Odds(ln_e))
    };
    HaltPart {
        rollout: incident.rollout.clone(),
        version: incident.version.clone(),
        parts: incident.parts.iter().map(ToString::to_string).collect(),
        reasons: incident.reasons.iter().map(ToString::to_string).collect(),
        suspects: suspects.into_iter().map(|one| suspect(one.name.to_string(), one.ln_e, one.blamed)).collect(),
        devices: incident.devices,
        well_at_ms,
    }
}

/// What happened by itself, as far as it is recorded with the rollout.
fn events_of(course: &Course, exposed: &[ExposedDevice]) -> Vec<(WallTime, String)> {
    let identity = course.rollout.identity();
    let started =
        format!("{} {} was ordered under policy {}", identity.package, identity.version, course.rollout.policy().name);
    let mut all = vec![(identity.started_at_ms, started)];
    all.extend(course.first_take_at_ms.map(|at| (at, "the first device took it".to_owned())));
    let first =
        exposed.iter().filter_map(|one| Some((one, one.trouble.as_ref()?))).min_by_key(|(_, trouble)| trouble.at_ms);
    all.extend(first.map(|(one, trouble)| (trouble.at_ms, format!("{} said: {}", one.device, trouble.words()))));
    let well = exposed.iter().filter_map(|one| one.well_at_ms).min();
    all.extend(well.map(|at| (at, "the first device was well again, or was well all along".to_owned())));
    all.sort();
    all
}

fn customer_of(view: CustomerView) -> Customer {
    let CustomerView { customer, exposed, restored, need_hands, waiting, contact } = view;
    Customer { name: customer, exposed, restored, need_hands, waiting, contact }
}

fn hit(known: &Known, one: ExposedDevice) -> HitDevice {
    let ExposedDevice { device, taken_at_ms, state, customer, well_at_ms, instruction, trouble } = one;
    let words = trouble.as_ref().map_or_else(String::new, TroubleView::words);
    let needs_hands = state == api::NEEDS_HANDS;
    let attributes = known.device(&device).filter(|_| needs_hands).map(|known| &known.enrolment.attributes);
    let said = attributes.into_iter().flat_map(|all| all.iter()).filter(|(name, _)| name.as_str() != CUSTOMER);
    let attributes = said.map(|(name, value)| (name.to_string(), value.to_string())).collect();
    HitDevice { device, customer, state, taken_at_ms, well_at_ms, words, instruction, attributes }
}
