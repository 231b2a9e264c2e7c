//! What speaks against using a policy on a fleet, in words that name the nearest that would work. Nothing here judges.

use serde::{Deserialize, Serialize};

use crate::ids::RingName;
use crate::rollout::reason::Signal;
use crate::time::Elapsed;

/// Why a policy should not be used on a fleet, with the nearest that would work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum PolicyProblem {
    /// It leaves the bounds that root signed.
    #[error("policy field `{field}` is {found}; the envelope `{envelope}` allows {allowed}")]
    OutsideEnvelope {
        /// The policy's field.
        field: String,
        /// What stands there.
        found: String,
        /// The envelope's name.
        envelope: String,
        /// What it allows.
        allowed: String,
    },
    /// Nobody is in the fleet.
    #[error("the fleet has no devices that the policy reaches")]
    NoDevices,
    /// A ring without devices passes at once and shows nothing.
    #[error("ring `{ring}` has no devices: give devices its label, or the ring a share")]
    EmptyRing {
        /// The ring.
        ring: RingName,
    },
    /// A sound release with the usual failures would not pass the ring.
    #[error(
        "ring `{ring}`: {places} places cannot clear {signal} below {delta}{}; {}",
        assumed(*flawless, *signal),
        nearest(*delta_min)
    )]
    CannotClear {
        /// The ring.
        ring: RingName,
        /// Its places.
        places: u32,
        /// The signal.
        signal: Signal,
        /// The policy's margin.
        delta: f64,
        /// Whether it would clear if no device failed at all.
        flawless: bool,
        /// The smallest margin that it could clear.
        delta_min: Option<f64>,
    },
    /// The window never opens the whole ring.
    #[error("ring `{ring}`: the window stops opening before the ring is full")]
    NeverOpens {
        /// The ring.
        ring: RingName,
    },
    /// A release that fails everywhere would stall in the ring and never halt: one failure wedges nothing.
    #[error("ring `{ring}` has {places} places: a release that breaks them all would stall, not halt; {}", enough(*needed))]
    NeverHalts {
        /// The ring.
        ring: RingName,
        /// Its places.
        places: u32,
        /// The fewest places with which it would halt; none where none were found.
        needed: Option<u32>,
    },
    /// A release that breaks every device has reached them all when the first rule could stop it.
    #[error(
        "the first window of ring `{ring}` takes in all {places} places: nothing is left to stop a release that breaks every device; {}",
        narrower(*nearest)
    )]
    OpensAll {
        /// The ring.
        ring: RingName,
        /// The places.
        places: u32,
        /// The widest `window.initial_all` that leaves somebody; none where none was found.
        nearest: Option<u32>,
    },
    /// A setting with which no evidence that the fleet could give would ever halt, though with the default it would.
    #[error("no number of {} halts by evidence: policy field `{field}` is {found:?}; {nearest:?} would do", events(*signal))]
    EvidenceNeverHalts {
        /// The signal; none: the lab's own test, which counts both.
        signal: Option<Signal>,
        /// The policy's field.
        field: String,
        /// What stands there.
        found: f64,
        /// The nearest value that works, with those of the other such problems of the same signal.
        nearest: f64,
    },
    /// The order is over before a good release has reached everybody.
    #[error(
        "an order opens nothing after {order_life}, and a good release takes about {needed}: policy field `pace.order_life` of {needed} would do"
    )]
    OrderEndsFirst {
        /// How long a good release takes to open everything.
        needed: Elapsed,
        /// How long an order lives.
        order_life: Elapsed,
    },
    /// No block would get control, so that only a wedge could halt.
    #[error(
        "no stratum is large enough for control ({largest} devices in the largest): only failures that fill a window halt; at least {needed} are needed"
    )]
    NoControl {
        /// Devices in the largest stratum.
        largest: u32,
        /// What would be enough.
        needed: u32,
    },
}

fn nearest(delta_min: Option<f64>) -> String {
    delta_min
        .map_or_else(|| "no margin would do: it needs more devices".to_owned(), |delta| format!("{delta} would do"))
}

fn assumed(flawless: bool, signal: Signal) -> &'static str {
    match signal {
        _ if flawless => " at the base rate that the policy assumes",
        Signal::Hard | Signal::Crash | Signal::Number | Signal::Late => ", even if none fails",
        Signal::Silent => ", even if none is silent",
    }
}

fn enough(needed: Option<u32>) -> String {
    needed.map_or_else(|| "it needs more devices".to_owned(), |needed| format!("at least {needed} are needed"))
}

fn narrower(nearest: Option<u32>) -> String {
    nearest.map_or_else(
        || "it needs more devices".to_owned(),
        |nearest| format!("policy field `window.initial_all` of {nearest} would do"),
    )
}

fn events(signal: Option<Signal>) -> &'static str {
    match signal {
        Some(Signal::Hard) => "hard failures on this fleet",
        Some(Signal::Silent) => "silent devices on this fleet",
        Some(Signal::Crash) => "devices that crash on this fleet",
        Some(Signal::Number) => "devices with numbers outside their bounds on this fleet",
        Some(Signal::Late) => "late devices on this fleet",
        None => "failures in this lab",
    }
}

impl PolicyProblem {
    /// Whether no release could ever pass: an order under such a policy is refused.
    pub fn is_final(&self) -> bool {
        match self {
            PolicyProblem::OutsideEnvelope { .. } | PolicyProblem::NoDevices | PolicyProblem::NeverOpens { .. } => true,
            PolicyProblem::CannotClear { flawless, .. } => !flawless,
            PolicyProblem::EmptyRing { .. }
            | PolicyProblem::NeverHalts { .. }
            | PolicyProblem::OpensAll { .. }
            | PolicyProblem::EvidenceNeverHalts { .. }
            | PolicyProblem::OrderEndsFirst { .. }
            | PolicyProblem::NoControl { .. } => false,
        }
    }

    /// The stable word.
    pub fn kind(&self) -> &'static str {
        match self {
            PolicyProblem::OutsideEnvelope { .. } => "outside_envelope",
            PolicyProblem::NoDevices => "no_devices",
            PolicyProblem::EmptyRing { .. } => "empty_ring",
            PolicyProblem::CannotClear { .. } => "cannot_clear",
            PolicyProblem::NeverOpens { .. } => "never_opens",
            PolicyProblem::NeverHalts { .. } => "never_halts",
            PolicyProblem::OpensAll { .. } => "opens_all",
            PolicyProblem::EvidenceNeverHalts { .. } => "evidence_never_halts",
            PolicyProblem::OrderEndsFirst { .. } => "order_ends_first",
            PolicyProblem::NoControl { .. } => "no_control",
        }
    }
}
