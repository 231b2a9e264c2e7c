//! Reading JSON bodies: bounded, strict, and refused with a problem document that says where.

use axum::body::HttpBody as _;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::StatusCode;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::problem::Refused;

/// A JSON body of at most `MAX` bytes.
pub(crate) struct Json<T, const MAX: usize = JSON_BYTES_MAX>(pub(crate) T);

/// The most bytes of a JSON body.
pub(crate) const JSON_BYTES_MAX: usize = 8 << 20;

impl<T: DeserializeOwned, S: Send + Sync, const MAX: usize> FromRequest<S> for Json<T, MAX> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Json<T, MAX>, Refused> {
        let bytes = read(request, state, MAX).await?;
        let value = serde_json::from_slice(&bytes).map_err(|error| {
            let kind = if error.is_data() { "json_shape" } else { "json_malformed" };
            Refused::invalid(kind, format!("body: {error}"))
        })?;
        Ok(Json(value))
    }
}

/// A body of at most [`JSON_BYTES_MAX`] bytes, as it is.
pub(crate) struct Raw(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Raw, Refused> {
        read(request, state, JSON_BYTES_MAX).await.map(Raw)
    }
}

/// The raw bytes of a body.
///
/// # Errors
/// When there are too many.
async fn read<S: Send + Sync>(mut request: Request, state: &S, bytes_max: usize) -> Result<Bytes, Refused> {
    let too_large = || {
        let detail = format!("body: more than {bytes_max} bytes");
        Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    };
    // Said as soon as it is announced, not after that much has been sent.
    if request.body().size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    DefaultBodyLimit::max(bytes_max).apply(&mut request);
    Bytes::from_request(request, state).await.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return too_large();
        }
        Refused::invalid("body_unreadable", rejection.body_text())
    })
}
