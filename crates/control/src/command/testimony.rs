//! What devices sign: asking to take a release, and reporting.

use tidegate_domain::ids::DeviceId;
use tidegate_domain::rollout::place::Stage;
use tidegate_domain::rollout::take::{GoRefusal, Take};
use tidegate_domain::time::WallTime;
use tidegate_trust::records::{GoRequest, Report};
use tidegate_trust::signed::{Body, Unverified, Verified};

use super::{Answer, Refusal, Staged, Why, fleet_of, not_signed, nothing};
use crate::contract::{NewEntry, Table};
use crate::decision::{REPORT, TAKE};
use crate::state::{Device, State};

const DETAIL_BYTES_MAX: usize = 300;
/// The most numbers of a report.
const NUMBERS_MAX: usize = 16;

pub(super) fn take(
    state: &State,
    now: WallTime,
    device: &DeviceId,
    request: Unverified<GoRequest>,
) -> Result<Staged, Refusal> {
    let request = by_device(state, device, request, |body| &body.device)?;
    let body = request.body();
    let Some(course) = state.rollout_of_order(&body.order) else {
        return Err(Refusal::new(Why::Unknown, "unknown_order", format!("there is no order {}", body.order)));
    };
    let rollout = &course.rollout;
    let id = rollout.identity().rollout.clone();
    if !state.has_part(device, course) {
        let detail =
            format!("device {device} was enrolled anew after rollout {id} had started: it takes the next order");
        return Err(Refusal::new(Why::NotAllowed, "enrolled_anew", detail));
    }
    let granted = rollout.may_take(device, now).map_err(|refusal| {
        let why = if matches!(refusal, GoRefusal::NoPlace(_)) { Why::NotAllowed } else { Why::Conflict };
        Refusal::new(why, refusal.kind(), &refusal)
    })?;
    if granted == Take::Again {
        return nothing(Answer::Go(id));
    }
    if let Some((number, hold)) = state.held(device, &course.order_body.package, now) {
        let until = hold.lets_go_at(now).map_or_else(String::new, |at| format!(", until {} ms", at.as_ms()));
        let detail = format!("hold {number} keeps device {device} from it{until}: {} ({})", hold.reason, hold.by);
        return Err(Refusal::new(Why::Conflict, "held", detail));
    }
    let step = match rollout.place_of(device).map(|(_, _, place)| &place.stage) {
        Some(Stage::Open { step }) => *step,
        Some(_) | None => 0,
    };
    if course.permit(step).map(Unverified::digest) != Some(body.permit) {
        let detail = format!("permit {} is not the one that opened this place: fetch the offer again", body.permit);
        return Err(Refusal::new(Why::Conflict, "permit_not_in_force", detail));
    }
    let unique = format!("{}/{}", id, device);
    Ok(Staged { entries: vec![entry(TAKE, device, &unique, now, request.record())?], answer: Answer::Go(id) })
}

pub(super) fn hear(
    state: &State,
    now: WallTime,
    device: &DeviceId,
    reports: &[Unverified<Report>],
) -> Result<Staged, Refusal> {
    let known = known(state, device)?;
    let named = named(device, known);
    let mut last = known.last_report_seq;
    let mut entries = Vec::new();
    for report in reports {
        let report = by_device(state, device, report.clone(), |body| &body.device)?;
        let body = report.body();
        if body.detail.len() > DETAIL_BYTES_MAX {
            let detail = format!("field `detail` has {} bytes, at most {DETAIL_BYTES_MAX}", body.detail.len());
            return Err(Refusal::new(Why::Invalid, "detail_too_long", detail));
        }
        if body.numbers.len() > NUMBERS_MAX {
            let detail = format!("field `numbers` has {} entries, at most {NUMBERS_MAX}", body.numbers.len());
            return Err(Refusal::new(Why::Invalid, "too_many_numbers", detail));
        }
        if body.seq > last {
            last = body.seq;
            let unique = format!("{named}/{}", body.seq);
            entries.push(entry(REPORT, device, &unique, now, report.record())?);
        }
    }
    Ok(Staged { entries, answer: Answer::Heard(last) })
}

/// The unique keys under which the log holds a device's latest reports, at most so many.
pub fn report_keys(id: &DeviceId, device: &Device, most: u64) -> Vec<String> {
    let (last, named) = (device.last_report_seq, named(id, device));
    (last.saturating_sub(most)..last).map(|before| format!("{REPORT}/{named}/{}", before + 1)).collect()
}

/// Another device that had the id before may have used the same numbers.
fn named(id: &DeviceId, device: &Device) -> String {
    device.anew_at_ms.map_or_else(|| id.to_string(), |at| format!("{id}@{}", at.as_ms()))
}

fn known<'a>(state: &'a State, device: &DeviceId) -> Result<&'a Device, Refusal> {
    state
        .device(device)
        .filter(|known| known.retired.is_none())
        .ok_or_else(|| Refusal::new(Why::NotAllowed, "unknown_device", format!("device {device} is not enrolled")))
}

fn by_device<T: Body>(
    state: &State,
    device: &DeviceId,
    record: Unverified<T>,
    named: impl Fn(&T) -> &DeviceId,
) -> Result<Verified<T>, Refusal> {
    let key = known(state, device)?.enrolment.public_key;
    let verified = record.verify(fleet_of(state)?, [key], 1).map_err(|e| not_signed(&e))?;
    if named(verified.body()) != device {
        let detail = format!("the record is of device {}, sent by {device}", named(verified.body()));
        return Err(Refusal::new(Why::NotAllowed, "device_mismatch", detail));
    }
    Ok(verified)
}

fn entry<T>(
    kind: &str,
    device: &DeviceId,
    unique: &str,
    at: WallTime,
    record: &Unverified<T>,
) -> Result<NewEntry, Refusal> {
    let body = serde_json::to_vec(record).map_err(|e| Refusal::new(Why::Invalid, "not_json", e))?;
    let unique_key = Some(format!("{kind}/{unique}"));
    Ok(NewEntry { table: Table::Reports, kind: kind.to_owned(), subject: device.to_string(), unique_key, at, body })
}
