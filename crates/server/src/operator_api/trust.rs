//! `/trust`: the records that root signs besides TUF metadata.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use tidegate_control::command::Command;
use tidegate_trust::records::{EnvelopeRecord, KeyList};
use tidegate_trust::signed::Unverified;
use tidegate_wire::device::TrustBundle;

use super::person::{Admin, Person, Viewer};
use crate::app::App;
use crate::body::Json;
use crate::problem::Refused;

/// Key list and envelope, as root signed them.
#[utoipa::path(get, path = "/trust", tag = "trust", responses((status = OK, body = TrustBundle)))]
pub(crate) async fn trust(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
) -> Result<axum::Json<TrustBundle>, Refused> {
    app.trust_bundle().map(axum::Json)
}

/// A new key list, signed by the threshold of root's keys; its version is the next one.
#[utoipa::path(put, path = "/trust/key-list", tag = "trust", request_body = inline(crate::openapi::Record),
    responses((status = NO_CONTENT)))]
pub(crate) async fn put_key_list(
    State(app): State<Arc<App>>,
    _person: Person<Admin>,
    Json(record): Json<Unverified<KeyList>>,
) -> Result<StatusCode, Refused> {
    app.desk.ask(Command::PutKeyList(record)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A new envelope, signed by the threshold of root's keys; its version is the next one.
#[utoipa::path(put, path = "/trust/envelope", tag = "trust", request_body = inline(crate::openapi::Record),
    responses((status = NO_CONTENT)))]
pub(crate) async fn put_envelope(
    State(app): State<Arc<App>>,
    _person: Person<Admin>,
    Json(record): Json<Unverified<EnvelopeRecord>>,
) -> Result<StatusCode, Refused> {
    app.desk.ask(Command::PutEnvelope(record)).await?;
    Ok(StatusCode::NO_CONTENT)
}
