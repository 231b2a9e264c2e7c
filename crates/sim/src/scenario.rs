//! A scenario: a fleet, a release and what is wrong with it, as TOML. A value of this type keeps all bounds.
//!
//! It describes the world only. How the release is spread is a policy's or a rival's business.

mod surroundings;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_domain::attributes::AttributeValue;
use tidegate_domain::ids::AttributeName;
use tidegate_domain::time::Elapsed;

pub use surroundings::{Downtime, Network, Servers};

/// The largest scenario text that anybody reads, in bytes.
pub const SCENARIO_BYTES_MAX: usize = 64 * 1024;
/// The largest fleet that is simulated.
pub const DEVICES_MAX: u32 = 20_000_000;
const STRATA_MAX: usize = 63;
/// The largest fleet with whole servers.
pub const SERVED_DEVICES_MAX: u32 = 5_000;
const SERVERS_MAX: u32 = 5;

/// A fleet, a release and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name: for a disaster, the row's id.
    pub name: String,
    /// What happened, in a line.
    pub title: String,
    /// Where its numbers come from, and which of them were assumed.
    #[serde(default)]
    pub source: String,
    /// How many devices the fleet has, unless the caller says otherwise.
    pub devices: u32,
    /// How long is simulated.
    pub horizon: Elapsed,
    /// Who the devices are and what they do anyway.
    #[serde(default)]
    pub fleet: Fleet,
    /// The release.
    #[serde(default)]
    pub release: Release,
    /// What is wrong with it; absent: nothing.
    #[serde(default)]
    pub fault: Option<Fault>,
    /// What the network does.
    #[serde(default)]
    pub network: Network,
    /// When the control plane is down.
    #[serde(default)]
    pub server_down: Vec<Downtime>,
    /// Whole servers in the place of the planner alone, and what befalls them.
    #[serde(default)]
    pub servers: Option<Servers>,
    /// What is on record of how it went.
    #[serde(default)]
    pub record: Record,
}

/// What is on record of how it went. Only rivals' rules read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Record {
    /// How long it took from the first harm until the vendor withdrew it.
    pub withdrawn_after: Elapsed,
    /// Whether it was of a kind that customers' deferral did not hold back.
    pub bypasses_deferral: bool,
}

/// Who the devices are and what they do anyway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fleet {
    /// Devices that carry the label `lab`.
    pub lab: u32,
    /// The stratifying attributes, the most telling first; every combination of their values is a stratum.
    pub attributes: Vec<Attribute>,
    /// The share of time that a device is out of reach for no reason that concerns anybody.
    pub silence: f64,
    /// How likely a device fails hard by itself while it is looked at once.
    pub failures: f64,
    /// How far `silence` and `failures` rise and fall by themselves, over four hours up to this share of themselves and back.
    pub drift: f64,
    /// The share of devices that sleep at night and on weekends.
    pub laptops: f64,
    /// The hour of the week, from Monday midnight, at which the rollout starts.
    pub starts_at_hour: u32,
    /// How long a device takes to boot.
    pub boot: Elapsed,
    /// Sites that lose their network for a while.
    pub outages: Vec<Outage>,
    /// The share of devices that join while the release spreads.
    pub joining: f64,
}

/// One stratifying attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// Its name.
    pub name: AttributeName,
    /// Its values with their weights; only the proportion counts.
    pub values: Vec<(AttributeValue, f64)>,
}

/// A site that loses its network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// The share of all devices that stand there.
    pub share: f64,
    /// When, after the start.
    pub at: Elapsed,
    /// For how long.
    #[serde(rename = "for")]
    pub duration: Elapsed,
}

/// What is true of a release, sound or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Release {
    /// How long the payload may be away.
    pub downtime: Elapsed,
    /// The shortest and the longest time from the go to health.
    pub up: (Elapsed, Elapsed),
    /// The shortest and the longest time that fetching takes.
    pub fetch: (Elapsed, Elapsed),
    /// After so long without contact a device leaves the release; only where it may break connectivity.
    pub contact_deadline: Option<Elapsed>,
}

/// What is wrong with a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What it does.
    pub harm: Harm,
    /// Whom it can hit; the first entry that fits a device counts, a device that none fits is safe.
    pub hits: Vec<Hit>,
    /// How long after the start of the payload it shows: from, to, evenly.
    #[serde(default)]
    pub onset: (Elapsed, Elapsed),
    /// It does not show before this long after the rollout's start, whenever it was taken: a date, an expiry, a dormant worm.
    #[serde(default)]
    pub not_before: Elapsed,
    /// The lab is spared.
    #[serde(default)]
    pub lab_is_spared: bool,
    /// Whether a device without a guard of its own must be mended by hand.
    #[serde(default)]
    pub needs_hands: bool,
    /// The share of the devices hit that are lost whatever guards them: hardware is broken, data are gone.
    #[serde(default)]
    pub beyond_repair: f64,
}

/// Whom a fault can hit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hit {
    /// Only devices with these attributes. Empty: all.
    #[serde(default, rename = "where")]
    pub with: BTreeMap<AttributeName, AttributeValue>,
    /// The share of them that it hits: susceptible, and failing.
    pub share: f64,
}

/// What a fault does to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// The payload ends by itself, again at each start.
    Crash,
    /// The whole device restarts, again and again, and says nothing meanwhile.
    BootLoop,
    /// The device does nothing any more, not even its guard.
    Brick,
    /// The device works and reaches nobody.
    CutOff,
    /// The payload runs and does its work badly: its probes fail.
    Errors,
    /// Data are destroyed that the device's owner has declared must stay: the agent sees it at once.
    Destroys,
    /// Nothing that the device could notice.
    Hidden,
}

/// Why a text is not a scenario.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// More bytes than anybody reads.
    #[error("scenario of {0} bytes: at most {SCENARIO_BYTES_MAX}")]
    TooLarge(usize),
    /// Not TOML of a scenario's shape; says line and column.
    #[error("{0}")]
    Shape(String),
    /// A field whose value lies outside its bounds.
    #[error("scenario field `{field}` is {found}: expected {expected}")]
    Field {
        /// The field, with dots.
        field: &'static str,
        /// What stands there.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
}

impl Default for Fleet {
    fn default() -> Fleet {
        Fleet {
            lab: 20,
            attributes: Vec::new(),
            silence: 0.02,
            failures: 0.001,
            drift: 0.0,
            laptops: 0.0,
            starts_at_hour: 9,
            boot: Elapsed::from_s(30),
            outages: Vec::new(),
            joining: 0.0,
        }
    }
}

impl Default for Record {
    fn default() -> Record {
        Record { withdrawn_after: Elapsed::from_s(78 * 60), bypasses_deferral: false }
    }
}

impl Default for Release {
    fn default() -> Release {
        Release {
            downtime: Elapsed::from_s(120),
            up: (Elapsed::from_s(5), Elapsed::from_s(60)),
            fetch: (Elapsed::from_s(1), Elapsed::from_s(10)),
            contact_deadline: None,
        }
    }
}

impl Harm {
    /// The word as it stands in a scenario.
    pub fn word(self) -> &'static str {
        match self {
            Harm::Crash => "crash",
            Harm::BootLoop => "boot_loop",
            Harm::Brick => "brick",
            Harm::CutOff => "cut_off",
            Harm::Errors => "errors",
            Harm::Destroys => "destroys",
            Harm::Hidden => "hidden",
        }
    }

    /// Whether a device without a guard could still report it as an error.
    pub fn is_reported_without_guard(self) -> bool {
        matches!(self, Harm::Crash | Harm::Errors)
    }
}

impl Scenario {
    /// Reads a scenario from TOML and checks every bound.
    ///
    /// # Errors
    /// When the text is too long, is no scenario, or a field lies outside its bounds.
    pub fn parse(text: &str) -> Result<Scenario, ScenarioError> {
        if text.len() > SCENARIO_BYTES_MAX {
            return Err(ScenarioError::TooLarge(text.len()));
        }
        let scenario: Scenario = toml::from_str(text).map_err(|e| ScenarioError::Shape(e.to_string()))?;
        scenario.check()?;
        Ok(scenario)
    }

    /// What a rate of the fleet is at an instant, given its drift.
    pub(crate) fn drifted(&self, rate: f64, ms: u64) -> f64 {
        const PERIOD_MS: f64 = 4.0 * 3_600_000.0;
        if self.fleet.drift == 0.0 {
            return rate;
        }
        rate * (1.0 + self.fleet.drift * (ms as f64 / PERIOD_MS * std::f64::consts::TAU).sin())
    }

    /// The same world with a sound release.
    #[must_use]
    pub fn with_sound_release(&self) -> Scenario {
        Scenario { fault: None, ..self.clone() }
    }

    /// The same world with another number of devices.
    ///
    /// # Errors
    /// When the fleet would be smaller than its lab, or too large.
    pub fn with_devices(&self, devices: u32) -> Result<Scenario, ScenarioError> {
        let scenario = Scenario { devices, ..self.clone() };
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), ScenarioError> {
        let day = 86_400_000;
        require(!self.name.is_empty() && self.name.len() <= 64, "name", &self.name, "1 to 64 characters")?;
        let least = self.fleet.lab.saturating_add(1);
        let fits = (least..=DEVICES_MAX).contains(&self.devices);
        require(fits, "devices", self.devices, "more than `fleet.lab` and at most 20000000")?;
        let horizon_ms = self.horizon.as_ms();
        require((60_000..=400 * day).contains(&horizon_ms), "horizon", self.horizon, "1min to 400d")?;
        let strata: usize = self.fleet.attributes.iter().map(|attribute| attribute.values.len()).product();
        require((1..=STRATA_MAX).contains(&strata), "fleet.attributes", strata, "1 to 63 combinations of values")?;
        let weights = self.fleet.attributes.iter().flat_map(|attribute| &attribute.values);
        let sound = weights.clone().all(|(_, weight)| weight.is_finite() && *weight > 0.0);
        require(sound, "fleet.attributes.values", "a weight", "weights above 0")?;
        let hours = self.fleet.starts_at_hour;
        require(hours < 168, "fleet.starts_at_hour", hours, "0 to 167")?;
        let outages = self.fleet.outages.iter().map(|outage| outage.share);
        let hits = self.fault.iter().flat_map(|fault| fault.hits.iter().map(|hit| hit.share));
        let servers = self.servers.clone().unwrap_or_default();
        let served = self.servers.is_none() || self.devices <= SERVED_DEVICES_MAX;
        require(served, "devices", self.devices, "at most 5000 where there are `servers`")?;
        require((1..=SERVERS_MAX).contains(&servers.count), "servers.count", servers.count, "1 to 5")?;
        require(servers.skew.as_ms() <= day, "servers.skew", servers.skew, "at most 1d")?;
        let shares = [
            ("servers.crash", servers.crash),
            ("servers.lost", servers.lost),
            ("servers.stale", servers.stale),
            ("servers.stall", servers.stall),
            ("fleet.silence", self.fleet.silence),
            ("fleet.failures", self.fleet.failures),
            ("fleet.drift", self.fleet.drift),
            ("fleet.laptops", self.fleet.laptops),
            ("fleet.joining", self.fleet.joining),
            ("network.loss", self.network.loss),
            ("network.late", self.network.late),
            ("network.duplication", self.network.duplication),
            ("network.skew", self.network.skew),
            ("fault.beyond_repair", self.fault.as_ref().map_or(0.0, |fault| fault.beyond_repair)),
        ];
        let listed =
            outages.map(|share| ("fleet.outages.share", share)).chain(hits.map(|share| ("fault.hits.share", share)));
        for (field, share) in shares.into_iter().chain(listed) {
            require((0.0..=1.0).contains(&share), field, share, "0 to 1")?;
        }
        let release = &self.release;
        let downtime_ms = release.downtime.as_ms();
        require((1..=day).contains(&downtime_ms), "release.downtime", release.downtime, "1ms to 1d")?;
        let in_time = release.up.0 <= release.up.1 && release.up.1 < release.downtime;
        require(in_time, "release.up", release.up.1, "from, to; `to` less than `downtime`, or a sound release fails")?;
        require(release.fetch.0 <= release.fetch.1, "release.fetch", release.fetch.1, "from, to")?;
        if let Some(fault) = &self.fault {
            require(fault.onset.0 <= fault.onset.1, "fault.onset", fault.onset.1, "from, to")?;
        }
        Ok(())
    }
}

fn require(
    holds: bool,
    field: &'static str,
    found: impl ToString,
    expected: &'static str,
) -> Result<(), ScenarioError> {
    if holds { Ok(()) } else { Err(ScenarioError::Field { field, found: found.to_string(), expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "name = \"x\"\ntitle = \"t\"\ndevices = 100\nhorizon = \"1h\"\n";

    #[test]
    fn a_scenario_that_lies_outside_its_bounds_is_refused_by_the_field() {
        assert!(Scenario::parse(LEAST).is_ok());
        for (rest, field) in [
            ("[fleet]\nsilence = 1.5", "fleet.silence"),
            ("[fleet]\nsilence = nan", "fleet.silence"),
            ("[servers]\ncrash = -0.5", "servers.crash"),
            ("[servers]\ncount = 0", "servers.count"),
            ("[fleet]\nfailures = -0.1", "fleet.failures"),
            ("[fleet]\nlab = 100", "devices"),
            ("[fleet]\nstarts_at_hour = 168", "fleet.starts_at_hour"),
            ("[[fleet.attributes]]\nname = \"os\"\nvalues = [[\"a\", 0.0]]", "fleet.attributes.values"),
            ("[[fleet.attributes]]\nname = \"os\"\nvalues = []", "fleet.attributes"),
            ("[release]\nup = [\"1s\", \"1h\"]", "release.up"),
            ("[fault]\nharm = \"crash\"\nhits = [{share = 2.0}]", "fault.hits.share"),
            ("[fault]\nharm = \"crash\"\nhits = []\nonset = [\"2s\", \"1s\"]", "fault.onset"),
        ] {
            let error = Scenario::parse(&format!("{LEAST}{rest}")).unwrap_err().to_string();
            assert!(error.contains(&format!("`{field}`")), "{rest}: {error}");
        }
        assert!(matches!(Scenario::parse(&"#".repeat(SCENARIO_BYTES_MAX + 1)), Err(ScenarioError::TooLarge(_))));
        assert!(matches!(Scenario::parse("devices = 1e400"), Err(ScenarioError::Shape(_))));
    }
}
