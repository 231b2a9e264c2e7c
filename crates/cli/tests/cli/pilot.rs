//! A pilot: a server, six devices that are processes, and a real payload on each, everything by the commands that a person types.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use serde_json::Value;
use tidegate_domain::digest::Digest;

use crate::processes::{LIMIT, end, start, until, within};
use crate::{Home, text};

pub(crate) const LAB: [&str; 2] = ["lab-1", "lab-2"];
pub(crate) const BROAD: [&str; 4] = ["broad-1", "broad-2", "broad-3", "broad-4"];

/// Whose devices they are, in turn.
const CUSTOMERS: [&str; 2] = ["harbour", "canal"];

const ENVELOPE: &str = "\
name = \"danger-pilot\"
prove_min = \"2s\"
soak_min = \"1s\"
clear_max = 0.95
unproven_share_max = 0.5
rings_required = [\"lab\"]
unproven_all_rollouts_max = 6
";
/// Two lab devices first, then two that are held against the last two: together they can show "not worse by 95 in 100", no less.
pub(crate) const POLICY: &str = "\
name = \"pilot\"
[window]
initial_all = 2
initial_value = 2
initial_stratum = 2
growth = 1
unproven_share_max = 0.5
[prove]
for = \"2s\"
[pace]
check_in = \"500ms\"
take_within = \"20s\"
recently_seen = \"1min\"
order_life = \"1h\"
[[rings]]
name = \"lab\"
lab = true
soak = \"1s\"
[[rings]]
name = \"broad\"
soak = \"1s\"
clear_hard = 0.95
clear_silent = 0.95
";

/// What runs on the devices.
pub(crate) struct Kind {
    pub(crate) package: &'static str,
    /// The release's template.
    pub(crate) manifest: String,
    /// Writes a device's own files into its folder and gives the command that runs the payload.
    pub(crate) set_up: fn(&Home, &Path, u8) -> Vec<String>,
}

/// A server, six devices with the payload, and the release `1.0.0` from the factory on all of them.
pub(crate) struct Pilot {
    pub(crate) home: Home,
    pub(crate) kind: Kind,
    pub(crate) policy: String,
    server: Child,
    pub(crate) devices: Vec<Device>,
}

pub(crate) struct Device {
    pub(crate) name: &'static str,
    package: &'static str,
    pub(crate) data: PathBuf,
    pub(crate) agent: Child,
}

impl Drop for Pilot {
    fn drop(&mut self) {
        for device in &mut self.devices {
            device.end();
        }
        end(&mut self.server);
    }
}

impl Pilot {
    /// Starts everything; `files` are the release from the factory.
    pub(crate) fn start(kind: Kind, files: &[(&str, &str)]) -> Pilot {
        let home = Home::new().with("TIDEGATE_KEY_DIR", "fleet/offline");
        home.write("envelope.toml", ENVELOPE);
        let policy = home.write("policy.toml", POLICY);
        let fleet = home.init(&["--envelope", "envelope.toml"]);
        let server = Pilot::up(&home, "127.0.0.1:0");
        let policy = format!("pilot@{}", Digest::of(&fs::read(policy).unwrap()));
        let mut pilot = Pilot { home, kind, policy, server, devices: Vec::new() };
        let announced: Value =
            until("the server", || serde_json::from_slice(&fs::read(pilot.home.path("server.json")).ok()?).ok());
        let (url, code) = (announced["url"].as_str().unwrap(), announced["login_code"].as_str().unwrap());
        let (home, package) = (&pilot.home, pilot.kind.package);
        home.json(&["login", url, "--code", code, "--fleet-digest", &fleet]);
        home.json(&["package", "add", package, "--publisher-key", "publisher-1", "--targets-key", "targets"]);
        home.json(&["policy", "apply", "policy.toml", "--key", "order"]);
        let factory = pilot.stage("1.0.0", files);
        fs::copy(factory.join("manifest.json"), factory.join("files/manifest.json")).unwrap();
        for ring in ["lab", "broad"] {
            let token = ["device", "token", "create", "--key", "enrolment", "--ring", ring, "--devices", "4"];
            let customers = format!("customer={}", CUSTOMERS.join(","));
            pilot.home.json(&[&token[..], &["--attr", &customers, "--endpoint", url, "--out", ring]].concat());
        }
        for (number, name) in (1..).zip(LAB.into_iter().chain(BROAD)) {
            let device = Device::start(&pilot.home, &pilot.kind, (name, number), &factory.join("files"));
            pilot.devices.push(device);
        }
        for device in &pilot.devices {
            let well = || pilot.shown(device.name)["healthy"].as_bool().filter(|well| *well);
            assert!(within(LIMIT, well).is_some(), "{} is not well: {}", device.name, pilot.logs());
        }
        pilot
    }

    /// Applies another policy; orders are under it from then on.
    pub(crate) fn apply_policy(&mut self, text: &str) {
        let file = self.home.write("another-policy.toml", text);
        self.policy = self.home.json(&["policy", "apply", file.to_str().unwrap(), "--key", "order"])["policy"]
            .as_str()
            .unwrap()
            .to_owned();
    }

    fn up(home: &Home, listen: &str) -> Child {
        let up = ["up", "--data", "data", "--fleet", "fleet/server", "--listen", listen];
        let more = ["--announce", "server.json", "--check-in", "500ms", "--step", "250ms"];
        start(home, &[&up[..], &more[..]].concat(), &home.path("server.log"))
    }

    /// Kills the server, as a machine that loses its power does.
    pub(crate) fn kill_server(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    /// Starts the server again where it was.
    pub(crate) fn start_server(&mut self) {
        let announced = self.home.path("server.json");
        let said: Value = serde_json::from_slice(&fs::read(&announced).unwrap()).unwrap();
        // What is there is never written over.
        fs::remove_file(announced).unwrap();
        let address = said["url"].as_str().unwrap().trim_start_matches("http://").to_owned();
        self.server = Pilot::up(&self.home, &address);
        until("the server", || self.home.run(&["status"]).status.success().then_some(()));
    }

    /// Stages a release of these files; gives the stage's folder.
    fn stage(&self, version: &str, files: &[(&str, &str)]) -> PathBuf {
        let build = format!("build-{version}");
        for (path, text) in files {
            self.home.write(&format!("{build}/{path}"), text);
        }
        self.home.write("release.toml", &self.kind.manifest);
        let plan = ["--files", &build, "--manifest", "release.toml", "--out", version];
        self.home.json(&[&["release", "stage", self.kind.package, version], &plan[..]].concat());
        self.home.path(version)
    }

    /// Publishes a release and orders it; gives its digest and its rollout.
    pub(crate) fn order(&self, version: &str, files: &[(&str, &str)]) -> (String, String) {
        let stage = self.stage(version, files);
        self.home.json(&["release", "sign", version, "--key", "publisher-1"]);
        self.home.json(&["release", "publish", version]);
        let release = Digest::of(&fs::read(stage.join("manifest.json")).unwrap()).to_string();
        let order =
            ["rollout", "start", self.kind.package, version, "--policy", &self.policy, "--key", "order", "--yes"];
        let rollout = self.home.json(&order)["rollout"].as_str().unwrap().to_owned();
        (release, rollout)
    }

    /// Publishes a release and orders it; gives its digest and the rollout as it is once it is over.
    pub(crate) fn roll_out(&self, version: &str, files: &[(&str, &str)]) -> (String, Value) {
        let (release, rollout) = self.order(version, files);
        (release, self.over(&rollout, || {}))
    }

    /// Waits until a rollout is over, and does something meanwhile.
    pub(crate) fn over(&self, rollout: &str, mut meanwhile: impl FnMut()) -> Value {
        let mut last = Value::Null;
        let over = within(LIMIT, || {
            meanwhile();
            last = self.home.json(&["rollout", "status", rollout]);
            last["ended_at_ms"].as_u64()
        });
        assert!(over.is_some(), "{rollout} goes on: {last}\n{}", self.logs());
        last
    }

    /// The rollout halted on the two lab devices, which are back without hands on what they had before.
    pub(crate) fn assert_halted_and_restored(&self, over: &Value, before: &str) {
        assert_eq!(over["report"]["phase"], "halted", "{over}\n{}", self.logs());
        println!("halted after {} s: {}", seconds(over, "started_at_ms", "ended_at_ms"), over["reasons"]);
        let name = format!("inc-{}", over["rollout"].as_str().unwrap());
        let mut incident = Value::Null;
        let restored = within(LIMIT, || {
            incident = self.home.json(&["incident", "show", &name]);
            (incident["state"] == "restored").then_some(())
        });
        assert!(restored.is_some(), "{incident}\n{}", self.logs());
        println!("restored after {} s", seconds(&incident, "opened_at_ms", "restored_at_ms"));
        let count = |field: &str| incident[field].as_u64().unwrap();
        assert_eq!(count("exposed"), 2, "{incident}");
        assert_eq!((count("harmed"), count("back_without_hands"), count("need_hands")), (2, 2, 0), "{incident}");
        for device in &self.devices {
            assert_eq!(self.shown(device.name)["current"], *before, "{}", device.name);
        }
    }

    /// The rollout is complete, and every device holds the release as what it returns to.
    pub(crate) fn assert_completed(&self, over: &Value, release: &str) {
        assert_eq!(over["report"]["phase"], "completed", "{over}\n{}", self.logs());
        println!("completed after {} s", seconds(over, "started_at_ms", "ended_at_ms"));
        for device in &self.devices {
            until("the new fallback", || (self.shown(device.name)["fallback"] == *release).then_some(()));
        }
    }

    /// What the server shows of the package on a device; nothing before it enrolled.
    pub(crate) fn shown(&self, device: &str) -> Value {
        let devices = self.home.json(&["fleet", "list"]);
        let devices = devices.as_array().or_else(|| devices["devices"].as_array()).unwrap();
        let found = devices.iter().find(|found| found["device"] == device);
        found.map_or(Value::Null, |found| found["packages"][0].clone())
    }

    /// What server and devices said, for whoever looks why a test failed.
    pub(crate) fn logs(&self) -> String {
        let server = text(&fs::read(self.home.path("server.log")).unwrap_or_default());
        let devices = self.devices.iter().map(|device| format!("\n{}:\n{}", device.name, device.log()));
        std::iter::once(server).chain(devices).collect()
    }

    pub(crate) fn of<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = &'a Device> {
        self.devices.iter().filter(move |device| names.contains(&device.name))
    }
}

impl Device {
    fn start(home: &Home, kind: &Kind, (name, number): (&'static str, u8), factory: &Path) -> Device {
        let data = home.path(&format!("devices/{name}"));
        fs::create_dir_all(&data).unwrap();
        let payload = (kind.set_up)(home, &data, number);
        let ring = name.split('-').next().unwrap();
        let text = format!(
            "data = {:?}\ntoken = {:?}\ndevice = {name:?}\n[attributes]\ncustomer = {customer:?}\n[payloads]\n{package} = {}\n[initial]\n{package} = {factory:?}\n",
            data,
            home.path(ring),
            serde_json::to_string(&payload).unwrap(),
            package = kind.package,
            customer = CUSTOMERS[usize::from(number + 1) % CUSTOMERS.len()],
        );
        home.write(&format!("devices/{name}/agent.toml"), &text);
        let agent = Device::agent(home, name);
        Device { name, package: kind.package, data, agent }
    }

    pub(crate) fn agent(home: &Home, name: &str) -> Child {
        let folder = home.path(&format!("devices/{name}"));
        start(home, &["agent", "--config", folder.join("agent.toml").to_str().unwrap()], &folder.join("log"))
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.data.join("log")).unwrap_or_default()).into_owned()
    }

    pub(crate) fn attempts(&self) -> Value {
        let file = fs::read(self.data.join(format!("packages/{}/attempts.json", self.package))).unwrap();
        serde_json::from_slice::<Value>(&file).unwrap()["attempts"].clone()
    }

    pub(crate) fn has_slot(&self, release: &str) -> bool {
        let hex = release.trim_start_matches("sha256:");
        let slots = fs::read_dir(self.data.join(format!("packages/{}/slots", self.package))).unwrap();
        slots.map(|slot| slot.unwrap().file_name().into_string().unwrap()).any(|slot| slot.contains(hex))
    }

    fn end(&mut self) {
        end(&mut self.agent);
    }
}

pub(crate) fn seconds(view: &Value, from: &str, to: &str) -> f64 {
    let at = |name: &str| view[name].as_u64().unwrap();
    Duration::from_millis(at(to).saturating_sub(at(from))).as_secs_f64()
}
