//! What is known: the fold of all decisions and reports, in the order of their numbers.
//!
//! [`State::apply`] is the only way in. The same entries give the same state, whoever folds them: that is how a server starts, how
//! `store rebuild` checks a snapshot, and how the simulator replays. Nothing here decides anything.

mod cases;
mod concluded;
mod course;
mod fleet;
mod holds;
mod people;
mod points;
mod releases;
mod sessions;

pub use concluded::Kept;
pub use course::Course;
pub use fleet::{Device, Retirement, Said, TokenUse};
pub(crate) use fleet::{held_in, trouble};
pub use people::Operator;
pub use points::{Point, Points};
pub use releases::{AppliedPolicy, Release};
pub use sessions::Session;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_domain::case::Case;
use tidegate_domain::digest::Digest;
use tidegate_domain::envelope::Envelope;
use tidegate_domain::ids::{DeviceId, IncidentId, OperatorName, PackageName, RolloutId};
use tidegate_domain::incident::Incident;
use tidegate_domain::time::WallTime;
use tidegate_trust::records::{EnvelopeRecord, KeyList};
use tidegate_trust::signed::{Fleet, Unverified};

use crate::conclusion::Conclusion;
use crate::contract::{Entry, PRUNED, Seq, Snapshot, Table};
use crate::decision::{Decision, REPORT, TAKE};
use crate::hold::Hold;

/// The shape of a snapshot's bytes. A reader that knows another number folds from the beginning.
pub const SNAPSHOT_FORMAT: u32 = 12;

/// More orders than are started between a backup and its restoring.
const ORDERS_LOST_MAX: u64 = 1_000;

/// Everything that the server knows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    pub(crate) last: Seq,
    pub(crate) fleet: Option<Fleet>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// Since when publishers' keys are listed without a break, by their ids.
    pub(crate) publishers_since: BTreeMap<String, WallTime>,
    pub(crate) key_list: Option<(Unverified<KeyList>, KeyList)>,
    pub(crate) envelope: Option<(Unverified<EnvelopeRecord>, Envelope, u64)>,
    pub(crate) operators: BTreeMap<OperatorName, Operator>,
    pub(crate) logins: BTreeMap<Digest, WallTime>,
    pub(crate) sessions: BTreeMap<Digest, Session>,
    pub(crate) tokens: BTreeMap<Digest, TokenUse>,
    /// Copies of a state share them.
    pub(crate) devices: BTreeMap<DeviceId, Arc<Device>>,
    pub(crate) releases: BTreeMap<PackageName, Vec<Release>>,
    pub(crate) policies: BTreeMap<Digest, AppliedPolicy>,
    pub(crate) rollouts: BTreeMap<RolloutId, Course>,
    pub(crate) concluded: BTreeMap<RolloutId, Conclusion>,
    pub(crate) by_order: BTreeMap<Digest, RolloutId>,
    pub(crate) incidents: BTreeMap<IncidentId, Incident>,
    pub(crate) cases: BTreeMap<IncidentId, Case>,
    pub(crate) holds: BTreeMap<u32, Hold>,
    pub(crate) holds_made: u32,
    pub(crate) restored: Option<Restored>,
}

/// That the store was put back from a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// When.
    pub at_ms: WallTime,
    /// When the backup was made.
    pub from_ms: WallTime,
    /// The least number of orders from then on: lower ones may have been given out by what is lost, and devices know them.
    pub order_seq_min: u64,
}

/// An entry that cannot be folded: the store holds what this version did not write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// Entries are missing or come twice.
    #[error("entry {found} follows entry {last}: one is missing or comes twice")]
    OutOfOrder {
        /// The last one folded.
        last: Seq,
        /// The one that came.
        found: Seq,
    },
    /// The body is not what its kind says.
    #[error("entry {seq} ({kind}): {problem}")]
    Body {
        /// The entry.
        seq: Seq,
        /// Its kind.
        kind: String,
        /// What does not fit.
        problem: String,
    },
    /// A snapshot cannot be read.
    #[error("snapshot: {0}")]
    Snapshot(String),
}

impl FoldError {
    pub(crate) fn of_body(entry: &Entry, problem: String) -> FoldError {
        FoldError::Body { seq: entry.seq, kind: entry.content.kind.clone(), problem }
    }
}

impl State {
    /// Folds one entry.
    ///
    /// # Errors
    /// When it is not the next one, or its body is not what its kind says.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), FoldError> {
        if entry.seq != self.last.plus(1) {
            return Err(FoldError::OutOfOrder { last: self.last, found: entry.seq });
        }
        let content = &entry.content;
        let wrong = |problem: String| FoldError::of_body(entry, problem);
        match (content.table, content.kind.as_str()) {
            (Table::Decisions, _) => {
                let decision = serde_json::from_slice(&content.body).map_err(|e| wrong(e.to_string()))?;
                self.decide(decision, content.at).map_err(wrong)?;
            }
            (Table::Reports, TAKE) => self.take(&content.body, content.at).map_err(wrong)?,
            (Table::Reports, REPORT) => self.hear(&content.body, content.at).map_err(wrong)?,
            (Table::Reports, PRUNED) => {}
            (Table::Reports, other) => return Err(wrong(format!("unknown kind {other:?}"))),
        }
        self.last = entry.seq;
        Ok(())
    }

    fn decide(&mut self, decision: Decision, at: WallTime) -> Result<(), String> {
        match decision {
            Decision::Metadata { files } => self.put_metadata(files, at),
            Decision::KeyList { record } => {
                let body = held(&record)?;
                self.key_list = Some((record, body));
            }
            Decision::Envelope { record } => {
                let body = held(&record)?;
                let envelope = Envelope::parse(&body.text).map_err(|e| e.to_string())?;
                self.envelope = Some((record, envelope, body.version));
            }
            Decision::Release { release, manifest } => self.put_release(release, manifest, at),
            Decision::Policy { record } => self.put_policy(record, at)?,
            Decision::LoginIssued { code, expires_at_ms } => {
                self.logins.retain(|_, expires| at < *expires);
                self.logins.insert(code, expires_at_ms);
            }
            Decision::Operator { operator, role, token, code, packages } => {
                self.put_operator(operator, Operator { role, token, packages }, code);
            }
            Decision::Collected { .. } => {}
            Decision::SignedIn { session, operator, token, expires_at_ms } => {
                self.sign_in(session, Session { operator, token, expires_at_ms }, at);
            }
            Decision::SignedOut { session, .. } => self.sign_out(&session),
            Decision::OperatorRemoved { operator } => {
                self.operators.remove(&operator);
            }
            Decision::Enrolled { token, enrolment, bearer } => self.enrol(&token, &enrolment, bearer, at)?,
            Decision::Restored { from_ms } => {
                let order_seq_min = self.order_seqs(None).max().unwrap_or(0).saturating_add(ORDERS_LOST_MAX);
                self.restored = Some(Restored { at_ms: at, from_ms, order_seq_min });
            }
            Decision::IncidentOpened { incident, by, title, package, noticed_at_ms } => {
                let case = Case::by_hand(&title, package, noticed_at_ms, by, at).map_err(|e| e.to_string())?;
                self.cases.insert(incident, case);
            }
            Decision::Incident { incident, by, act } => self.work_on(&incident, by, *act, at),
            Decision::Concluded { rollout, conclusion } => self.conclude(rollout, *conclusion),
            Decision::Retired { device, by, reason } => self.retire(&device, by, reason, at),
            Decision::Held { number, hold } => self.hold(number, *hold, at),
            Decision::HoldLifted { number, .. } => {
                self.holds.remove(&number);
            }
            Decision::Started { order, absent } => self.start(order, &absent, at)?,
            Decision::Step { rollout, facts, records, report, .. } => self.step(&rollout, &facts, records, &report, at),
        }
        Ok(())
    }

    /// The number of the last entry folded.
    pub fn last(&self) -> Seq {
        self.last
    }

    /// The state as a snapshot.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which is a fault of the code.
    pub fn to_snapshot(&self) -> Result<Snapshot, serde_json::Error> {
        Ok(Snapshot { seq: self.last, format: SNAPSHOT_FORMAT, bytes: serde_json::to_vec(self)? })
    }

    /// The state that a snapshot holds; none where it has another format.
    ///
    /// # Errors
    /// When the bytes are damaged.
    pub fn from_snapshot(snapshot: &Snapshot) -> Result<Option<State>, FoldError> {
        if snapshot.format != SNAPSHOT_FORMAT {
            return Ok(None);
        }
        let mut state: State =
            serde_json::from_slice(&snapshot.bytes).map_err(|e| FoldError::Snapshot(e.to_string()))?;
        if state.last != snapshot.seq {
            return Err(FoldError::Snapshot(format!("says {}, holds {}", snapshot.seq, state.last)));
        }
        state.rollouts.values_mut().for_each(Course::reindex);
        Ok(Some(state))
    }

    /// The fleet: digest of TUF root 1. None before the server was given a fleet.
    pub fn fleet(&self) -> Option<Fleet> {
        self.fleet
    }

    /// The key list that stands.
    pub fn key_list(&self) -> Option<&(Unverified<KeyList>, KeyList)> {
        self.key_list.as_ref()
    }

    /// The envelope that stands: record, bounds, version.
    pub fn envelope(&self) -> Option<&(Unverified<EnvelopeRecord>, Envelope, u64)> {
        self.envelope.as_ref()
    }

    /// A TUF metadata file that stands, by name.
    pub fn metadata(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).map(String::as_str)
    }

    /// The last time that the store was put back from a backup.
    pub fn restored(&self) -> Option<Restored> {
        self.restored
    }

    /// Incidents by id.
    pub fn incidents(&self) -> &BTreeMap<IncidentId, Incident> {
        &self.incidents
    }

    /// Rollouts by id.
    pub fn rollouts(&self) -> &BTreeMap<RolloutId, Course> {
        &self.rollouts
    }

    /// Devices by id.
    pub fn devices(&self) -> &BTreeMap<DeviceId, Arc<Device>> {
        &self.devices
    }

    /// Releases by package, oldest first.
    pub fn releases(&self) -> &BTreeMap<PackageName, Vec<Release>> {
        &self.releases
    }

    /// Policies by digest.
    pub fn policies(&self) -> &BTreeMap<Digest, AppliedPolicy> {
        &self.policies
    }

    /// Operators by name.
    pub fn operators(&self) -> &BTreeMap<OperatorName, Operator> {
        &self.operators
    }

    /// The rollout that an order started.
    pub fn rollout_of_order(&self, order: &Digest) -> Option<&Course> {
        self.rollouts.get(self.by_order.get(order)?)
    }
}

/// The body of a record that was verified before it was recorded: the log is this server's own word.
pub(crate) fn held<T: tidegate_trust::signed::Body>(record: &Unverified<T>) -> Result<T, String> {
    record.danger_unchecked_body().map_err(|e| e.to_string())
}
