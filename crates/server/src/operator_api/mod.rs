//! The operator API: one file a resource. Rules of acceptance stand in `control`, not here; here is who may ask, and how views are made.

mod account;
mod artifacts;
mod blame;
mod collecting;
mod concluded;
mod console;
mod devices;
mod halts;
mod holds;
pub(crate) mod incidents;
mod login;
mod metadata;
mod operators;
mod packages;
mod page;
mod person;
mod policies;
pub(crate) mod rollouts;
mod status;
mod trust;

pub(crate) use account::said;
pub(crate) use status::P4;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// The routes under `/api/v1`.
pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(login::login))
        .routes(routes!(status::status))
        .routes(routes!(operators::list, operators::put))
        .routes(routes!(operators::remove))
        .routes(routes!(trust::trust))
        .routes(routes!(trust::put_key_list))
        .routes(routes!(trust::put_envelope))
        .routes(routes!(metadata::metadata))
        .routes(routes!(metadata::put_root))
        .routes(routes!(metadata::put_targets))
        .routes(routes!(metadata::put_package))
        .routes(routes!(artifacts::head, artifacts::put))
        .routes(routes!(collecting::collect))
        .routes(routes!(console::code))
        .routes(routes!(packages::list))
        .routes(routes!(packages::one))
        .routes(routes!(policies::list, policies::apply))
        .routes(routes!(policies::one))
        .routes(routes!(rollouts::draft))
        .routes(routes!(rollouts::list, rollouts::start))
        .routes(routes!(rollouts::one))
        .routes(routes!(concluded::list))
        .routes(routes!(rollouts::pause))
        .routes(routes!(rollouts::resume))
        .routes(routes!(rollouts::approve))
        .routes(routes!(blame::blame))
        .routes(routes!(halts::halt))
        .routes(routes!(halts::target))
        .routes(routes!(halts::signed))
        .routes(routes!(devices::list))
        .routes(routes!(devices::one))
        .routes(routes!(devices::retire))
        .routes(routes!(holds::list, holds::hold))
        .routes(routes!(holds::lift))
        .routes(routes!(account::log))
        .routes(routes!(incidents::list, incidents::open))
        .routes(routes!(incidents::one))
        .routes(routes!(incidents::act))
        .routes(routes!(incidents::hands))
}
