//! Incidents that people open, and what they do about any. The rules of a case stand in the domain.

use tidegate_domain::case::{Act, Case, CaseRefusal};
use tidegate_domain::ids::{IncidentId, OperatorName, PackageName};
use tidegate_domain::time::WallTime;

use super::{Answer, Refusal, Staged, Why, done};
use crate::decision::{Decision, OperatorRole};
use crate::state::{Operator, State};

/// The most incidents that people open whose cases are not closed.
const OPEN_BY_HAND_MAX: usize = 1_000;

pub(super) fn open(
    state: &State,
    now: WallTime,
    by: OperatorName,
    title: String,
    package: Option<PackageName>,
    noticed_at_ms: WallTime,
) -> Result<Staged, Refusal> {
    let open = state.cases().values().filter(|case| !case.halted && case.stage().next().is_some()).count();
    if open >= OPEN_BY_HAND_MAX {
        let detail = format!("{OPEN_BY_HAND_MAX} incidents that people opened are not closed: close some first");
        return Err(Refusal::new(Why::Conflict, "case_full", detail));
    }
    if let Some(package) = package.as_ref().filter(|package| !state.releases().contains_key(*package)) {
        return Err(Refusal::new(Why::Unknown, "unknown_package", format!("there is no package {package}")));
    }
    Case::by_hand(&title, package.clone(), noticed_at_ms, by.clone(), now).map_err(|e| refused(&e))?;
    let incident = state.next_by_hand();
    let opened = Decision::IncidentOpened { incident: incident.clone(), by, title, package, noticed_at_ms };
    done(now, vec![opened], Answer::Opened(incident))
}

pub(super) fn work_on(
    state: &State,
    now: WallTime,
    incident: IncidentId,
    by: OperatorName,
    act: Act,
) -> Result<Staged, Refusal> {
    let unknown = |kind, detail| Refusal::new(Why::Unknown, kind, detail);
    let case = state.cases().get(&incident);
    let case = case.ok_or_else(|| unknown("unknown_incident", format!("there is no incident {incident}")))?;
    if let Some(who) = act.names().filter(|who| !state.operators().contains_key(*who)) {
        return Err(unknown("unknown_operator", format!("there is no operator {who}")));
    }
    if let Act::Task { device: Some(device), .. } = &act
        && state.device(device).is_none()
    {
        return Err(unknown("unknown_device", format!("there is no device {device}")));
    }
    case.may(&act, &by, now).map_err(|e| refused(&e))?;
    let opens = matches!(&act, Act::Done { task, .. } if case.blocking().any(|(number, _)| number == *task));
    let may_open = |operator: &Operator| {
        operator.role >= OperatorRole::Approver
            && case.package.as_ref().is_none_or(|package| operator.concerns(package))
    };
    if opens && !state.operators().get(&by).is_some_and(may_open) {
        let detail = "a lesson that blocks a package is done when an approver of the package says so: it lets releases be ordered again";
        return Err(Refusal::new(Why::NotAllowed, "blocking_lesson", detail));
    }
    done(now, vec![Decision::Incident { incident, by, act: Box::new(act) }], Answer::Done)
}

fn refused(refusal: &CaseRefusal) -> Refusal {
    let why = match refusal {
        CaseRefusal::Text { .. } | CaseRefusal::ToCome { .. } | CaseRefusal::BeforeTheLast { .. } => Why::Invalid,
        CaseRefusal::NotCommander(_) => Why::NotAllowed,
        CaseRefusal::NoTask(_) => Why::Unknown,
        CaseRefusal::NotNext { .. }
        | CaseRefusal::ByItself(_)
        | CaseRefusal::WorkLeft { .. }
        | CaseRefusal::Closed
        | CaseRefusal::TooMany { .. } => Why::Conflict,
    };
    Refusal::new(why, refusal.kind(), refusal)
}
