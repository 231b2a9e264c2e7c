//! The device API: what `docs/protocol.md` says, over HTTP. Rules of acceptance stand in `control`, not here.

mod caller;
mod check_in;
mod cloned;
mod enrol;
pub(crate) mod files;
mod go;
mod offer;
mod reports;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// The routes under `/device/v1`.
pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(files::metadata))
        .routes(routes!(files::trust))
        .routes(routes!(enrol::enrol))
        .routes(routes!(check_in::check_in))
        .routes(routes!(offer::offer))
        .routes(routes!(files::artifact))
        .routes(routes!(go::go))
        .routes(routes!(reports::reports))
}
