//! What the gate says, as data, with its reasons. The console, the API, the account and the log print these same words.
//! Nothing here judges.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::fact::Escalation;
use super::scope::ScopeName;
use crate::evidence::odds::Odds;
use crate::ids::{DeviceId, OperatorName, RingName, StratumName};
use crate::policy::ApprovalRole;

/// What a process looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Failures that a device reported.
    Hard,
    /// No healthy report by the band's end.
    Silent,
    /// A device's first crash.
    Crash,
    /// A number that the release declares, outside its bounds.
    Number,
    /// The first healthy report after the downtime, later than control's.
    Late,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Signal::Hard => "hard failures",
            Signal::Silent => "silence",
            Signal::Crash => "first crashes",
            Signal::Number => "numbers outside their bounds",
            Signal::Late => "lateness",
        })
    }
}

/// What the gate says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "reasons", rename_all = "snake_case")]
pub enum Verdict {
    /// The open ring has passed.
    Pass,
    /// Not yet, and why.
    Wait(Vec<WaitReason>),
    /// Stop, and why.
    Halt(Vec<HaltReason>),
}

/// Why a ring has not passed yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "wait", rename_all = "snake_case")]
pub enum WaitReason {
    /// Too few places of the ring are proven.
    Proofs {
        /// Proven now.
        proven: u32,
        /// Needed.
        needed: u32,
    },
    /// Too few proven devices in one stratum.
    StratumProofs {
        /// The stratum.
        stratum: StratumName,
        /// Proven now.
        proven: u32,
        /// Needed.
        needed: u32,
    },
    /// The ring has not been open for long enough.
    Soak {
        /// What is left, in milliseconds; all of it while nobody has taken the release in this ring.
        left_ms: u64,
    },
    /// The evidence does not show yet that the release is no worse than control by the ring's margin.
    Clearance {
        /// The signal.
        signal: Signal,
        /// ln of the e-value against "worse by the margin or more".
        ln_e: f64,
        /// What it must reach.
        ln_needed: f64,
    },
    /// Places of the order's own rosters are still to be opened, taken or heard of. Those of addenda are not waited for:
    /// in a large fleet somebody always joins or returns.
    LastPlaces {
        /// How many.
        left: u32,
    },
    /// The next ring opens once an operator with this role, or a higher one, lets it.
    Approval {
        /// The ring.
        ring: RingName,
        /// The least role.
        role: ApprovalRole,
    },
    /// A person is needed.
    NeedsOperator {
        /// Why.
        why: Escalation,
    },
    /// A person paused it.
    Paused {
        /// Who.
        by: OperatorName,
        /// In their words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
}

/// Why a rollout halts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "halt", rename_all = "snake_case")]
pub enum HaltReason {
    /// Known hard failures alone fill a scope's window, or all places that its open rings hold.
    Wedged {
        /// The scope.
        scope: ScopeName,
        /// Hard failures known.
        failed: u32,
        /// The places that they fill.
        places: u32,
    },
    /// The window is full, every unproven place in it failed or overdue, at least one of them a reported failure.
    WindowExhausted {
        /// The scope.
        scope: ScopeName,
        /// Hard failures known.
        failed: u32,
        /// Past their deadline without a word.
        overdue: u32,
    },
    /// The weighted evidence against the release reached 1/alpha.
    Evidence {
        /// ln of the weighted sum of e-values.
        ln_e: f64,
        /// What it reached.
        ln_threshold: f64,
        /// The scope that contributes most.
        scope: ScopeName,
        /// Its signal.
        signal: Signal,
        /// Its age band, 1 or 2; 0 for a process over both.
        band: u8,
    },
    /// The lab fails more than any lab should.
    LabEvidence {
        /// Devices of the lab that took the release.
        size: u32,
        /// Of them, those that failed, crashed or are overdue.
        failures: u32,
        /// ln of the e-value.
        ln_e: f64,
        /// What it reached.
        ln_threshold: f64,
    },
    /// A device says that something was done under the release that its owner forbids for good. One is enough.
    InvariantBroken {
        /// The first device.
        device: DeviceId,
    },
    /// A person said so.
    ByPerson {
        /// Who.
        by: OperatorName,
        /// In their words.
        reason: String,
    },
}

impl HaltReason {
    /// The scope that it names, where it names one.
    pub fn scope(&self) -> Option<&ScopeName> {
        match self {
            HaltReason::Wedged { scope, .. }
            | HaltReason::WindowExhausted { scope, .. }
            | HaltReason::Evidence { scope, .. } => Some(scope),
            HaltReason::LabEvidence { .. } | HaltReason::InvariantBroken { .. } | HaltReason::ByPerson { .. } => None,
        }
    }

    /// The stable word.
    pub fn word(&self) -> &'static str {
        match self {
            HaltReason::Wedged { .. } => "wedged",
            HaltReason::WindowExhausted { .. } => "window_exhausted",
            HaltReason::Evidence { .. } => "evidence",
            HaltReason::LabEvidence { .. } => "lab_evidence",
            HaltReason::InvariantBroken { .. } => "invariant_broken",
            HaltReason::ByPerson { .. } => "by_person",
        }
    }
}

impl fmt::Display for HaltReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HaltReason::Wedged { scope, failed, places } => {
                write!(f, "{scope}: {failed} hard failures fill all {places} places that may be unproven")
            }
            HaltReason::WindowExhausted { scope, failed, overdue } => {
                write!(f, "{scope}: the window is full of {failed} failed and {overdue} silent devices")
            }
            HaltReason::Evidence { ln_e, ln_threshold, scope, signal, band } => {
                let (is, halts) = (Odds(*ln_e), Odds(*ln_threshold));
                write!(
                    f,
                    "evidence that chance brings {is} times, it halts at {halts}; most of it {signal} in {scope}"
                )?;
                if *band > 0 { write!(f, ", age band {band}") } else { Ok(()) }
            }
            HaltReason::LabEvidence { size, failures, ln_e, ln_threshold } => {
                let (is, halts) = (Odds(*ln_e), Odds(*ln_threshold));
                write!(
                    f,
                    "lab: {failures} of {size} failed, crashed or are silent, which chance brings {is} times; it halts at {halts}"
                )
            }
            HaltReason::InvariantBroken { device } => {
                write!(f, "{device} says that what its owner forbids for good was done under the release")
            }
            HaltReason::ByPerson { by, reason } => write!(f, "{by}: {reason}"),
        }
    }
}

impl fmt::Display for Escalation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Escalation::Stalled => "nothing opened for two proof times",
            Escalation::ScopeHalted => "a part of the fleet was halted alone; the rest goes on",
            Escalation::ApprovalWanted => "the next ring waits for its approval",
            Escalation::OnlySilent => "the window is full of silent devices",
            Escalation::CannotClear => {
                "every device of the ring was heard out and the evidence does not clear its margin; \
                 halt it and publish a release that fails less, or one ordered under a policy with a larger margin"
            }
        })
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitReason::Proofs { proven, needed } => write!(f, "{proven} of {needed} proven"),
            WaitReason::StratumProofs { stratum, proven, needed } => {
                write!(f, "{stratum}: {proven} of {needed} proven")
            }
            WaitReason::Soak { left_ms } => write!(f, "soaking, {:.1} s left", *left_ms as f64 / 1e3),
            WaitReason::Clearance { signal, ln_e, ln_needed } => {
                write!(f, "clearance of {signal}: shown to {}, {} is needed", Odds(*ln_e), Odds(*ln_needed))
            }
            WaitReason::LastPlaces { left: 1 } => f.write_str("1 place still to open or to hear of"),
            WaitReason::LastPlaces { left } => write!(f, "{left} places still to open or to hear of"),
            WaitReason::Approval { ring, role } => {
                write!(f, "ring {ring} opens when an operator with the role {role} approves it")
            }
            WaitReason::NeedsOperator { why } => write!(f, "needs a person: {why}"),
            WaitReason::Paused { by, reason } if reason.is_empty() => write!(f, "paused by {by}"),
            WaitReason::Paused { by, reason } => write!(f, "paused by {by}: {reason}"),
        }
    }
}
