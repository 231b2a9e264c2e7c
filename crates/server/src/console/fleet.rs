//! The fleet's page with its search, and a device's page.

use std::ops::Bound;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Html;
use serde::Deserialize;
use tidegate_console::device::{self, Attempt, DevicePage, Reported, Running};
use tidegate_console::fleet::{self, DeviceLine, FleetPage};
use tidegate_control::command::report_keys;
use tidegate_control::contract::{Entry, Request, Table};
use tidegate_control::state::{Course, Device, State as Known};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, PackageName, RingName, Version};
use tidegate_domain::observation::Observation;
use tidegate_domain::rollout::place::Stage;
use tidegate_domain::selector::Selector;
use tidegate_trust::records::Report;
use tidegate_trust::signed::Unverified;

use super::census::{census, health, heard_at, release_name, version_of};
use super::signing_in::SignedIn;
use super::sorry::Sorry;
use crate::app::App;
use crate::clock::now;
use crate::operator_api::incidents;

/// Devices of a page, and devices that are looked through for it.
const FOUND_MAX: usize = 50;
/// Packages that a line names.
const PACKAGES_MAX: usize = 4;
const LOOKED_THROUGH_MAX: usize = 50_000;
/// Rollouts and reports that a device's page names.
const ATTEMPTS_MAX: usize = 50;
const REPORTS_MAX: u64 = 50;

/// What is searched for.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    select: String,
    after: Option<DeviceId>,
    ring: Option<String>,
    health: Option<String>,
    package: Option<PackageName>,
    release: Option<String>,
}

impl Wanted {
    /// What the search is narrowed to besides, as pairs of a query.
    fn narrowed(&self) -> Vec<(&'static str, String)> {
        let package = self.package.as_ref().map(ToString::to_string);
        let all = [
            ("ring", self.ring.clone()),
            ("health", self.health.clone()),
            ("package", package),
            ("release", self.release.clone()),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    fn takes(&self, state: &Known, device: &Device) -> bool {
        let label = device.enrolment.ring.as_ref().map_or("none", RingName::as_str);
        let runs = |release: &str| {
            let said = self.package.as_ref().and_then(|package| Some((package, device.said.get(package)?)));
            said.is_some_and(|(package, said)| release_name(state, package, said.current) == release)
        };
        self.ring.as_deref().is_none_or(|ring| ring == label)
            && self.health.as_deref().is_none_or(|word| device.retired.is_none() && health(device) == word)
            && self.package.as_ref().is_none_or(|package| device.said.contains_key(package))
            && self.release.as_deref().is_none_or(runs)
    }
}

/// The fleet.
pub(super) async fn fleet(
    State(app): State<Arc<App>>,
    who: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Result<Html<String>, Sorry> {
    let text = wanted.select.trim().to_owned();
    let mut view = FleetPage { wanted: text.clone(), narrowed: wanted.narrowed(), ..FleetPage::default() };
    if text.is_empty() && view.narrowed.is_empty() {
        view.census = census(&app).await.as_deref().cloned();
    }
    let state = super::state(&app)?;
    match Search::of(&text) {
        Ok(search) => search.run(&app, &state, &wanted, &mut view),
        Err(problem) => view.problem = Some(problem),
    }
    Ok(Html(fleet::page(&view, who.viewer())))
}

/// What is wanted: devices that a selector means, or whose name begins so.
enum Search {
    Selector(Selector),
    Beginning(String),
}

impl Search {
    fn of(text: &str) -> Result<Search, String> {
        if text.is_empty() {
            return Ok(Search::Selector(Selector::default()));
        }
        match (text.parse::<Selector>(), text.parse::<DeviceId>()) {
            (Ok(selector), _) => Ok(Search::Selector(selector)),
            (Err(_), Ok(beginning)) => Ok(Search::Beginning(beginning.to_string())),
            (Err(error), Err(_)) => Err(error.to_string()),
        }
    }

    fn run(&self, app: &App, state: &Known, wanted: &Wanted, view: &mut FleetPage) {
        let beginning = match self {
            Search::Beginning(text) => text.parse::<DeviceId>().ok(),
            Search::Selector(_) => None,
        };
        let from = match (wanted.after.as_ref(), &beginning) {
            (Some(after), _) => Bound::Excluded(after),
            (None, Some(beginning)) => Bound::Included(beginning),
            (None, None) => Bound::Unbounded,
        };
        let mut devices = state.devices().range((from, Bound::Unbounded));
        let mut last = None;
        for (id, device) in devices.by_ref().take(LOOKED_THROUGH_MAX) {
            let (is_it, is_past) = match self {
                Search::Selector(selector) => (selector.matches(&device.enrolment.attributes), false),
                Search::Beginning(text) => (id.as_str().starts_with(text), !id.as_str().starts_with(text)),
            };
            if is_past {
                return;
            }
            view.looked_through += 1;
            last = Some(id.clone());
            if is_it && wanted.takes(state, device) {
                view.found.push(line(app, state, id, device));
            }
            if view.found.len() == FOUND_MAX {
                break;
            }
        }
        view.after = last.filter(|_| devices.next().is_some());
    }
}

fn line(app: &App, state: &Known, id: &DeviceId, device: &Device) -> DeviceLine {
    DeviceLine {
        device: id.clone(),
        ring: device.enrolment.ring.clone(),
        attributes: device.enrolment.attributes.clone(),
        health: if device.retired.is_some() { "retired" } else { health(device) },
        runs: device
            .said
            .iter()
            .take(PACKAGES_MAX)
            .map(|(package, said)| (package.clone(), release_name(state, package, said.current)))
            .collect(),
        heard_at_ms: heard_at(app, id, device),
    }
}

/// A device.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    who: SignedIn,
    Path(id): Path<String>,
) -> Result<Html<String>, Sorry> {
    let id: DeviceId = id.parse().map_err(|_| Sorry::Unknown("device"))?;
    let reports = reports(&app, &id).await?;
    let state = super::state(&app)?;
    let known = state.device(&id).ok_or(Sorry::Unknown("device"))?;
    let (at, attributes) = (now(), &known.enrolment.attributes);
    let holds = state.holds().iter().filter(|(_, hold)| hold.is_in_force(at) && hold.means(&id, attributes));
    let mut attempts: Vec<(_, Attempt)> = state.rollouts().values().filter_map(|course| attempt(course, &id)).collect();
    attempts.sort_by_key(|(started, _)| std::cmp::Reverse(*started));
    let view = DevicePage {
        device: id.clone(),
        ring: known.enrolment.ring.clone(),
        attributes: attributes.clone(),
        health: if known.retired.is_some() { "retired" } else { health(known) },
        enrolled_at_ms: known.enrolled_at_ms,
        seen_at_ms: app.presence.seen_at(&id),
        heard_at_ms: known.heard_at_ms,
        retired: known.retired.as_ref().map(|retired| (retired.at_ms, retired.by.clone(), retired.reason.clone())),
        holds: holds.map(|(number, hold)| (*number, hold.reason.clone())).collect(),
        packages: packages(&app, &state, &id, known),
        attempts: attempts.into_iter().map(|(_, attempt)| attempt).take(ATTEMPTS_MAX).collect(),
        reports,
    };
    Ok(Html(device::page(&view, who.viewer())))
}

fn packages(app: &App, state: &Known, id: &DeviceId, known: &Device) -> Vec<Running> {
    let seen = app.presence.seen(id);
    let named = |package: &PackageName, release: Option<Digest>| -> Option<(Digest, Option<Version>)> {
        release.map(|release| (release, version_of(state, package, &release)))
    };
    let checked_in = seen.as_ref().map(|seen| seen.packages.as_slice()).unwrap_or_default();
    let trouble = |package: &PackageName| {
        let trouble = known.said.get(package)?.trouble.as_ref()?;
        Some((trouble.what.clone(), trouble.detail.clone(), trouble.at_ms))
    };
    let now_running = checked_in.iter().map(|status| Running {
        package: status.package.clone(),
        current: named(&status.package, status.current),
        fallback: named(&status.package, status.fallback),
        state: status.state.clone(),
        healthy: status.healthy,
        trouble: trouble(&status.package),
    });
    let silent = known.said.iter().filter(|(package, _)| !checked_in.iter().any(|status| status.package == **package));
    let last_known = silent.map(|(package, said)| Running {
        package: package.clone(),
        current: named(package, said.current),
        fallback: named(package, said.fallback),
        state: format!("{} when it last said so", said.word),
        healthy: matches!(said.word.as_str(), "healthy" | "proven" | "returned"),
        trouble: trouble(package),
    });
    now_running.chain(last_known).collect()
}

fn attempt(course: &Course, id: &DeviceId) -> Option<(tidegate_domain::time::WallTime, Attempt)> {
    let (_, row, place) = course.rollout.place_of(id)?;
    let taken = match &place.stage {
        Stage::Taken(taken) => Some(taken),
        _ => None,
    };
    let word = match &place.stage {
        Stage::Waiting => "waiting",
        Stage::Control { .. } => "control",
        Stage::Open { .. } => "open",
        Stage::Lapsed => "lapsed",
        Stage::Taken(taken) => incidents::word(taken),
    };
    let ring = course.rollout.policy().rings.get(usize::from(place.ring))?;
    let identity = course.rollout.identity();
    let attempt = Attempt {
        rollout: identity.rollout.clone(),
        version: identity.version.clone(),
        ring: ring.name.clone(),
        stratum: course.rollout.stratum(row.stratum)?.to_string(),
        taken_at_ms: taken.map(|taken| taken.at_ms),
        state: word.to_owned(),
    };
    Some((identity.started_at_ms, attempt))
}

/// What a device reported lately, as it is kept; the latest first.
async fn reports(app: &App, id: &DeviceId) -> Result<Vec<Reported>, Sorry> {
    let keys = {
        let state = super::state(app)?;
        let known = state.device(id).ok_or(Sorry::Unknown("device"))?;
        report_keys(id, known, REPORTS_MAX)
    };
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let found = app.log.perform(Request::Find { table: Table::Reports, keys }).await;
    let entries = found.and_then(|reply| reply.into_entries()).map_err(|e| Sorry::NotNow(e.to_string()))?;
    let reported = |entry: &Entry| {
        let record: Unverified<Report> = serde_json::from_slice(&entry.content.body).ok()?;
        let report = record.danger_unchecked_body().ok()?;
        Some(Reported {
            at_ms: entry.content.at,
            seq: report.seq,
            package: report.package,
            what: words(&report.observation),
            detail: report.detail,
        })
    };
    Ok(entries.iter().rev().filter_map(reported).collect())
}

fn words(observation: &Observation) -> String {
    let word = observation.word().replace('_', " ");
    match observation {
        Observation::Failed { reason, attempt } => {
            format!("{word}: {}, attempt {attempt}", reason.word().replace('_', " "))
        }
        Observation::Returned { reason } | Observation::NeedsHands { reason } => {
            format!("{word}: {}", reason.word().replace('_', " "))
        }
        Observation::Refused { reason } => format!("{word}: {}", reason.word().replace('_', " ")),
        _ => word,
    }
}
