//! Both APIs, what watches over the process, and what every request goes through: an id, a time limit, a log line, a count.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument as _;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::body::JSON_BYTES_MAX;
use crate::problem::Refused;
use crate::{console, device_api, openapi, operator_api, scrape};

const REQUEST_ID: &str = "x-request-id";

/// Every route, and the document that describes them.
pub(crate) fn described() -> (Router<Arc<App>>, utoipa::openapi::OpenApi) {
    let (router, document) = OpenApiRouter::with_openapi(openapi::head())
        .nest("/device/v1", device_api::routes())
        .nest("/api/v1", operator_api::routes())
        .split_for_parts();
    (router, openapi::finish(document))
}

/// What is served.
pub(crate) fn routes(app: Arc<App>) -> Router {
    let (router, document) = described();
    let document = document.to_json().unwrap_or_default();
    let document = move || async move { ([(header::CONTENT_TYPE, "application/json")], document) };
    router
        .route("/api/v1/openapi.json", get(document))
        .route("/", get(|| async { Redirect::to("/console/") }))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape::scrape))
        .merge(console::routes())
        .fallback(|| async { Refused::new(StatusCode::NOT_FOUND, "unknown_route", "there is no such route") })
        .method_not_allowed_fallback(|| async {
            Refused::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this route does not know this method")
        })
        .layer(DefaultBodyLimit::max(JSON_BYTES_MAX))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(app.clone(), accompany))
        .with_state(app)
}

async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Refused> {
    if app.desk.is_ready() {
        return Ok("ready\n");
    }
    Err(Refused::unavailable("not_ready", "this server does not hold the lease, or is still reading what is recorded"))
}

/// What every request goes through.
async fn accompany(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let id = app.request_id();
    let method = request.method().clone();
    // The pattern, not the path: it tells as much and carries no name that somebody made up.
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();
    let begun = Instant::now();
    let span = tracing::info_span!("request", id = %id, %method, route);
    let mut response = match time_limit(&app, &method, &route) {
        Some(limit) => match tokio::time::timeout(limit, next.run(request).instrument(span.clone())).await {
            Ok(response) => response,
            Err(_) => {
                Refused::unavailable("timeout", format!("no answer within {} s", limit.as_secs())).into_response()
            }
        },
        None => next.run(request).instrument(span.clone()).await,
    };
    let status = response.status();
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    app.metrics.answered(status);
    span.in_scope(|| {
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), took_ms, "answered");
        } else {
            tracing::debug!(status = status.as_u16(), took_ms, "answered");
        }
    });
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Uploads may take as long as bytes keep coming; they watch over that themselves.
fn time_limit(app: &App, method: &Method, route: &str) -> Option<Duration> {
    let upload = method == Method::PUT && route == "/api/v1/artifacts/{sha256}";
    (!upload).then(|| Duration::from_millis(app.request_timeout.as_ms()))
}

fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let what = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = what.unwrap_or("without words"), "a handler panicked");
    Refused::internal("the server failed at this request; its log says how").into_response()
}
