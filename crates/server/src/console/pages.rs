//! Pages: what the state says, as view models.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Html;
use tidegate_console::rollout::{self, IncidentLine, RolloutPage, TroubledDevice};
use tidegate_console::rollouts::{self as list, RolloutLine, Viewer};
use tidegate_control::state::{Course, State as Known};
use tidegate_domain::ids::{IncidentId, RolloutId};

use super::signing_in::SignedIn;
use super::sorry::Sorry;
use crate::app::App;
use crate::clock::now;
use crate::operator_api::{incidents, rollouts as api};

/// The most rollouts of the list, and the most devices in trouble of a page.
const LINES_MAX: usize = 200;
const TROUBLED_MAX: usize = 50;

/// All rollouts.
pub(super) async fn rollouts(State(app): State<Arc<App>>, who: SignedIn) -> Result<Html<String>, Sorry> {
    let state = app.desk.state().map_err(|refusal| Sorry::NotNow(refusal.to_string()))?;
    let mut lines: Vec<RolloutLine> = state.rollouts().values().map(|course| line(&app, &state, course)).collect();
    lines.sort_by_key(|line| std::cmp::Reverse((line.started_at_ms, line.rollout.clone())));
    let more = lines.len().saturating_sub(LINES_MAX);
    lines.truncate(LINES_MAX);
    Ok(Html(list::page(&lines, more, Viewer { name: who.name.as_str() })))
}

/// A rollout.
pub(super) async fn rollout(
    State(app): State<Arc<App>>,
    who: SignedIn,
    Path(rollout): Path<String>,
) -> Result<Html<String>, Sorry> {
    let view = view(&app, &rollout)?;
    Ok(Html(rollout::page(&view, Viewer { name: who.name.as_str() })))
}

fn line(app: &App, state: &Known, course: &Course) -> RolloutLine {
    let view = api::view(state, course, now());
    let rings = &view.report.rings;
    let stands = app.halts.holds(&view.rollout);
    RolloutLine {
        places: rings.iter().map(|ring| ring.places).sum(),
        proven: rings.iter().map(|ring| ring.proven).sum(),
        harmed: rings.iter().map(|ring| ring.failed.saturating_add(ring.silent)).sum(),
        phase: if stands { "halted".to_owned() } else { view.report.phase },
        rollout: view.rollout,
        package: view.package,
        version: view.version,
        started_at_ms: view.started_at_ms,
    }
}

/// A rollout as its page shows it.
pub(super) fn view(app: &App, rollout: &str) -> Result<RolloutPage, Sorry> {
    let id: RolloutId = rollout.parse().map_err(|_| Sorry::Unknown)?;
    let state = app.desk.state().map_err(|refusal| Sorry::NotNow(refusal.to_string()))?;
    let course = state.rollouts().get(&id).ok_or(Sorry::Unknown)?;
    let view = api::view(&state, course, now());
    let troubled: Vec<TroubledDevice> = troubled(&state, course);
    let incident = state.incidents().get(&IncidentId::of(&id)).map(|incident| IncidentLine {
        incident: incident.id.clone(),
        state: incident.state.word().to_owned(),
        exposed: incident.devices.exposed,
        harmed: incident.devices.harmed,
        restored: incident.devices.restored,
        back_without_hands: incident.devices.back_without_hands,
        need_hands: incident.devices.needs_hands,
    });
    Ok(RolloutPage {
        halt_stands: app.halts.holds(&id),
        rollout: id,
        package: view.package,
        version: view.version,
        policy: view.policy_name,
        started_at_ms: view.started_at_ms,
        ended_at_ms: view.ended_at_ms,
        p4: view.p4,
        report: view.report,
        reasons: view.reasons,
        incident,
        troubled_count: troubled.len(),
        troubled: troubled.into_iter().take(TROUBLED_MAX).collect(),
    })
}

/// Those that need hands first, then those that are not back yet.
fn troubled(state: &Known, course: &Course) -> Vec<TroubledDevice> {
    let package = &course.order_body.package;
    let mut troubled: Vec<TroubledDevice> = course
        .rollout
        .taken()
        .filter(|(_, taken)| taken.needs_hands || taken.returned || taken.failed.is_some() || taken.overdue)
        .map(|(device, taken)| {
            let said = state.device(device).and_then(|device| device.said.get(package));
            let trouble = said.and_then(|said| said.trouble.as_ref());
            TroubledDevice {
                device: device.clone(),
                taken_at_ms: taken.at_ms,
                state: incidents::word(taken).to_owned(),
                words: trouble.map_or_else(String::new, |trouble| format!("{}: {}", trouble.what, trouble.detail)),
            }
        })
        .collect();
    let rank = |state: &str| ["needs_hands", "silent", "failed", "returned"].iter().position(|word| *word == state);
    troubled.sort_by_key(|one| (rank(&one.state), one.taken_at_ms, one.device.clone()));
    troubled
}
