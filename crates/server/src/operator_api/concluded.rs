//! `/concluded`: rollouts that concern no device any more.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tidegate_control::conclusion::Conclusion;
use tidegate_control::state::State as Known;
use tidegate_domain::ids::RolloutId;
use tidegate_wire::operator::ConcludedView;

use super::page::Page;
use super::person::{Person, Viewer};
use crate::app::App;
use crate::asked::Asked;
use crate::problem::Refused;

/// Rollouts that concern no device any more: what is kept of them after `tidegate store prune`.
#[utoipa::path(get, path = "/concluded", tag = "rollouts", params(Page),
    responses((status = OK, body = Vec<ConcludedView>)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
    Asked(page): Asked<Page>,
) -> Result<Response, Refused> {
    let state = app.desk.state()?;
    let named = state.concluded().iter().map(|(id, conclusion)| (id.to_string(), (id, conclusion)));
    page.answer(named, |(id, conclusion)| view(id, conclusion))
}

fn view(id: &RolloutId, conclusion: &Conclusion) -> ConcludedView {
    ConcludedView {
        rollout: id.clone(),
        package: conclusion.package.clone(),
        version: conclusion.version.clone(),
        release: conclusion.release,
        policy: conclusion.policy,
        order: conclusion.order,
        started_at_ms: conclusion.started_at_ms,
        ended_at_ms: conclusion.ended_at_ms,
        phase: conclusion.phase().to_owned(),
        taken: conclusion.taken,
        proven: conclusion.proven,
        harmed: conclusion.harmed,
        incident: conclusion.incident.as_ref().map(|incident| incident.id.clone()),
    }
}

/// That there is no such rollout, or only its conclusion.
pub(super) fn unknown(state: &Known, id: &RolloutId) -> Refused {
    match state.concluded().get(id) {
        None => Refused::unknown("rollout", id),
        Some(_) => Refused::new(
            axum::http::StatusCode::GONE,
            "concluded_rollout",
            format!("rollout {id} is concluded, and concerns no device any more: tidegate rollout list --concluded"),
        ),
    }
}
