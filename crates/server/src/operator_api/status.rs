//! `/status`: what this server is and which promises are in force.

use std::sync::Arc;

use axum::extract::State;
use tidegate_domain::case::Stage;
use tidegate_wire::operator::{RestoredView, StatusView};

use super::person::{Person, Viewer};
use crate::app::App;
use crate::problem::Refused;

/// Recomputation by auditors comes with them; until then every status says that it is missing.
pub(crate) const P4: &str = "not in force";

/// What this server is and which promises are in force.
#[utoipa::path(get, path = "/status", tag = "status", responses((status = OK, body = StatusView)))]
pub(crate) async fn status(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
) -> Result<axum::Json<StatusView>, Refused> {
    let state = app.desk.state()?;
    let (Some(fleet), Some((_, envelope, _))) = (state.fleet(), state.envelope()) else {
        return Err(Refused::unavailable("no_fleet", "this server has no fleet yet"));
    };
    let open = state.cases().values().filter(|case| case.stage() < Stage::Restored);
    Ok(axum::Json(StatusView {
        fleet,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        store_epoch: app.store_epoch.clone(),
        seq: state.last().as_u64(),
        envelope: envelope.name.to_string(),
        p4: P4.to_owned(),
        devices: state.devices().len() as u64,
        incidents_open: open.count() as u64,
        restored: state.restored().map(|restored| RestoredView { at_ms: restored.at_ms, from_ms: restored.from_ms }),
    }))
}
