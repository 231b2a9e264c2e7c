//! `GET /log`: who did what, when, to what. Read from the store, a part of the log a request; whoever wants all of it asks on.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use tidegate_control::account::{Line, WORDS, lines_of};
use tidegate_control::contract::{Entry, Request, Seq};
use tidegate_wire::operator::{AccountLine, AccountPart};
use utoipa::IntoParams;

use super::person::{Person, Viewer};
use crate::app::App;
use crate::asked::Asked;
use crate::problem::Refused;

/// Entries of the log that one request looks through.
const LOOKED_THROUGH: u32 = 5_000;

/// Which lines are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Only what follows this entry: `through` of the part before.
    #[serde(default)]
    after: u64,
    /// Only what this operator, key, `gate` or `server` did.
    who: Option<String>,
    /// Only lines of this word, such as `halted`.
    what: Option<String>,
    /// Only lines about this rollout, release, policy, device, operator or hold.
    about: Option<String>,
    /// Only what was recorded at this instant or later, in milliseconds since 1970.
    since_ms: Option<u64>,
}

/// A part of the account.
#[utoipa::path(get, path = "/log", tag = "account", params(Wanted), responses((status = OK, body = AccountPart)))]
pub(crate) async fn log(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
    Asked(wanted): Asked<Wanted>,
) -> Result<axum::Json<AccountPart>, Refused> {
    if let Some(word) = wanted.what.as_deref().filter(|word| !WORDS.contains(word)) {
        let detail = format!("query field `what` is {word:?}: expected one of {}", WORDS.join(", "));
        return Err(Refused::invalid("query_malformed", detail));
    }
    let last = app.desk.state()?.last();
    let after = Seq::from_u64(wanted.after);
    let entries = match app.log.perform(Request::Read { after, limit: LOOKED_THROUGH }).await {
        Ok(reply) => reply.into_entries().map_err(|e| Refused::internal(e.to_string()))?,
        Err(error) => return Err(Refused::unavailable(error.kind(), error.to_string())),
    };
    let through = entries.last().map_or(after, |entry| entry.seq);
    let lines = entries.iter().flat_map(said).filter(|line| wanted.means(line)).collect();
    Ok(axum::Json(AccountPart { lines, through: through.as_u64(), last: last.as_u64() }))
}

/// What an entry of the log is, for people.
pub(crate) fn said(entry: &Entry) -> Vec<AccountLine> {
    let (number, at_ms) = (entry.seq.as_u64(), entry.content.at);
    let view = |line: Line| AccountLine {
        entry: number,
        at_ms,
        who: line.who,
        what: line.what.to_owned(),
        about: line.about,
        detail: line.detail,
    };
    lines_of(entry).into_iter().map(view).collect()
}

impl Wanted {
    fn means(&self, line: &AccountLine) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        is(&self.who, &line.who)
            && is(&self.what, &line.what)
            && is(&self.about, &line.about)
            && self.since_ms.is_none_or(|since| line.at_ms.as_ms() >= since)
    }
}
