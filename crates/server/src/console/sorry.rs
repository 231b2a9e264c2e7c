//! Pages in the place of those that were asked for.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use tidegate_console::signing_in::{refused, shut_out};

use crate::oidc::Trouble;
use crate::problem::Refused;

/// Why there is no page.
#[derive(Debug)]
pub(super) enum Sorry {
    /// There is no such thing; what it would be.
    Unknown(&'static str),
    /// The server is reading its records, or as many pages are kept up to date as may be.
    NotNow(String),
    /// A form that another site sent in a person's name.
    Foreign,
    /// A link that is unknown, used or too old, or a token that is none.
    Spent,
    /// Coming back from the provider signed nobody in: why.
    Provider(Trouble),
    /// What was asked for is refused, or the server is at fault.
    Failed(Refused),
}

impl IntoResponse for Sorry {
    fn into_response(self) -> Response {
        let nobody = |status, detail: &str| (status, Html(shut_out("This signs nobody in", detail))).into_response();
        let page = |status, what, detail: &str| (status, Html(refused(what, detail))).into_response();
        match self {
            Sorry::Unknown(what) => page(StatusCode::NOT_FOUND, "Unknown", &format!("There is no such {what}.")),
            Sorry::NotNow(why) => page(StatusCode::SERVICE_UNAVAILABLE, "Not now", &why),
            Sorry::Foreign => page(StatusCode::FORBIDDEN, "Refused", "The form came from another site."),
            Sorry::Spent => {
                let detail = "The link is unknown, used or older than five minutes, or the token is none. `tidegate console` makes another link.";
                nobody(StatusCode::FORBIDDEN, detail)
            }
            Sorry::Provider(Trouble::Astray) => {
                let detail = "What came back is not what this browser set out with, or it took more than ten minutes: begin again from the sign-in page.";
                nobody(StatusCode::FORBIDDEN, detail)
            }
            Sorry::Provider(Trouble::Nobody(detail)) => nobody(StatusCode::FORBIDDEN, &detail),
            Sorry::Provider(Trouble::Provider) => {
                let detail = "The provider cannot be asked now, or says what it should not. The server's log has the reason; links and tokens sign in without it.";
                nobody(StatusCode::BAD_GATEWAY, detail)
            }
            Sorry::Failed(why) | Sorry::Provider(Trouble::Failed(why)) => {
                page(why.status(), "This was not done", why.detail())
            }
        }
    }
}
