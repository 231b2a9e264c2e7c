//! The pages of rollouts.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{Html, Response};
use tidegate_console::approval::{self, ApprovalPage};
use tidegate_console::rollout::{self, CoursePoint, IncidentLine, RolloutPage, TroubledDevice};
use tidegate_console::rollouts::{self as list, RolloutLine};
use tidegate_control::command::draft_approval;
use tidegate_control::state::{Course, Point, State as Known};
use tidegate_domain::ids::{IncidentId, RingName, RolloutId};
use tidegate_domain::policy::OnHalt;
use tidegate_domain::rollout::reason::{Verdict, WaitReason};
use tidegate_domain::rollout::report::StepReport;
use tidegate_trust::signed::Unverified;

use super::events;
use super::signing_in::SignedIn;
use super::sorry::Sorry;
use crate::app::App;
use crate::clock::now;
use crate::operator_api::{incidents, rollouts as api};
use crate::problem::Refused;

/// The most rollouts of the list, and the most devices in trouble of a page.
const LINES_MAX: usize = 200;
const TROUBLED_MAX: usize = 50;

/// All rollouts.
pub(super) async fn rollouts(State(app): State<Arc<App>>, who: SignedIn) -> Result<Html<String>, Sorry> {
    let state = super::state(&app)?;
    let more = state.rollouts().len().saturating_sub(LINES_MAX);
    let (lines, _) = latest(&app, &state, |_| true);
    Ok(Html(list::page(&lines, more, who.viewer())))
}

/// The latest rollouts, those that are like this and the others, the latest first.
pub(super) fn latest(
    app: &App,
    state: &Known,
    is_it: impl Fn(&Course) -> bool,
) -> (Vec<RolloutLine>, Vec<RolloutLine>) {
    let mut courses: Vec<&Course> = state.rollouts().values().collect();
    courses.sort_by_key(|course| {
        (Reverse(course.rollout.identity().started_at_ms), course.rollout.identity().rollout.clone())
    });
    let (these, others): (Vec<&Course>, Vec<&Course>) = courses.into_iter().partition(|course| is_it(course));
    let lines = |courses: Vec<&Course>| courses.into_iter().take(LINES_MAX).map(|course| line(app, course)).collect();
    (lines(these), lines(others))
}

/// A rollout.
pub(super) async fn rollout(
    State(app): State<Arc<App>>,
    who: SignedIn,
    Path(rollout): Path<String>,
) -> Result<Html<String>, Sorry> {
    let view = view(&app, &rollout)?;
    Ok(Html(rollout::page(&view, who.viewer())))
}

/// Its changing part.
pub(super) async fn changes(
    State(app): State<Arc<App>>,
    who: SignedIn,
    Path(rollout): Path<String>,
) -> Result<Response, Sorry> {
    view(&app, &rollout)?;
    events::stream(app, who, move |app| view(app, &rollout).map(|view| rollout::part(&view)))
}

/// From the tallies alone: what the gate says of it is not worked out for a list.
fn line(app: &App, course: &Course) -> RolloutLine {
    let (identity, rings) = (course.rollout.identity(), || course.rollout.rings().map(|(_, tally)| tally));
    let stands = app.halts.holds(&identity.rollout);
    RolloutLine {
        places: rings().map(|ring| ring.places).sum(),
        proven: rings().map(|ring| ring.proven).sum(),
        harmed: rings().map(|ring| ring.failed.saturating_add(ring.silent)).sum(),
        phase: if stands { "halted" } else { course.rollout.phase().word() }.to_owned(),
        calls: course.rollout.calls_for().is_some(),
        rollout: identity.rollout.clone(),
        package: identity.package.clone(),
        version: identity.version.clone(),
        started_at_ms: identity.started_at_ms,
    }
}

/// A rollout as its page shows it.
pub(super) fn view(app: &App, rollout: &str) -> Result<RolloutPage, Sorry> {
    let id: RolloutId = rollout.parse().map_err(|_| Sorry::Unknown("rollout"))?;
    let state = super::state(app)?;
    let course = state.rollouts().get(&id).ok_or(Sorry::Unknown("rollout"))?;
    let view = api::view(&state, course, now());
    let troubled: Vec<TroubledDevice> = troubled(&state, course);
    let incident = state.incidents().get(&IncidentId::of(&id)).map(|incident| IncidentLine {
        incident: incident.id.clone(),
        state: incident.state.word().to_owned(),
        exposed: incident.devices.exposed,
        harmed: incident.devices.harmed,
        healed: incident.devices.healed,
        back_without_hands: incident.devices.back_without_hands,
        need_hands: incident.devices.needs_hands,
    });
    Ok(RolloutPage {
        halt_stands: app.halts.holds(&id),
        package: view.package,
        version: view.version,
        policy: view.policy_name,
        started_at_ms: view.started_at_ms,
        ended_at_ms: view.ended_at_ms,
        p4: view.p4,
        all_return: course.rollout.policy().on_halt == OnHalt::Revert,
        approval_wanted: approval_wanted(&view.report),
        calls: course.rollout.calls_for().is_some(),
        points: course.points.as_slice().iter().map(point).collect(),
        report: view.report,
        reasons: view.reasons,
        incident,
        rollout: id,
        troubled_count: troubled.len(),
        troubled: troubled.into_iter().take(TROUBLED_MAX).collect(),
    })
}

fn point(point: &Point) -> CoursePoint {
    let Point { at_ms, taken, proven, harmed, ln_evidence } = *point;
    CoursePoint { at_ms, taken, proven, harmed, ln_evidence }
}

/// The ring that needs somebody's approval.
fn approval_wanted(report: &StepReport) -> Option<RingName> {
    let Verdict::Wait(reasons) = &report.verdict else { return None };
    reasons.iter().find_map(|reason| match reason {
        WaitReason::Approval { ring, .. } => Some(ring.clone()),
        _ => None,
    })
}

/// What somebody would sign to let a ring open.
pub(super) async fn approval(
    State(app): State<Arc<App>>,
    who: SignedIn,
    Path(rollout): Path<String>,
) -> Result<Html<String>, Sorry> {
    let id: RolloutId = rollout.parse().map_err(|_| Sorry::Unknown("rollout"))?;
    let state = super::state(&app)?;
    let course = state.rollouts().get(&id).ok_or(Sorry::Unknown("rollout"))?;
    let ring = approval_wanted(&StepReport::of(&course.rollout, now())).ok_or(Sorry::Unknown("approval to give"))?;
    let body = draft_approval(&state, now(), &id, &ring).map_err(|refusal| Sorry::Failed(refusal.into()))?;
    let record = Unverified::draft(&body).map_err(|error| Sorry::Failed(Refused::internal(error.to_string())))?;
    let view = ApprovalPage {
        rollout: id,
        package: course.order_body.package.clone(),
        version: course.order_body.version.clone(),
        ring,
        places: body.places,
        expires_at_ms: body.expires_at_ms,
        bytes: record.bytes_to_sign().to_vec(),
    };
    Ok(Html(approval::page(&view, who.viewer())))
}

/// Those that need hands first, then those that are not back yet.
fn troubled(state: &Known, course: &Course) -> Vec<TroubledDevice> {
    let package = &course.order_body.package;
    let incident = state.incidents().get(&IncidentId::of(&course.order_body.rollout));
    let mut troubled: Vec<TroubledDevice> = course
        .rollout
        .taken()
        .filter(|(_, taken)| taken.needs_hands || taken.returned || taken.failed.is_some() || taken.overdue)
        .map(|(device, taken)| {
            let halted = incident.and_then(|incident| incident.words.get(device));
            let said = || state.device(device).and_then(|device| device.said.get(package)?.trouble.as_ref());
            let trouble = halted.or_else(said);
            TroubledDevice {
                device: device.clone(),
                taken_at_ms: taken.at_ms,
                state: incidents::word(taken).to_owned(),
                words: trouble.map_or_else(String::new, |trouble| format!("{}: {}", trouble.what, trouble.detail)),
            }
        })
        .collect();
    let rank = |state: &str| ["needs_hands", "silent", "failed", "returned"].iter().position(|word| *word == state);
    troubled.sort_by_key(|one| (rank(&one.state), one.taken_at_ms, one.device.clone()));
    troubled
}
