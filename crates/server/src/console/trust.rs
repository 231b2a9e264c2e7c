//! The page of what is trusted, and what of it ends soon.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Html;
use tidegate_console::trust::{self as pages, KeyLine, RoleLine, TrustPage};
use tidegate_control::state::State as Known;
use tidegate_control::trusted::{self, RoleStanding};
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_trust::keys::ListedKey;

use super::signing_in::SignedIn;
use super::sorry::Sorry;
use crate::app::App;
use crate::clock::now;
use crate::operator_api::P4;

/// What ends within this time is to be looked after.
const SOON: Elapsed = Elapsed::from_s(30 * 86_400);

/// The page.
pub(super) async fn trust(State(app): State<Arc<App>>, who: SignedIn) -> Result<Html<String>, Sorry> {
    let state = super::state(&app)?;
    let no_fleet = || Sorry::NotNow("This server has no fleet yet: start it with `--fleet DIR` once.".to_owned());
    let (fleet, at) = (state.fleet().ok_or_else(no_fleet)?, now());
    let (_, list) = state.key_list().ok_or_else(no_fleet)?;
    let (record, envelope, version) = state.envelope().ok_or_else(no_fleet)?;
    let text = record.danger_unchecked_body().map(|body| body.text).unwrap_or_default();
    let role = |role: RoleStanding| RoleLine {
        // The server makes snapshot and timestamp anew by itself.
        pressing: role.expires_at_ms < if role.threshold.is_some() { at.after(SOON) } else { at },
        role: role.role,
        version: role.version,
        expires_at_ms: Some(role.expires_at_ms),
        threshold: role.threshold,
    };
    let view = TrustPage {
        fleet,
        p4: P4.to_owned(),
        alerts: alerts(&state, at),
        roles: trusted::roles(&state).into_iter().map(role).collect(),
        key_list: list.version,
        keys: list.keys.iter().map(|key| line(key, at)).collect(),
        envelope: (envelope.name.to_string(), *version, text),
    };
    Ok(Html(pages::page(&view, who.viewer())))
}

fn line(key: &ListedKey, at: WallTime) -> KeyLine {
    KeyLine {
        key: key.public_key.id().short().to_owned(),
        holder: key.holder.clone(),
        scopes: key.scopes.iter().map(|scope| format!("{scope:?}").to_lowercase()).collect(),
        not_before_ms: key.not_before_ms,
        not_after_ms: key.not_after_ms,
        state: standing(key, at),
    }
}

fn standing(key: &ListedKey, at: WallTime) -> &'static str {
    if at < key.not_before_ms {
        "not yet"
    } else if at > key.not_after_ms {
        "past its life"
    } else if at.after(SOON) > key.not_after_ms {
        "ends soon"
    } else {
        "in force"
    }
}

/// What should be looked after: keys and roles whose end is near or past, the nearest first.
pub(super) fn alerts(state: &Known, at: WallTime) -> Vec<String> {
    let keys = state.key_list().map(|(_, list)| list.keys.as_slice()).unwrap_or_default();
    let keys = keys.iter().filter(|key| at.after(SOON) > key.not_after_ms).map(|key| {
        let name = format!("key {} of {}", key.public_key.id().short(), key.holder);
        (key.not_after_ms, name, "a new key list without it, or with a new one in its place")
    });
    let roles = trusted::roles(state).into_iter().filter(|role| role.threshold.is_some());
    let roles = roles.filter(|role| at.after(SOON) > role.expires_at_ms);
    let roles = roles.map(|role| (role.expires_at_ms, role.role, "its people sign the next version"));
    let mut all: Vec<_> = keys.chain(roles).collect();
    all.sort();
    let said = |(ends, what, cure): (WallTime, String, &str)| match ends.since(at) {
        Elapsed::ZERO => format!("{what} is past its life: {cure}"),
        left if left < Elapsed::from_s(86_400) => format!("{what} ends within a day: {cure}"),
        left => format!("{what} ends in {} days: {cure}", left.as_ms() / 86_400_000),
    };
    all.into_iter().map(said).collect()
}
