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
    Ok(OverviewPage { first: first(&state), under_way, over, incidents: open, alerts, p4: P4.to_owned() })
}

/// What to do first, until all of it was done once.
fn first(state: &Known) -> Vec<FirstStep> {
    let step = |what, command, done| FirstStep { what, command, done };
    let steps = vec![
        step(
            "A fleet: keys that devices pin",
            "tidegate trust init fleet\ntidegate up --fleet fleet/server",
            state.fleet().is_some(),
        ),
        step(
            "A policy: how releases may spread",
            "tidegate policy apply default.toml --key order",
            !state.policies().is_empty(),
        ),
        step(
            "A first device",
            "tidegate device token create --key enrolment --ring lab --endpoint URL --out lab.token\ntidegate agent install --token lab.token",
            !state.devices().is_empty(),
        ),
        step(
            "A package and its first release",
            "tidegate package add NAME --publisher-key publisher-1 --threshold 1\ntidegate release stage NAME 1.0.0 --files DIR --manifest release.toml --out NAME-1.0.0\ntidegate release sign NAME-1.0.0 --key publisher-1\ntidegate release publish NAME-1.0.0",
            !state.releases().is_empty(),
        ),
        step(
            "A rollout: an order that a person signs",
            "tidegate rollout start NAME 1.0.0 --policy default@DIGEST --key order",
            !state.rollouts().is_empty() || !state.concluded().is_empty(),
        ),
    ];
    if steps.iter().all(|step| step.done) { Vec::new() } else { steps }
}
