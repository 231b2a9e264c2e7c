//! A server for these tests: the operator API over one thread, with metadata signed by the fleet's own online keys.
//! It accepts what `trust` accepts and keeps it in memory; it plans nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use tidegate_domain::digest::Digest;
use tidegate_keyring::{Credential, KeyFile, Secret, Signer, SoftwareKey};
use tidegate_trust::tuf::acceptance::{Accepted, accept_package, accept_targets, reopen_root};
use tidegate_trust::tuf::online::{Packages, next_snapshot, next_timestamp};
use tidegate_trust::tuf::repository::{RootRole, SnapshotRole, TargetsRole, TimestampRole};
use tidegate_trust::tuf::{Expiry, Role, RoleName, Signers, TufKey, Unsigned, Verified};

pub(crate) struct FakeServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    root: Verified<RootRole>,
    targets: Verified<TargetsRole>,
    packages: Packages,
    snapshot: Option<Verified<SnapshotRole>>,
    timestamp: Option<Verified<TimestampRole>>,
    keys: (SoftwareKey, SoftwareKey),
    trust: Value,
    artifacts: BTreeMap<String, Vec<u8>>,
    policies: Vec<Value>,
    /// Answers to `GET /rollouts/content.1`, one after another; the last one stays.
    rollout_views: Vec<Value>,
    /// Changes an order's draft before it goes out.
    draft_change: Option<(String, Value)>,
    /// Signed orders and halts, as they came.
    started: Vec<Value>,
}

struct Request {
    method: String,
    path: String,
    token: String,
    body: Vec<u8>,
}

type Answer = (u16, Vec<u8>);

impl FakeServer {
    pub(crate) const TOKEN: &str = "the-right-token";
    pub(crate) const CODE: &str = "the-right-code";

    /// Serves the fleet in the folder that `trust init` made for a server.
    pub(crate) fn start(folder: &Path) -> FakeServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::open(folder)));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                serve(&shared, stream.unwrap());
            }
        });
        FakeServer { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn artifacts(&self) -> Vec<String> {
        self.state.lock().unwrap().artifacts.keys().cloned().collect()
    }

    pub(crate) fn started(&self) -> Vec<Value> {
        self.state.lock().unwrap().started.clone()
    }

    pub(crate) fn show_rollout(&self, views: Vec<Value>) {
        self.state.lock().unwrap().rollout_views = views;
    }

    pub(crate) fn change_drafts(&self, field: &str, value: Value) {
        self.state.lock().unwrap().draft_change = Some((field.to_owned(), value));
    }
}

impl State {
    fn open(folder: &Path) -> State {
        let secret = Secret::Credential(Credential::read(&folder.join("credential")).unwrap());
        let key = |name: &str| KeyFile::read(&folder.join(name)).unwrap().unlock(&secret).unwrap();
        let file = |name: &str| fs::read(folder.join("fleet").join(name)).unwrap();
        let record = |name: &str| serde_json::from_slice::<Value>(&file(name)).unwrap();
        let root = reopen_root(&file("1.root.json")).unwrap();
        let Accepted::New(targets) = accept_targets(&root, None, &file("1.targets.json"), now_ms()).unwrap() else {
            panic!("targets 1 are new")
        };
        let mut state = State {
            root,
            targets,
            packages: Packages::new(),
            snapshot: None,
            timestamp: None,
            keys: (key("snapshot.key"), key("timestamp.key")),
            trust: json!({"key_list": record("key-list.json"), "envelope": record("envelope.json")}),
            artifacts: BTreeMap::new(),
            policies: Vec::new(),
            rollout_views: Vec::new(),
            draft_change: None,
            started: Vec::new(),
        };
        state.renew();
        state
    }

    fn renew(&mut self) {
        let expires = Expiry::from_ms(now_ms() + 3_600_000).unwrap();
        let previous = self.snapshot.as_ref().map(Verified::role);
        let file = next_snapshot(previous, &self.targets, &self.packages, expires).unwrap();
        let snapshot = signed(file, &self.keys.0, self.root.role().snapshot());
        let previous = self.timestamp.as_ref().map(Verified::role);
        let file = next_timestamp(previous, &snapshot, expires).unwrap();
        self.timestamp = Some(signed(file, &self.keys.1, self.root.role().timestamp()));
        self.snapshot = Some(snapshot);
    }

    fn fleet(&self) -> Digest {
        Digest::of(self.root.bytes())
    }

    fn metadata(&self, name: &str) -> Option<Vec<u8>> {
        fn file<R: Role>(role: &str, name: &str, file: Option<&Verified<R>>) -> Option<Vec<u8>> {
            file.filter(|file| format!("{}.{role}.json", file.role().version()) == name)
                .map(|file| file.bytes().to_vec())
        }
        if name == "timestamp.json" {
            return self.timestamp.as_ref().map(|file| file.bytes().to_vec());
        }
        file("root", name, Some(&self.root))
            .or_else(|| file("snapshot", name, self.snapshot.as_ref()))
            .or_else(|| file("targets", name, Some(&self.targets)))
            .or_else(|| self.packages.iter().find_map(|(package, role)| file(package.as_str(), name, Some(role))))
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let path = request.path.split('?').next().unwrap_or_default();
        let path = path.strip_prefix("/api/v1/").unwrap_or_default();
        let parts: Vec<&str> = path.split('/').collect();
        if path == "login" {
            let right =
                serde_json::from_slice::<Value>(&request.body).is_ok_and(|body| body["code"] == FakeServer::CODE);
            let token = json!({"operator": "admin", "role": "admin", "token": FakeServer::TOKEN});
            return if right { ok(&token) } else { missing("such code") };
        }
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["halts", rollout]) => {
                return ok(&json!({"rollout": rollout, "fleet": self.fleet(), "order": Digest::of(b"o")}));
            }
            ("POST", ["halts"]) => {
                assert_eq!(request.token, "", "a signed halt needs no login");
                self.started.push(serde_json::from_slice(&request.body).unwrap());
                return ok(&json!({"rollout": "content.1", "recorded": true}));
            }
            _ => {}
        }
        if request.token != FakeServer::TOKEN {
            return problem(401, "unauthorised", "unauthorised: this token is not known");
        }
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["status"]) => ok(&json!({
                "fleet": self.fleet(), "version": "0", "store_epoch": "e", "seq": 1, "envelope": "safe",
                "p4": "not in force", "devices": 0, "incidents_open": 0
            })),
            ("GET", ["trust"]) => ok(&self.trust),
            ("GET", ["operators" | "devices" | "incidents" | "rollouts" | "packages"]) => ok(&json!([])),
            ("GET", ["policies"]) => ok(&Value::from(self.policies.clone())),
            ("GET", ["policies", digest]) => self
                .policies
                .iter()
                .find(|policy| policy["digest"] == *digest)
                .map_or_else(|| missing("such policy"), ok),
            ("POST", ["policies"]) => self.take_policy(request),
            ("GET", ["metadata", name]) => self.metadata(name).map_or_else(|| missing("such file"), |file| (200, file)),
            ("PUT", ["metadata", rest @ ..]) => self.take_metadata(rest, request),
            ("HEAD", ["artifacts", name]) if self.artifacts.contains_key(*name) => (200, Vec::new()),
            ("PUT", ["artifacts", name]) => {
                assert_eq!(Digest::of(&request.body).hex(), *name);
                self.artifacts.insert((*name).to_owned(), request.body.clone());
                (201, Vec::new())
            }
            ("POST", ["rollouts", "draft"]) => self.draft(request),
            ("POST", ["rollouts"]) => {
                self.started.push(serde_json::from_slice(&request.body).unwrap());
                (201, b"{}".to_vec())
            }
            ("GET", ["rollouts", "content.1"]) if !self.rollout_views.is_empty() => {
                let more = self.rollout_views.len() > 1;
                ok(&if more { self.rollout_views.remove(0) } else { self.rollout_views[0].clone() })
            }
            ("POST", ["rollouts", "content.1", "pause" | "resume" | "halt"]) => (204, Vec::new()),
            _ => missing("such thing"),
        }
    }

    fn take_policy(&mut self, request: &Request) -> Answer {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let record = &body["policy"]["body"];
        let text = record["text"].as_str().unwrap();
        let digest = Digest::of(text.as_bytes());
        self.policies.push(json!({
            "name": record["name"], "digest": digest, "applied_at_ms": 1, "current": true, "text": text
        }));
        (204, Vec::new())
    }

    fn take_metadata(&mut self, rest: &[&str], request: &Request) -> Answer {
        match rest {
            ["targets"] => match accept_targets(&self.root, Some(&self.targets), &request.body, now_ms()) {
                Ok(Accepted::New(targets)) => self.targets = targets,
                Ok(Accepted::AlreadyCurrent) => {}
                Err(error) => return problem(409, error.kind(), &error.to_string()),
            },
            ["packages", package] => {
                let package = RoleName::parse(package).unwrap();
                let current = self.packages.get(&package);
                match accept_package(&self.targets, &package, current, &request.body, now_ms()) {
                    Ok(Accepted::New(role)) => drop(self.packages.insert(package, role)),
                    Ok(Accepted::AlreadyCurrent) => {}
                    Err(error) => return problem(409, error.kind(), &error.to_string()),
                }
            }
            _ => return missing("such metadata"),
        }
        self.renew();
        (204, Vec::new())
    }

    fn draft(&self, request: &Request) -> Answer {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let (package, version) = (body["package"].as_str().unwrap(), body["version"].as_str().unwrap());
        let role = &self.packages[&RoleName::parse(package).unwrap()];
        let (_, target) = role.role().releases().find(|(path, _)| path.version() == version).unwrap();
        let mut order = json!({
            "_type": "tidegate/order/v1", "fleet": self.fleet(), "rollout": format!("{package}.1"), "package": package,
            "version": version, "release": Digest::from_bytes(target.sha256), "policy": body["policy"], "order_seq": 1,
            "rank_seed": Digest::of(b"seed"), "rings": ["all"], "rosters": [], "issued_at_ms": now_ms(),
            "expires_at_ms": now_ms() + 3_600_000
        });
        let resumes = body["resume"] == json!(true);
        if resumes {
            let without = body.get("without").cloned().unwrap_or_else(|| json!([]));
            order["resumes"] = json!({"halted": format!("{package}.0"), "without": without});
        }
        if let Some((field, value)) = &self.draft_change {
            order[field] = value.clone();
        }
        let approvals = if resumes { 2 } else { 0 };
        ok(&json!({
            "order": {"body": order, "signatures": []}, "devices": 12, "first_window": 3, "approvals": approvals
        }))
    }
}

fn signed<R: Role>(mut file: Unsigned<R>, key: &SoftwareKey, signers: &Signers) -> Verified<R> {
    let public = TufKey::from_bytes(key.public_key()).unwrap();
    file.add_signature(&public, &key.sign(file.bytes_to_sign()).unwrap()).unwrap();
    file.finish(signers).unwrap()
}

fn ok(value: &Value) -> Answer {
    (200, value.to_string().into_bytes())
}

fn missing(what: &str) -> Answer {
    problem(404, "not_found", &format!("there is no {what}"))
}

fn problem(status: u16, kind: &str, detail: &str) -> Answer {
    let problem = tidegate_wire::problem::Problem::new(status, kind, kind, detail);
    (status, serde_json::to_vec(&problem).unwrap())
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn serve(state: &Mutex<State>, stream: TcpStream) {
    let mut reader = BufReader::new(stream);
    // A connection without a request is one that the other side gave up.
    let Some(request) = read_request(&mut reader) else { return };
    let (status, body) = state.lock().unwrap().answer(&request);
    let body = if request.method == "HEAD" || status == 204 { Vec::new() } else { body };
    let head = format!("HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    let stream = reader.get_mut();
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut token) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => value.trim().strip_prefix("Bearer ")?.clone_into(&mut token),
            "transfer-encoding" => panic!("the tests' server reads no chunks"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path, token, body })
}
