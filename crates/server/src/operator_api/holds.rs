//! `/holds`: devices that take nothing for a while, because people said so.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tidegate_control::command::{Answer, Command};
use tidegate_control::hold::{Hold, Windows};
use tidegate_control::state::State as Known;
use tidegate_domain::selector::Selector;
use tidegate_domain::time::WallTime;
use tidegate_wire::operator::{HoldRequest, HoldView, ReasonRequest, WeeklyWindows};

use super::page::Page;
use super::person::{Approver, Person, Viewer};
use super::rollouts::reason;
use crate::app::App;
use crate::asked::{Asked, Named};
use crate::body::Json;
use crate::clock::now;
use crate::problem::Refused;
use crate::weekly;

/// Holds in force and to come, by number.
#[utoipa::path(get, path = "/holds", tag = "devices", params(Page), responses((status = OK, body = Vec<HoldView>)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
    Asked(page): Asked<Page>,
) -> Result<Response, Refused> {
    let state = app.desk.state()?;
    let at = now();
    let all = state.holds().iter().filter(|(_, hold)| !hold.is_over(at));
    page.answer(all.map(|(number, hold)| (format!("{number:010}"), (*number, hold))), |(number, hold)| {
        view(&state, number, hold, at)
    })
}

/// Holds devices back for a while. Needs the least role: closing is cheap.
#[utoipa::path(post, path = "/holds", tag = "devices", request_body = HoldRequest,
    responses((status = CREATED, body = HoldView)))]
pub(crate) async fn hold(
    State(app): State<Arc<App>>,
    person: Person<Viewer>,
    Json(request): Json<HoldRequest>,
) -> Result<(StatusCode, axum::Json<HoldView>), Refused> {
    let at = now();
    let HoldRequest { select, devices, package, from_ms, until_ms, windows, reason: why } = request;
    let reason = reason(ReasonRequest { reason: why })?;
    let select: Selector = match select {
        Some(text) => text.parse().map_err(|e| Refused::invalid("selector", format!("field `select`: {e}")))?,
        None => Selector::default(),
    };
    let from_ms = from_ms.unwrap_or(at);
    let windows = windows.map(|rules| worked_out(&rules, from_ms.max(at))).transpose()?;
    let hold = Hold { select, devices, package, from_ms, until_ms, windows, by: person.name, reason };
    let Answer::Held(number) = app.desk.ask(Command::Hold(Box::new(hold))).await? else {
        return Err(Refused::internal("a hold was not answered with its number"));
    };
    let state = app.desk.state()?;
    let made = state.holds().get(&number).ok_or_else(|| Refused::unknown("hold", number))?;
    Ok((StatusCode::CREATED, axum::Json(view(&state, number, made, at))))
}

/// Ends a hold before its time.
#[utoipa::path(post, path = "/holds/{hold}/lift", tag = "devices", params(("hold" = u32, Path)),
    request_body = ReasonRequest, responses((status = NO_CONTENT)))]
pub(crate) async fn lift(
    State(app): State<Arc<App>>,
    person: Person<Approver>,
    Named(Number(number)): Named<Number>,
    Json(request): Json<ReasonRequest>,
) -> Result<StatusCode, Refused> {
    let reason = reason(request)?;
    app.desk.ask(Command::LiftHold { number, by: person.name, reason }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A hold's number in a path.
pub(crate) struct Number(u32);

impl FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Number, String> {
        let shown: String = text.chars().take(40).collect();
        text.parse().map(Number).map_err(|_| format!("{shown:?} is no hold: expected its number, such as 3"))
    }
}

fn worked_out(rules: &WeeklyWindows, from: WallTime) -> Result<Windows, Refused> {
    let open = weekly::windows(rules, from).map_err(|problem| Refused::invalid("windows", problem))?;
    Ok(Windows { rule: format!("{} ({})", rules.weekly.join("; "), rules.zone), open })
}

fn view(state: &Known, number: u32, hold: &Hold, at: WallTime) -> HoldView {
    let means = state
        .devices()
        .iter()
        .filter(|(id, device)| device.retired.is_none() && hold.means(id, &device.enrolment.attributes));
    HoldView {
        hold: number,
        select: hold.select.to_string(),
        devices: hold.devices.clone(),
        package: hold.package.clone(),
        from_ms: hold.from_ms,
        until_ms: hold.until_ms,
        windows: hold.windows.as_ref().map(|windows| windows.rule.clone()),
        windows_end_ms: hold.windows.as_ref().and_then(|windows| windows.open.last()).map(|(_, ends)| *ends),
        in_force: hold.is_in_force(at),
        lets_go_at_ms: hold.lets_go_at(at),
        means: means.count() as u64,
        by: hold.by.clone(),
        reason: hold.reason.clone(),
    }
}
