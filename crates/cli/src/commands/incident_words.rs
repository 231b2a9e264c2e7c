//! Incidents as the command line shows them: tables for people.

use tidegate_domain::case::{Case, Role, Stage};
use tidegate_wire::operator::{ExposedDevice, IncidentView, TroubleView};

use crate::output::{facts, instant, instant_or_dash, table};

/// All incidents.
pub(super) fn listed(incidents: &[IncidentView]) -> String {
    if incidents.is_empty() {
        return "there is no incident".to_owned();
    }
    let mut shown =
        table(&["incident", "stage", "opened", "commander", "exposed", "harmed", "restored", "need hands", "title"]);
    for one in incidents {
        shown.add_row([
            one.incident.to_string(),
            one.stage.clone(),
            instant(one.opened_at_ms),
            one.commander.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            one.exposed.to_string(),
            one.harmed.to_string(),
            one.restored.to_string(),
            one.need_hands.to_string(),
            one.title.clone(),
        ]);
    }
    shown.to_string()
}

/// One incident with all that belongs to it.
pub(super) fn whole(one: &IncidentView) -> String {
    let mut of: Vec<(&str, String)> = vec![("incident", one.incident.to_string()), ("title", one.title.clone())];
    if let Some(rollout) = &one.rollout {
        let halted = if one.parts.is_empty() { "all devices".to_owned() } else { one.parts.join("; ") };
        of.extend([("rollout", rollout.to_string()), ("halted", halted)]);
    }
    of.extend([
        ("state", one.state.clone()),
        ("stage", one.stage.clone()),
        ("opened", instant(one.opened_at_ms)),
        ("restored", instant_or_dash(one.restored_at_ms)),
    ]);
    if one.rollout.is_some() {
        of.extend([
            ("reasons", one.reasons.join("; ")),
            ("exposed", one.exposed.to_string()),
            ("harmed", one.harmed.to_string()),
            ("well again", format!("{} ({} back without hands)", one.healed, one.back_without_hands)),
            ("well now", format!("{} of all that took it", one.restored)),
            ("need hands", one.need_hands.to_string()),
        ]);
    }
    let mut text = facts(&of);
    if let Some(case) = &one.case {
        text.push_str(&worked(case));
    }
    if one.customers.iter().any(|customer| customer.customer.is_some()) {
        let mut shown = table(&["customer", "exposed", "restored", "need hands", "waiting", "contact"]);
        for customer in &one.customers {
            shown.add_row([
                customer.customer.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
                customer.exposed.to_string(),
                customer.restored.to_string(),
                customer.need_hands.to_string(),
                customer.waiting.to_string(),
                customer.contact.clone().unwrap_or_default(),
            ]);
        }
        text.push_str(&format!("{shown}\n"));
    }
    if !one.devices.is_empty() {
        let mut shown = table(&["device", "took it", "state", "in its own words"]);
        for device in &one.devices {
            let words = device.trouble.as_ref().map_or_else(String::new, TroubleView::words);
            shown.add_row([device.device.to_string(), instant(device.taken_at_ms), device.state.clone(), words]);
        }
        text.push_str(&shown.to_string());
    }
    text
}

/// What people did.
fn worked(case: &Case) -> String {
    let mut text = String::new();
    for role in Role::ALL {
        if let Some(who) = case.roles.get(&role) {
            text.push_str(&facts(&[(role.word(), who.to_string())]));
        }
    }
    if let Some(cause) = &case.cause {
        text.push_str(&facts(&[
            ("mechanism", cause.mechanism.clone()),
            ("trigger", cause.trigger.clone()),
            ("not caught", cause.not_caught.clone()),
            ("contained by", cause.contained_by.clone()),
        ]));
    }
    if !case.notes.is_empty() || case.stage() != Stage::Detected {
        let reached = case.reached.iter().map(|one| {
            let by = one.by.as_ref().map_or_else(|| "gate".to_owned(), ToString::to_string);
            (one.at_ms, one.recorded_at_ms, by, one.stage.word().to_owned())
        });
        let notes = case.notes.iter().map(|one| (one.at_ms, one.recorded_at_ms, one.by.to_string(), one.text.clone()));
        let mut timeline: Vec<_> = reached.chain(notes).collect();
        timeline.sort_by_key(|(at, recorded, ..)| (*at, *recorded));
        let mut shown = table(&["happened", "written down", "by", "what"]);
        for (at, recorded, by, what) in timeline {
            shown.add_row([instant(at), instant(recorded), by, what]);
        }
        text.push_str(&format!("{shown}\n"));
    }
    if !case.tasks.is_empty() {
        let mut shown = table(&["no", "task", "owner", "due", "done"]);
        for (number, task) in case.numbered() {
            let what = match task.lesson {
                Some(lesson) if lesson.blocks => "lesson (blocks releases): ",
                Some(_) => "lesson: ",
                None => "",
            };
            let done = task.done.as_ref().map_or_else(String::new, |done| format!("{}: {}", done.by, done.words));
            shown.add_row([
                number.to_string(),
                format!("{what}{}", task.text),
                task.owner.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
                instant_or_dash(task.due_ms),
                done,
            ]);
        }
        text.push_str(&format!("{shown}\n"));
    }
    text
}

/// The devices that need hands.
pub(super) fn hands(devices: &[ExposedDevice]) -> String {
    if devices.is_empty() {
        return "no device needs hands".to_owned();
    }
    let mut shown = table(&["device", "customer", "took it", "in its own words", "what to do"]);
    for one in devices {
        shown.add_row([
            one.device.to_string(),
            one.customer.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            instant(one.taken_at_ms),
            one.trouble.as_ref().map_or_else(String::new, TroubleView::words),
            one.instruction.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    shown.to_string()
}
