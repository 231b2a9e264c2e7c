//! How a device joins: the chain from enrolment key to token to device, held against what the token allows.

use tidegate_domain::digest::Digest;
use tidegate_domain::time::WallTime;
use tidegate_trust::keys::Scope;
use tidegate_trust::records::{Enrolment, EnrolmentPair, EnrolmentToken};

use super::{Answer, Refusal, Staged, Why, done, fleet_of, keys_of, not_signed};
use crate::decision::Decision;
use crate::state::State;

pub(super) fn enrol(state: &State, now: WallTime, request: EnrolmentPair, bearer: Digest) -> Result<Staged, Refusal> {
    let fleet = fleet_of(state)?;
    let EnrolmentPair { token, enrolment } = request;
    let token = keys_of(state)?.verify(token, &[Scope::Enrolment], now).map_err(|e| not_signed(&e))?;
    let claimed = enrolment.danger_unchecked_body().map_err(|e| not_signed(&e))?;
    let signers = [token.body().public_key, claimed.public_key];
    let threshold = if signers[0] == signers[1] { 1 } else { 2 };
    let enrolment = enrolment.verify(fleet, signers, threshold).map_err(|e| not_signed(&e))?;
    if threshold == 1 {
        return Err(refuse("device_key", "the device's key is the token's key: the device must make one of its own"));
    }
    allowed(token.body(), enrolment.body(), token.digest(), now)?;
    let device = &enrolment.body().device;
    match state.device(device) {
        Some(known) if known.retired.is_some() && known.enrolment.public_key == enrolment.body().public_key => {
            let detail = format!(
                "device {device} was taken out of the fleet with this key: remove its data folder, so that it makes a new one"
            );
            return Err(Refusal::new(Why::Conflict, "device_retired", detail));
        }
        Some(known) if known.retired.is_none() && known.enrolment.public_key != enrolment.body().public_key => {
            let detail = format!(
                "device id {device} belongs to another key: choose another id, or take the old device out first (tidegate fleet retire {device})"
            );
            return Err(Refusal::new(Why::Conflict, "device_id_taken", detail));
        }
        Some(known) if known.retired.is_none() => {}
        Some(_) | None => {
            let used = state.tokens.get(&token.digest()).map_or(0, |used| used.devices);
            if used >= token.body().devices_max {
                let detail = format!("token {} has enrolled {used} devices, all that it may", token.body().token);
                return Err(Refusal::new(Why::NotAllowed, "token_used_up", detail));
            }
        }
    }
    let (_, token) = token.into_parts();
    let (_, enrolment) = enrolment.into_parts();
    done(now, vec![Decision::Enrolled { token, enrolment, bearer }], Answer::Done)
}

fn allowed(token: &EnrolmentToken, enrolment: &Enrolment, digest: Digest, now: WallTime) -> Result<(), Refusal> {
    if now >= token.expires_at_ms {
        return Err(refuse("token_expired", format!("token {} is past its life: ask for a new one", token.token)));
    }
    if enrolment.token != digest {
        return Err(refuse(
            "token_mismatch",
            "field `token` of the enrolment is not the digest of the token sent with it",
        ));
    }
    if enrolment.ring != token.ring {
        let detail = format!("ring {:?} is not the token's {:?}", enrolment.ring, token.ring);
        return Err(refuse("ring_not_allowed", detail));
    }
    for (name, value) in enrolment.attributes.iter() {
        let values = token.attributes.get(name);
        if !values.is_some_and(|values| values.contains(value)) {
            let detail = format!("attribute {name} = {value} is not among those that token {} allows", token.token);
            return Err(refuse("attribute_not_allowed", detail));
        }
    }
    match token.attributes.keys().find(|name| enrolment.attributes.get(name).is_none()) {
        Some(missing) => {
            Err(refuse("attribute_missing", format!("the token asks for attribute {missing}, the enrolment lacks it")))
        }
        None => Ok(()),
    }
}

fn refuse(kind: &'static str, detail: impl ToString) -> Refusal {
    Refusal::new(Why::NotAllowed, kind, detail)
}
