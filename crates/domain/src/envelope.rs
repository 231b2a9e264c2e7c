//! The root-signed bounds that no policy may leave, whoever approved it. Devices hold every order against it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::{PolicyName, RingName};
use crate::policy::Policy;
use crate::time::Elapsed;

const TEXT_BYTES_MAX: usize = 64 * 1024;

/// The bounds. The defaults of each field are the safe ones; a weaker envelope must carry `danger` in its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The envelope's name.
    pub name: PolicyName,
    /// The largest `window.initial_all`.
    #[serde(default = "safe::initial_all_max")]
    pub initial_all_max: u32,
    /// The largest `window.initial_stratum`.
    #[serde(default = "safe::initial_stratum_max")]
    pub initial_stratum_max: u32,
    /// The largest `window.growth`.
    #[serde(default = "safe::growth_max")]
    pub growth_max: u32,
    /// The largest `window.unproven_share_max`.
    #[serde(default = "safe::unproven_share_max")]
    pub unproven_share_max: f64,
    /// The shortest `prove.for`.
    #[serde(default = "safe::prove_min")]
    pub prove_min: Elapsed,
    /// The shortest soak of any ring.
    #[serde(default = "safe::soak_min")]
    pub soak_min: Elapsed,
    /// Rings that no policy may leave out.
    #[serde(default)]
    pub rings_required: BTreeSet<RingName>,
    /// The largest `gate.alpha` does not widen exposure; the largest clearance margin does.
    #[serde(default = "safe::clear_max")]
    pub clear_max: f64,
    /// The most unproven devices over all rollouts of the fleet together.
    #[serde(default = "safe::unproven_all_rollouts_max")]
    pub unproven_all_rollouts_max: u32,
}

mod safe {
    use crate::time::Elapsed;

    pub(super) fn initial_all_max() -> u32 {
        100
    }
    pub(super) fn initial_stratum_max() -> u32 {
        30
    }
    pub(super) fn growth_max() -> u32 {
        3
    }
    pub(super) fn unproven_share_max() -> f64 {
        0.25
    }
    pub(super) fn prove_min() -> Elapsed {
        Elapsed::from_s(120)
    }
    pub(super) fn soak_min() -> Elapsed {
        Elapsed::from_s(240)
    }
    pub(super) fn clear_max() -> f64 {
        0.05
    }
    pub(super) fn unproven_all_rollouts_max() -> u32 {
        1_000_000
    }
}

/// Why a text is not an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Too long, or not TOML of an envelope's shape.
    #[error("envelope: {0}")]
    Shape(String),
    /// It weakens a safe bound without saying so.
    #[error(
        "envelope field `{field}` is weaker than the safe bound ({safe}): the envelope's name must contain `danger`"
    )]
    Unmarked {
        /// The field.
        field: &'static str,
        /// The safe bound.
        safe: String,
    },
}

/// One bound that a policy leaves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy field `{field}` is {found}; the envelope `{envelope}` allows {allowed}")]
pub struct OutsideEnvelope {
    /// The policy's field.
    pub field: &'static str,
    /// What stands there.
    pub found: String,
    /// The envelope's name.
    pub envelope: PolicyName,
    /// What it allows.
    pub allowed: String,
}

impl Envelope {
    /// Reads an envelope from TOML.
    ///
    /// # Errors
    /// When the text is no envelope, or weakens a safe bound without `danger` in its name.
    pub fn parse(text: &str) -> Result<Envelope, EnvelopeError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(EnvelopeError::Shape(format!("{} bytes, at most {TEXT_BYTES_MAX}", text.len())));
        }
        let envelope: Envelope = toml::from_str(text).map_err(|e| EnvelopeError::Shape(e.to_string()))?;
        for (field, value) in [("unproven_share_max", envelope.unproven_share_max), ("clear_max", envelope.clear_max)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(EnvelopeError::Shape(format!("field `{field}` is {value}: expected 0 to 1")));
            }
        }
        if !envelope.name.as_str().contains("danger") {
            envelope.check_safe()?;
        }
        Ok(envelope)
    }

    fn check_safe(&self) -> Result<(), EnvelopeError> {
        let weaker: [(&'static str, bool, String); 8] = [
            ("initial_all_max", self.initial_all_max > safe::initial_all_max(), safe::initial_all_max().to_string()),
            (
                "initial_stratum_max",
                self.initial_stratum_max > safe::initial_stratum_max(),
                safe::initial_stratum_max().to_string(),
            ),
            ("growth_max", self.growth_max > safe::growth_max(), safe::growth_max().to_string()),
            (
                "unproven_share_max",
                self.unproven_share_max > safe::unproven_share_max(),
                safe::unproven_share_max().to_string(),
            ),
            ("prove_min", self.prove_min < safe::prove_min(), safe::prove_min().to_string()),
            ("soak_min", self.soak_min < safe::soak_min(), safe::soak_min().to_string()),
            ("clear_max", self.clear_max > safe::clear_max(), safe::clear_max().to_string()),
            (
                "unproven_all_rollouts_max",
                self.unproven_all_rollouts_max > safe::unproven_all_rollouts_max(),
                safe::unproven_all_rollouts_max().to_string(),
            ),
        ];
        match weaker.into_iter().find(|(_, weaker, _)| *weaker) {
            Some((field, _, safe)) => Err(EnvelopeError::Unmarked { field, safe }),
            None => Ok(()),
        }
    }

    /// Holds a policy against the bounds.
    ///
    /// # Errors
    /// Names the first bound that the policy leaves.
    pub fn admits(&self, policy: &Policy) -> Result<(), OutsideEnvelope> {
        let w = &policy.window;
        let bounds: [(&'static str, bool, String, String); 5] = [
            (
                "window.initial_all",
                w.initial_all <= self.initial_all_max,
                w.initial_all.to_string(),
                at_most(self.initial_all_max),
            ),
            (
                "window.initial_stratum",
                w.initial_stratum <= self.initial_stratum_max,
                w.initial_stratum.to_string(),
                at_most(self.initial_stratum_max),
            ),
            ("window.growth", w.growth <= self.growth_max, w.growth.to_string(), at_most(self.growth_max)),
            (
                "window.unproven_share_max",
                w.unproven_share_max <= self.unproven_share_max,
                w.unproven_share_max.to_string(),
                at_most(self.unproven_share_max),
            ),
            (
                "prove.for",
                policy.prove.duration >= self.prove_min,
                policy.prove.duration.to_string(),
                at_least(self.prove_min),
            ),
        ];
        for (field, holds, found, allowed) in bounds {
            if !holds {
                return Err(OutsideEnvelope { field, found, envelope: self.name.clone(), allowed });
            }
        }
        for ring in &policy.rings {
            self.admits_ring(policy, ring)?;
        }
        let missing = self.rings_required.iter().find(|name| !policy.rings.iter().any(|ring| ring.name == **name));
        match missing {
            Some(name) => Err(OutsideEnvelope {
                field: "rings",
                found: "without it".to_owned(),
                envelope: self.name.clone(),
                allowed: format!("only policies with the ring `{name}`"),
            }),
            None => Ok(()),
        }
    }

    fn admits_ring(&self, policy: &Policy, ring: &crate::policy::Ring) -> Result<(), OutsideEnvelope> {
        let last = policy.rings.last().is_some_and(|last| last.name == ring.name);
        let leaves =
            |field, found: String, allowed| Err(OutsideEnvelope { field, found, envelope: self.name.clone(), allowed });
        if !last && ring.soak < self.soak_min {
            return leaves("rings.soak", ring.soak.to_string(), at_least(self.soak_min));
        }
        let clear = ring.clear_hard.max(ring.clear_silent);
        if !ring.lab && clear > self.clear_max {
            return leaves("rings.clear_hard, rings.clear_silent", clear.to_string(), at_most(self.clear_max));
        }
        Ok(())
    }
}

fn at_most(bound: impl ToString) -> String {
    format!("at most {}", bound.to_string())
}

fn at_least(bound: impl ToString) -> String {
    format!("at least {}", bound.to_string())
}
