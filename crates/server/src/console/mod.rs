//! The console over HTTP: who is signed in, which page, and what changes on it. What pages look like stands in the crate `console`.
//!
//! Pages show; forms close, write into incidents, and bring approvals that a browser's own key signed; nothing opens by being signed in. Every answer forbids scripts and styles of others, frames, and being kept.

mod acts;
mod census;
mod events;
mod fleet;
mod form;
mod incidents;
mod log;
mod overview;
mod policies;
mod releases;
mod rollouts;
mod signing_in;
mod sorry;
mod trust;
mod what_if;

use std::sync::{Arc, RwLockReadGuard};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use axum::routing::{any, get, post};
use tidegate_control::state::State as Known;

use signing_in::SignedIn;
use sorry::Sorry;

use crate::app::App;
use crate::oidc::BACK_PATH;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The most bytes of a form.
const FORM_BYTES_MAX: usize = 256 << 10;

/// The routes under `/console`.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/console", get(|| async { Redirect::permanent("/console/") }))
        .route("/console/", get(overview::overview))
        .route("/console/events", get(overview::changes))
        .route("/console/rollouts", get(rollouts::rollouts))
        .route("/console/rollouts/{rollout}", get(rollouts::rollout))
        .route("/console/rollouts/{rollout}/events", get(rollouts::changes))
        .route("/console/rollouts/{rollout}/halt", post(acts::halt))
        .route("/console/rollouts/{rollout}/pause", post(acts::pause))
        .route("/console/rollouts/{rollout}/approve", get(rollouts::approval).post(acts::approve))
        .route("/console/rollouts/{rollout}/what-if", get(what_if::what_if))
        .route("/console/policies", get(policies::list))
        .route("/console/policies/{digest}", get(policies::one))
        .route("/console/policies/editor", get(policies::editor).post(policies::written))
        .route("/console/policies/check", post(policies::check))
        .route("/console/policies/file", post(policies::file))
        .route("/console/policies/preview", post(policies::simulate))
        .route("/console/policies/preview/{digest}", get(policies::simulated))
        .route("/console/fleet", get(fleet::fleet))
        .route("/console/devices/{device}", get(fleet::one))
        .route("/console/releases", get(releases::list))
        .route("/console/releases/{package}/{version}", get(releases::one))
        .route("/console/incidents", get(incidents::list).post(acts::open))
        .route("/console/incidents/{incident}", get(incidents::one))
        .route("/console/incidents/{incident}/events", get(incidents::changes))
        .route("/console/incidents/{incident}/acts", get(incidents::back).post(acts::act))
        .route("/console/incidents/{incident}/customers/{customer}", get(incidents::customer))
        .route("/console/incidents/{incident}/hands", get(incidents::hands))
        .route("/console/incidents/{incident}/hands.csv", get(incidents::csv))
        .route("/console/incidents/{incident}/sheet", get(incidents::sheet))
        .route("/console/trust", get(trust::trust))
        .route("/console/log", get(log::log))
        .route("/console/continuity", get(continuity))
        .route("/console/{*rest}", any(|| async { Sorry::Unknown("page") }))
        .route("/console/enter", get(signing_in::ask).post(signing_in::enter))
        .route("/console/token", post(signing_in::by_token))
        .route("/console/oidc", get(signing_in::set_out))
        .route(BACK_PATH, get(signing_in::came_back))
        .route("/console/leave", post(signing_in::leave))
        .route(tidegate_console::STYLE_PATH, get(|| async { file("text/css; charset=utf-8", tidegate_console::STYLE) }))
        .route(
            tidegate_console::LIVE_PATH,
            get(|| async { file("text/javascript; charset=utf-8", tidegate_console::LIVE) }),
        )
        .route(
            tidegate_console::KEYS_PATH,
            get(|| async { file("text/javascript; charset=utf-8", tidegate_console::KEYS) }),
        )
        .route(tidegate_console::ICON_PATH, get(|| async { file("image/svg+xml", tidegate_console::ICON) }))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(from_fn(guarded))
}

async fn continuity(who: SignedIn) -> Html<String> {
    Html(tidegate_console::continuity::page(who.viewer()))
}

/// The state, as recorded.
fn state(app: &App) -> Result<RwLockReadGuard<'_, Known>, Sorry> {
    app.desk.state().map_err(|refusal| Sorry::NotNow(refusal.to_string()))
}

fn file(media_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "max-age=300")], text).into_response()
}

/// Headers that every answer carries.
async fn guarded(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Without it browsers say `Origin: null` of this site's own forms.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
