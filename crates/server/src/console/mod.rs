//! The console over HTTP: who is signed in, which page, and what changes on it. What pages look like stands in the crate `console`.
//!
//! Pages only show. Every answer forbids scripts and styles of others, frames, and being kept.

mod events;
mod pages;
mod signing_in;
mod sorry;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};

use crate::app::App;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The routes under `/console`.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/console", get(|| async { Redirect::permanent("/console/") }))
        .route("/console/", get(pages::rollouts))
        .route("/console/rollouts/{rollout}", get(pages::rollout))
        .route("/console/rollouts/{rollout}/events", get(events::rollout))
        .route("/console/enter", get(signing_in::ask).post(signing_in::enter))
        .route("/console/leave", post(signing_in::leave))
        .route(tidegate_console::STYLE_PATH, get(|| async { file("text/css; charset=utf-8", tidegate_console::STYLE) }))
        .route(
            tidegate_console::LIVE_PATH,
            get(|| async { file("text/javascript; charset=utf-8", tidegate_console::LIVE) }),
        )
        .route(tidegate_console::ICON_PATH, get(|| async { file("image/svg+xml", tidegate_console::ICON) }))
        .layer(from_fn(guarded))
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
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
