//! `/incidents`: what went wrong, how far it is mended, and what people do about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use tidegate_control::command::{Answer, Command};
use tidegate_control::state::State as Known;
use tidegate_domain::attributes::AttributeValue;
use tidegate_domain::case::{Case, Role, Stage, customer_of};
use tidegate_domain::ids::{DeviceId, IncidentId};
use tidegate_domain::incident::{Incident, Restoration};
use tidegate_domain::rollout::place::Taken;
use tidegate_wire::operator::{
    ActRequest, CustomerView, ExposedDevice, IncidentView, OpenIncidentRequest, TroubleView,
};
use utoipa::IntoParams;

use super::devices::trouble;
use super::page::Page;
use super::person::{Person, Viewer};
use crate::app::App;
use crate::asked::{Asked, Named};
use crate::body::Json;
use crate::clock::now;
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
    let all = state.cases().iter().map(|(id, case)| (id.to_string(), (id, case)));
    page.answer(all, |(id, case)| view(&state, id, case))
}

/// An incident with its case, its customers and every device that took the release.
#[utoipa::path(get, path = "/incidents/{incident}", tag = "incidents", params(("incident" = String, Path)),
    responses((status = OK, body = IncidentView)))]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
    Named(id): Named<IncidentId>,
) -> Result<axum::Json<IncidentView>, Refused> {
    whole(&app, &id).map(axum::Json)
}

/// Opens an incident that no halt did. Needs the least role.
#[utoipa::path(post, path = "/incidents", tag = "incidents", request_body = OpenIncidentRequest,
    responses((status = CREATED, body = IncidentView)))]
pub(crate) async fn open(
    State(app): State<Arc<App>>,
    person: Person<Viewer>,
    Json(OpenIncidentRequest { title, package, noticed_at_ms }): Json<OpenIncidentRequest>,
) -> Result<(StatusCode, axum::Json<IncidentView>), Refused> {
    let noticed_at_ms = noticed_at_ms.unwrap_or_else(now);
    let command = Command::OpenIncident { by: person.name, title, package, noticed_at_ms };
    let Answer::Opened(id) = app.desk.ask(command).await? else {
        return Err(Refused::internal("an incident was not answered with its name"));
    };
    Ok((StatusCode::CREATED, axum::Json(whole(&app, &id)?)))
}

/// Does something about an incident: a role, a note, a task, a lesson, a stage. Needs the least role; stages are the commander's to say.
#[utoipa::path(post, path = "/incidents/{incident}/acts", tag = "incidents", params(("incident" = String, Path)),
    request_body = ActRequest, responses((status = OK, body = IncidentView)))]
pub(crate) async fn act(
    State(app): State<Arc<App>>,
    person: Person<Viewer>,
    Named(incident): Named<IncidentId>,
    Json(ActRequest(act)): Json<ActRequest>,
) -> Result<axum::Json<IncidentView>, Refused> {
    app.desk.ask(Command::WorkOn { incident: incident.clone(), by: person.name, act }).await?;
    whole(&app, &incident).map(axum::Json)
}

/// Which devices are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Only those of this customer.
    #[param(value_type = Option<String>)]
    customer: Option<AttributeValue>,
}

/// The devices that need hands, with what to do there, as comma-separated values (RFC 4180) for those who go there.
#[utoipa::path(get, path = "/incidents/{incident}/hands", tag = "incidents", params(("incident" = String, Path), Wanted),
    responses((status = OK, body = String, content_type = "text/csv")))]
pub(crate) async fn hands(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
    Named(id): Named<IncidentId>,
    Asked(Wanted { customer }): Asked<Wanted>,
) -> Result<Response, Refused> {
    let state = app.desk.state()?;
    let case = state.cases().get(&id).ok_or_else(|| Refused::unknown("incident", &id))?;
    let devices = needing_hands(&state, &id, case, customer.as_ref());
    let text = sheet(case, &devices).map_err(|e| Refused::internal(e.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], text).into_response())
}

/// The devices that need hands, of all customers or of one.
pub(crate) fn needing_hands(
    state: &Known,
    id: &IncidentId,
    case: &Case,
    customer: Option<&AttributeValue>,
) -> Vec<ExposedDevice> {
    let mut devices = exposed(state, id, case);
    devices.retain(|one| one.state == NEEDS_HANDS && (customer.is_none() || one.customer.as_ref() == customer));
    devices
}

/// Devices as comma-separated values. What a device says is no formula to a spreadsheet.
pub(crate) fn sheet(case: &Case, devices: &[ExposedDevice]) -> anyhow::Result<String> {
    let mut writer = csv::WriterBuilder::new();
    // Quoted throughout: where spreadsheets separate by semicolons, one within a text ends no cell.
    let writer = writer.terminator(csv::Terminator::CRLF).quote_style(csv::QuoteStyle::Always);
    let mut lines = writer.from_writer(Vec::new());
    lines.write_record(["device", "customer", "contact", "took_it", "state", "in_its_own_words", "what_to_do"])?;
    for one in devices {
        let took = jiff::Timestamp::from_millisecond(i64::try_from(one.taken_at_ms.as_ms())?)?;
        let words = one.trouble.as_ref().map_or_else(String::new, TroubleView::words);
        lines.write_record([
            &no_formula(one.device.as_str()),
            &no_formula(one.customer.as_ref().map_or("", AttributeValue::as_str)),
            &no_formula(one.customer.as_ref().and_then(|of| case.contacts.get(of)).map_or("", String::as_str)),
            &took.to_string(),
            &one.state,
            &no_formula(&words),
            &no_formula(one.instruction.as_deref().unwrap_or_default()),
        ])?;
    }
    Ok(String::from_utf8(lines.into_inner()?)?)
}

fn no_formula(text: &str) -> String {
    let quote = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("{quote}{text}")
}

fn whole(app: &App, id: &IncidentId) -> Result<IncidentView, Refused> {
    let state = app.desk.state()?;
    let case = state.cases().get(id).ok_or_else(|| Refused::unknown("incident", id))?;
    let devices = exposed(&state, id, case);
    let customers = customers(case, &devices);
    Ok(IncidentView { devices, customers, case: Some(case.clone()), ..view(&state, id, case) })
}

/// An incident without its devices.
pub(crate) fn view(state: &Known, id: &IncidentId, case: &Case) -> IncidentView {
    let incident = state.incidents().get(id);
    let counts = incident.map_or_else(Restoration::default, |incident| incident.devices);
    let texts = |of: fn(&Incident) -> Vec<String>| incident.map(of).unwrap_or_default();
    IncidentView {
        incident: id.clone(),
        title: case.title.clone(),
        stage: case.stage().word().to_owned(),
        commander: case.roles.get(&Role::Commander).cloned(),
        rollout: incident.map(|incident| incident.rollout.clone()),
        parts: texts(|incident| incident.parts.iter().map(ToString::to_string).collect()),
        state: if case.stage() < Stage::Restored { "open" } else { "restored" }.to_owned(),
        opened_at_ms: case.reached(Stage::Detected).map(|reached| reached.at_ms).unwrap_or_default(),
        restored_at_ms: case.reached(Stage::Restored).map(|reached| reached.at_ms),
        reasons: texts(|incident| incident.reasons.iter().map(ToString::to_string).collect()),
        exposed: counts.exposed,
        harmed: counts.harmed,
        restored: counts.restored,
        back_without_hands: counts.back_without_hands,
        healed: counts.healed,
        need_hands: counts.needs_hands,
        case: None,
        customers: Vec::new(),
        devices: Vec::new(),
    }
}

/// Every device that took what was halted, in the order of the rosters.
pub(crate) fn exposed(state: &Known, id: &IncidentId, case: &Case) -> Vec<ExposedDevice> {
    let Some(incident) = state.incidents().get(id) else { return Vec::new() };
    let taken = state.rollouts().get(&incident.rollout).into_iter().flat_map(|course| course.rollout.taken_of_halted());
    taken.map(|(device, taken)| device_of(state, incident, case, device, taken)).collect()
}

fn device_of(state: &Known, incident: &Incident, case: &Case, id: &DeviceId, taken: &Taken) -> ExposedDevice {
    let known = state.device(id);
    let attributes = known.map(|known| &known.enrolment.attributes);
    let instruction = attributes.filter(|_| taken.needs_hands).and_then(|attributes| case.instruction_for(attributes));
    ExposedDevice {
        device: id.clone(),
        taken_at_ms: taken.at_ms,
        state: word(taken).to_owned(),
        customer: attributes.and_then(customer_of).cloned(),
        well_at_ms: incident.well.get(id).copied(),
        instruction: instruction.map(|instruction| instruction.text.clone()),
        trouble: incident.words.get(id).map(trouble),
    }
}

/// The customers of these devices, and those that something was asked for; those that need hands first.
pub(crate) fn customers(case: &Case, devices: &[ExposedDevice]) -> Vec<CustomerView> {
    let mut all: BTreeMap<Option<AttributeValue>, CustomerView> = BTreeMap::new();
    let mut of = |customer: &Option<AttributeValue>, count: &dyn Fn(&mut CustomerView)| {
        let contact = customer.as_ref().and_then(|customer| case.contacts.get(customer)).cloned();
        let nobody =
            CustomerView { customer: customer.clone(), exposed: 0, restored: 0, need_hands: 0, waiting: 0, contact };
        count(all.entry(customer.clone()).or_insert(nobody));
    };
    for device in devices {
        of(&device.customer, &|view| {
            view.exposed += 1;
            view.restored += u32::from(device.well_at_ms.is_some());
            view.need_hands += u32::from(device.state == NEEDS_HANDS);
        });
    }
    for task in case.tasks.iter().filter(|task| task.customer.is_some()) {
        of(&task.customer, &|view| view.waiting += u32::from(task.done.is_none()));
    }
    for customer in case.contacts.keys() {
        of(&Some(customer.clone()), &|_| {});
    }
    let mut all: Vec<CustomerView> = all.into_values().collect();
    all.sort_by_key(|one| std::cmp::Reverse((one.need_hands, one.exposed - one.restored, one.waiting)));
    all
}

/// The word for a device on which neither release nor fallback runs.
pub(crate) const NEEDS_HANDS: &str = "needs_hands";

pub(crate) fn word(taken: &Taken) -> &'static str {
    match taken {
        Taken { needs_hands: true, .. } => NEEDS_HANDS,
        Taken { moved_on: true, .. } => "moved_on",
        Taken { returned: true, .. } => "returned",
        Taken { failed: Some(_), .. } => "failed",
        Taken { overdue: true, .. } => "silent",
        Taken { proven: true, .. } => "proven",
        Taken { well: true, .. } => "healthy",
        _ => "pending",
    }
}

#[cfg(test)]
mod tests {
    use tidegate_domain::time::WallTime;

    use super::*;

    #[test]
    fn a_sheet_is_text_to_a_spreadsheet_whatever_a_device_says() {
        let device = |words: &str| ExposedDevice {
            device: "till-1".parse().unwrap(),
            taken_at_ms: WallTime::from_ms(1_721_361_840_000),
            state: NEEDS_HANDS.to_owned(),
            customer: Some("acme".parse().unwrap()),
            well_at_ms: None,
            instruction: Some("Press F8,\nthen wait".to_owned()),
            trouble: Some(TroubleView { what: words.to_owned(), detail: String::new(), at_ms: WallTime::from_ms(0) }),
        };
        let ada: tidegate_domain::ids::OperatorName = "ada".parse().unwrap();
        let mut case = Case::by_hand("x", None, WallTime::from_ms(0), ada.clone(), WallTime::from_ms(0)).unwrap();
        let contact =
            tidegate_domain::case::Act::Contact { customer: "acme".parse().unwrap(), text: "+31 20 555".to_owned() };
        case.apply(contact, ada, WallTime::from_ms(0));
        let text = sheet(&case, &[device("=cmd()"), device("said \"no\"")]).unwrap();
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(lines[0], r#""device","customer","contact","took_it","state","in_its_own_words","what_to_do""#);
        assert!(
            lines[1].starts_with(r#""till-1","acme","'+31 20 555","2024-07-19T04:04:00Z","needs_hands","'=cmd()"#),
            "{text}"
        );
        assert!(lines[1].ends_with(",\"Press F8,\nthen wait\""), "{text}");
        assert!(lines[2].contains("\"said \"\"no\"\""), "{text}");
    }
}
