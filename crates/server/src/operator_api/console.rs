//! `/console-codes`: links that sign one browser in, once.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use tidegate_wire::operator::ConsoleCode;

use super::person::{Person, Viewer};
use crate::app::App;
use crate::clock::now;
use crate::problem::Refused;
use crate::sessions::CODE_LIFE;

/// Makes a link that signs a browser in as whoever asks, once, within five minutes.
#[utoipa::path(post, path = "/console-codes", tag = "operators", responses((status = CREATED, body = ConsoleCode)))]
pub(crate) async fn code(
    State(app): State<Arc<App>>,
    person: Person<Viewer>,
) -> Result<(StatusCode, axum::Json<ConsoleCode>), Refused> {
    let code = app.sessions.code(person.token)?;
    let path = format!("/console/enter?code={code}");
    Ok((StatusCode::CREATED, axum::Json(ConsoleCode { path, expires_at_ms: now().after(CODE_LIFE) })))
}
