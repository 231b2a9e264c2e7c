//! Taking a device out of the fleet: its token is good for nothing from then on, and its id is free for a new key.

use tidegate_domain::ids::{DeviceId, OperatorName};
use tidegate_domain::time::WallTime;

use super::confined::moves;
use super::stopping::cut;
use super::{Answer, Refusal, Staged, Why, done, nothing};
use crate::decision::Decision;
use crate::state::State;

pub(super) fn retire(
    state: &State,
    now: WallTime,
    device: &DeviceId,
    by: OperatorName,
    reason: &str,
) -> Result<Staged, Refusal> {
    let Some(known) = state.device(device) else {
        return Err(Refusal::new(Why::Unknown, "unknown_device", format!("there is no device {device}")));
    };
    moves(state, &by, None)?;
    if known.retired.is_some() {
        return nothing(Answer::Done);
    }
    done(now, vec![Decision::Retired { device: device.clone(), by, reason: cut(reason) }], Answer::Done)
}
