//! `/blame`: which of the rollouts under way explains a rise in failures, and in whom.

use std::sync::Arc;

use axum::extract::State;
use tidegate_domain::rollout::accusing::Accusation;
use tidegate_wire::operator::AccusationView;

use super::person::{Person, Viewer};
use crate::app::App;
use crate::clock::now;
use crate::problem::Refused;

/// Whom the evidence blames, over the twenty rollouts that were started last of those under way or ended within the last hour. The strongest
/// evidence comes first.
#[utoipa::path(get, path = "/blame", tag = "rollouts", responses((status = OK, body = Vec<AccusationView>)))]
pub(crate) async fn blame(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
) -> Result<axum::Json<Vec<AccusationView>>, Refused> {
    let state = app.desk.state()?;
    Ok(axum::Json(state.accused(now()).into_iter().map(view).collect()))
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
