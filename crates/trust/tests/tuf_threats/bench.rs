//! A repository in memory with test keys: publishes like a server, and can be made to lie like an attacker.
//! The seeds are key numbers: 1, 2, 3 root (two must sign), 4, 5 targets (both), 6 snapshot, 7 timestamp, 8, 9 `app` (both), 20 `other`.

use std::collections::BTreeMap;

use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use tidegate_trust::tuf::client::{Answer, Client, ClientError, Refreshed, Step};
use tidegate_trust::tuf::online::{Packages, next_snapshot, next_timestamp};
use tidegate_trust::tuf::repository::{PackageRole, RootRole, SnapshotRole, TargetInfo, TargetsRole, TimestampRole};
use tidegate_trust::tuf::{Expiry, Role, RoleName, Signers, TargetPath, TufKey, Unsigned, Unverified, Verified};

pub(crate) const NOW_MS: u64 = 1_795_000_000_000;
pub(crate) const DAY_MS: u64 = 86_400_000;

pub(crate) fn secret(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn key(seed: u8) -> TufKey {
    TufKey::from_bytes(secret(seed).verifying_key().to_bytes()).unwrap()
}

pub(crate) fn signers(seeds: &[u8], threshold: u32) -> Signers {
    Signers::new(seeds.iter().copied().map(key), threshold).unwrap()
}

pub(crate) fn days(count: u64) -> Expiry {
    Expiry::from_ms(NOW_MS + count * DAY_MS).unwrap()
}

pub(crate) fn app() -> RoleName {
    RoleName::parse("app").unwrap()
}

pub(crate) fn path(text: &str) -> TargetPath {
    TargetPath::parse(text).unwrap()
}

pub(crate) fn manifest(byte: u8) -> TargetInfo {
    TargetInfo { length: u64::from(byte) + 100, sha256: [byte; 32] }
}

/// The file of this content with these keys' signatures.
pub(crate) fn signed<R: Role>(role: R, seeds: &[u8]) -> Vec<u8> {
    let mut unsigned = Unsigned::new(role).unwrap();
    for seed in seeds {
        let signature = secret(*seed).sign(unsigned.bytes_to_sign()).to_bytes();
        unsigned.add_signature(&key(*seed), &signature).unwrap();
    }
    unsigned.to_bytes()
}

pub(crate) fn verified<R: Role>(role: R, seeds: &[u8]) -> Verified<R> {
    Unverified::parse(&signed(role, seeds)).unwrap().verify(&signers(seeds, seeds.len() as u32)).unwrap()
}

/// Any JSON with valid signatures, for forms that the builders refuse to make.
pub(crate) fn forged(content: &Value, seeds: &[u8]) -> Vec<u8> {
    let bytes = sigstore_tuf::canonical_json::to_canonical_bytes(content).unwrap();
    let signatures: Vec<Value> = seeds
        .iter()
        .map(|seed| json!({"keyid": key(*seed).id().to_string(), "sig": hex::encode(secret(*seed).sign(&bytes).to_bytes())}))
        .collect();
    json!({"signed": content, "signatures": signatures}).to_string().into_bytes()
}

/// The `signed` object of a file.
pub(crate) fn content(file: &[u8]) -> Value {
    serde_json::from_slice::<Value>(file).unwrap()["signed"].clone()
}

pub(crate) fn first_root() -> RootRole {
    let root = signers(&[1, 2, 3], 2);
    RootRole::first(days(365), root, signers(&[4, 5], 2), signers(&[6], 1), signers(&[7], 1))
}

/// A repository as a mirror shows it, and what its signers know.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) root: RootRole,
    pub(crate) targets: TargetsRole,
    pub(crate) targets_seeds: Vec<u8>,
    pub(crate) packages: Packages,
    pub(crate) snapshot: Option<SnapshotRole>,
    pub(crate) timestamp: Option<TimestampRole>,
    pub(crate) online_seeds: (u8, u8),
}

impl Bench {
    /// Root 1, targets 1 with the package `app`, which has release 1.
    pub(crate) fn new() -> Bench {
        let mut targets = TargetsRole::first(days(365));
        targets.delegate(app(), signers(&[8, 9], 2)).unwrap();
        let root = first_root();
        let mut bench = Bench {
            files: BTreeMap::from([("1.root.json".to_owned(), signed(root.clone(), &[1, 2]))]),
            root,
            targets,
            targets_seeds: vec![4, 5],
            packages: BTreeMap::new(),
            snapshot: None,
            timestamp: None,
            online_seeds: (6, 7),
        };
        let mut role = PackageRole::first(days(180));
        role.add_release(&app(), "1", manifest(1)).unwrap();
        bench.packages.insert(app(), verified(role, &[8, 9]));
        bench.publish();
        bench
    }

    pub(crate) fn pinned(&self) -> &[u8] {
        &self.files["1.root.json"]
    }

    /// Signs a new snapshot and timestamp over what is current and puts every file out.
    pub(crate) fn publish(&mut self) {
        self.publish_until(days(7), days(1));
    }

    pub(crate) fn publish_until(&mut self, snapshot_expires: Expiry, timestamp_expires: Expiry) {
        let targets = verified(self.targets.clone(), &self.targets_seeds);
        let snapshot = next_snapshot(self.snapshot.as_ref(), &targets, &self.packages, snapshot_expires).unwrap();
        let snapshot = verified(snapshot.role().clone(), &[self.online_seeds.0]);
        let timestamp = next_timestamp(self.timestamp.as_ref(), &snapshot, timestamp_expires).unwrap();
        self.put(format!("{}.targets.json", targets.role().version()), targets.bytes());
        for (package, file) in self.packages.clone() {
            self.put(format!("{}.{package}.json", file.role().version()), file.bytes());
        }
        self.put(format!("{}.snapshot.json", snapshot.role().version()), snapshot.bytes());
        self.put("timestamp.json".into(), &signed(timestamp.role().clone(), &[self.online_seeds.1]));
        (self.snapshot, self.timestamp) = (Some(snapshot.role().clone()), Some(timestamp.role().clone()));
    }

    pub(crate) fn put(&mut self, name: String, bytes: &[u8]) {
        self.files.insert(name, bytes.to_vec());
    }

    /// Adds a release of `app` and publishes.
    pub(crate) fn release(&mut self, version: &str, byte: u8) {
        let mut role = self.packages[&app()].role().next(days(180)).unwrap();
        role.add_release(&app(), version, manifest(byte)).unwrap();
        self.packages.insert(app(), verified(role, &[8, 9]));
        self.publish();
    }

    /// Puts out the next root, signed by these keys.
    pub(crate) fn rotate(&mut self, change: impl FnOnce(RootRole) -> RootRole, seeds: &[u8]) {
        self.root = change(self.root.next(days(365)).unwrap());
        self.put(format!("{}.root.json", self.root.version()), &signed(self.root.clone(), seeds));
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.pinned(), [app()]).unwrap()
    }

    /// Runs a refresh against this mirror to its end.
    pub(crate) fn serve(&self, client: &mut Client, now_ms: u64) -> Result<Refreshed, ClientError> {
        self.serve_counting(client, now_ms).0
    }

    /// The same, and the names asked for.
    pub(crate) fn serve_counting(
        &self,
        client: &mut Client,
        now_ms: u64,
    ) -> (Result<Refreshed, ClientError>, Vec<String>) {
        let mut asked = Vec::new();
        loop {
            match client.next(now_ms) {
                Step::Need(request) => {
                    assert!(request.bytes_max <= 4 * 1024 * 1024);
                    let answer = self.files.get(&request.path).cloned().map_or(Answer::NotFound, Answer::Bytes);
                    asked.push(request.path);
                    client.feed(answer);
                }
                Step::Done(refreshed) => return (Ok(refreshed), asked),
                Step::Refused(error) => return (Err(error), asked),
            }
        }
    }

    /// A device that has refreshed once.
    pub(crate) fn refreshed(&self) -> Client {
        let mut client = self.client();
        assert_eq!(self.serve(&mut client, NOW_MS).unwrap().problems, []);
        client
    }

    /// The same device after a restart.
    pub(crate) fn restarted(&self, client: &Client) -> Client {
        Client::resume(self.pinned(), [app()], client.metadata_files()).unwrap()
    }
}
