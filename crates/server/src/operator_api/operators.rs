//! `/operators`: who may use this API.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tidegate_control::command::Command;
use tidegate_control::decision::OperatorRole;
use tidegate_control::state::Operator;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::OperatorName;
use tidegate_wire::operator::{OperatorRequest, OperatorView, Role, TokenAnswer};

use super::page::Page;
use super::person::{Admin, Person};
use crate::app::App;
use crate::asked::{Asked, Named};
use crate::body::Json;
use crate::problem::Refused;
use crate::random;

/// Everybody who may use this API.
#[utoipa::path(get, path = "/operators", tag = "operators", params(Page),
    responses((status = OK, body = Vec<OperatorView>)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    _person: Person<Admin>,
    Asked(page): Asked<Page>,
) -> Result<Response, Refused> {
    let state = app.desk.state()?;
    let all = state.operators().iter().map(|(name, operator)| (name.to_string(), (name, operator)));
    page.answer(all, |(name, who)| OperatorView {
        operator: name.clone(),
        role: role_view(who.role),
        packages: who.packages.clone(),
    })
}

/// Makes an operator, or gives a known one a new token and role. The token is shown this once.
#[utoipa::path(post, path = "/operators", tag = "operators", request_body = OperatorRequest,
    responses((status = CREATED, body = TokenAnswer)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    _person: Person<Admin>,
    Json(OperatorRequest { operator, role, packages }): Json<OperatorRequest>,
) -> Result<(StatusCode, axum::Json<TokenAnswer>), Refused> {
    let token = random::token()?;
    let hash = Digest::of(token.as_bytes());
    let made = Operator { role: role_kept(role), token: hash, packages };
    app.desk.ask(Command::PutOperator { operator: operator.clone(), made }).await?;
    Ok((StatusCode::CREATED, axum::Json(TokenAnswer { operator, role, token })))
}

/// Removes an operator; the token is good for nothing from then on.
#[utoipa::path(delete, path = "/operators/{operator}", tag = "operators", params(("operator" = String, Path)),
    responses((status = NO_CONTENT)))]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    _person: Person<Admin>,
    Named(operator): Named<OperatorName>,
) -> Result<StatusCode, Refused> {
    app.desk.ask(Command::RemoveOperator(operator)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A role as it is shown.
pub(crate) fn role_view(role: OperatorRole) -> Role {
    match role {
        OperatorRole::Viewer => Role::Viewer,
        OperatorRole::Publisher => Role::Publisher,
        OperatorRole::Approver => Role::Approver,
        OperatorRole::Admin => Role::Admin,
    }
}

fn role_kept(role: Role) -> OperatorRole {
    match role {
        Role::Viewer => OperatorRole::Viewer,
        Role::Publisher => OperatorRole::Publisher,
        Role::Approver => OperatorRole::Approver,
        Role::Admin => OperatorRole::Admin,
    }
}
