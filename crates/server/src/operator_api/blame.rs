//! `/blame`: which of the rollouts under way explains a rise in failures, and in whom.

use std::sync::Arc;

use axum::extract::State;
use tidegate_domain::rollout::accusing::{Accusation, accuse};
use tidegate_domain::rollout::{Phase, Rollout};
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_wire::operator::AccusationView;

use super::person::{Person, Viewer};
use crate::app::App;
use crate::clock::now;
use crate::problem::Refused;

/// A rollout that ended longer ago is not weighed.
const ENDED_WITHIN: Elapsed = Elapsed::from_s(3_600);

/// Whom the evidence blames, over the twenty rollouts that were started last of those under way or ended within the last hour. The strongest
/// evidence comes first.
#[utoipa::path(get, path = "/blame", tag = "rollouts", responses((status = OK, body = Vec<AccusationView>)))]
pub(crate) async fn blame(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
) -> Result<axum::Json<Vec<AccusationView>>, Refused> {
    let (state, at) = (app.desk.state()?, now());
    let rollouts = state.rollouts().values().map(|course| &course.rollout).filter(|rollout| is_under_way(rollout, at));
    Ok(axum::Json(accuse(rollouts).into_iter().map(view).collect()))
}

fn is_under_way(rollout: &Rollout, at: WallTime) -> bool {
    match rollout.phase() {
        Phase::Running | Phase::Paused { .. } => true,
        Phase::Halted { at_ms, .. } | Phase::Completed { at_ms } => at.since(*at_ms) <= ENDED_WITHIN,
    }
}

fn view(one: Accusation) -> AccusationView {
    AccusationView {
        rollout: one.rollout,
        package: one.package,
        version: one.version,
        scope: one.scope.to_string(),
        ln_e: one.ln_e,
        blamed: one.blamed,
        named: one.named,
    }
}
