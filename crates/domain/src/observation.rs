//! What a device says of itself: the only source of evidence. Words that reports carry and the gate reads.

use serde::{Deserialize, Serialize};

use crate::time::WallTime;

/// One thing that a device saw of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Observation {
    /// The payload is being started on the release; `attempt` counts from 1.
    Activating {
        /// Which attempt this is.
        attempt: u32,
    },
    /// All probes passed. Sent while a release is being proven, and by controls while their block is open.
    Healthy,
    /// The release failed here and the device goes back to its fallback: a hard failure.
    Failed {
        /// Why.
        reason: FailureReason,
        /// How many attempts were made.
        attempt: u32,
    },
    /// The payload ended by itself and is started again, whatever becomes of it. Sent while a release is tried or proven, and once
    /// it ran in health; also by controls.
    Crashed,
    /// Healthy for `prove.for`, through `prove.restarts` restarts, in contact: the device is proven.
    Proven {
        /// Restarts of the payload that it came through.
        restarts: u32,
    },
    /// The fallback runs again and its probes pass.
    Returned {
        /// Why the release was left.
        reason: FailureReason,
    },
    /// Neither the release nor the fallback runs: somebody must come.
    NeedsHands {
        /// Why the release was left.
        reason: FailureReason,
    },
    /// The device did not take what it was offered. No evidence against the release.
    Refused {
        /// Why.
        reason: RefusalReason,
    },
    /// Contact was lost under the release and stayed lost under the fallback. No evidence.
    ContactLostBoth,
}

/// What a device said of a release that it refused, left or could not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The observation's word, and its reason where it has one: `failed: probe_failed`.
    pub what: String,
    /// The device's own words; may be empty.
    pub detail: String,
    /// When it was recorded.
    pub at_ms: WallTime,
}

/// Why a device left a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// The payload ended by itself, by signal or exit code, as often as there are attempts.
    Crashed,
    /// A probe failed.
    ProbeFailed,
    /// The activation command failed.
    ActivationFailed,
    /// A `network` release kept the device from reaching any endpoint.
    ContactLost,
    /// The server ordered it by a permit of kind `revert`.
    Reverted,
    /// Something that the device's owner forbids for good was done under it: files deleted or emptied, a secret read.
    InvariantBroken,
}

/// Why a device did not take an offered release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// No room for the files.
    DiskFull,
    /// The storage cannot be written.
    ReadOnly,
    /// The manifest needs a contract that the device does not offer.
    NeedsUnmet,
    /// A signature, threshold or key scope is wrong.
    Signature,
    /// Metadata, an order or a permit is past its life.
    Expired,
    /// The policy lies outside the root-signed envelope.
    OutsideEnvelope,
    /// The permit does not reach this device's roster place, or the proof is wrong.
    WrongPlace,
    /// The ring of the roster place is not the ring of the enrolment record.
    WrongRing,
    /// The order's sequence number is lower than one seen before.
    OldOrder,
    /// The go does not answer the question that was asked.
    WrongGo,
    /// A file's digest or size is not what the manifest says.
    WrongDigest,
    /// The server does not have a file that the manifest names.
    MissingFile,
    /// The manifest is malformed or outside its bounds.
    Manifest,
    /// The order was halted before the device took the release.
    Halted,
    /// Everything was in order, but the device takes nothing: it only observes.
    Observes,
}

impl FailureReason {
    /// The stable word, as reports carry it.
    pub fn word(self) -> &'static str {
        match self {
            FailureReason::Crashed => "crashed",
            FailureReason::ProbeFailed => "probe_failed",
            FailureReason::ActivationFailed => "activation_failed",
            FailureReason::ContactLost => "contact_lost",
            FailureReason::Reverted => "reverted",
            FailureReason::InvariantBroken => "invariant_broken",
        }
    }
}

impl RefusalReason {
    /// The stable word, as reports carry it.
    pub fn word(self) -> &'static str {
        match self {
            RefusalReason::DiskFull => "disk_full",
            RefusalReason::ReadOnly => "read_only",
            RefusalReason::NeedsUnmet => "needs_unmet",
            RefusalReason::Signature => "signature",
            RefusalReason::Expired => "expired",
            RefusalReason::OutsideEnvelope => "outside_envelope",
            RefusalReason::WrongPlace => "wrong_place",
            RefusalReason::WrongRing => "wrong_ring",
            RefusalReason::OldOrder => "old_order",
            RefusalReason::WrongGo => "wrong_go",
            RefusalReason::WrongDigest => "wrong_digest",
            RefusalReason::MissingFile => "missing_file",
            RefusalReason::Manifest => "manifest",
            RefusalReason::Halted => "halted",
            RefusalReason::Observes => "observes",
        }
    }
}

impl Observation {
    /// The stable word for metrics, tables and problem documents.
    pub fn word(&self) -> &'static str {
        match self {
            Observation::Activating { .. } => "activating",
            Observation::Healthy => "healthy",
            Observation::Failed { .. } => "failed",
            Observation::Crashed => "crashed",
            Observation::Proven { .. } => "proven",
            Observation::Returned { .. } => "returned",
            Observation::NeedsHands { .. } => "needs_hands",
            Observation::Refused { .. } => "refused",
            Observation::ContactLostBoth => "contact_lost_both",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_that_reports_carry() {
        let failures = [FailureReason::Crashed, FailureReason::ProbeFailed, FailureReason::InvariantBroken];
        for reason in failures {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.word());
        }
        for reason in
            [RefusalReason::DiskFull, RefusalReason::MissingFile, RefusalReason::Observes, RefusalReason::OldOrder]
        {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.word());
        }
    }
}
