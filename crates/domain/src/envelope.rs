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
    /// The largest `window.initial_value`.
    #[serde(default = "safe::initial_value_max")]
    pub initial_value_max: u32,
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
    /// The largest margin of clearance of any ring after the lab.
    #[serde(default = "safe::clear_max")]
    pub clear_max: f64,
    /// The largest `gate.beta`: with one near 1 every ring would pass at once.
    #[serde(default = "safe::beta_max")]
    pub beta_max: f64,
    /// The largest of `gate.tolerate_hard` and `gate.tolerate_silent`: with one near 1 no evidence would halt.
    #[serde(default = "safe::tolerate_max")]
    pub tolerate_max: f64,
    /// The least `gate.alpha`: with one near 0 no evidence would halt. A large one only halts more.
    #[serde(default = "safe::alpha_min")]
    pub alpha_min: f64,
    /// The least `proven_share_min` of any ring.
    #[serde(default = "safe::proven_share_min")]
    pub proven_share_min: f64,
    /// The most unproven devices over all rollouts of the fleet together.
    #[serde(default = "safe::unproven_all_rollouts_max")]
    pub unproven_all_rollouts_max: u32,
    /// The largest `gate.quarantine_max`.
    #[serde(default = "safe::quarantine_max")]
    pub quarantine_max: u32,
    /// How many approvers must sign an order that goes on after a halt.
    #[serde(default = "safe::approvals_min")]
    pub approvals_min: u32,
}

mod safe {
    use crate::time::Elapsed;

    pub(super) fn initial_all_max() -> u32 {
        100
    }
    pub(super) fn initial_value_max() -> u32 {
        60
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
    pub(super) fn beta_max() -> f64 {
        0.05
    }
    pub(super) fn tolerate_max() -> f64 {
        0.02
    }
    pub(super) fn alpha_min() -> f64 {
        1e-6
    }
    pub(super) fn proven_share_min() -> f64 {
        0.5
    }
    pub(super) fn unproven_all_rollouts_max() -> u32 {
        1_000_000
    }
    pub(super) fn quarantine_max() -> u32 {
        10
    }
    pub(super) fn approvals_min() -> u32 {
        2
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

/// A policy that leaves an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("outside the envelope `{envelope}`: {}", list(left))]
pub struct OutsideEnvelope {
    /// The envelope's name.
    pub envelope: PolicyName,
    /// The bounds that it leaves.
    pub left: Vec<LeftBound>,
}

/// One bound that a policy leaves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy field `{field}` is {found}, allowed is {allowed}")]
pub struct LeftBound {
    /// The policy's field.
    pub field: String,
    /// What stands there.
    pub found: String,
    /// What the envelope allows.
    pub allowed: String,
}

fn list(left: &[LeftBound]) -> String {
    left.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
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
        for (field, value) in [
            ("unproven_share_max", envelope.unproven_share_max),
            ("clear_max", envelope.clear_max),
            ("beta_max", envelope.beta_max),
            ("tolerate_max", envelope.tolerate_max),
            ("alpha_min", envelope.alpha_min),
            ("proven_share_min", envelope.proven_share_min),
        ] {
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
        let counts = [
            ("initial_all_max", self.initial_all_max, safe::initial_all_max()),
            ("initial_value_max", self.initial_value_max, safe::initial_value_max()),
            ("initial_stratum_max", self.initial_stratum_max, safe::initial_stratum_max()),
            ("growth_max", self.growth_max, safe::growth_max()),
            ("unproven_all_rollouts_max", self.unproven_all_rollouts_max, safe::unproven_all_rollouts_max()),
            ("quarantine_max", self.quarantine_max, safe::quarantine_max()),
        ];
        let approvals = [("approvals_min", self.approvals_min, safe::approvals_min())];
        let times = [("prove_min", self.prove_min, safe::prove_min()), ("soak_min", self.soak_min, safe::soak_min())];
        let shares_max = [
            ("unproven_share_max", self.unproven_share_max, safe::unproven_share_max()),
            ("clear_max", self.clear_max, safe::clear_max()),
            ("beta_max", self.beta_max, safe::beta_max()),
            ("tolerate_max", self.tolerate_max, safe::tolerate_max()),
        ];
        let shares_min = [
            ("alpha_min", self.alpha_min, safe::alpha_min()),
            ("proven_share_min", self.proven_share_min, safe::proven_share_min()),
        ];
        let weaker = counts.iter().filter(|(_, found, safe)| found > safe).map(|(f, _, safe)| (*f, safe.to_string()));
        let weaker =
            weaker.chain(times.iter().filter(|(_, f, safe)| f < safe).map(|(f, _, safe)| (*f, safe.to_string())));
        let weaker =
            weaker.chain(shares_max.iter().filter(|(_, f, safe)| f > safe).map(|(f, _, s)| (*f, s.to_string())));
        let weaker =
            weaker.chain(shares_min.iter().filter(|(_, f, safe)| f < safe).map(|(f, _, s)| (*f, s.to_string())));
        let weaker =
            weaker.chain(approvals.iter().filter(|(_, f, safe)| f < safe).map(|(f, _, s)| (*f, s.to_string())));
        match { weaker }.next() {
            Some((field, safe)) => Err(EnvelopeError::Unmarked { field, safe }),
            None => Ok(()),
        }
    }

    /// Holds a policy against the bounds.
    ///
    /// # Errors
    /// Names every bound that the policy leaves.
    pub fn admits(&self, policy: &Policy) -> Result<(), OutsideEnvelope> {
        let mut left = Vec::new();
        self.add_left(policy, &mut left);
        policy.rings.iter().for_each(|ring| self.add_left_by_ring(policy, ring, &mut left));
        for name in self.rings_required.iter().filter(|name| !policy.rings.iter().any(|ring| ring.name == **name)) {
            left.push(LeftBound {
                field: "rings".to_owned(),
                found: "without it".to_owned(),
                allowed: format!("only policies with the ring `{name}`"),
            });
        }
        if left.is_empty() { Ok(()) } else { Err(OutsideEnvelope { envelope: self.name.clone(), left }) }
    }

    fn add_left(&self, policy: &Policy, left: &mut Vec<LeftBound>) {
        let (w, g) = (&policy.window, &policy.gate);
        let most = |field, found: u32, bound: u32| (field, found <= bound, found.to_string(), at_most(bound));
        let most_share = |field, found: f64, bound: f64| (field, found <= bound, found.to_string(), at_most(bound));
        let (prove, prove_min) = (policy.prove.duration, self.prove_min);
        let bounds: [(&'static str, bool, String, String); 11] = [
            most("window.initial_all", w.initial_all, self.initial_all_max),
            most("window.initial_value", w.initial_value, self.initial_value_max),
            most("window.initial_stratum", w.initial_stratum, self.initial_stratum_max),
            most("window.growth", w.growth, self.growth_max),
            most_share("window.unproven_share_max", w.unproven_share_max, self.unproven_share_max),
            ("prove.for", prove >= prove_min, prove.to_string(), at_least(prove_min)),
            most_share("gate.beta", g.beta, self.beta_max),
            most_share("gate.tolerate_hard", g.tolerate_hard, self.tolerate_max),
            most_share("gate.tolerate_silent", g.tolerate_silent, self.tolerate_max),
            most("gate.quarantine_max", g.quarantine_max, self.quarantine_max),
            ("gate.alpha", g.alpha >= self.alpha_min, g.alpha.to_string(), at_least(self.alpha_min)),
        ];
        for (field, _, found, allowed) in bounds.into_iter().filter(|(_, holds, ..)| !holds) {
            left.push(LeftBound { field: field.to_owned(), found, allowed });
        }
    }

    fn add_left_by_ring(&self, policy: &Policy, ring: &crate::policy::Ring, left: &mut Vec<LeftBound>) {
        let last = policy.rings.last().is_some_and(|last| last.name == ring.name);
        let proven = ring.proven_share_min();
        let clears = [("clear_hard", ring.clear_hard), ("clear_silent", ring.clear_silent)];
        let mut leaves = |field: &str, found: String, allowed| {
            left.push(LeftBound { field: format!("rings.{}.{field}", ring.name), found, allowed });
        };
        if !last && ring.soak < self.soak_min {
            leaves("soak", ring.soak.to_string(), at_least(self.soak_min));
        }
        if proven < self.proven_share_min {
            leaves("proven_share_min", proven.to_string(), at_least(self.proven_share_min));
        }
        for (field, delta) in clears.into_iter().filter(|(_, delta)| !ring.lab && *delta > self.clear_max) {
            leaves(field, delta.to_string(), at_most(self.clear_max));
        }
    }
}

fn at_most(bound: impl ToString) -> String {
    format!("at most {}", bound.to_string())
}

fn at_least(bound: impl ToString) -> String {
    format!("at least {}", bound.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rest: &str) -> Policy {
        let ring = if rest.contains("[[rings]]") { "" } else { "\n[[rings]]\nname = \"broad\"\nsoak = \"0s\"" };
        Policy::parse(&format!("name = \"p\"\n{rest}{ring}")).unwrap()
    }

    #[test]
    fn an_envelope_that_weakens_a_safe_bound_must_say_danger() {
        for line in [
            "initial_all_max = 101",
            "initial_value_max = 61",
            "initial_stratum_max = 31",
            "growth_max = 4",
            "unproven_share_max = 0.26",
            "prove_min = \"119s\"",
            "soak_min = \"239s\"",
            "clear_max = 0.06",
            "beta_max = 0.06",
            "tolerate_max = 0.03",
            "alpha_min = 0.0",
            "proven_share_min = 0.4",
            "unproven_all_rollouts_max = 1000001",
            "quarantine_max = 11",
            "approvals_min = 1",
        ] {
            let field = line.split(' ').next().unwrap();
            let error = Envelope::parse(&format!("name = \"site\"\n{line}")).unwrap_err();
            assert!(matches!(&error, EnvelopeError::Unmarked { field: of, .. } if *of == field), "{line}: {error}");
            assert!(Envelope::parse(&format!("name = \"danger-site\"\n{line}")).is_ok(), "{line}");
        }
        assert!(Envelope::parse("name = \"site\"\ngrowth_max = 1").is_ok(), "stricter needs no warning");
    }

    #[test]
    fn a_policy_that_leaves_a_bound_is_refused_by_its_field() {
        let safe = Envelope::parse("name = \"safe\"").unwrap();
        assert_eq!(safe.admits(&policy("")), Ok(()));
        for (rest, field) in [
            ("window = { initial_all = 101 }", "window.initial_all"),
            ("window = { initial_value = 61 }", "window.initial_value"),
            ("window = { initial_stratum = 31 }", "window.initial_stratum"),
            ("window = { growth = 4 }", "window.growth"),
            ("window = { unproven_share_max = 0.5 }", "window.unproven_share_max"),
            ("prove = { for = \"1min\" }", "prove.for"),
            ("gate = { beta = 0.9 }", "gate.beta"),
            ("gate = { tolerate_hard = 0.9 }", "gate.tolerate_hard"),
            ("gate = { tolerate_silent = 0.9 }", "gate.tolerate_silent"),
            ("gate = { alpha = 1e-9 }", "gate.alpha"),
            ("gate = { quarantine_max = 11 }", "gate.quarantine_max"),
            ("[[rings]]\nname = \"a\"\nsoak = \"1s\"\n[[rings]]\nname = \"b\"\nsoak = \"0s\"", "rings.a.soak"),
            ("[[rings]]\nname = \"a\"\nsoak = \"0s\"\nproven_share_min = 0.1", "rings.a.proven_share_min"),
            ("[[rings]]\nname = \"a\"\nsoak = \"0s\"\nclear_hard = 0.5", "rings.a.clear_hard"),
        ] {
            let left = safe.admits(&policy(rest)).unwrap_err().left;
            assert_eq!(left.iter().map(|bound| bound.field.as_str()).collect::<Vec<_>>(), [field], "{rest}");
        }
    }

    #[test]
    fn every_bound_that_is_left_is_named_at_once() {
        let safe = Envelope::parse("name = \"safe\"").unwrap();
        let wide = policy("window = { growth = 4 }\nprove = { for = \"1s\" }");
        let error = safe.admits(&wide).unwrap_err().to_string();
        assert!(error.contains("`window.growth` is 4, allowed is at most 3"), "{error}");
        assert!(error.contains("`prove.for` is 1s, allowed is at least 2min"), "{error}");
    }

    #[test]
    fn a_required_ring_cannot_be_left_out() {
        let envelope = Envelope::parse("name = \"safe\"\nrings_required = [\"lab\"]").unwrap();
        let error = envelope.admits(&policy("")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "outside the envelope `safe`: policy field `rings` is without it, allowed is only policies with the ring `lab`"
        );
    }

    #[test]
    fn nonsense_and_unknown_fields_are_refused() {
        for text in [
            "",
            "name = 3",
            "name = \"a\"\nwiden = 1",
            "name = \"danger\"\nclear_max = nan",
            "name = \"danger\"\nbeta_max = 2.0",
        ] {
            assert!(Envelope::parse(text).is_err(), "{text}");
        }
        assert!(Envelope::parse(&"#".repeat(70_000)).is_err());
    }
}
