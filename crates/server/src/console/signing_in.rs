//! Signing in by a link that is good once, by a token or by a provider; staying signed in, signing out.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Form, FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{AppendHeaders, Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use tidegate_console::{Viewer, signing_in as page};
use tidegate_control::command::{Command, Why};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::OperatorName;

use super::sorry::Sorry;
use crate::app::App;
use crate::clock::now;
use crate::oidc::{Provider, SettingOut, Trouble};
use crate::random;
use crate::sessions::SESSION_LIFE;

/// The most characters that are shown of what a provider says of its trouble.
const ERROR_CHARS_MAX: usize = 100;
/// Where somebody goes who asked for no page in particular.
const HOME: &str = "/console/";

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
        let known = cookie(&parts.headers, app.sessions.cookie()).and_then(|session| SignedIn::of(app, session));
        known.ok_or_else(|| {
            let provider = app.sessions.provider.as_ref().map(|provider| provider.name.as_str());
            let asked = if parts.method == Method::GET { parts.uri.path() } else { HOME };
            let page = Html(page::nobody(provider, asked));
            // What scripts ask for is no page that somebody would go on to.
            if asked.ends_with("/events") {
                return (StatusCode::UNAUTHORIZED, page).into_response();
            }
            let kept = app.sessions.set_page_cookie(Some(page_of_ours(asked)).filter(|page| *page != HOME));
            (StatusCode::UNAUTHORIZED, [(header::SET_COOKIE, kept)], page).into_response()
        })
    }
}

/// A page of the console, and nothing that a browser could take for another place.
fn page_of_ours(path: &str) -> &str {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.' | b'@');
    let is_page = path.starts_with(HOME) && !path.contains("//") && path.bytes().all(plain);
    if is_page { path } else { HOME }
}

/// The page that a browser asked for before somebody signed in with it.
fn asked_before<'a>(app: &App, headers: &'a HeaderMap) -> &'a str {
    cookie(headers, app.sessions.page_cookie()).map_or(HOME, page_of_ours)
}

fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split("; ")).filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value)
}

/// The page behind the link: as whom it signs in. Looking at it spends nothing.
pub(super) async fn ask(
    State(app): State<Arc<App>>,
    asked: Result<Query<Code>, QueryRejection>,
) -> Result<Html<String>, Sorry> {
    let Query(Code { code }) = asked.map_err(|_| Sorry::Spent)?;
    let who = app.sessions.look(&code).and_then(|token| app.desk.operator_of(&token));
    let (name, _) = who.ok_or(Sorry::Spent)?;
    Ok(Html(page::enter(&code, name.as_str())))
}

/// Spends the code.
pub(super) async fn enter(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Form(Code { code }): Form<Code>,
) -> Result<Response, Sorry> {
    refuse_foreign(&headers)?;
    let token = app.sessions.spend(&code).ok_or(Sorry::Spent)?;
    let session = sign_in(&app, token).await?;
    let cookies = [(header::SET_COOKIE, session), (header::SET_COOKIE, app.sessions.set_page_cookie(None))];
    Ok((AppendHeaders(cookies), Redirect::to(asked_before(&app, &headers))).into_response())
}

/// An operator's token; never shown, so no `Debug`.
#[derive(Deserialize)]
pub(super) struct Token {
    token: String,
    /// The page that was asked for.
    #[serde(default)]
    to: String,
}

/// Signs in by an operator's token.
pub(super) async fn by_token(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Form(asked): Form<Token>,
) -> Result<Response, Sorry> {
    refuse_foreign(&headers)?;
    let session = sign_in(&app, Digest::of(asked.token.trim().as_bytes())).await?;
    let cookies = [(header::SET_COOKIE, session), (header::SET_COOKIE, app.sessions.set_page_cookie(None))];
    Ok((AppendHeaders(cookies), Redirect::to(page_of_ours(&asked.to))).into_response())
}

/// Sends the browser to the provider.
pub(super) async fn set_out(State(app): State<Arc<App>>) -> Result<Response, Sorry> {
    let SettingOut { url, kept } = provider(&app)?.set_out().await.map_err(Sorry::Provider)?;
    Ok(([(header::SET_COOKIE, app.sessions.set_journey_cookie(Some(&kept)))], Redirect::to(&url)).into_response())
}

/// What a provider sends back: the state with a code, or why there is none, with which some forget the state.
#[derive(Debug, Deserialize)]
pub(super) struct FromProvider {
    #[serde(default)]
    state: String,
    code: Option<String>,
    error: Option<String>,
}

/// Signs in whoever comes back from the provider. The page leads on by itself: after a redirect from another site, browsers would keep the
/// session's cookie back.
pub(super) async fn came_back(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Query(said): Query<FromProvider>,
) -> Result<Response, Sorry> {
    let provider = provider(&app)?;
    let kept = cookie(&headers, app.sessions.journey_cookie()).ok_or(Sorry::Provider(Trouble::Astray))?;
    let Some(code) = said.code else {
        let error: String = said.error.unwrap_or_default().chars().take(ERROR_CHARS_MAX).collect();
        let why = format!("{} did not sign you in. It says: {error:?}.", provider.name);
        return Err(Sorry::Provider(Trouble::Nobody(why)));
    };
    let name = provider.came_back(kept, &said.state, code).await.map_err(Sorry::Provider)?;
    let token = app.desk.token_of(&name).ok_or_else(|| {
        let why = format!(
            "You would be {name}, and there is no such operator here: `tidegate operator add {name}` makes one."
        );
        Sorry::Provider(Trouble::Nobody(why))
    })?;
    let session = sign_in(&app, token).await?;
    let sessions = &app.sessions;
    let cookies = [session, sessions.set_journey_cookie(None), sessions.set_page_cookie(None)];
    let cookies = AppendHeaders(cookies.map(|cookie| (header::SET_COOKIE, cookie)));
    Ok((cookies, Html(page::lead_on(asked_before(&app, &headers)))).into_response())
}

fn provider(app: &App) -> Result<&Arc<Provider>, Sorry> {
    app.sessions.provider.as_ref().ok_or(Sorry::Unknown("provider"))
}

/// The cookie of a new session.
async fn sign_in(app: &App, token: Digest) -> Result<String, Sorry> {
    // Whoever guesses tokens stands in nobody's queue.
    app.desk.operator_of(&token).ok_or(Sorry::Spent)?;
    let session = random::token().map_err(Sorry::Failed)?;
    let expires_at_ms = now().after(SESSION_LIFE);
    let asked = Command::SignIn { session: Digest::of(session.as_bytes()), token, expires_at_ms };
    match app.desk.ask(asked).await {
        Ok(_) => Ok(app.sessions.set_cookie(Some(&session))),
        Err(refusal) if refusal.why == Why::NotAllowed => Err(Sorry::Spent),
        Err(refusal) => Err(Sorry::Failed(refusal.into())),
    }
}

/// Signs out.
pub(super) async fn leave(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Sorry> {
    refuse_foreign(&headers)?;
    if let Some(session) = cookie(&headers, app.sessions.cookie()) {
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
