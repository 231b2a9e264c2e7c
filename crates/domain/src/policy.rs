//! A policy: how a package may spread. TOML in, a value that keeps all bounds out. It never widens what the envelope allows.

mod rings;
mod strata;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::attributes::Attributes;
use crate::digest::Digest;
use crate::ids::{PolicyName, RingName, StratumName};
use crate::selector::Selector;
use crate::time::Elapsed;

pub use rings::{ApprovalRole, Ring};
pub use strata::{STRATA_MAX, Strata};

/// The largest policy text that anybody reads, in bytes.
pub const POLICY_BYTES_MAX: usize = 64 * 1024;
const RINGS_MAX: usize = 16;

/// How a package may spread. Parsed with [`Policy::parse`]; a value of this type keeps all bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The policy's name.
    pub name: PolicyName,
    /// Which devices it may reach; absent: all.
    #[serde(default)]
    pub select: Selector,
    /// How devices are grouped so that a fault of one group meets only that group's first few.
    #[serde(default)]
    pub strata: Strata,
    /// How much may be unproven.
    #[serde(default)]
    pub window: WindowRule,
    /// What makes a device proven.
    #[serde(default)]
    pub prove: Prove,
    /// How often devices speak and how long they are waited for.
    #[serde(default)]
    pub pace: Pace,
    /// The gate's error rates and margins.
    #[serde(default)]
    pub gate: GateRule,
    /// The ordered stages.
    pub rings: Vec<Ring>,
    /// What is kept back.
    #[serde(default)]
    pub holdback: Holdback,
    /// What becomes of devices that took a release that was halted, and are well.
    #[serde(default)]
    pub on_halt: OnHalt,
    /// What is halted where the evidence is confined to a part of the fleet.
    #[serde(default)]
    pub halt: HaltReach,
}

/// What is halted where the evidence is confined to one value of a stratifying attribute, or to one stratum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HaltReach {
    /// The whole rollout.
    #[default]
    Rollout,
    /// That part alone; the rest goes on. A person is called all the same.
    Scope,
}

/// What becomes of devices that took a release that was halted, and are well. One that is not well returns by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnHalt {
    /// They keep it.
    #[default]
    Hold,
    /// They are ordered back to their fallback, paced like a window.
    Revert,
}

/// `unproven <= initial + growth * proven`, in every scope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WindowRule {
    /// Places that are open before any proof, in the scope of all devices.
    pub initial_all: u32,
    /// The same for each value of each stratifying attribute.
    pub initial_value: u32,
    /// The same for each stratum.
    pub initial_stratum: u32,
    /// How many more places each proof opens.
    pub growth: u32,
    /// The greatest share of all eligible devices that may be unproven at once (scope of all devices only).
    pub unproven_share_max: f64,
}

/// What makes a device proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prove {
    /// How long it must be healthy, in contact, without a gap.
    #[serde(rename = "for")]
    pub duration: Elapsed,
    /// How many restarts of the payload it must come through.
    pub restarts: u32,
}

/// How often devices speak and how long they are waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pace {
    /// How often a device checks in while a rollout concerns it.
    pub check_in: Elapsed,
    /// How long a place stays open before it lapses.
    pub take_within: Elapsed,
    /// A device that was not seen for this long is not in the roster.
    pub recently_seen: Elapsed,
    /// How long an order may open anything.
    pub order_life: Elapsed,
}

/// The gate's error rates and margins. Probabilities in (0, 1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GateRule {
    /// The rate of false halts of a release, over all tests and its whole life.
    pub alpha: f64,
    /// The share of `alpha` that the lab's own test spends.
    pub lab_share: f64,
    /// The rate of false clearance of a ring.
    pub beta: f64,
    /// How much more often than its control a treated device may fail hard.
    pub tolerate_hard: f64,
    /// How much more often than its control a treated device may be silent.
    pub tolerate_silent: f64,
    /// The rate at which devices fail hard anyway, assumed by `policy check`.
    pub base_rate: f64,
    /// The rate at which devices are silent anyway, assumed by `policy check`: asleep, switched off, out of reach.
    pub base_rate_silent: f64,
    /// Proven devices that each stratum needs before a ring passes (fewer where the stratum is smaller).
    pub proven_min_per_stratum: u32,
    /// Whether devices that are healthy again later than their control are evidence, though they are so by the deadline.
    pub watch_lateness: bool,
    /// The most devices whose words may be left out when a halted release is ordered again.
    pub quarantine_max: u32,
}

/// Devices that are opened last of all or never: the defence against dormant faults, and the control to the end.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Holdback {
    /// The share of the last ring that is kept back, by rank.
    pub share: f64,
    /// How long after the rollout is complete it opens; absent: never under that order.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub duration: Option<Elapsed>,
}

impl WindowRule {
    /// How many of so many eligible devices may be unproven at once; never none.
    pub fn share_of(&self, devices: u32) -> u32 {
        ((self.unproven_share_max * f64::from(devices)).floor() as u32).max(1)
    }
}

impl Default for WindowRule {
    fn default() -> WindowRule {
        WindowRule { initial_all: 10, initial_value: 6, initial_stratum: 3, growth: 2, unproven_share_max: 0.25 }
    }
}

impl Default for Prove {
    fn default() -> Prove {
        Prove { duration: Elapsed::from_s(600), restarts: 0 }
    }
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            check_in: Elapsed::from_s(60),
            take_within: Elapsed::from_s(1_800),
            recently_seen: Elapsed::from_s(7 * 86_400),
            order_life: Elapsed::from_s(90 * 86_400),
        }
    }
}

impl Default for GateRule {
    fn default() -> GateRule {
        GateRule {
            alpha: 1e-3,
            lab_share: 0.1,
            beta: 0.01,
            tolerate_hard: 5e-4,
            tolerate_silent: 5e-3,
            base_rate: 1e-3,
            base_rate_silent: 0.02,
            proven_min_per_stratum: 3,
            watch_lateness: false,
            quarantine_max: 3,
        }
    }
}

/// Why a text is not a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// More bytes than anybody reads.
    #[error("policy of {0} bytes: at most {POLICY_BYTES_MAX}")]
    TooLarge(usize),
    /// Not TOML of a policy's shape; says line and column.
    #[error("{0}")]
    Shape(String),
    /// A field whose value lies outside its bounds.
    #[error("policy field `{field}` is {found}: expected {expected}")]
    Field {
        /// The field, with dots.
        field: String,
        /// What stands there.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
}

impl Policy {
    /// Reads a policy from TOML and checks every bound.
    ///
    /// # Errors
    /// When the text is too long, is no policy, or a field lies outside its bounds.
    pub fn parse(text: &str) -> Result<Policy, PolicyError> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::TooLarge(text.len()));
        }
        let policy: Policy = toml::from_str(text).map_err(|e| PolicyError::Shape(e.to_string()))?;
        policy.check()?;
        Ok(policy)
    }

    /// The name by which an order pins a policy: SHA-256 of its text.
    pub fn digest_of(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    /// The stratum of a device with these attributes.
    pub fn stratum_of(&self, attributes: &Attributes) -> StratumName {
        self.strata.of(attributes)
    }

    /// Whether its first ring is a lab.
    pub fn has_lab(&self) -> bool {
        self.rings.first().is_some_and(|ring| ring.lab)
    }

    /// The index of the ring that a label names; the last ring for an unknown label, and for none.
    pub fn ring_of_label(&self, label: Option<&RingName>) -> u8 {
        let last = self.rings.len().saturating_sub(1);
        let named = label.and_then(|label| self.rings.iter().position(|ring| ring.name == *label));
        u8::try_from(named.unwrap_or(last)).unwrap_or(u8::MAX)
    }

    fn check(&self) -> Result<(), PolicyError> {
        self.check_numbers()?;
        self.strata.check()?;
        self.check_rings()
    }

    fn check_numbers(&self) -> Result<(), PolicyError> {
        let (w, g) = (&self.window, &self.gate);
        let open = "more than 0 and less than 1";
        for (field, value) in [
            ("gate.alpha", g.alpha),
            ("gate.lab_share", g.lab_share),
            ("gate.beta", g.beta),
            ("gate.tolerate_hard", g.tolerate_hard),
            ("gate.tolerate_silent", g.tolerate_silent),
            ("gate.base_rate", g.base_rate),
            ("gate.base_rate_silent", g.base_rate_silent),
        ] {
            require(value > 0.0 && value < 1.0, field, value, open)?;
        }
        let share = w.unproven_share_max;
        require(share > 0.0 && share <= 1.0, "window.unproven_share_max", share, "more than 0 and at most 1")?;
        let held = self.holdback.share;
        require((0.0..0.9).contains(&held), "holdback.share", held, "0 or more and less than 0.9")?;
        if let Some(duration) = self.holdback.duration {
            let bounded = (100..=366 * 86_400_000).contains(&duration.as_ms());
            require(bounded, "holdback.for", duration, "100ms to 366d")?;
        }
        for (field, value) in
            [("initial_all", w.initial_all), ("initial_value", w.initial_value), ("initial_stratum", w.initial_stratum)]
        {
            require((1..=1_000_000).contains(&value), &format!("window.{field}"), value, "1 to 1000000")?;
        }
        require((1..=100).contains(&w.growth), "window.growth", w.growth, "1 to 100")?;
        let times = [
            ("prove.for", self.prove.duration),
            ("pace.check_in", self.pace.check_in),
            ("pace.take_within", self.pace.take_within),
            ("pace.recently_seen", self.pace.recently_seen),
            ("pace.order_life", self.pace.order_life),
        ];
        for (field, value) in times {
            require((100..=366 * 86_400_000).contains(&value.as_ms()), field, value, "100ms to 366d")?;
        }
        require(g.quarantine_max <= 100, "gate.quarantine_max", g.quarantine_max, "0 to 100")?;
        require(self.prove.restarts <= 100, "prove.restarts", self.prove.restarts, "0 to 100")
    }

    fn check_rings(&self) -> Result<(), PolicyError> {
        require((1..=RINGS_MAX).contains(&self.rings.len()), "rings", self.rings.len(), "1 to 16 rings")?;
        let names: BTreeSet<_> = self.rings.iter().map(|ring| &ring.name).collect();
        require(names.len() == self.rings.len(), "rings.name", "a list", "no ring twice")?;
        for (i, ring) in self.rings.iter().enumerate() {
            let field = |name: &str| format!("rings.{}.{name}", ring.name);
            require(
                !ring.lab || (i == 0 && self.rings.len() > 1),
                &field("lab"),
                true,
                "only the first of several rings can be a lab",
            )?;
            let asked = ring.approve.is_none() || i > 0;
            require(asked, &field("approve"), "a role", "nothing in the first ring: its approval is the signed order")?;
            require((0.0..=1.0).contains(&ring.share), &field("share"), ring.share, "0 to 1")?;
            let least = ring.proven_share_min();
            require(least > 0.0 && least <= 1.0, &field("proven_share_min"), least, "more than 0 and at most 1")?;
            for (name, delta) in [("clear_hard", ring.clear_hard), ("clear_silent", ring.clear_silent)] {
                require(delta > 0.0 && delta < 1.0, &field(name), delta, "more than 0 and less than 1")?;
            }
            require(ring.soak <= Elapsed::from_s(366 * 86_400), &field("soak"), ring.soak, "at most 366d")?;
        }
        let shares: f64 = self.rings.iter().map(|ring| ring.share).sum();
        require(shares <= 1.0, "rings.share", shares, "shares that add up to at most 1 (the last ring takes the rest)")
    }
}

fn require(holds: bool, field: &str, found: impl ToString, expected: &'static str) -> Result<(), PolicyError> {
    if holds {
        return Ok(());
    }
    Err(PolicyError::Field { field: field.to_owned(), found: found.to_string(), expected })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::attributes::AttributeValue;
    use crate::ids::AttributeName;

    const RING: &str = "name = \"p\"\nrings = [{name = \"broad\", soak = \"1h\"}]\n";

    fn refused(rest: &str) -> String {
        Policy::parse(&format!("{RING}{rest}")).unwrap_err().to_string()
    }

    #[test]
    fn what_is_left_out_is_the_default() {
        let policy = Policy::parse(RING).unwrap();
        assert_eq!((policy.window.initial_all, policy.window.growth), (10, 2));
        assert_eq!(policy.rings[0].proven_share_min(), 0.9);
        assert_eq!(policy.rings[0].clear_hard, 0.005);
        assert_eq!((policy.gate.base_rate, policy.gate.base_rate_silent), (0.001, 0.02));
    }

    #[test]
    fn each_bound_refuses_what_lies_outside_and_names_its_field() {
        for (rest, field) in [
            ("[window]\ninitial_all = 0", "window.initial_all"),
            ("[window]\ngrowth = 0", "window.growth"),
            ("[window]\ngrowth = 101", "window.growth"),
            ("[window]\nunproven_share_max = 0.0", "window.unproven_share_max"),
            ("[window]\nunproven_share_max = nan", "window.unproven_share_max"),
            ("[prove]\nfor = \"1ms\"", "prove.for"),
            ("[pace]\ncheck_in = \"0s\"", "pace.check_in"),
            ("[gate]\nalpha = 1.0", "gate.alpha"),
            ("[gate]\nbeta = inf", "gate.beta"),
            ("[gate]\ntolerate_hard = 0.0", "gate.tolerate_hard"),
            ("[holdback]\nshare = 0.9", "holdback.share"),
            ("[holdback]\nfor = \"0s\"", "holdback.for"),
            ("[strata]\nby = [\"os\", \"os\"]", "strata.by"),
            ("[strata]\nby = [\"os\"]\nlisted = [[\"a\", \"b\"]]", "strata.listed"),
            ("[strata]\nby = [\"os\"]\nlisted = [[\"a\"], [\"a\"]]", "strata.listed"),
            ("[strata]\nby = [\"os\"]\nlisted = [[\"other\"]]", "strata.listed"),
        ] {
            let error = refused(rest);
            assert!(error.contains(&format!("`{field}`")), "{rest}: {error}");
        }
    }

    #[test]
    fn unknown_fields_and_huge_texts_are_refused() {
        assert!(refused("[window]\nfloor = 3").contains("floor"));
        assert!(refused("surprise = 1").contains("surprise"));
        assert!(matches!(Policy::parse(&"#".repeat(POLICY_BYTES_MAX + 1)), Err(PolicyError::TooLarge(_))));
    }

    #[test]
    fn only_the_first_of_several_rings_can_be_a_lab() {
        let rings = |rings: &str| Policy::parse(&format!("name = \"p\"\nrings = [{rings}]"));
        assert!(rings("{name = \"lab\", lab = true, soak = \"1s\"}").is_err());
        assert!(rings("{name = \"a\", soak = \"1s\"}, {name = \"lab\", lab = true, soak = \"1s\"}").is_err());
        assert!(rings("{name = \"lab\", lab = true, soak = \"1s\"}, {name = \"a\", soak = \"1s\"}").is_ok());
        assert!(rings("").is_err());
        assert!(rings("{name = \"a\", soak = \"1s\"}, {name = \"a\", soak = \"1s\"}").is_err());
    }

    #[test]
    fn devices_of_no_listed_combination_share_the_stratum_other() {
        let text = format!("{RING}[strata]\nby = [\"os\", \"site\"]\nlisted = [[\"Win\", \"ams\"]]");
        let policy = Policy::parse(&text).unwrap();
        let of = |pairs: &[(&str, &str)]| {
            let map: BTreeMap<AttributeName, AttributeValue> =
                pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            policy.stratum_of(&map.try_into().unwrap()).to_string()
        };
        assert_eq!(of(&[("os", "Win"), ("site", "ams")]), "Win/ams");
        assert_eq!(of(&[("os", "Win"), ("site", "fra")]), "other");
        assert_eq!(of(&[("os", "Win")]), "other");
        assert_eq!(Policy::parse(RING).unwrap().stratum_of(&Attributes::default()).as_str(), "all");
        assert_eq!(policy.strata.values_of(&"Win/ams".parse().unwrap()).map(<[_]>::len), Some(2));
    }
}
