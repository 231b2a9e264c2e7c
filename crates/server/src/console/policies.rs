//! The pages of policies: what a text comes to on this fleet, and what a simulated fleet makes of it.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use tidegate_console::policies::{self as pages, Checked, Harm, HeldAgainst, Outcome, PolicyLine, Preview};
use tidegate_control::state::{AppliedPolicy, State as Known};
use tidegate_domain::digest::Digest;
use tidegate_domain::envelope::Envelope;
use tidegate_domain::ids::{DeviceId, StratumName};
use tidegate_domain::policy::Policy;
use tidegate_domain::policy_check::{self, FleetEstimate};
use tidegate_domain::roster::{Candidate, rosters};
use tidegate_domain::time::Elapsed;
use tidegate_sim::compare::{Entrant, compare};
use tidegate_sim::{Progress, catalogue};

use super::form::{Posted, text};
use super::signing_in::SignedIn;
use super::sorry::Sorry;
use crate::app::App;

/// What the editor can begin with, by name; the first where nobody says.
const BEGINNINGS: [(&str, &str); 5] = [
    ("default", include_str!("../../../../policies/default.toml")),
    ("few-devices", include_str!("../../../../policies/cookbook/few-devices.toml")),
    ("content-in-minutes", include_str!("../../../../policies/cookbook/content-in-minutes.toml")),
    ("software-in-days", include_str!("../../../../policies/cookbook/software-in-days.toml")),
    ("firmware-in-weeks", include_str!("../../../../policies/cookbook/firmware-in-weeks.toml")),
];
/// The downtime that releases are assumed to be allowed, as `tidegate policy check` assumes it.
const DOWNTIME: Elapsed = Elapsed::from_s(30);
/// Devices that are looked at while the state is held.
const PART: usize = 2_000;
/// What a bad release does, by scenario, and on how many devices it is simulated.
const FAULTS: [(&str, &str); 3] = [
    ("one_in_ten_crashes", "crashes one device in ten"),
    ("one_value_bricks", "breaks every device of one attribute's value"),
    ("one_stratum_bricks", "breaks every device of one stratum"),
];
const SIMULATED_DEVICES: u32 = 2_000;
const SEED: u64 = 1;
/// How long a simulation of all faults may take: others wait for it.
const SIMULATION_MAX: Duration = Duration::from_secs(15);

/// All policies, the latest first.
pub(super) async fn list(State(app): State<Arc<App>>, who: SignedIn) -> Result<Html<String>, Sorry> {
    let state = super::state(&app)?;
    let mut lines: Vec<PolicyLine> =
        state.policies().iter().map(|(digest, applied)| line(&state, *digest, applied)).collect();
    lines.sort_by_key(|line| (std::cmp::Reverse(line.applied_at_ms), line.digest));
    Ok(Html(pages::list(&lines, who.viewer())))
}

fn line(state: &Known, digest: Digest, applied: &AppliedPolicy) -> PolicyLine {
    let newer =
        |other: &AppliedPolicy| other.policy.name == applied.policy.name && other.applied_at_ms > applied.applied_at_ms;
    PolicyLine {
        name: applied.policy.name.clone(),
        digest,
        applied_at_ms: applied.applied_at_ms,
        current: !state.policies().values().any(newer),
    }
}

/// One policy.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    who: SignedIn,
    Path(digest): Path<String>,
) -> Result<Html<String>, Sorry> {
    let (line, text) = {
        let digest: Digest = digest.parse().map_err(|_| Sorry::Unknown("policy"))?;
        let state = super::state(&app)?;
        let applied = state.policies().get(&digest).ok_or(Sorry::Unknown("policy"))?;
        (line(&state, digest, applied), applied.text.clone())
    };
    let checked = checked(&app, &who, text).await;
    Ok(Html(pages::page(&line, &checked, who.viewer())))
}

/// Where the editor begins.
#[derive(Debug, Deserialize)]
pub(super) struct Origin {
    from: Option<Digest>,
    #[serde(default)]
    with: String,
}

/// The editor, with a policy that is there or a new one.
pub(super) async fn editor(
    State(app): State<Arc<App>>,
    who: SignedIn,
    Query(Origin { from, with }): Query<Origin>,
) -> Result<Html<String>, Sorry> {
    let text = match from {
        Some(digest) => super::state(&app)?.policies().get(&digest).ok_or(Sorry::Unknown("policy"))?.text.clone(),
        None => beginning(&with).to_owned(),
    };
    let checked = checked(&app, &who, text).await;
    Ok(editor_page(&checked, None, &who))
}

/// The editor with what was written, checked.
pub(super) async fn written(
    State(app): State<Arc<App>>,
    Posted { who, fields }: Posted,
) -> Result<Html<String>, Sorry> {
    let checked = checked(&app, &who, text(&fields, "text")).await;
    Ok(editor_page(&checked, None, &who))
}

/// The policy of this name, or the first.
fn beginning(name: &str) -> &'static str {
    let named = BEGINNINGS.iter().find(|(known, _)| *known == name);
    named.or(BEGINNINGS.first()).map_or("", |(_, text)| *text)
}

/// A page of the editor.
fn editor_page(checked: &Checked, preview: Option<&Preview>, who: &SignedIn) -> Html<String> {
    Html(pages::editor(checked, preview, &BEGINNINGS.map(|(name, _)| name), who.viewer()))
}

/// What was written, checked, as a part of the page.
pub(super) async fn check(State(app): State<Arc<App>>, Posted { who, fields }: Posted) -> Result<Html<String>, Sorry> {
    Ok(Html(pages::checked(&checked(&app, &who, text(&fields, "text")).await)))
}

/// What was written, as a file.
pub(super) async fn file(Posted { fields, .. }: Posted) -> Response {
    let named = [
        (header::CONTENT_TYPE, "application/toml; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"policy.toml\""),
    ];
    (named, format!("{}\n", text(&fields, "text"))).into_response()
}

/// Begins a simulation of what was written.
pub(super) async fn simulate(State(app): State<Arc<App>>, Posted { who, fields }: Posted) -> Result<Response, Sorry> {
    let text = text(&fields, "text");
    let Ok(policy) = Policy::parse(&text) else {
        let checked = checked(&app, &who, text).await;
        return Ok(editor_page(&checked, None, &who).into_response());
    };
    let digest = Policy::digest_of(&text);
    app.shops.previews.ask(&who.name, digest, move || (text, preview(&policy, SIMULATION_MAX))).await;
    if app.shops.previews.look(&digest).await.is_none() {
        return Err(Sorry::NotNow("Others are being simulated already: try again in a moment.".to_owned()));
    }
    Ok(Redirect::to(&format!("/console/policies/preview/{digest}")).into_response())
}

/// A simulation that was begun: the editor with what came of it, or a page that looks again.
pub(super) async fn simulated(
    State(app): State<Arc<App>>,
    who: SignedIn,
    Path(digest): Path<String>,
) -> Result<Html<String>, Sorry> {
    let digest: Digest = digest.parse().map_err(|_| Sorry::Unknown("simulation"))?;
    let Some(known) = app.shops.previews.look(&digest).await else { return Err(Sorry::Unknown("simulation")) };
    let Some(made) = known else { return Ok(Html(pages::waiting(who.viewer()))) };
    let (text, preview) = &*made;
    let checked = checked(&app, &who, text.clone()).await;
    Ok(editor_page(&checked, Some(preview), &who))
}

/// What a text comes to on this fleet.
async fn checked(app: &Arc<App>, who: &SignedIn, text: String) -> Checked {
    let outcome = match Policy::parse(&text) {
        Err(error) => Outcome::Wrong(error.to_string()),
        Ok(policy) => {
            let (mine, of) = (policy.clone(), app.clone());
            let devices = app.desk.state().map_or(0, |state| state.devices().len());
            let key = Digest::of(format!("{devices} {}", Policy::digest_of(&text)).as_bytes());
            let held = app.shops.held.ask(&who.name, key, move || held_against(&of, &mine)).await;
            Outcome::Right { policy: Box::new(policy), held: held.as_deref().cloned().flatten().map(Box::new) }
        }
    };
    Checked { text, outcome }
}

/// What a policy would do on the devices that are enrolled; none where there are none.
fn held_against(app: &App, policy: &Policy) -> Option<HeldAgainst> {
    let mut strata: BTreeMap<StratumName, Vec<u32>> = BTreeMap::new();
    let mut after: Option<DeviceId> = None;
    let envelope: Option<Envelope> = super::state(app).ok()?.envelope().map(|(_, envelope, _)| envelope.clone());
    loop {
        let candidates: Vec<Candidate> = {
            let state = super::state(app).ok()?;
            let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let devices: Vec<_> = state.devices().range((from, Bound::Unbounded)).take(PART).collect();
            let Some((last, _)) = devices.last() else { break };
            after = Some((*last).clone());
            let meant = devices
                .into_iter()
                .filter(|(_, device)| device.retired.is_none() && policy.select.matches(&device.enrolment.attributes));
            let candidate = |(id, device): (&DeviceId, &Arc<tidegate_control::state::Device>)| Candidate {
                device: id.clone(),
                ring: device.enrolment.ring.clone(),
                attributes: device.enrolment.attributes.clone(),
            };
            meant.map(candidate).collect()
        };
        // Any seed will do: only how many stand where counts.
        let part = FleetEstimate::of_rosters(policy, &rosters(policy, &Digest::of(b"forecast"), candidates), DOWNTIME);
        for (stratum, rings) in part.strata {
            let sums = strata.entry(stratum).or_insert_with(|| vec![0; rings.len()]);
            sums.iter_mut().zip(rings).for_each(|(sum, more)| *sum = sum.saturating_add(more));
        }
    }
    if strata.is_empty() {
        return None;
    }
    let mut sizes: Vec<(StratumName, u32)> = strata
        .iter()
        .map(|(name, rings)| (name.clone(), rings.iter().fold(0_u32, |sum, more| sum.saturating_add(*more))))
        .collect();
    sizes.sort_by_key(|(_, devices)| std::cmp::Reverse(*devices));
    let fleet = FleetEstimate { strata, downtime: DOWNTIME };
    Some(HeldAgainst { check: policy_check::check(policy, envelope.as_ref(), &fleet), strata: sizes })
}

/// What a simulated fleet makes of a policy, as far as that is known in a bounded time.
fn preview(policy: &Policy, at_most: Duration) -> Preview {
    let begun = Instant::now();
    let in_time: Progress<'_> =
        &|_| if begun.elapsed() < at_most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    let mut preview = Preview {
        devices: SIMULATED_DEVICES,
        changes: Vec::new(),
        whole_fleet_s: None,
        worst: Vec::new(),
        cut_short: false,
    };
    for (name, fault) in FAULTS {
        let scenario = catalogue::scenario(name).and_then(Result::ok);
        let Some(scenario) = scenario.and_then(|one| one.with_devices(SIMULATED_DEVICES).ok()) else { continue };
        let entrants = [Entrant::Policy(Box::new(policy.clone()))];
        let Some(fared) = compare(&scenario, &entrants, SEED, 1, in_time).into_iter().next() else { continue };
        preview.whole_fleet_s = preview.whole_fleet_s.or(fared.sound.fleet_done_s());
        preview
            .changes
            .extend(fared.notes.into_iter().filter(|note| !preview.changes.contains(note)).collect::<Vec<_>>());
        preview.worst.push(Harm {
            fault: fault.to_owned(),
            exposed: fared.outcome.exposed,
            harmed: fared.outcome.harmed,
            halted_s: fared.outcome.halt_s(),
        });
        if begun.elapsed() >= at_most {
            preview.cut_short = true;
            break;
        }
    }
    preview
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_editor_begins_with_a_policy_that_can_be_read_whatever_is_asked_for() {
        for (name, text) in BEGINNINGS {
            assert_eq!(Policy::parse(text).unwrap().name.as_str(), name);
            assert_eq!(beginning(name), text);
        }
        assert_eq!(beginning("../../etc/passwd"), BEGINNINGS[0].1);
    }

    #[test]
    fn a_simulation_that_takes_too_long_ends_and_says_so() {
        let policy = Policy::parse(beginning("default")).unwrap();
        let cut = preview(&policy, Duration::ZERO);
        assert!(cut.cut_short && cut.worst.len() == 1, "{cut:?}");
        let whole = preview(&policy, Duration::from_secs(600));
        assert!(!whole.cut_short && whole.worst.len() == FAULTS.len() && whole.whole_fleet_s.is_some(), "{whole:?}");
    }
}
