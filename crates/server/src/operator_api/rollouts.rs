//! `/rollouts`: drafting, starting, watching, stopping.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tidegate_control::command::{Answer, Command, DraftRequest as Wanted, draft as make_draft};
use tidegate_control::state::{Course, State as Known};
use tidegate_domain::ids::{DeviceId, PackageName, RolloutId};
use tidegate_domain::policy::Policy;
use tidegate_domain::rollout::Phase;
use tidegate_domain::rollout::report::StepReport;
use tidegate_domain::time::WallTime;
use tidegate_trust::signed::Unverified;
use tidegate_wire::operator::{ApprovalRequest, DraftAnswer, DraftRequest, ReasonRequest, RolloutView, StartRequest};

use super::concluded;
use super::metadata::require_files;
use super::page::Page;
use super::person::{Approver, Person, Viewer};
use super::status::P4;
use crate::app::App;
use crate::asked::{Asked, Named};
use crate::body::Json;
use crate::clock::now;
use crate::problem::Refused;
use crate::random;

const REASON_CHARS_MAX: usize = 500;

/// Makes an order to sign. It can be signed for ten minutes, and for a day where approvers sign it too.
#[utoipa::path(post, path = "/rollouts/draft", tag = "rollouts", request_body = DraftRequest,
    responses((status = OK, body = DraftAnswer)))]
pub(crate) async fn draft(
    State(app): State<Arc<App>>,
    person: Person<Approver>,
    Json(DraftRequest { package, version, policy, resume, without }): Json<DraftRequest>,
) -> Result<axum::Json<DraftAnswer>, Refused> {
    person.may_move(&package)?;
    let manifest = app.desk.state()?.release(&package, &version).map(|release| release.manifest.clone());
    if let Some(manifest) = manifest {
        // What was deleted because nothing seemed to need it must be there again first.
        require_files(&app, &manifest).await?;
    }
    let rank_seed = random::seed()?;
    let resume = resume_without(resume, without)?;
    let made = {
        let state = app.desk.state()?;
        let at = now();
        let eligible = |device: &DeviceId, policy: &Policy| is_eligible(&app, &state, device, &package, policy, at);
        let idle_check_in = app.idle_check_in;
        let wanted = Wanted { package: package.clone(), version, policy, rank_seed, idle_check_in, resume };
        make_draft(&state, at, wanted, &eligible)?
    };
    let order = Unverified::draft(&made.order).map_err(|e| Refused::internal(e.to_string()))?;
    let answer = DraftAnswer {
        order: order.clone(),
        devices: made.devices as u64,
        first_window: u64::from(made.first_window),
        approvals: made.approvals,
    };
    app.keep_draft(order.digest(), made);
    Ok(axum::Json(answer))
}

/// The devices that a draft leaves out, where it is to resume.
fn resume_without(resume: bool, without: Vec<DeviceId>) -> Result<Option<BTreeSet<DeviceId>>, Refused> {
    if !resume && !without.is_empty() {
        let detail = "field `without` names devices, but field `resume` is false: expected true with it";
        return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "without", detail));
    }
    Ok(resume.then(|| without.into_iter().collect()))
}

/// A device is eligible that was heard of recently and that runs the package.
fn is_eligible(
    app: &App,
    state: &Known,
    device: &DeviceId,
    package: &PackageName,
    policy: &Policy,
    at: WallTime,
) -> bool {
    let Some(known) = state.device(device) else { return false };
    let seen = app.presence.seen(device);
    let last = seen.as_ref().map_or(known.heard_at_ms, |seen| seen.at.max(known.heard_at_ms));
    let runs = match &seen {
        Some(seen) => seen.packages.iter().any(|status| status.package == *package),
        None => known.said.contains_key(package),
    };
    runs && at.since(last) <= policy.pace.recently_seen
}

/// Starts a rollout: the draft, signed by an order key.
#[utoipa::path(post, path = "/rollouts", tag = "rollouts", request_body = StartRequest,
    responses((status = CREATED, body = RolloutView)))]
pub(crate) async fn start(
    State(app): State<Arc<App>>,
    person: Person<Approver>,
    Json(StartRequest { order }): Json<StartRequest>,
) -> Result<(StatusCode, axum::Json<RolloutView>), Refused> {
    let digest = order.digest();
    // An order that has started already needs no draft: a repeated request gets the same answer.
    let started = app.desk.state()?.rollout_of_order(&digest).map(|course| course.order_body.rollout.clone());
    let id = match (started, app.draft(&digest)) {
        (Some(id), None) => id,
        (_, Some(draft)) => {
            person.may_move(&draft.order.package)?;
            let command = Command::Start { order: Box::new(order), draft: Box::new(draft) };
            let Answer::Started(id) = app.desk.ask(command).await? else {
                return Err(Refused::internal("an order was not answered with a rollout"));
            };
            id
        }
        (None, None) => {
            let detail = "the order is none that this server drafted lately (ten minutes; a day where approvers sign it too): ask for a draft, sign it";
            return Err(Refused::new(StatusCode::CONFLICT, "not_the_draft", detail));
        }
    };
    Ok((StatusCode::CREATED, axum::Json(found(&app, &id)?)))
}

/// All rollouts.
#[utoipa::path(get, path = "/rollouts", tag = "rollouts", params(Page),
    responses((status = OK, body = Vec<RolloutView>)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
    Asked(page): Asked<Page>,
) -> Result<Response, Refused> {
    let state = app.desk.state()?;
    let at = now();
    page.answer(state.rollouts().iter().map(|(id, course)| (id.to_string(), course)), |course| view(&state, course, at))
}

/// A rollout: rings, windows, verdict with its reasons.
#[utoipa::path(get, path = "/rollouts/{rollout}", tag = "rollouts", params(("rollout" = String, Path)),
    responses((status = OK, body = RolloutView)))]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
    Named(rollout): Named<RolloutId>,
) -> Result<axum::Json<RolloutView>, Refused> {
    found(&app, &rollout).map(axum::Json)
}

/// Stops the opening for a while. Needs the least role: closing is cheap.
#[utoipa::path(post, path = "/rollouts/{rollout}/pause", tag = "rollouts", params(("rollout" = String, Path)),
    request_body = ReasonRequest, responses((status = OK, body = RolloutView)))]
pub(crate) async fn pause(
    State(app): State<Arc<App>>,
    person: Person<Viewer>,
    Named(rollout): Named<RolloutId>,
    Json(request): Json<ReasonRequest>,
) -> Result<axum::Json<RolloutView>, Refused> {
    let reason = reason(request)?;
    app.desk.ask(Command::Pause { rollout: rollout.clone(), by: person.name, reason }).await?;
    found(&app, &rollout).map(axum::Json)
}

/// Lets a paused rollout go on.
#[utoipa::path(post, path = "/rollouts/{rollout}/resume", tag = "rollouts", params(("rollout" = String, Path)),
    request_body = ReasonRequest, responses((status = OK, body = RolloutView)))]
pub(crate) async fn resume(
    State(app): State<Arc<App>>,
    person: Person<Approver>,
    Named(rollout): Named<RolloutId>,
    Json(request): Json<ReasonRequest>,
) -> Result<axum::Json<RolloutView>, Refused> {
    let reason = reason(request)?;
    app.desk.ask(Command::Resume { rollout: rollout.clone(), by: person.name, reason }).await?;
    found(&app, &rollout).map(axum::Json)
}

/// Lets the next ring of a rollout open once the one before it has passed, by a record that an approver's own key signed: whoever may order signs
/// none. Who brings it has the role that the policy's ring asks for.
#[utoipa::path(post, path = "/rollouts/{rollout}/approve", tag = "rollouts", params(("rollout" = String, Path)),
    request_body = ApprovalRequest, responses((status = OK, body = RolloutView)))]
pub(crate) async fn approve(
    State(app): State<Arc<App>>,
    person: Person<Viewer>,
    Named(rollout): Named<RolloutId>,
    Json(request): Json<ApprovalRequest>,
) -> Result<axum::Json<RolloutView>, Refused> {
    let ApprovalRequest { approval, reason: why } = request;
    let reason = reason(ReasonRequest { reason: why })?;
    let approval = Box::new(approval);
    app.desk.ask(Command::Approve { rollout: rollout.clone(), approval, by: person.name, reason }).await?;
    found(&app, &rollout).map(axum::Json)
}

pub(crate) fn reason(request: ReasonRequest) -> Result<String, Refused> {
    let reason = request.reason.trim().to_owned();
    let chars = reason.chars().count();
    if !(1..=REASON_CHARS_MAX).contains(&chars) {
        let detail = format!("field `reason` has {chars} characters: expected 1 to {REASON_CHARS_MAX}");
        return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "reason", detail));
    }
    Ok(reason)
}

fn found(app: &App, id: &RolloutId) -> Result<RolloutView, Refused> {
    let state = app.desk.state()?;
    state.rollouts().get(id).map(|course| view(&state, course, now())).ok_or_else(|| concluded::unknown(&state, id))
}

pub(crate) fn view(state: &Known, course: &Course, at: WallTime) -> RolloutView {
    let rollout = &course.rollout;
    let identity = rollout.identity();
    let report = StepReport::of(rollout, at);
    let ended_at_ms = match rollout.phase() {
        Phase::Halted { at_ms, .. } | Phase::Completed { at_ms } => Some(*at_ms),
        Phase::Running | Phase::Paused { .. } => None,
    };
    RolloutView {
        rollout: identity.rollout.clone(),
        package: identity.package.clone(),
        version: identity.version.clone(),
        release: identity.release,
        policy: identity.policy,
        order: identity.order,
        policy_name: rollout.policy().name.clone(),
        goes_on_from: rollout.goes_on_from().cloned(),
        quarantined: rollout.quarantined().iter().cloned().collect(),
        started_at_ms: identity.started_at_ms,
        first_take_at_ms: course.first_take_at_ms,
        ended_at_ms,
        first_window: course.first_window,
        permit_step: u32::try_from(course.permits.len()).unwrap_or(u32::MAX),
        p4: P4.to_owned(),
        reasons: report.reasons().into_iter().chain(holding(state, course, at)).collect(),
        report,
    }
}

/// The holds that keep devices from a rollout now, in words; none for one that gives nothing any more.
fn holding(state: &Known, course: &Course, at: WallTime) -> Vec<String> {
    if matches!(course.rollout.phase(), Phase::Halted { .. }) {
        return Vec::new();
    }
    let holds = state.holds().iter();
    let here = holds.filter(|(_, hold)| hold.concerns(&course.order_body.package) && hold.is_in_force(at));
    here.map(|(number, hold)| format!("hold {number} keeps devices back ({}): {}", hold.meant(), hold.reason)).collect()
}
