//! A device on a bench: a data folder, a server, and the agent as a process that can be killed and started again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_domain::digest::Digest;

use crate::fleet::{DEVICE, Fleet, PACKAGE, POLICY, Release, release};
use crate::server::Server;

/// A payload that runs its slot's `start` script: a release decides by its content what happens.
const PAYLOAD: &str = "/bin/sh {slot}/start";

/// A start script that says that it is well and goes on until it is told to stop.
pub(crate) const GOOD: &[u8] = b"echo '{\"ready\": true}' > \"$TIDEGATE_RUN/health.json\"\nexec sleep 600\n";
/// A start script that dies at once, as a template with a 21st input does.
pub(crate) const BAD: &[u8] = b"kill -ABRT $$\n";

pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) folder: TempDir,
    data: PathBuf,
    child: Option<Child>,
    pub(crate) factory: Digest,
    extra: Vec<String>,
    has_factory: bool,
    environment: Vec<(&'static str, String)>,
}

pub(crate) fn probed(manifest: &mut Value) {
    manifest["probes"] = json!([{"kind": "health_file", "path": "health.json", "fresh": "1h"}]);
}

impl Bench {
    /// A device with a good release from the factory.
    pub(crate) fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Bench::with_data(folder, data)
    }

    pub(crate) fn with_data(folder: TempDir, data: PathBuf) -> Bench {
        let (first, files) = release("0.1.0", &[("start", GOOD)], probed);
        let initial = folder.path().join("initial");
        fs::create_dir_all(&initial).unwrap();
        fs::write(initial.join("manifest.json"), &first.manifest).unwrap();
        for bytes in files.values() {
            fs::write(initial.join("start"), bytes).unwrap();
        }
        let server = Server::start(Fleet::new());
        let token = server.with(|world| world.fleet.token_file(&server.url()));
        fs::write(folder.path().join("token.json"), token.to_string()).unwrap();
        Bench {
            server,
            folder,
            data,
            child: None,
            factory: first.digest,
            extra: Vec::new(),
            has_factory: true,
            environment: Vec::new(),
        }
    }

    /// Publishes a release with this start script and offers it.
    pub(crate) fn offer(&self, version: &str, start: &[u8], order_seq: u64) -> Release {
        self.offer_files(version, &[("start", start)], order_seq)
    }

    pub(crate) fn offer_files(&self, version: &str, files: &[(&str, &[u8])], order_seq: u64) -> Release {
        self.offer_changed(version, files, order_seq, POLICY, probed)
    }

    /// Offers a release with its manifest changed, under another policy.
    pub(crate) fn offer_changed(
        &self,
        version: &str,
        files: &[(&str, &[u8])],
        order_seq: u64,
        policy: &str,
        change: impl FnOnce(&mut Value),
    ) -> Release {
        self.server.with(|world| {
            let release = world.fleet.publish(version, files, change);
            let mut parts = world.fleet.parts(&release, order_seq);
            parts.policy.text = policy.to_owned();
            parts.order.policy = parts.policy.policy_digest();
            parts.bind();
            world.offer = Some(parts);
            world.taken = false;
            release
        })
    }

    /// A device that comes without a release.
    pub(crate) fn without_factory(&mut self) {
        self.has_factory = false;
    }

    /// What the device's processes find in their environment.
    pub(crate) fn with_environment(&mut self, variables: Vec<(&'static str, String)>) {
        self.environment = variables;
    }

    /// Further flags for the agent.
    pub(crate) fn with_flags(&mut self, flags: &[&str]) {
        self.extra.extend(flags.iter().map(|flag| (*flag).to_owned()));
    }

    pub(crate) fn agent(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate-agent"));
        let initial = format!("{PACKAGE}={}", self.folder.path().join("initial").display());
        command
            .args(["--data", self.data.to_str().unwrap(), "--device", DEVICE, "--attr", "os=linux"])
            .args(["--token", self.folder.path().join("token.json").to_str().unwrap()])
            .args(self.has_factory.then_some(["--initial", &initial]).iter().flatten())
            .args(["--payload", &format!("{PACKAGE}={PAYLOAD}")])
            .args(&self.extra)
            .envs(self.environment.iter().cloned())
            .env("TIDEGATE_LOG", "debug,ureq=warn,rustls=warn")
            .stdin(Stdio::null());
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        command
    }

    pub(crate) fn start(&mut self) {
        let child = self.agent().spawn().unwrap();
        self.child = Some(child);
    }

    /// Starts the agent so that it kills itself at a drill point, once, in whichever process gets there first.
    pub(crate) fn start_with_drill(&mut self, point: &str) {
        let child = self
            .agent()
            .env("TIDEGATE_AGENT_KILL_AT", point)
            .env("TIDEGATE_AGENT_KILL_ONCE", self.drill_file())
            .spawn();
        self.child = Some(child.unwrap());
    }

    pub(crate) fn drill_file(&self) -> PathBuf {
        self.folder.path().join("drilled")
    }

    /// Kills the agent as a power cut would, and its payload with it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops the agent in order.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            assert!(child.wait().unwrap().success(), "{}", self.log());
        }
    }

    /// Whether the agent ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn package(&self) -> PathBuf {
        self.data.join("packages").join(PACKAGE)
    }

    pub(crate) fn pointer(&self, name: &str) -> Option<Digest> {
        fs::read_to_string(self.package().join(name)).ok()?.trim().parse().ok()
    }

    pub(crate) fn attempts(&self) -> Value {
        json_file(&self.package().join("attempts.json"))["attempts"].clone()
    }

    pub(crate) fn state(&self) -> String {
        let file = json_file(&self.package().join("state.json"));
        file["machine"]["state"]["state"].as_str().unwrap_or("none").to_owned()
    }

    /// Whether the last check-in says that the payload is well.
    pub(crate) fn is_said_to_be_well(&self) -> bool {
        let said = self.server.with(|world| world.said.clone()).unwrap_or_default();
        said["packages"][0]["healthy"] == true
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits until something on the device holds. Files say nothing when they change, so they are looked at often.
    pub(crate) fn wait_until(&mut self, what: &str, mut look: impl FnMut(&mut Bench) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !look(self) {
            if Instant::now() > deadline {
                panic!("waited in vain until {what}; state {}, log:\n{}", self.state(), self.log());
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Every file that says where the device stands parses, and every pointer names a complete slot.
    pub(crate) fn assert_defined(&self) {
        for name in ["current", "fallback", "kept"] {
            if self.package().join(name).exists() {
                let slot = self.pointer(name).unwrap_or_else(|| panic!("`{name}` does not parse"));
                assert!(self.package().join("slots").join(slot.hex()).is_dir(), "`{name}` names no slot");
            }
        }
        for name in ["state.json", "attempts.json"] {
            let path = self.package().join(name);
            assert!(!path.exists() || json_file(&path).is_object(), "{name} does not parse");
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn json_file(path: &Path) -> Value {
    fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(Value::Null)
}
