//! What is decided and kept for good: the bodies of the `decisions` table. Together with the reports they are the whole truth;
//! everything else is a fold over them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidegate_domain::case::Act;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, IncidentId, OperatorName, PackageName, RolloutId, Version};
use tidegate_domain::release::Manifest;
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::report::StepReport;
use tidegate_domain::time::WallTime;
use tidegate_trust::records::{
    Addendum, Approval, Enrolment, EnrolmentToken, EnvelopeRecord, FleetProven, Halt, KeyList, Order, Permit,
    PolicyRecord,
};
use tidegate_trust::signed::Unverified;

use crate::conclusion::Conclusion;
use crate::contract::{NewEntry, Table};
use crate::hold::Hold;

/// What an operator may do; each role may do what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorRole {
    /// Sees everything, may halt and pause.
    Viewer,
    /// Publishes releases.
    Publisher,
    /// Applies policies, starts and resumes rollouts.
    Approver,
    /// Makes and revokes operators, replaces what root signs.
    Admin,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case", deny_unknown_fields)]
pub enum Decision {
    /// TUF metadata files that stand from now on, by file name, each as its text.
    Metadata {
        /// The files.
        files: BTreeMap<String, String>,
    },
    /// A new key list.
    KeyList {
        /// The record.
        record: Unverified<KeyList>,
    },
    /// A new envelope.
    Envelope {
        /// The record.
        record: Unverified<EnvelopeRecord>,
    },
    /// A release was published.
    Release {
        /// The release: digest of the manifest.
        release: Digest,
        /// The manifest.
        manifest: Manifest,
    },
    /// A policy was applied.
    Policy {
        /// The record.
        record: Unverified<PolicyRecord>,
    },
    /// A one-time login code was made; only its hash is kept.
    LoginIssued {
        /// SHA-256 of the code.
        code: Digest,
        /// When it ends.
        expires_at_ms: WallTime,
    },
    /// An operator got a token; only its hash is kept. A login code that led to it is spent.
    Operator {
        /// Who.
        operator: OperatorName,
        /// The role.
        role: OperatorRole,
        /// SHA-256 of the token.
        token: Digest,
        /// SHA-256 of the login code, where one was spent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<Digest>,
        /// The packages that the operator may publish and order; empty for all.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        packages: BTreeSet<PackageName>,
    },
    /// A browser was signed in; only hashes are kept.
    SignedIn {
        /// SHA-256 of the session.
        session: Digest,
        /// As whom.
        operator: OperatorName,
        /// SHA-256 of the operator's token, with which it ends.
        token: Digest,
        /// When it ends.
        expires_at_ms: WallTime,
    },
    /// A browser was signed out.
    SignedOut {
        /// SHA-256 of the session.
        session: Digest,
        /// Whose it was.
        operator: OperatorName,
    },
    /// An operator was removed.
    OperatorRemoved {
        /// Who.
        operator: OperatorName,
    },
    /// A device joined.
    Enrolled {
        /// The token.
        token: Unverified<EnrolmentToken>,
        /// The device's record.
        enrolment: Unverified<Enrolment>,
        /// SHA-256 of the device's bearer token.
        bearer: Digest,
    },
    /// A device was taken out of the fleet.
    Retired {
        /// Which.
        device: DeviceId,
        /// Who said so.
        by: OperatorName,
        /// Why, in their words.
        reason: String,
    },
    /// Devices are held back for a while.
    Held {
        /// The hold's number, from 1.
        number: u32,
        /// Who, when and why.
        hold: Box<Hold>,
    },
    /// A hold ended before its time.
    HoldLifted {
        /// Its number.
        number: u32,
        /// Who said so.
        by: OperatorName,
        /// Why, in their words.
        reason: String,
    },
    /// Artifacts were deleted that nothing needs any more.
    Collected {
        /// Who said so.
        by: OperatorName,
        /// How many.
        artifacts: u64,
        /// How much room they took.
        bytes: u64,
    },
    /// Somebody opened an incident that no halt did.
    IncidentOpened {
        /// Its name.
        incident: IncidentId,
        /// Who.
        by: OperatorName,
        /// In a few words.
        title: String,
        /// The package that it is about; none where it is about none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        package: Option<PackageName>,
        /// When it was noticed.
        noticed_at_ms: WallTime,
    },
    /// Somebody did something about an incident.
    Incident {
        /// Which.
        incident: IncidentId,
        /// Who.
        by: OperatorName,
        /// What.
        act: Box<Act>,
    },
    /// A rollout concerns no device any more: this much is kept of it, and its reports may go.
    Concluded {
        /// The rollout.
        rollout: RolloutId,
        /// What is kept.
        conclusion: Box<Conclusion>,
    },
    /// The store was put back from a backup; what was recorded after the backup is lost.
    Restored {
        /// When the backup was made.
        from_ms: WallTime,
    },
    /// A rollout started.
    Started {
        /// The order.
        order: Unverified<Order>,
        /// Enrolled devices that are not in the rosters because they were not heard of recently or do not run the package.
        absent: Vec<DeviceId>,
    },
    /// A rollout took a step.
    Step {
        /// The rollout.
        rollout: RolloutId,
        /// What happened.
        facts: Vec<Fact>,
        /// What the gate key signed for it.
        records: Vec<GateRecord>,
        /// What was seen and decided.
        report: Box<StepReport>,
        /// Since when the server answered devices and took steps without a gap, where the planner took the step: with that and what is
        /// recorded before, the planner decides the same again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        serving_since_ms: Option<WallTime>,
    },
}

/// A record that goes with a step: the gate key signed it, or an approver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", content = "signed", rename_all = "snake_case")]
pub enum GateRecord {
    /// A permit.
    Permit(Unverified<Permit>),
    /// A permit of kind `revert`.
    Return(Unverified<Permit>),
    /// An addendum.
    Addendum(Unverified<Addendum>),
    /// A halt.
    Halt(Unverified<Halt>),
    /// An approver lets a ring open.
    Approval(Unverified<Approval>),
    /// The fleet is proven.
    FleetProven(Unverified<FleetProven>),
}

/// The word for entries of the reports table that say that a device took a release: its go-request, verbatim.
pub const TAKE: &str = "take";
/// The word for entries of the reports table with a device's report, verbatim.
pub const REPORT: &str = "report";

impl Decision {
    /// The stable word.
    pub fn kind(&self) -> &'static str {
        match self {
            Decision::Metadata { .. } => "metadata",
            Decision::KeyList { .. } => "key_list",
            Decision::Envelope { .. } => "envelope",
            Decision::Release { .. } => "release",
            Decision::Policy { .. } => "policy",
            Decision::LoginIssued { .. } => "login_issued",
            Decision::Operator { .. } => "operator",
            Decision::SignedIn { .. } => "signed_in",
            Decision::SignedOut { .. } => "signed_out",
            Decision::OperatorRemoved { .. } => "operator_removed",
            Decision::Collected { .. } => "collected",
            Decision::Concluded { .. } => "concluded",
            Decision::IncidentOpened { .. } => "incident_opened",
            Decision::Incident { .. } => "incident",
            Decision::Enrolled { .. } => "enrolled",
            Decision::Retired { .. } => "retired",
            Decision::Held { .. } => "held",
            Decision::HoldLifted { .. } => "hold_lifted",
            Decision::Restored { .. } => "restored",
            Decision::Started { .. } => "started",
            Decision::Step { .. } => "step",
        }
    }

    /// What it is about, for people who look into the table.
    fn subject(&self) -> String {
        match self {
            Decision::Metadata { files } => files.keys().next().cloned().unwrap_or_default(),
            Decision::KeyList { .. } | Decision::Envelope { .. } => "fleet".to_owned(),
            Decision::Release { manifest, .. } => release_subject(&manifest.package, &manifest.version),
            Decision::Policy { record } => record.digest().to_string(),
            Decision::LoginIssued { .. } => "login".to_owned(),
            Decision::Operator { operator, .. }
            | Decision::OperatorRemoved { operator }
            | Decision::SignedIn { operator, .. }
            | Decision::SignedOut { operator, .. } => operator.to_string(),
            Decision::Enrolled { enrolment, .. } => enrolment.digest().to_string(),
            Decision::Restored { .. } => "store".to_owned(),
            Decision::Collected { .. } => "artifacts".to_owned(),
            Decision::Retired { device, .. } => device.to_string(),
            Decision::Held { number, .. } | Decision::HoldLifted { number, .. } => format!("hold-{number}"),
            Decision::Started { order, .. } => order.digest().to_string(),
            Decision::IncidentOpened { incident, .. } | Decision::Incident { incident, .. } => incident.to_string(),
            Decision::Concluded { rollout, .. } | Decision::Step { rollout, .. } => rollout.to_string(),
        }
    }

    /// The entry that keeps it.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which is a fault of the code.
    pub fn to_entry(&self, at: WallTime) -> Result<NewEntry, serde_json::Error> {
        Ok(NewEntry {
            table: Table::Decisions,
            kind: self.kind().to_owned(),
            subject: self.subject(),
            unique_key: None,
            at,
            body: serde_json::to_vec(self)?,
        })
    }
}

fn release_subject(package: &PackageName, version: &Version) -> String {
    format!("{package}/{version}")
}
