//! The page of the log, read backwards from its end.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Html;
use serde::Deserialize;
use tidegate_console::log::{self as pages, LogLine, LogPage};
use tidegate_control::account::WORDS;
use tidegate_control::contract::{Request, Seq};

use super::signing_in::SignedIn;
use super::sorry::Sorry;
use crate::app::App;
use crate::operator_api::said;

/// Lines of a page, and entries of the log that are looked through for it, so many at a time.
const LINES_MAX: usize = 100;
const PART: u64 = 500;
const PARTS_MAX: u64 = 10;

/// Which lines are wanted; an empty word wants all.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    who: String,
    #[serde(default)]
    what: String,
    #[serde(default)]
    about: String,
    before: Option<u64>,
}

/// The page.
pub(super) async fn log(
    State(app): State<Arc<App>>,
    who: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Result<Html<String>, Sorry> {
    let last = super::state(&app)?.last().as_u64();
    let mut upto = wanted.before.unwrap_or(u64::MAX).min(last.saturating_add(1));
    let is_it = |wanted: &str, found: &str| wanted.trim().is_empty() || wanted.trim() == found;
    let mut lines: Vec<LogLine> = Vec::new();
    for _ in 0..PARTS_MAX {
        if upto <= 1 || lines.len() >= LINES_MAX {
            break;
        }
        let after = upto.saturating_sub(PART + 1);
        let limit = u32::try_from(upto - after - 1).unwrap_or(u32::MAX);
        let entries = app.log.perform(Request::Read { after: Seq::from_u64(after), limit }).await;
        let entries =
            entries.map_err(|e| e.to_string()).and_then(|reply| reply.into_entries().map_err(|e| e.to_string()));
        let entries = entries.map_err(Sorry::NotNow)?;
        for entry in entries.iter().rev().filter(|entry| entry.seq.as_u64() < upto) {
            let found = said(entry).into_iter().filter(|line| {
                is_it(&wanted.who, &line.who) && is_it(&wanted.what, &line.what) && is_it(&wanted.about, &line.about)
            });
            lines.extend(found.map(|line| LogLine {
                entry: line.entry,
                at_ms: line.at_ms,
                who: line.who,
                what: line.what,
                about: line.about,
                detail: line.detail,
            }));
        }
        upto = after + 1;
    }
    let before = (upto > 1).then_some(upto);
    let view = LogPage { lines, wanted: [wanted.who, wanted.what, wanted.about], words: WORDS, before };
    Ok(Html(pages::page(&view, who.viewer())))
}
