//! `/login`: the first operator's way in.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use tidegate_control::command::{Answer, Command};
use tidegate_domain::digest::Digest;
use tidegate_wire::operator::{LoginRequest, TokenAnswer};

use super::operators::role_view;
use crate::app::App;
use crate::body::Json;
use crate::problem::Refused;
use crate::random;

/// Exchanges the one-time code that the server printed at its start for an admin's token.
#[utoipa::path(post, path = "/login", tag = "operators", request_body = LoginRequest,
    responses((status = CREATED, body = TokenAnswer)))]
pub(crate) async fn login(
    State(app): State<Arc<App>>,
    Json(request): Json<LoginRequest>,
) -> Result<(StatusCode, axum::Json<TokenAnswer>), Refused> {
    let token = random::token()?;
    let command = Command::Login { code: Digest::of(request.code.as_bytes()), token: Digest::of(token.as_bytes()) };
    let Answer::LoggedIn(operator, role) = app.desk.ask(command).await? else {
        return Err(Refused::internal("a login was not answered with an operator"));
    };
    Ok((StatusCode::CREATED, axum::Json(TokenAnswer { operator, role: role_view(role), token })))
}
