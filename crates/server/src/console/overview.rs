//! The overview: what is under way, what needs somebody, and what to do first.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{Html, Response};
use tidegate_console::overview::{self as pages, FirstStep, OverviewPage};
use tidegate_control::state::State as Known;
use tidegate_domain::case::Stage;

use super::events;
use super::incidents;
use super::rollouts;
use super::signing_in::SignedIn;
use super::sorry::Sorry;
use super::trust;
use crate::app::App;
use crate::clock::now;
use crate::operator_api::P4;

/// The most lines of each part.
const UNDER_WAY_MAX: usize = 100;
const OVER_MAX: usize = 10;
const INCIDENTS_MAX: usize = 20;

/// The page.
pub(super) async fn overview(State(app): State<Arc<App>>, who: SignedIn) -> Result<Html<String>, Sorry> {
    Ok(Html(pages::page(&view(&app)?, who.viewer())))
}

/// Its changing part.
pub(super) async fn changes(State(app): State<Arc<App>>, who: SignedIn) -> Result<Response, Sorry> {
    events::stream(app, who, |app| view(app).map(|view| pages::part(&view)))
}

fn view(app: &App) -> Result<OverviewPage, Sorry> {
    let state = super::state(app)?;
    let is_over = |phase: &str| matches!(phase, "halted" | "completed");
    let (mut under_way, mut over) = rollouts::latest(app, &state, |course| !is_over(course.rollout.phase().word()));
    under_way.truncate(UNDER_WAY_MAX);
    over.truncate(OVER_MAX);
    let mut open = incidents::rows(&state);
    open.retain(|row| row.stage != Stage::Closed);
    open.truncate(INCIDENTS_MAX);
    let mut alerts = trust::alerts(&state, now());
    if state.restored().is_some() && state.holds().values().any(|hold| hold.by.as_str() == "tidegate") {
        alerts.insert(
            0,
            "The store was put back from a backup: everybody is held until somebody has looked and lifts it."
                .to_owned(),
        );
    }
    for (id, case) in state.cases() {
        for (_, task) in case.blocking() {
            let package = case.package.as_ref().map_or("no", |package| package.as_str());
            let words: String = task.text.chars().take(120).collect();
            alerts.push(format!("Nothing of {package} is ordered until a lesson of {id} is done: {words}"));
        }
    }
    Ok(OverviewPage { first: first(&state), under_way, over, incidents: open, alerts, p4: P4.to_owned() })
}

/// What to do first, until all of it was done once. Whatever is known already stands in the commands.
fn first(state: &Known) -> Vec<FirstStep> {
    let step = |what, command: String, done| FirstStep { what, command, done };
    let package = state.releases().iter().next_back();
    let name = package.map_or("NAME", |(package, _)| package.as_str());
    let version = package.and_then(|(_, all)| all.last()).map(|release| release.manifest.version.to_string());
    let policy = state.policies().iter().max_by_key(|(_, applied)| applied.applied_at_ms);
    let policy = policy.map(|(digest, applied)| format!("{}@{digest}", applied.policy.name));
    let steps = vec![
        step(
            "A fleet: keys that devices pin",
            "tidegate trust init --dir fleet\ntidegate up --fleet fleet/server".to_owned(),
            state.fleet().is_some(),
        ),
        step(
            "A policy: how releases may spread. The editor of the page Policies begins with one for your kind of fleet, writes policy.toml and says what would go wrong with it",
            "tidegate policy apply policy.toml --key order".to_owned(),
            !state.policies().is_empty(),
        ),
        step(
            "A first device: the token is made here, and the last line is run on the device (it writes to /etc/tidegate)",
            "tidegate device token create --key enrolment --ring lab --endpoint URL --out lab.token\ntidegate-agent install --token lab.token".to_owned(),
            !state.devices().is_empty(),
        ),
        step(
            "A package and its first release; release.toml says how it is started and seen to be well (tidegate release stage --help)",
            "tidegate package add NAME --publisher-key publisher-1 --targets-key targets\ntidegate release stage NAME 1.0.0 --files DIR --manifest release.toml --out NAME-1.0.0\ntidegate release sign NAME-1.0.0 --key publisher-1\ntidegate release publish NAME-1.0.0".to_owned(),
            !state.releases().is_empty(),
        ),
        step(
            "A rollout: an order that a person signs",
            format!(
                "tidegate rollout start {name} {} --policy {} --key order",
                version.as_deref().unwrap_or("1.0.0"),
                policy.as_deref().unwrap_or("NAME@DIGEST")
            ),
            !state.rollouts().is_empty() || !state.concluded().is_empty(),
        ),
    ];
    if steps.iter().all(|step| step.done) { Vec::new() } else { steps }
}
