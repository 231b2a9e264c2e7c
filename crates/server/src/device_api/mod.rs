//! The device API: what `docs/protocol.md` says, over HTTP. Rules of acceptance stand in `control`, not here.

mod caller;
mod check_in;
mod enrol;
pub(crate) mod files;
mod go;
mod offer;
mod reports;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::app::App;

/// The routes under `/device/v1`.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/metadata/{name}", get(files::metadata))
        .route("/trust", get(files::trust))
        .route("/enrol", post(enrol::enrol))
        .route("/check-in", post(check_in::check_in))
        .route("/offers/{rollout}", get(offer::offer))
        .route("/artifacts/{sha256}", get(files::artifact))
        .route("/go", post(go::go))
        .route("/reports", post(reports::reports))
}
