//! Signing in by a link that is good once, staying signed in, signing out.

use std::sync::Arc;

use axum::extract::{Form, FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use tidegate_console::{Viewer, signing_in as page};
use tidegate_control::command::{Command, Why};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::OperatorName;

use super::sorry::Sorry;
use crate::app::App;
use crate::clock::now;
use crate::random;
use crate::sessions::SESSION_LIFE;

/// What a link and its form carry.
#[derive(Debug, Deserialize)]
pub(super) struct Code {
    code: String,
}

/// An operator who is signed in.
#[derive(Debug)]
pub(super) struct SignedIn {
    pub(super) name: OperatorName,
    pub(super) session: String,
}

impl SignedIn {
    /// Whose session this is now: asked anew each time, so that it ends with the operator's token.
    pub(super) fn of(app: &App, session: &str) -> Option<SignedIn> {
        let name = app.desk.signed_in(&Digest::of(session.as_bytes()), now())?;
        Some(SignedIn { name, session: session.to_owned() })
    }
}

impl SignedIn {
    /// As pages name them.
    pub(super) fn viewer(&self) -> Viewer<'_> {
        Viewer { name: self.name.as_str() }
    }
}

impl FromRequestParts<Arc<App>> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<SignedIn, Response> {
        let known = session_of(app, &parts.headers).and_then(|session| SignedIn::of(app, session));
        known.ok_or_else(|| (StatusCode::UNAUTHORIZED, Html(page::nobody())).into_response())
    }
}

fn session_of<'a>(app: &App, headers: &'a HeaderMap) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split("; ")).filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| *name == app.sessions.cookie()).map(|(_, value)| value)
}

/// The page behind the link. Looking at it spends nothing.
pub(super) async fn ask(Query(Code { code }): Query<Code>) -> Html<String> {
    Html(page::enter(&code))
}

/// Spends the code.
pub(super) async fn enter(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Form(Code { code }): Form<Code>,
) -> Result<Response, Sorry> {
    refuse_foreign(&headers)?;
    let token = app.sessions.spend(&code).ok_or(Sorry::Spent)?;
    sign_in(&app, token).await
}

/// An operator's token; never shown, so no `Debug`.
#[derive(Deserialize)]
pub(super) struct Token {
    token: String,
}

/// Signs in by an operator's token.
pub(super) async fn by_token(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Form(Token { token }): Form<Token>,
) -> Result<Response, Sorry> {
    refuse_foreign(&headers)?;
    sign_in(&app, Digest::of(token.trim().as_bytes())).await
}

async fn sign_in(app: &App, token: Digest) -> Result<Response, Sorry> {
    let session = random::token().map_err(Sorry::Failed)?;
    let expires_at_ms = now().after(SESSION_LIFE);
    let asked = Command::SignIn { session: Digest::of(session.as_bytes()), token, expires_at_ms };
    match app.desk.ask(asked).await {
        Ok(_) => Ok(([(header::SET_COOKIE, app.sessions.set_cookie(Some(&session)))], Redirect::to("/console/"))
            .into_response()),
        Err(refusal) if refusal.why == Why::NotAllowed => Err(Sorry::Spent),
        Err(refusal) => Err(Sorry::Failed(refusal.into())),
    }
}

/// Signs out.
pub(super) async fn leave(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Sorry> {
    refuse_foreign(&headers)?;
    if let Some(session) = session_of(&app, &headers) {
        let asked = Command::SignOut { session: Digest::of(session.as_bytes()) };
        app.desk.ask(asked).await.map_err(|refusal| Sorry::Failed(refusal.into()))?;
    }
    Ok(([(header::SET_COOKIE, app.sessions.set_cookie(None))], Redirect::to("/console/")).into_response())
}

/// A form that another site sends in a person's name. Browsers say where a request comes from, older ones only by its origin; programs that
/// are no browsers need not.
pub(super) fn refuse_foreign(headers: &HeaderMap) -> Result<(), Sorry> {
    let said = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let ours = match (said("sec-fetch-site"), said("origin")) {
        (Some(from), _) => matches!(from, "same-origin" | "none"),
        (None, Some(origin)) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some() && host == said("host")
        }
        (None, None) => true,
    };
    if ours { Ok(()) } else { Err(Sorry::Foreign) }
}
