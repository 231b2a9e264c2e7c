//! `POST /enrol`

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use tidegate_control::command::Command;
use tidegate_domain::digest::Digest;
use tidegate_wire::device::{EnrolAnswer, EnrolRequest};

use crate::app::App;
use crate::body::Json;
use crate::metrics::count;
use crate::problem::Refused;
use crate::random;

/// A device joins: its token, and its record signed by token key and device key. Asking again gives a new bearer token.
#[utoipa::path(post, path = "/enrol", tag = "device", request_body = inline(crate::openapi::EnrolRequest),
    responses((status = CREATED, body = EnrolAnswer)))]
pub(crate) async fn enrol(
    State(app): State<Arc<App>>,
    Json(request): Json<EnrolRequest>,
) -> Result<(StatusCode, axum::Json<EnrolAnswer>), Refused> {
    let token = random::token()?;
    let bearer = Digest::of(token.as_bytes());
    app.desk.ask(Command::Enrol { request: Box::new(request), bearer }).await?;
    count(&app.metrics.enrolments);
    Ok((StatusCode::CREATED, axum::Json(EnrolAnswer { token, check_in_ms: app.idle_check_in.as_ms() })))
}
