//! The demo's fleet: keys, a server, and 60 devices of four strata, each a process of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use secrecy::SecretString;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{AttributeName, IncidentId, PackageName, RolloutId};
use tidegate_domain::release::{Activation, FileEntry, Manifest, Probe};
use tidegate_domain::time::Elapsed;
use tidegate_keyring::{KeyFile, Secret, Signer, WorkFactor};
use tidegate_sensor::content;
use tidegate_wire::operator::IncidentView;

use super::processes::Processes;
use crate::client::Client;
use crate::context::now;
use crate::enrolment_token::{TokenPlan, make_token, write_token};
use crate::fleet_setup::{FleetPlan, make_fleet};
use crate::repository::Repository;
use crate::up::Announcement;

/// Devices in the fleet, and in the unguarded one that it is compared with.
pub(super) const DEVICES: u32 = 60;
/// The package.
pub(super) const PACKAGE: &str = "sensor-content";
/// The demo's envelope. Its name says that it weakens the safe bounds on purpose.
const ENVELOPE: &str = include_str!("../../../../policies/danger-demo-envelope.toml");
/// The keys of the demo guard a folder that is removed at its end.
const PASSPHRASE: &str = "demo keys guard nothing";
const OS: [&str; 2] = ["linux", "windows"];
const SITES: [&str; 2] = ["ams", "fra"];

/// A running fleet.
pub(super) struct Fleet {
    keys: PathBuf,
    digest: Digest,
    api: Client,
    program: PathBuf,
}

/// One device of the plan.
struct Planned {
    id: String,
    os: &'static str,
    site: &'static str,
    ring: &'static str,
}

impl Fleet {
    /// Makes keys, starts the server, makes enrolment tokens and starts all devices.
    pub(super) fn start(processes: &mut Processes, place: &Path) -> Result<Fleet> {
        let keys = place.join("keys");
        let plan = FleetPlan {
            root_keys: 1,
            root_threshold: 1,
            publishers: 1,
            approvers: 1,
            envelope: ENVELOPE.to_owned(),
            now: now(),
            passphrase: SecretString::from(PASSPHRASE),
            work_factor: WorkFactor::MIN,
        };
        let made = make_fleet(&keys, &plan)?;
        let announced = start_server(processes, place, &keys)?;
        let api = Client::new(&announced.url, None, None)?;
        let login = api.login(&announced.login_code)?;
        crate::durable_file::create(
            &place.join("operator-token"),
            login.token.as_bytes(),
            crate::durable_file::Readers::Owner,
        )?;
        let api = Client::new(&announced.url, Some(SecretString::from(login.token)), None)?;
        let fleet = Fleet { keys, digest: made.fleet, api, program: processes.program().to_owned() };
        let factory = fleet.factory_release(place)?;
        for ring in ["lab", "canary", "broad"] {
            fleet.token(place, ring)?;
        }
        for device in plan_devices() {
            fleet.start_device(processes, place, &device, &factory)?;
        }
        Ok(fleet)
    }

    /// Waits until every device has enrolled, runs what it has from the factory, and is well.
    pub(super) fn wait_for_devices(&self, processes: &Processes) -> Result<()> {
        processes.wait_for("the devices", Duration::from_secs(60), || {
            let devices = self.api.devices(None)?;
            let well = |device: &tidegate_wire::operator::DeviceView| {
                device.packages.iter().any(|package| package.package.as_str() == PACKAGE && package.healthy)
            };
            Ok((devices.iter().filter(|device| well(device)).count() >= DEVICES as usize).then_some(()))
        })
    }

    /// The server's address.
    pub(super) fn url(&self) -> &str {
        self.api.base()
    }

    /// The operator API.
    pub(super) fn api(&self) -> &Client {
        &self.api
    }

    /// The fleet's name.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// The TUF repository as it stands, verified.
    pub(super) fn repository(&self) -> Result<Repository> {
        let package: PackageName = PACKAGE.parse()?;
        let there = self.api.packages()?.iter().any(|known| known.package == package);
        let packages: &[&PackageName] = if there { &[&package] } else { &[] };
        Repository::refresh(&self.api, &self.digest, packages, now())
    }

    /// The incident of a halted rollout.
    pub(super) fn incident(&self, rollout: &RolloutId) -> Result<IncidentView> {
        Ok(self.api.incident(&IncidentId::of(rollout))?)
    }

    /// Opens one of the offline keys.
    pub(super) fn key(&self, name: &str) -> Result<Box<dyn Signer>> {
        let file = KeyFile::read(&self.keys.join("offline").join(format!("{name}.key")))?;
        Ok(Box::new(file.unlock(&Secret::Passphrase(SecretString::from(PASSPHRASE)))?))
    }

    /// The payload's command, as the devices' own configuration names it.
    pub(super) fn payload_words(&self) -> Vec<String> {
        let program = self.program.to_string_lossy().into_owned();
        let words = ["sensor", "--content", "{slot}", "--health-file", "{run}/health.json"];
        std::iter::once(program).chain(words.map(str::to_owned)).collect()
    }

    /// What a device has from the factory, so that there is something to return to.
    fn factory_release(&self, place: &Path) -> Result<PathBuf> {
        let folder = place.join("factory");
        std::fs::create_dir_all(&folder)?;
        let text = content::good("1.0.0");
        let manifest = Manifest {
            package: PACKAGE.parse()?,
            version: "1.0.0".parse()?,
            files: vec![FileEntry {
                path: content::FILE_NAME.parse()?,
                sha256: Digest::of(text.as_bytes()),
                size: text.len() as u64,
                executable: false,
            }],
            needs: BTreeMap::new(),
            offers: BTreeMap::new(),
            activation: Activation::Supervise { command: Vec::new() },
            probes: vec![Probe::HealthFile { path: "health.json".parse()?, fresh: Elapsed::from_s(5) }],
            numbers: Vec::new(),
            downtime: Elapsed::from_s(3),
            network: false,
            contact_deadline: None,
            ext: BTreeMap::new(),
        };
        std::fs::write(folder.join(content::FILE_NAME), &text)?;
        std::fs::write(folder.join("manifest.json"), serde_json::to_vec(&manifest)?)?;
        Ok(folder)
    }

    fn token(&self, place: &Path, ring: &str) -> Result<()> {
        let name = |text: &str| text.parse::<AttributeName>();
        let values = |values: [&str; 2]| values.iter().map(|value| value.parse()).collect::<Result<BTreeSet<_>, _>>();
        let plan = TokenPlan {
            ring: Some(ring.parse()?),
            attributes: BTreeMap::from([(name("os")?, values(OS)?), (name("site")?, values(SITES)?)]),
            devices_max: u64::from(DEVICES),
            life: Elapsed::from_s(3_600),
            endpoints: vec![self.url().to_owned()],
        };
        let (_, file) = make_token(self.digest, &plan, self.key("enrolment")?.as_ref(), now())?;
        write_token(&place.join(format!("{ring}.token")), &file)
    }

    fn start_device(&self, processes: &mut Processes, place: &Path, device: &Planned, factory: &Path) -> Result<()> {
        let data = place.join("devices").join(&device.id);
        std::fs::create_dir_all(&data)?;
        let words: [(&str, OsString); 8] = [
            ("--data", data.clone().into()),
            ("--token", place.join(format!("{}.token", device.ring)).into()),
            ("--device", device.id.clone().into()),
            ("--attr", format!("os={}", device.os).into()),
            ("--attr", format!("site={}", device.site).into()),
            ("--package", PACKAGE.into()),
            ("--payload", format!("{PACKAGE}={}", self.payload_words().join(" ")).into()),
            ("--initial", format!("{PACKAGE}={}", factory.display()).into()),
        ];
        let mut arguments: Vec<OsString> = vec!["agent".into()];
        arguments.extend(words.into_iter().flat_map(|(flag, value)| [OsString::from(flag), value]));
        processes.start(&arguments, &data.join("log"))
    }
}

fn start_server(processes: &mut Processes, place: &Path, keys: &Path) -> Result<Announcement> {
    let log = place.join("server.log");
    let announce = place.join("server.json");
    let config = place.join("config.toml");
    std::fs::write(&config, "").with_context(|| format!("cannot write {}", config.display()))?;
    let words: [(&str, OsString); 7] = [
        ("--config", config.into()),
        ("--data", place.join("server").into()),
        ("--fleet", keys.join("server").into()),
        ("--listen", "127.0.0.1:0".into()),
        ("--announce", announce.clone().into()),
        ("--check-in", "1s".into()),
        ("--step", "250ms".into()),
    ];
    let mut arguments: Vec<OsString> = vec!["up".into()];
    arguments.extend(words.into_iter().flat_map(|(flag, value)| [OsString::from(flag), value]));
    processes.start(&arguments, &log)?;
    let announced = processes.wait_for("the server", Duration::from_secs(30), || {
        let Ok(text) = std::fs::read_to_string(&announce) else { return Ok(None) };
        Ok(Some(serde_json::from_str(&text).context("the server's announcement")?))
    });
    announced.with_context(|| std::fs::read_to_string(&log).unwrap_or_default())
}

/// 15 devices in each of four strata: two for the lab, two or three for the canary ring, the rest broad.
fn plan_devices() -> Vec<Planned> {
    let mut devices = Vec::new();
    for (stratum, (os, site)) in OS.iter().flat_map(|os| SITES.iter().map(move |site| (*os, *site))).enumerate() {
        let canaries = if stratum < 2 { 3 } else { 2 };
        for number in 0..15 {
            let ring = match number {
                0..2 => "lab",
                n if n < 2 + canaries => "canary",
                _ => "broad",
            };
            devices.push(Planned { id: format!("{os}-{site}-{number:02}"), os, site, ring });
        }
    }
    devices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_is_what_the_readme_says() {
        let devices = plan_devices();
        let in_ring = |ring| devices.iter().filter(|device| device.ring == ring).count();
        assert_eq!((devices.len(), in_ring("lab"), in_ring("canary"), in_ring("broad")), (60, 8, 10, 42));
    }
}
