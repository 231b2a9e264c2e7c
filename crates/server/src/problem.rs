//! How refusals become RFC 9457 problem documents.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tidegate_control::command::{Refusal, Why};
use tidegate_wire::problem::{PROBLEM_MEDIA_TYPE, Problem};

/// A problem document as an answer.
#[derive(Debug, Clone)]
pub struct Refused(pub Box<Problem>);

impl Refused {
    /// A problem of this status and kind.
    pub fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Refused {
        let title = status.canonical_reason().unwrap_or("Refused");
        Refused(Box::new(Problem::new(status.as_u16(), kind, title, detail)))
    }

    /// Nobody has said who they are, or not well enough.
    pub fn unauthorised(detail: impl Into<String>) -> Refused {
        Refused::new(StatusCode::UNAUTHORIZED, "not_authenticated", detail)
    }

    /// There is no such thing.
    pub fn unknown(what: &str, id: impl std::fmt::Display) -> Refused {
        Refused::new(StatusCode::NOT_FOUND, &format!("unknown_{what}"), format!("there is no {what} {id}"))
    }

    /// The input is wrong in itself.
    pub fn invalid(kind: &str, detail: impl Into<String>) -> Refused {
        Refused::new(StatusCode::BAD_REQUEST, kind, detail)
    }

    /// The server is at fault.
    pub fn internal(detail: impl Into<String>) -> Refused {
        Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// Artifacts cannot be read or written now.
    pub fn artifact_store(error: &object_store::Error) -> Refused {
        Refused::unavailable("artifact_store", error.to_string())
    }

    /// Its HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What, where, what would be right.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Not now; asking again later may help.
    pub fn unavailable(kind: &str, detail: impl Into<String>) -> Refused {
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, kind, detail)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        let status = match refusal.why {
            Why::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Why::NotAllowed => StatusCode::FORBIDDEN,
            Why::Unknown => StatusCode::NOT_FOUND,
            Why::Conflict => StatusCode::CONFLICT,
            Why::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        Refused::new(status, refusal.kind, refusal.detail)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let media_type = HeaderValue::from_static(PROBLEM_MEDIA_TYPE);
        (status, [(header::CONTENT_TYPE, media_type)], body).into_response()
    }
}
