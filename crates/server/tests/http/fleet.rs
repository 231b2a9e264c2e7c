//! A founded fleet with all its keys at hand, a server for it, and somebody to call its operator API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_domain::digest::Digest;
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_keyring::{Credential, KeyFile, Seal};
use tidegate_server::{Server, Settings, clock::now};
use tidegate_trust::keys::{ListedKey, PublicKey, Scope, SignatureBytes};
use tidegate_trust::records::{EnrolmentToken, EnvelopeRecord, KeyList, Order, PolicyRecord};
use tidegate_trust::signed::{Body, Unverified};
use tidegate_trust::tuf::repository::{PackageRole, RootRole, TargetInfo, TargetsRole};
use tidegate_trust::tuf::{Expiry, Role, RoleName, Signers, TufKey, Unsigned};
use ureq::http::Method;

pub(crate) const PACKAGE: &str = "sensor-content";
/// A second package of the same devices.
pub(crate) const OTHER: &str = "browser";
/// Key numbers: 1, 2 root (both sign), 3 targets, 4, 5 publishers (both), 6 orders, 7 enrolment, 8 the enrolment token's own, 31 to 33
/// approvers.
pub(crate) const ORDER_KEY: u8 = 6;
pub(crate) const ENROLMENT_KEY: u8 = 7;
pub(crate) const TOKEN_KEY: u8 = 8;
pub(crate) const APPROVER_KEYS: [u8; 3] = [31, 32, 33];

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_bytes(key.verifying_key().to_bytes()).unwrap()
}

/// A record with this key's signature added.
pub(crate) fn signed<T: Body>(record: Unverified<T>, key: &SigningKey) -> Unverified<T> {
    let signature = SignatureBytes::from_bytes(key.sign(record.bytes_to_sign()).to_bytes());
    record.with_signature(&public(key), signature)
}

pub(crate) fn record<T: Body>(body: &T, seeds: &[u8]) -> Unverified<T> {
    seeds.iter().fold(Unverified::draft(body).unwrap(), |record, seed| signed(record, &key(*seed)))
}

fn tuf_key(seed: u8) -> TufKey {
    TufKey::from_bytes(key(seed).verifying_key().to_bytes()).unwrap()
}

fn signers(seeds: &[u8]) -> Signers {
    Signers::new(seeds.iter().copied().map(tuf_key), seeds.len() as u32).unwrap()
}

pub(crate) fn in_a_year() -> Expiry {
    Expiry::from_ms(now().as_ms() + 365 * 86_400_000).unwrap()
}

/// A TUF file with these keys' signatures.
pub(crate) fn tuf<R: Role>(role: R, seeds: &[u8]) -> Vec<u8> {
    let mut unsigned = Unsigned::new(role).unwrap();
    for seed in seeds {
        let signature = key(*seed).sign(unsigned.bytes_to_sign()).to_bytes();
        unsigned.add_signature(&tuf_key(*seed), &signature).unwrap();
    }
    unsigned.to_bytes()
}

/// What `trust init` would have made, and a data folder.
pub(crate) struct Fleet {
    pub(crate) folder: TempDir,
    pub(crate) fleet: Digest,
    pub(crate) role: Option<PackageRole>,
    /// The package that is published and ordered.
    pub(crate) package: &'static str,
    /// The numbers that each manifest declares.
    pub(crate) declares: Vec<Value>,
}

pub(crate) const ENVELOPE: &str = r#"
name = "danger-test"
prove_min = "100ms"
soak_min = "0ms"
clear_max = 0.99
beta_max = 0.999
unproven_share_max = 1.0
"#;

impl Fleet {
    pub(crate) fn found() -> Fleet {
        let folder = tempfile::tempdir().unwrap();
        let signed_dir = folder.path().join("keys/fleet");
        std::fs::create_dir_all(&signed_dir).unwrap();
        let keys = folder.path().join("keys");
        let credential = Credential::create(&keys.join("credential")).unwrap();
        let online = |name: &str| {
            KeyFile::create(&keys, name, name, &Seal::Credential(credential.recipient())).unwrap().public_key()
        };
        let (gate, snapshot, timestamp) = (online("gate"), online("snapshot"), online("timestamp"));
        let single = |bytes| Signers::single(TufKey::from_bytes(bytes).unwrap());
        let root = RootRole::first(in_a_year(), signers(&[1, 2]), signers(&[3]), single(snapshot), single(timestamp));
        let root = tuf(root, &[1, 2]);
        let mut targets = TargetsRole::first(in_a_year());
        for package in [PACKAGE, OTHER] {
            targets.delegate(RoleName::parse(package).unwrap(), signers(&[4, 5])).unwrap();
        }
        let fleet = Digest::of(&root);
        let list = key_list(fleet, 1, PublicKey::from_bytes(gate).unwrap());
        let files = [
            ("1.targets.json", tuf(targets, &[3])),
            ("key-list.json", serde_json::to_vec(&record(&list, &[1, 2])).unwrap()),
            ("envelope.json", serde_json::to_vec(&record(&envelope(fleet, 1, ENVELOPE), &[1, 2])).unwrap()),
            ("1.root.json", root),
        ];
        for (name, bytes) in files {
            std::fs::write(signed_dir.join(name), bytes).unwrap();
        }
        Fleet { folder, fleet, role: None, package: PACKAGE, declares: Vec::new() }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn settings(&self) -> Settings {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        Settings {
            idle_check_in: Elapsed::from_ms(200),
            step_every: Elapsed::from_ms(50),
            ..Settings::new(self.data(), self.folder.path().join("keys"), any)
        }
    }

    pub(crate) fn start(&self) -> Running {
        Running::start(self.settings())
    }

    /// Uploads content and manifest and publishes them as a release.
    pub(crate) fn publish(&mut self, api: &Api, version: &str, content: &str) -> Digest {
        let (role, release) = self.stage(api, version, content);
        let reply = api.call(Method::PUT, &format!("/metadata/packages/{}", self.package), &tuf(role.clone(), &[4, 5]));
        assert_eq!(reply.status, 204, "{reply:?}");
        self.role = Some(role);
        release
    }

    /// Uploads content and manifest; the role that would publish them, and the release.
    pub(crate) fn stage(&self, api: &Api, version: &str, content: &str) -> (PackageRole, Digest) {
        let artifact = Digest::of(content.as_bytes());
        let manifest = json!({
            "package": self.package, "version": version, "downtime": "1s", "activation": {"kind": "supervise"}, "numbers": self.declares,
            "files": [{"path": "content.json", "sha256": artifact.to_string(), "size": content.len()}],
        });
        let manifest = manifest.to_string().into_bytes();
        let release = Digest::of(&manifest);
        for (digest, bytes) in [(artifact, content.as_bytes()), (release, &manifest)] {
            let reply = api.call(Method::PUT, &format!("/artifacts/{}", digest.hex()), bytes);
            assert!(matches!(reply.status, 200 | 201), "{reply:?}");
        }
        let mut role = match &self.role {
            Some(role) => role.next(in_a_year()).unwrap(),
            None => PackageRole::first(in_a_year()),
        };
        let info = TargetInfo { length: manifest.len() as u64, sha256: *release.as_bytes() };
        role.add_release(&RoleName::parse(self.package).unwrap(), version, info).unwrap();
        (role, release)
    }

    pub(crate) fn policy_record(&self, text: &str) -> Unverified<PolicyRecord> {
        let name = tidegate_domain::policy::Policy::parse(text).unwrap().name;
        let body = PolicyRecord {
            fleet: self.fleet,
            name,
            text: text.to_owned(),
            issued_at_ms: now(),
            ext: Default::default(),
        };
        record(&body, &[ORDER_KEY])
    }

    /// Applies a policy; its digest.
    pub(crate) fn apply_policy(&self, api: &Api, text: &str) -> Digest {
        let reply = api.post("/policies", &json!({"policy": self.policy_record(text)}));
        assert_eq!(reply.status, 201, "{reply:?}");
        Digest::of(text.as_bytes())
    }

    /// A draft, signed.
    pub(crate) fn order(&self, api: &Api, version: &str, policy: &Digest) -> Unverified<Order> {
        let reply =
            api.post("/rollouts/draft", &json!({"package": self.package, "version": version, "policy": policy}));
        assert_eq!(reply.status, 200, "{reply:?}");
        signed(serde_json::from_value(reply.json()["order"].clone()).unwrap(), &key(ORDER_KEY))
    }

    /// Starts a rollout; its id.
    pub(crate) fn start_rollout(&self, api: &Api, version: &str, policy: &Digest) -> String {
        let order = self.order(api, version, policy);
        let reply = api.post("/rollouts", &json!({"order": order}));
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json()["rollout"].as_str().unwrap().to_owned()
    }

    /// Leave to enrol devices of any of the two systems in one ring.
    pub(crate) fn token(&self, ring: &str, devices_max: u64) -> Unverified<EnrolmentToken> {
        let body = json!({
            "fleet": self.fleet, "token": format!("{ring}-{devices_max}"), "public_key": public(&key(TOKEN_KEY)), "ring": ring,
            "attributes": {"os": ["linux", "windows"], "customer": ["acme", "blue"]}, "devices_max": devices_max,
            "expires_at_ms": now().as_ms() + 3_600_000, "endpoints": ["http://127.0.0.1:1"],
        });
        record(&serde_json::from_value::<EnrolmentToken>(body).unwrap(), &[ENROLMENT_KEY])
    }
}

pub(crate) fn key_list(fleet: Digest, version: u64, gate: PublicKey) -> KeyList {
    let listed = |public_key, scope| ListedKey {
        public_key,
        holder: format!("{scope:?}"),
        scopes: [scope].into(),
        not_before_ms: WallTime::from_ms(0),
        not_after_ms: now().after(Elapsed::from_s(86_400)),
    };
    let mut keys = vec![
        listed(gate, Scope::Gate),
        listed(public(&key(ORDER_KEY)), Scope::Order),
        listed(public(&key(ENROLMENT_KEY)), Scope::Enrolment),
    ];
    keys.extend(APPROVER_KEYS.map(|seed| listed(public(&key(seed)), Scope::Approve)));
    KeyList { fleet, version, keys, issued_at_ms: now(), ext: Default::default() }
}

pub(crate) fn envelope(fleet: Digest, version: u64, text: &str) -> EnvelopeRecord {
    EnvelopeRecord { fleet, version, text: text.to_owned(), issued_at_ms: now(), ext: Default::default() }
}

/// A server in this process.
pub(crate) struct Running {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) server: Option<Server>,
    pub(crate) base: String,
}

impl Running {
    pub(crate) fn start(settings: Settings) -> Running {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let server = runtime.block_on(Server::start(settings)).unwrap();
        let base = format!("http://{}", server.address);
        Running { runtime, server: Some(server), base }
    }

    /// The admin, who logs in with the code that the server printed.
    pub(crate) fn admin(&self) -> Api {
        let code = self.server.as_ref().unwrap().login_code.clone();
        Api::nobody(&self.base).login(&code)
    }

    pub(crate) fn stop(mut self) {
        self.runtime.block_on(self.server.take().unwrap().stop()).unwrap();
    }
}

/// Somebody who calls the operator API.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) base: String,
    pub(crate) token: Option<String>,
    agent: ureq::Agent,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn kind(&self) -> String {
        self.json()["kind"].as_str().unwrap_or_default().to_owned()
    }
}

pub(crate) fn http_agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(Duration::from_secs(20)))
        .max_idle_connections(0);
    config.build().new_agent()
}

/// One request; an error where no answer came.
pub(crate) fn request(
    agent: &ureq::Agent,
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Reply, ureq::Error> {
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = agent.run(request.body(body.to_vec())?)?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.body_mut().with_config().limit(64 << 20).read_to_vec()?;
    Ok(Reply { status, headers, body })
}

impl Api {
    pub(crate) fn nobody(base: &str) -> Api {
        Api { base: base.to_owned(), token: None, agent: http_agent() }
    }

    pub(crate) fn with_token(&self, token: &str) -> Api {
        Api { token: Some(token.to_owned()), ..self.clone() }
    }

    pub(crate) fn at(&self, base: &str) -> Api {
        Api { base: base.to_owned(), ..self.clone() }
    }

    pub(crate) fn login(&self, code: &str) -> Api {
        let reply = self.post("/login", &json!({"code": code}));
        assert_eq!(reply.status, 201, "{reply:?}");
        self.with_token(reply.json()["token"].as_str().unwrap())
    }

    /// An operator of this role.
    pub(crate) fn operator(&self, role: &str) -> Api {
        let reply = self.post("/operators", &json!({"operator": format!("a-{role}"), "role": role}));
        assert_eq!(reply.status, 201, "{reply:?}");
        self.with_token(reply.json()["token"].as_str().unwrap())
    }

    pub(crate) fn try_call(&self, method: Method, path: &str, body: &[u8]) -> Result<Reply, ureq::Error> {
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        request(&self.agent, method, &format!("{}/api/v1{path}", self.base), &headers, body)
    }

    pub(crate) fn call(&self, method: Method, path: &str, body: &[u8]) -> Reply {
        self.try_call(method, path, body).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let reply = self.call(Method::GET, path, b"");
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        reply.json()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.call(Method::POST, path, body.to_string().as_bytes())
    }

    /// The number of the last record.
    pub(crate) fn seq(&self) -> u64 {
        self.get("/status")["seq"].as_u64().unwrap()
    }
}

/// Does something again and again until it gives a value, for a minute at most.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "did not happen within a minute: {what}");
    }
}
