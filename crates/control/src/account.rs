//! Who did what, when, to what: each decision as lines for people who look back, and for programs that are told. It leaves out what only
//! machines need: the steps' permits and bands, metadata that was made anew. Secrets are in no decision, so in no line.

use tidegate_domain::ids::{PackageName, RolloutId};
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::gate::HaltReason;
use tidegate_domain::rollout::report::StepReport;
use tidegate_trust::signed::{Body, Unverified};

use crate::conclusion::Conclusion;
use crate::contract::{Entry, Table};
use crate::decision::{Decision, GateRecord};

/// One line of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// An operator's name; `key ` and the beginning of an id for what a key signed; `gate` or `server` for what they did by themselves.
    pub who: String,
    /// A stable word.
    pub what: &'static str,
    /// A rollout, release, policy, device, operator or hold.
    pub about: String,
    /// More, in words.
    pub detail: String,
}

/// All words that [`Line::what`] can be.
pub const WORDS: &[&str] = &[
    "approved",
    "called",
    "collected",
    "completed",
    "concluded",
    "device_enrolled",
    "device_retired",
    "envelope",
    "halted",
    "held",
    "hold_lifted",
    "holdback_ended",
    "incident",
    "incident_opened",
    "key_list",
    "login_code",
    "operator",
    "operator_removed",
    "part_halted",
    "paused",
    "policy",
    "release",
    "restored",
    "resumed",
    "returning",
    "ring_passed",
    "signed_in",
    "signed_out",
    "started",
];

/// What an entry of the log is, for the account. Empty for what devices said, and for what only machines need.
pub fn lines_of(entry: &Entry) -> Vec<Line> {
    if entry.content.table != Table::Decisions {
        return Vec::new();
    }
    let decision: Option<Decision> = serde_json::from_slice(&entry.content.body).ok();
    decision.map(|decision| lines(&decision)).unwrap_or_default()
}

/// What a decision is, for the account. Empty for what only machines need.
fn lines(decision: &Decision) -> Vec<Line> {
    let line = |who: String, what, about: String, detail: String| vec![Line { who, what, about, detail }];
    let (server, none) = (|| "server".to_owned(), String::new);
    match decision {
        Decision::Metadata { .. } => Vec::new(),
        Decision::KeyList { record } => line(signers(record), "key_list", record.digest().to_string(), none()),
        Decision::Envelope { record } => line(signers(record), "envelope", record.digest().to_string(), none()),
        Decision::Release { manifest, release } => {
            let about = format!("{} {}", manifest.package, manifest.version);
            line("publishers".to_owned(), "release", about, release.to_string())
        }
        Decision::Policy { record } => {
            let named = record.danger_unchecked_body().map(|body| format!("{}@{}", body.name, body.policy_digest()));
            line(signers(record), "policy", named.unwrap_or_default(), none())
        }
        Decision::LoginIssued { .. } => line(server(), "login_code", "admin".to_owned(), none()),
        Decision::Operator { .. }
        | Decision::OperatorRemoved { .. }
        | Decision::SignedIn { .. }
        | Decision::SignedOut { .. } => of_people(decision).into_iter().collect(),
        Decision::Collected { by, artifacts, bytes } => {
            line(by.to_string(), "collected", "artifacts".to_owned(), format!("{artifacts} artifacts, {bytes} bytes"))
        }
        Decision::Concluded { rollout, conclusion } => {
            let Conclusion { package, version, taken, proven, harmed, .. } = &**conclusion;
            let how = conclusion.phase();
            let detail =
                format!("{package} {version}, {how}: {taken} took it, {proven} proved it, {harmed} were harmed");
            line(server(), "concluded", rollout.to_string(), detail)
        }
        Decision::Enrolled { token, enrolment, .. } => {
            let device = enrolment.danger_unchecked_body().map(|body| body.device.to_string());
            line(signers(token), "device_enrolled", device.unwrap_or_default(), none())
        }
        Decision::Restored { from_ms } => {
            line(server(), "restored", "store".to_owned(), format!("from a backup of {} ms", from_ms.as_ms()))
        }
        Decision::Retired { device, by, reason } => {
            line(by.to_string(), "device_retired", device.to_string(), reason.clone())
        }
        Decision::Held { number, hold } => {
            let detail = format!("{}: {}", hold.meant(), hold.reason);
            line(hold.by.to_string(), "held", format!("hold {number}"), detail)
        }
        Decision::HoldLifted { number, by, reason } => {
            line(by.to_string(), "hold_lifted", format!("hold {number}"), reason.clone())
        }
        Decision::IncidentOpened { incident, by, title, .. } => {
            line(by.to_string(), "incident_opened", incident.to_string(), title.clone())
        }
        Decision::Incident { incident, by, act } => line(by.to_string(), "incident", incident.to_string(), act.words()),
        Decision::Started { order, .. } => {
            let body = order.danger_unchecked_body();
            let (about, detail) = body.map_or_else(
                |_| (none(), none()),
                |body| {
                    (
                        body.rollout.to_string(),
                        format!("{} {} under policy {}", body.package, body.version, body.policy),
                    )
                },
            );
            line(signers(order), "started", about, detail)
        }
        Decision::Step { rollout, facts, records, report, .. } => of_step(rollout, facts, records, report),
    }
}

/// Who got in, and who was shut out.
fn of_people(decision: &Decision) -> Option<Line> {
    let (who, what, about, detail) = match decision {
        Decision::Operator { operator, role, code, packages, .. } => {
            let how = if code.is_some() { "logged in by a one-time code" } else { "got a token" };
            let only: Vec<&str> = packages.iter().map(PackageName::as_str).collect();
            let only = if only.is_empty() { String::new() } else { format!(" for {}", only.join(", ")) };
            ("admin".to_owned(), "operator", operator, format!("{how}, role {role:?}{only}").to_lowercase())
        }
        Decision::OperatorRemoved { operator } => ("admin".to_owned(), "operator_removed", operator, String::new()),
        Decision::SignedIn { operator, .. } => {
            (operator.to_string(), "signed_in", operator, "with a browser".to_owned())
        }
        Decision::SignedOut { operator, .. } => (operator.to_string(), "signed_out", operator, String::new()),
        _ => return None,
    };
    Some(Line { who, what, about: about.to_string(), detail })
}

fn of_step(rollout: &RolloutId, facts: &[Fact], records: &[GateRecord], report: &StepReport) -> Vec<Line> {
    let mut lines: Vec<Line> = facts.iter().filter_map(|fact| of_fact(rollout, fact, report)).collect();
    let by_key = records.iter().find_map(|record| match record {
        GateRecord::Approval(approval) => Some(signers(approval)),
        _ => None,
    });
    // Whose key it was counts; who brought it is only who brought it.
    for (line, key) in lines.iter_mut().filter(|line| line.what == "approved").zip(by_key) {
        line.detail = format!("{} (signed by {key})", line.detail);
    }
    lines
}

fn of_fact(rollout: &RolloutId, fact: &Fact, report: &StepReport) -> Option<Line> {
    let gate = || "gate".to_owned();
    let (who, what, detail) = match fact {
        Fact::Paused { by, reason } => (by.to_string(), "paused", reason.clone()),
        Fact::Resumed { by, reason } => (by.to_string(), "resumed", reason.clone()),
        Fact::Approved { by, reason, .. } => (by.to_string(), "approved", reason.clone()),
        Fact::Halted { reasons } => {
            let person = reasons.iter().find_map(|reason| match reason {
                HaltReason::ByPerson { by, .. } => Some(by.to_string()),
                _ => None,
            });
            (person.unwrap_or_else(gate), "halted", joined(reasons))
        }
        Fact::ScopeHalted { scopes, reasons } => {
            let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
            (gate(), "part_halted", format!("{}: {}", scopes.join(", "), joined(reasons)))
        }
        Fact::RingPassed { ring } => {
            let named = report.rings.get(usize::from(*ring)).map(|ring| ring.name.to_string());
            (gate(), "ring_passed", format!("ring {}", named.unwrap_or_else(|| (u16::from(*ring) + 1).to_string())))
        }
        Fact::Completed => (gate(), "completed", String::new()),
        Fact::HoldbackEnded => (gate(), "holdback_ended", String::new()),
        Fact::ReturnIssued { step, .. } => (gate(), "returning", format!("step {step}")),
        Fact::Escalated { why } => (gate(), "called", why.to_string()),
        Fact::Took { .. }
        | Fact::Observed { .. }
        | Fact::TroubledElsewhere { .. }
        | Fact::BrokenBefore { .. }
        | Fact::MovedOn { .. }
        | Fact::PermitIssued { .. }
        | Fact::AddendumIssued { .. }
        | Fact::Lapsed { .. }
        | Fact::BlockOpened { .. }
        | Fact::BandEntered { .. } => return None,
    };
    Some(Line { who, what, about: rollout.to_string(), detail })
}

fn joined(reasons: &[HaltReason]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn signers<T: Body>(record: &Unverified<T>) -> String {
    let keys: Vec<String> = record.claimed_signers().map(|key| format!("key {}", key.short())).collect();
    keys.join(", ")
}
