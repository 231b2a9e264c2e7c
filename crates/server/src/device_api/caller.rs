//! Which device calls, and answers that it can tell are ours.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::DeviceId;
use tidegate_wire::authenticity::{ANSWER_HEADER, AnswerKey, DEVICE_HEADER, NONCE_HEADER};

use crate::app::App;
use crate::conductor::same;
use crate::problem::Refused;

/// An authenticated device.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The device.
    pub(crate) device: DeviceId,
    key: AnswerKey,
    nonce: Option<String>,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Caller, Refused> {
        let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let device: DeviceId = text(DEVICE_HEADER)
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| Refused::unauthorised(format!("header `{DEVICE_HEADER}`: expected a device id")))?;
        let token = text(header::AUTHORIZATION.as_str())
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or_else(|| Refused::unauthorised("header `authorization`: expected `Bearer TOKEN`"))?;
        let key = AnswerKey::of_token(token);
        let known = app.desk.state()?.device(&device).map(|known| (known.bearer, known.retired.is_some()));
        if known.is_some_and(|(_, retired)| retired) {
            let detail = format!("device {device} was taken out of the fleet");
            return Err(Refused::new(StatusCode::FORBIDDEN, "device_retired", detail));
        }
        let known = known.map(|(bearer, _)| bearer);
        if !known.is_some_and(|bearer| same(&bearer, &Digest::from_bytes(*key.as_bytes()))) {
            return Err(Refused::unauthorised(format!(
                "device {device}: unknown, or its token is not this one: enrol again"
            )));
        }
        let nonce = match text(NONCE_HEADER) {
            None => None,
            Some(nonce) if nonce.len() == 64 && nonce.bytes().all(|b| b.is_ascii_hexdigit()) => Some(nonce.to_owned()),
            Some(_) => {
                let detail = format!("header `{NONCE_HEADER}`: expected 64 hexadecimal digits");
                return Err(Refused::invalid("nonce_malformed", detail));
            }
        };
        Ok(Caller { device, key, nonce })
    }
}

impl Caller {
    /// A JSON answer with the MAC by which the device knows it.
    pub(crate) fn answer<T: Serialize>(&self, value: &T) -> Result<Response, Refused> {
        let body = serde_json::to_vec(value).map_err(|e| Refused::internal(e.to_string()))?;
        let mac = self.nonce.as_deref().map(|nonce| self.key.answer_mac(nonce, &body));
        let mut response =
            ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response();
        if let Some(mac) = mac.and_then(|mac| HeaderValue::from_str(&mac).ok()) {
            response.headers_mut().insert(HeaderName::from_static(ANSWER_HEADER), mac);
        }
        Ok(response)
    }
}
