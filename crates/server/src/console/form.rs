//! Reading forms: only from this site, only from somebody who is signed in, and each field into what it should be. No handler that takes a
//! [`Posted`] can forget to ask for either.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Form, FromRequest, FromRequestParts as _, Request};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use tidegate_control::command::{Refusal, Why};
use tidegate_domain::time::{Elapsed, WallTime};

use super::signing_in::{SignedIn, refuse_foreign};
use crate::app::App;
use crate::clock::now;

/// The fields of a form, by name.
pub(super) type Fields = BTreeMap<String, String>;

/// A form of this site, sent by somebody who is signed in.
#[derive(Debug)]
pub(super) struct Posted {
    /// Who.
    pub(super) who: SignedIn,
    /// What.
    pub(super) fields: Fields,
}

impl FromRequest<Arc<App>> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Posted, Response> {
        let (mut parts, body) = request.into_parts();
        refuse_foreign(&parts.headers).map_err(|sorry| sorry.into_response())?;
        let who = SignedIn::from_request_parts(&mut parts, app).await?;
        let form = Form::<Fields>::from_request(Request::from_parts(parts, body), app).await;
        let Form(fields) = form.map_err(|rejection| rejection.into_response())?;
        Ok(Posted { who, fields })
    }
}

pub(super) fn misread(field: &str, found: &str, expected: impl std::fmt::Display) -> Refusal {
    Refusal::new(Why::Invalid, "field", format!("field `{field}` is {found:?}: expected {expected}"))
}

pub(super) fn text(fields: &Fields, name: &str) -> String {
    // Browsers end the lines of a text area with both.
    fields.get(name).map(|text| text.trim().replace("\r\n", "\n")).unwrap_or_default()
}

/// A field that may be empty.
pub(super) fn optional<T: std::str::FromStr>(fields: &Fields, name: &str) -> Result<Option<T>, Refusal>
where
    T::Err: std::fmt::Display,
{
    match text(fields, name) {
        found if found.is_empty() => Ok(None),
        found => found
            .parse()
            .map(Some)
            .map_err(|error: T::Err| Refusal::new(Why::Invalid, "field", format!("field `{name}`: {error}"))),
    }
}

pub(super) fn required<T: std::str::FromStr>(fields: &Fields, name: &str) -> Result<T, Refusal>
where
    T::Err: std::fmt::Display,
{
    optional(fields, name)?.ok_or_else(|| misread(name, "", "something"))
}

/// One of a few words.
pub(super) fn word<T: Copy>(
    fields: &Fields,
    name: &str,
    all: &[T],
    of: impl Fn(T) -> &'static str,
) -> Result<T, Refusal> {
    let found = text(fields, name);
    let words = || all.iter().map(|one| of(*one)).collect::<Vec<_>>().join(", ");
    all.iter().copied().find(|one| of(*one) == found).ok_or_else(|| misread(name, &found, words()))
}

const INSTANT: &str = "2026-11-27T18:00:00Z, or a time such as 20min";

/// An instant that is over: empty for now, an instant, or how long ago.
pub(super) fn gone_by(fields: &Fields, name: &str) -> Result<WallTime, Refusal> {
    let found = text(fields, name);
    let at = now();
    if found.is_empty() {
        return Ok(at);
    }
    let ago = found.strip_suffix("ago").map_or(found.as_str(), str::trim_end).replace(' ', "");
    let ago = ago.parse().ok().map(|ago: Elapsed| WallTime::from_ms(at.as_ms().saturating_sub(ago.as_ms())));
    instant(&found).or(ago).ok_or_else(|| misread(name, &found, INSTANT))
}

/// An instant to come, or how long until then; none where it is empty.
pub(super) fn to_come(fields: &Fields, name: &str) -> Result<Option<WallTime>, Refusal> {
    let found = text(fields, name);
    if found.is_empty() {
        return Ok(None);
    }
    let then = found.replace(' ', "").parse().ok().map(|time: Elapsed| now().after(time));
    instant(&found).or(then).map(Some).ok_or_else(|| misread(name, &found, INSTANT))
}

fn instant(text: &str) -> Option<WallTime> {
    let at: Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok().map(WallTime::from_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(all: &[(&str, &str)]) -> Fields {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_instant_is_now_where_it_is_empty_and_may_be_said_as_time_gone_by() {
        let of = |text: &str| gone_by(&fields(&[("at", text)]), "at").unwrap();
        assert!(now().since(of("")) < Elapsed::from_s(5));
        assert!(now().since(of("20min ago")) >= Elapsed::from_s(1_200));
        assert!(now().since(of("20 min")) >= Elapsed::from_s(1_200));
        assert_eq!(of("2024-07-19T04:09:00Z").as_ms(), 1_721_362_140_000);
        assert!(to_come(&fields(&[]), "due").unwrap().is_none());
    }
}
