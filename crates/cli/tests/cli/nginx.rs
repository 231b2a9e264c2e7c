//! Real input: Debian's nginx as the payload of real devices, its configuration as the content, everything by the commands that a
//! person types. Never stands in for a part: server, agents, guards and nginx are processes of their own; all end with the test.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tidegate_domain::digest::Digest;

use crate::{Home, text};

const PACKAGE: &str = "site";
/// Where Debian puts programs; nginx is in sbin.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long anything that is waited for may take.
const LIMIT: Duration = Duration::from_secs(25);
const OLD: &str = "the page from the factory";
const NEW: &str = "the new page";
const LAB: [&str; 2] = ["lab-1", "lab-2"];
const BROAD: [&str; 4] = ["broad-1", "broad-2", "broad-3", "broad-4"];

const ENVELOPE: &str = "\
name = \"danger-nginx\"
prove_min = \"2s\"
soak_min = \"1s\"
clear_max = 0.95
unproven_share_max = 0.5
rings_required = [\"lab\"]
unproven_all_rollouts_max = 6
";
/// Two lab devices first, then two that are held against the last two: together they can show "not worse by 95 in 100", no less.
const POLICY: &str = "\
name = \"nginx\"
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
/// Passes when this device's nginx serves the page of the slot that is current. Nothing beyond what every Debian has.
const PROBE: &str = "read -r address port < $TIDEGATE_RUN/../../../listen && exec 3<> /dev/tcp/$address/$port && \
     printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && grep -qxF -f $TIDEGATE_SLOT/html/index.html <&3";
/// What a publisher writes as the site's configuration.
const SITE: &str = "location / { root html; }\n";
/// The same with a word that nginx does not know: it refuses to start.
const BROKEN_SITE: &str = "loction / { root html; }\n";

/// A server, six devices with an nginx each, and the release `1.0.0` from the factory on all of them.
struct Pilot {
    home: Home,
    policy: String,
    server: Child,
    devices: Vec<Device>,
}

struct Device {
    name: &'static str,
    data: PathBuf,
    address: SocketAddr,
    agent: Child,
}

impl Drop for Pilot {
    fn drop(&mut self) {
        for device in &mut self.devices {
            device.end();
        }
        end(&mut self.server);
    }
}

/// Asks a child to end, waits a bounded time, then ends it.
fn end(child: &mut Child) {
    if let (Ok(None), Some(pid)) = (child.try_wait(), i32::try_from(child.id()).ok().and_then(Pid::from_raw)) {
        let _ = kill_process(pid, Signal::TERM);
    }
    let _ = within(Duration::from_secs(10), || child.try_wait().ok().flatten());
    let _ = child.kill();
    let _ = child.wait();
}

/// Asks again and again until there is an answer or the time is over.
fn within<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let answer = ask();
        if answer.is_some() || start.elapsed() > limit {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(LIMIT, ask).unwrap_or_else(|| panic!("{what}: not within {} s", LIMIT.as_secs()))
}

fn start(home: &Home, args: &[&str], log: &Path) -> Child {
    let log = File::create(log).unwrap();
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(args)
        .env_clear()
        .env("PATH", PATH)
        .current_dir(home.path(""))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Pilot {
    fn start() -> Pilot {
        let home = Home::new().with("TIDEGATE_KEY_DIR", "fleet/offline");
        home.write("envelope.toml", ENVELOPE);
        let policy = home.write("policy.toml", POLICY);
        let fleet = home.init(&["--envelope", "envelope.toml"]);
        let up = ["up", "--data", "data", "--fleet", "fleet/server", "--listen", "127.0.0.1:0"];
        let more = ["--announce", "server.json", "--check-in", "500ms", "--step", "250ms"];
        let server = start(&home, &[&up[..], &more[..]].concat(), &home.path("server.log"));
        let policy = format!("nginx@{}", Digest::of(&fs::read(policy).unwrap()));
        let mut pilot = Pilot { home, policy, server, devices: Vec::new() };
        let announced: Value =
            until("the server", || serde_json::from_slice(&fs::read(pilot.home.path("server.json")).ok()?).ok());
        let (url, code) = (announced["url"].as_str().unwrap(), announced["login_code"].as_str().unwrap());
        let home = &pilot.home;
        home.json(&["login", url, "--code", code, "--fleet-digest", &fleet]);
        home.json(&["package", "add", PACKAGE, "--publisher-key", "publisher-1", "--targets-key", "targets"]);
        home.json(&["policy", "apply", "policy.toml", "--key", "order"]);
        let factory = pilot.stage("1.0.0", SITE, OLD);
        fs::copy(factory.join("manifest.json"), factory.join("files/manifest.json")).unwrap();
        for ring in ["lab", "broad"] {
            let token = ["device", "token", "create", "--key", "enrolment", "--ring", ring, "--devices", "4"];
            pilot.home.json(&[&token[..], &["--endpoint", url, "--out", ring]].concat());
        }
        for (number, name) in (1..).zip(LAB.into_iter().chain(BROAD)) {
            let device = Device::start(&pilot.home, name, number, &factory.join("files"));
            pilot.devices.push(device);
        }
        for device in &pilot.devices {
            device.serves(OLD);
            until("a device that is well", || pilot.shown(device.name)["healthy"].as_bool().filter(|well| *well));
        }
        pilot
    }

    /// Stages a release with this site and page; gives the stage's folder.
    fn stage(&self, version: &str, site: &str, page: &str) -> PathBuf {
        let files = format!("build-{version}");
        self.home.write(&format!("{files}/site.conf"), site);
        self.home.write(&format!("{files}/html/index.html"), &format!("{page}\n"));
        let probe = serde_json::to_string(&["bash", "-c", PROBE]).unwrap();
        let manifest = format!(
            "downtime = \"3s\"\nactivation = {{ kind = \"supervise\" }}\n\
             [[probes]]\nkind = \"exec\"\ntimeout = \"2s\"\ncommand = {probe}\n"
        );
        self.home.write("release.toml", &manifest);
        let plan = ["--files", &files, "--manifest", "release.toml", "--out", version];
        self.home.json(&[&["release", "stage", PACKAGE, version], &plan[..]].concat());
        self.home.path(version)
    }

    /// Publishes a release and orders it; gives its digest and the rollout as it is once it is over.
    fn roll_out(&self, version: &str, site: &str, page: &str) -> (String, Value) {
        let stage = self.stage(version, site, page);
        self.home.json(&["release", "sign", version, "--key", "publisher-1"]);
        self.home.json(&["release", "publish", version]);
        let release = Digest::of(&fs::read(stage.join("manifest.json")).unwrap()).to_string();
        let order = ["rollout", "start", PACKAGE, version, "--policy", &self.policy, "--key", "order", "--yes"];
        let rollout = self.home.json(&order)["rollout"].as_str().unwrap().to_owned();
        let mut last = Value::Null;
        let over = within(LIMIT, || {
            last = self.home.json(&["rollout", "status", &rollout]);
            last["ended_at_ms"].as_u64()
        });
        assert!(over.is_some(), "{rollout} goes on: {last}\n{}", self.logs());
        (release, last)
    }

    /// What the server shows of the package on a device; nothing before it enrolled.
    fn shown(&self, device: &str) -> Value {
        let devices = self.home.json(&["fleet", "list"]);
        let devices = devices.as_array().or_else(|| devices["devices"].as_array()).unwrap();
        let found = devices.iter().find(|found| found["device"] == device);
        found.map_or(Value::Null, |found| found["packages"][0].clone())
    }

    /// What server and devices said, for whoever looks why a test failed.
    fn logs(&self) -> String {
        let server = text(&fs::read(self.home.path("server.log")).unwrap_or_default());
        let devices = self.devices.iter().map(|device| format!("\n{}:\n{}", device.name, device.log()));
        std::iter::once(server).chain(devices).collect()
    }

    fn of<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = &'a Device> {
        self.devices.iter().filter(move |device| names.contains(&device.name))
    }
}

impl Device {
    /// Starts a device whose own nginx.conf says where it listens and where its files go; the release brings the site.
    fn start(home: &Home, name: &'static str, number: u8, factory: &Path) -> Device {
        let data = home.path(&format!("devices/{name}"));
        fs::create_dir_all(&data).unwrap();
        let address = free_address(number);
        fs::write(data.join("listen"), format!("{} {}\n", address.ip(), address.port())).unwrap();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("  {what}_temp_path {}/tmp-{what};\n", data.display()))
            .concat();
        // The workers keep the user that the test runs as: the test's folder is closed to all others.
        let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
        let own = format!(
            "{user}worker_processes 1;\npid {data}/nginx.pid;\nevents {{}}\nhttp {{\n  access_log off;\n{temporary}  \
             server {{ listen {address}; include {data}/packages/{PACKAGE}/active/site.conf; }}\n}}\n",
            data = data.display()
        );
        let conf = home.write(&format!("devices/{name}/nginx.conf"), &own);
        let payload = ["nginx", "-p", "{slot}/", "-e", "stderr", "-c", conf.to_str().unwrap(), "-g", "daemon off;"];
        let ring = name.split('-').next().unwrap();
        let text = format!(
            "data = {:?}\ntoken = {:?}\ndevice = {name:?}\n[payloads]\n{PACKAGE} = {}\n[initial]\n{PACKAGE} = {factory:?}\n",
            data,
            home.path(ring),
            serde_json::to_string(&payload).unwrap(),
        );
        home.write(&format!("devices/{name}/agent.toml"), &text);
        let agent = Device::agent(home, name);
        Device { name, data, address, agent }
    }

    fn agent(home: &Home, name: &str) -> Child {
        let folder = home.path(&format!("devices/{name}"));
        start(home, &["agent", "--config", folder.join("agent.toml").to_str().unwrap()], &folder.join("log"))
    }

    /// Waits until this device's nginx serves the page.
    fn serves(&self, page: &str) {
        let mut last = String::new();
        let served = within(LIMIT, || {
            last = get(self.address).unwrap_or_else(|error| error.to_string());
            last.ends_with(&format!("\r\n\r\n{page}\n")).then_some(())
        });
        assert!(served.is_some(), "{} serves {last:?}, not {page:?}: {}", self.name, self.log());
    }

    fn log(&self) -> String {
        text(&fs::read(self.data.join("log")).unwrap_or_default())
    }

    /// The id of nginx's first process, the same while nginx was not started anew; none while it is being written.
    fn nginx(&self) -> Option<i32> {
        fs::read_to_string(self.data.join("nginx.pid")).ok()?.trim().parse().ok()
    }

    fn attempts(&self) -> Value {
        let file = fs::read(self.data.join(format!("packages/{PACKAGE}/attempts.json"))).unwrap();
        serde_json::from_slice::<Value>(&file).unwrap()["attempts"].clone()
    }

    fn has_slot(&self, release: &str) -> bool {
        let hex = release.trim_start_matches("sha256:");
        let slots = fs::read_dir(self.data.join(format!("packages/{PACKAGE}/slots"))).unwrap();
        slots.map(|slot| slot.unwrap().file_name().into_string().unwrap()).any(|slot| slot.contains(hex))
    }

    fn end(&mut self) {
        end(&mut self.agent);
    }
}

/// An address of the device's own. Outgoing connections come from 127.0.0.1, so that none can take the port between two starts.
fn free_address(number: u8) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    let listener = TcpListener::bind((Ipv4Addr::new(127, 64 + number, high, low.clamp(1, 254)), 0)).unwrap();
    listener.local_addr().unwrap()
}

fn get(address: SocketAddr) -> std::io::Result<String> {
    let timeout = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer)?;
    Ok(answer)
}

fn is_there() -> bool {
    let there = PATH.split(':').any(|folder| Path::new(folder).join("nginx").exists());
    if !there {
        eprintln!("SKIPPED: the lane `nginx` needs nginx, which is not installed: apt-get install nginx-light");
    }
    there
}

fn seconds(view: &Value, from: &str, to: &str) -> f64 {
    let at = |name: &str| view[name].as_u64().unwrap();
    Duration::from_millis(at(to).saturating_sub(at(from))).as_secs_f64()
}

#[test]
fn a_site_that_nginx_refuses_halts_and_every_device_serves_the_page_from_before() {
    if !is_there() {
        return;
    }
    let mut pilot = Pilot::start();
    let (good, over) = pilot.roll_out("1.1.0", SITE, NEW);
    assert_eq!(over["report"]["phase"], "completed", "{over}");
    println!("good: completed after {} s", seconds(&over, "started_at_ms", "ended_at_ms"));
    for device in &pilot.devices {
        device.serves(NEW);
        // The fleet-proven record has arrived: from here on this is what the device returns to.
        until("the new fallback", || (pilot.shown(device.name)["fallback"] == *good).then_some(()));
    }
    let before: Vec<_> = pilot.of(&BROAD).map(Device::nginx).collect();

    let (bad, over) = pilot.roll_out("1.2.0", BROKEN_SITE, "a page that nobody may see");
    assert_eq!(over["report"]["phase"], "halted", "{over}");
    assert_eq!(over["first_window"], 2, "{over}");
    println!("bad: halted after {} s: {}", seconds(&over, "started_at_ms", "ended_at_ms"), over["reasons"]);
    let name = format!("inc-{}", over["rollout"].as_str().unwrap());
    let incident = until("the devices that took it", || {
        Some(pilot.home.json(&["incident", "show", &name])).filter(|incident| incident["state"] == "restored")
    });
    println!("incident: restored after {} s", seconds(&incident, "opened_at_ms", "restored_at_ms"));
    let count = |field: &str| incident[field].as_u64().unwrap();
    assert_eq!(count("exposed"), 2, "{incident}");
    assert_eq!((count("harmed"), count("back_without_hands"), count("need_hands")), (2, 2, 0), "{incident}");
    for device in &pilot.devices {
        device.serves(NEW);
        assert_eq!(pilot.shown(device.name)["current"], *good);
        assert_eq!(device.has_slot(&bad), LAB.contains(&device.name), "{}", device.name);
        assert_eq!(device.log().contains("unknown directive \"loction\""), LAB.contains(&device.name));
    }
    let after: Vec<_> = pilot.of(&BROAD).map(Device::nginx).collect();
    assert_eq!(before, after, "the nginx of a device that was never opened was not touched");

    let told = fs::read_to_string(pilot.home.path("server.log")).unwrap();
    for line in [
        "a release was published",
        "a rollout started",
        "a ring passed",
        "the rollout is complete",
        "the rollout halted",
    ] {
        assert!(told.contains(line), "the server's log tells that {line}: {told}");
    }

    nginx_dies_alone(pilot.of(&BROAD).next().unwrap());
    let number = pilot.devices.iter().position(|device| device.name == BROAD[1]).unwrap();
    let (home, device) = (&pilot.home, &mut pilot.devices[number]);
    the_agent_dies_alone(home, device);
    assert_eq!(pilot.shown(BROAD[1])["current"], *good, "the release is not left");
}

/// nginx's first process dies alone; its workers live on and hold the port, so that nothing can be started beside them.
fn nginx_dies_alone(device: &Device) {
    let died = device.nginx().unwrap();
    kill_process(Pid::from_raw(died).unwrap(), Signal::KILL).unwrap();
    let again = within(LIMIT, || device.nginx().filter(|pid| *pid != died));
    assert!(again.is_some(), "nginx was not started anew: {}", device.log());
    device.serves(NEW);
}

/// The agent is killed by force, and by that nginx's first process; its workers live on and hold the port. Proven is proven: the next
/// start is one attempt, forgotten once all was well for `prove.for`, and not the first of three that nginx spends on a taken port.
fn the_agent_dies_alone(home: &Home, device: &mut Device) {
    let (died, starts) = (device.nginx().unwrap(), device.attempts()["starts"].as_u64().unwrap());
    device.agent.kill().unwrap();
    device.agent.wait().unwrap();
    let worker = get(device.address).unwrap();
    assert!(worker.contains(NEW), "a worker that outlived its agent still serves: {worker}");
    device.agent = Device::agent(home, device.name);
    let again = within(LIMIT, || device.nginx().filter(|pid| *pid != died));
    assert!(again.is_some(), "nginx was not started anew: {}", device.log());
    device.serves(NEW);
    let attempts = until("attempts that are forgotten", || {
        Some(device.attempts()).filter(|attempts| attempts["count"] == 0 && attempts["starts"] != starts)
    });
    assert_eq!(attempts["starts"], starts + 1, "{}", device.log());
    assert_eq!(attempts["returned"], Value::Null, "{}", device.log());
    device.serves(NEW);
}
