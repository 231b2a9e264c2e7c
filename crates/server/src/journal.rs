//! What the server says in its log about what was decided: one line for each thing that a person would want to know of,
//! once it is durable. What is under way from second to second (permits, blocks, reports) is told at `debug`.

use tidegate_control::conduct::Notice;
use tidegate_control::contract::{Entry, Table};
use tidegate_control::decision::Decision;
use tidegate_domain::ids::RolloutId;
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::report::StepReport;

/// Tells what these entries, which are durable, decided.
pub(crate) fn tell(entries: &[Entry]) {
    for entry in entries.iter().filter(|entry| entry.content.table == Table::Decisions) {
        match serde_json::from_slice(&entry.content.body) {
            Ok(decision) => tell_decision(&decision),
            Err(error) => tracing::error!(seq = %entry.seq, %error, "what was just recorded cannot be read"),
        }
    }
}

/// Tells what a person should hear now.
pub(crate) fn tell_notice(notice: &Notice) {
    match notice {
        Notice::Call { rollout, why } => tracing::warn!(%rollout, %why, "a person is needed"),
        Notice::Stuck { rollout: Some(rollout), refusal } => {
            tracing::warn!(%rollout, kind = refusal.kind, %refusal, "the rollout cannot take a step");
        }
        Notice::Stuck { rollout: None, refusal } => {
            tracing::warn!(kind = refusal.kind, %refusal, "metadata cannot be made anew");
        }
    }
}

fn tell_decision(decision: &Decision) {
    match decision {
        Decision::Release { release, manifest } => {
            tracing::info!(package = %manifest.package, version = %manifest.version, %release, "a release was published");
        }
        Decision::Policy { record } => {
            let policy = record.danger_unchecked_body().map(|body| format!("{}@{}", body.name, body.policy_digest()));
            tracing::info!(policy = policy.unwrap_or_default(), "a policy was applied");
        }
        Decision::KeyList { record } => tracing::info!(key_list = %record.digest(), "a key list is in force"),
        Decision::Envelope { record } => tracing::info!(envelope = %record.digest(), "an envelope is in force"),
        Decision::Operator { operator, role, .. } => tracing::info!(%operator, ?role, "an operator got a token"),
        Decision::Collected { by, artifacts, bytes } => {
            tracing::info!(%by, artifacts, bytes, "artifacts were deleted that nothing needs");
        }
        Decision::Concluded { rollout, .. } => tracing::info!(%rollout, "a rollout concerns no device any more"),
        Decision::SignedIn { operator, .. } => tracing::info!(%operator, "a browser was signed in"),
        Decision::SignedOut { operator, .. } => tracing::info!(%operator, "a browser was signed out"),
        Decision::OperatorRemoved { operator } => tracing::info!(%operator, "an operator was removed"),
        Decision::Restored { from_ms } => {
            tracing::warn!(from_ms = from_ms.as_ms(), "the store was put back from a backup")
        }
        Decision::Retired { device, by, reason } => tracing::info!(%device, %by, reason, "a device left the fleet"),
        Decision::Held { number, hold } => {
            tracing::info!(hold = number, devices = hold.meant(), by = %hold.by, reason = hold.reason, "devices are held");
        }
        Decision::HoldLifted { number, by, reason } => tracing::info!(hold = number, %by, reason, "a hold was lifted"),
        Decision::IncidentOpened { incident, by, title, .. } => {
            tracing::warn!(%incident, %by, title, "an incident was opened")
        }
        Decision::Incident { incident, by, act } => {
            tracing::info!(%incident, %by, act = act.words(), "about an incident")
        }
        Decision::Started { order, absent } => {
            let rollout = order.danger_unchecked_body().map(|order| order.rollout.to_string()).unwrap_or_default();
            tracing::info!(rollout, order = %order.digest(), absent = absent.len(), "a rollout started");
        }
        Decision::Step { rollout, facts, report, .. } => facts.iter().for_each(|fact| tell_fact(rollout, fact, report)),
        Decision::Metadata { files } => {
            tracing::debug!(files = ?files.keys().collect::<Vec<_>>(), "metadata were made anew");
        }
        Decision::LoginIssued { .. } => tracing::debug!("a login code was made"),
        Decision::Enrolled { enrolment, .. } => tracing::debug!(enrolment = %enrolment.digest(), "a device joined"),
    }
}

fn tell_fact(rollout: &RolloutId, fact: &Fact, report: &StepReport) {
    match fact {
        Fact::RingPassed { ring } => {
            let ring = report.rings.get(usize::from(*ring)).map(|ring| ring.name.to_string()).unwrap_or_default();
            tracing::info!(%rollout, ring, "a ring passed");
        }
        Fact::Completed => tracing::info!(%rollout, "the rollout is complete"),
        Fact::ScopeHalted { scopes, reasons } => {
            let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
            let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            tracing::warn!(%rollout, scopes = scopes.join(", "), reasons = reasons.join("; "), "halted in a part of the fleet; the rest goes on");
        }
        Fact::HoldbackEnded => tracing::info!(%rollout, "what was held back may open"),
        Fact::Halted { reasons } => {
            let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            tracing::warn!(%rollout, reasons = reasons.join("; "), "the rollout halted");
        }
        Fact::Paused { by, reason } => tracing::info!(%rollout, %by, reason, "the rollout was paused"),
        Fact::Approved { ring, by, reason, .. } => {
            tracing::info!(%rollout, ring, %by, reason, "the next ring was approved");
        }
        Fact::Resumed { by, reason } => tracing::info!(%rollout, %by, reason, "the rollout goes on"),
        Fact::PermitIssued { step, .. } => tracing::debug!(%rollout, step, "places were opened"),
        Fact::ReturnIssued { step, .. } => tracing::info!(%rollout, step, "devices were ordered back"),
        Fact::AddendumIssued { number, places } => {
            tracing::debug!(%rollout, number, places = places.len(), "places were added");
        }
        Fact::Lapsed { step } => tracing::debug!(%rollout, step, "places that nobody took lapsed"),
        // The notice of a call says it.
        Fact::Escalated { .. } => {}
        Fact::Took { .. }
        | Fact::Observed { .. }
        | Fact::TroubledElsewhere { .. }
        | Fact::BrokenBefore { .. }
        | Fact::MovedOn { .. }
        | Fact::BlockOpened { .. }
        | Fact::BandEntered { .. } => {}
    }
}
