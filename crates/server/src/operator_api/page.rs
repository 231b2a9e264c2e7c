//! Lists in pages: bounded, in the order of their ids, continued behind the last id seen.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::problem::Refused;

const LIMIT_MAX: usize = 10_000;
const LIMIT_USUAL: usize = 1_000;

/// Which part of a list is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    /// At most so many, 1 to 10000. Usually 1000.
    limit: Option<usize>,
    /// Only what follows this id: the last one of the page before.
    after: Option<String>,
}

impl Page {
    pub(crate) fn new(limit: Option<usize>, after: Option<String>) -> Page {
        Page { limit, after }
    }

    /// The part of `items` that is wanted, as an answer. Header `Link` with `rel="next"` says that there is more.
    ///
    /// # Errors
    /// When the limit is out of bounds.
    pub(crate) fn answer<I, V: Serialize>(
        &self,
        items: impl Iterator<Item = (String, I)>,
        view: impl Fn(I) -> V,
    ) -> Result<Response, Refused> {
        let limit = self.limit.unwrap_or(LIMIT_USUAL);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let detail = format!("query field `limit` is {limit}: expected 1 to {LIMIT_MAX}");
            return Err(Refused::invalid("query_malformed", detail));
        }
        let after = self.after.as_deref();
        let mut behind = items.filter(|(id, _)| after.is_none_or(|after| id.as_str() > after));
        let mut last = String::new();
        let mut page = Vec::new();
        for (id, item) in behind.by_ref().take(limit) {
            page.push(view(item));
            last = id;
        }
        let more = behind.next().is_some();
        let mut response = axum::Json(page).into_response();
        let link = format!("<?limit={limit}&after={last}>; rel=\"next\"");
        if let Some(link) = more.then(|| link.parse().ok()).flatten() {
            response.headers_mut().insert(header::LINK, link);
        }
        Ok(response)
    }
}
