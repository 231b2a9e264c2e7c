//! `/packages`: what is published.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tidegate_control::command::{Delegation, delegations};
use tidegate_control::state::{Release, State as Known};
use tidegate_domain::ids::PackageName;
use tidegate_wire::operator::{PackageView, ReleaseView};

use super::page::Page;
use super::person::{Person, Viewer};
use crate::app::App;
use crate::asked::{Asked, Named};
use crate::problem::Refused;

/// All packages with their releases.
#[utoipa::path(get, path = "/packages", tag = "packages", params(Page),
    responses((status = OK, body = Vec<PackageView>)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
    Asked(page): Asked<Page>,
) -> Result<Response, Refused> {
    let state = app.desk.state()?;
    let all = delegations(&state)?;
    page.answer(all.into_iter().map(|package| (package.package.to_string(), package)), |p| view(&state, p))
}

/// A package with its releases.
#[utoipa::path(get, path = "/packages/{package}", tag = "packages", params(("package" = String, Path)),
    responses((status = OK, body = PackageView)))]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
    Named(package): Named<PackageName>,
) -> Result<axum::Json<PackageView>, Refused> {
    let state = app.desk.state()?;
    let known = delegations(&state)?.into_iter().find(|known| known.package == package);
    let known = known.ok_or_else(|| Refused::unknown("package", &package))?;
    Ok(axum::Json(view(&state, known)))
}

fn view(state: &Known, delegation: Delegation) -> PackageView {
    let Delegation { package, threshold, publishers } = delegation;
    let releases = state.releases().get(&package).into_iter().flatten().map(release).collect();
    PackageView { package, threshold, publishers, releases }
}

fn release(release: &Release) -> ReleaseView {
    ReleaseView {
        version: release.manifest.version.clone(),
        release: release.release,
        published_at_ms: release.published_at_ms,
        halted_by: release.halted_by.clone(),
    }
}
