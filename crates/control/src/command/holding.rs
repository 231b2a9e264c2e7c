//! Holding devices back for a while, and letting them go. To hold needs the least role, to let go one that may open.

use tidegate_domain::ids::OperatorName;
use tidegate_domain::time::WallTime;

use super::confined::moves;
use super::stopping::cut;
use super::{Answer, Refusal, Staged, Why, done};
use crate::decision::Decision;
use crate::hold::Hold;
use crate::state::State;

/// The most holds that are in force or to come.
pub const HOLDS_MAX: usize = 200;
/// The most devices that one names.
pub const HELD_DEVICES_MAX: usize = 1_000;
/// The most windows of one: six a week for longer than a year.
pub const WINDOWS_MAX: usize = 400;

pub(super) fn hold(state: &State, now: WallTime, hold: Hold) -> Result<Staged, Refusal> {
    let wrong = |kind, detail: String| Err(Refusal::new(Why::Invalid, kind, detail));
    if state.holds().values().filter(|hold| !hold.is_over(now)).count() >= HOLDS_MAX {
        let detail = format!("there are {HOLDS_MAX} holds: lift some first");
        return Err(Refusal::new(Why::Conflict, "too_many_holds", detail));
    }
    if hold.devices.len() > HELD_DEVICES_MAX {
        let detail = format!(
            "field `devices` names {}: at most {HELD_DEVICES_MAX}; a selector means as many as you like",
            hold.devices.len()
        );
        return wrong("devices", detail);
    }
    if let Some(unknown) = hold.devices.iter().find(|device| state.device(device).is_none()) {
        return Err(Refusal::new(Why::Unknown, "unknown_device", format!("there is no device {unknown}")));
    }
    if hold.until_ms.is_some_and(|until| until <= hold.from_ms || until <= now) {
        return wrong("until", "field `until_ms` must lie after `from_ms` and after now".to_owned());
    }
    if let Some(windows) = &hold.windows {
        let ordered = windows.open.windows(2).all(|pair| matches!(pair, [a, b] if a.1 <= b.0));
        let good = ordered && windows.open.iter().all(|(from, until)| from < until);
        if windows.open.is_empty() || windows.open.len() > WINDOWS_MAX || !good {
            let detail = format!("{} windows: expected 1 to {WINDOWS_MAX} that follow each other", windows.open.len());
            return wrong("windows", detail);
        }
    }
    let number = state.holds_made + 1;
    let hold = Hold { reason: cut(&hold.reason), ..hold };
    done(now, vec![Decision::Held { number, hold: Box::new(hold) }], Answer::Held(number))
}

pub(super) fn lift(
    state: &State,
    now: WallTime,
    number: u32,
    by: OperatorName,
    reason: &str,
) -> Result<Staged, Refusal> {
    let Some(hold) = state.holds().get(&number) else {
        return Err(Refusal::new(Why::Unknown, "unknown_hold", format!("there is no hold {number}, or it was lifted")));
    };
    moves(state, &by, hold.package.as_ref())?;
    done(now, vec![Decision::HoldLifted { number, by, reason: cut(reason) }], Answer::Done)
}
