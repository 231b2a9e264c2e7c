//! A fleet for tests: every key, a TUF repository, releases, and offers with real signatures, each part open to be spoilt.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, PackageName, RolloutId};
use tidegate_domain::roster::merkle;
use tidegate_domain::roster::{Place, ProvenPlace};
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_trust::keys::{ListedKey, PublicKey, Scope, SignatureBytes};
use tidegate_trust::records::{
    EnrolmentToken, EnvelopeRecord, FleetProven, Go, Halt, KeyList, Order, Permit, PermitKind, PolicyRecord,
    RosterCount, RosterRoot,
};
use tidegate_trust::signed::{Body, Unverified};
use tidegate_trust::tuf::online::{Packages, next_snapshot, next_timestamp};
use tidegate_trust::tuf::repository::{PackageRole, RootRole, TargetInfo, TargetsRole};
use tidegate_trust::tuf::{Expiry, Role, RoleName, Signers, TufKey, Unsigned, Verified};
use tidegate_wire::device::{Offer, TrustBundle};

pub const PACKAGE: &str = "sensor-content";
pub const DEVICE: &str = "device-1";

pub const POLICY: &str = r#"
name = "p"
strata = { by = ["os"], listed = [["linux"], ["windows"]] }
window = { initial_all = 4, initial_value = 3, initial_stratum = 3, growth = 2 }
prove = { for = "1s" }
rings = [{ name = "canary", soak = "1s" }, { name = "broad", soak = "1s" }]
"#;

pub const ENVELOPE: &str = r#"
name = "danger-test"
prove_min = "100ms"
soak_min = "100ms"
"#;

/// Now, in milliseconds.
pub fn now() -> WallTime {
    WallTime::from_ms(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap())
}

/// A key by its number.
pub fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

pub fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_bytes(key.verifying_key().to_bytes()).unwrap()
}

/// A body, signed with some keys.
pub fn signed<T: Body>(body: &T, keys: &[&SigningKey]) -> Unverified<T> {
    keys.iter().fold(Unverified::draft(body).unwrap(), |record, key| {
        let sig = SignatureBytes::from_bytes(key.sign(record.bytes_to_sign()).to_bytes());
        record.with_signature(&public(key), sig)
    })
}

fn tuf_key(key: &SigningKey) -> TufKey {
    TufKey::from_bytes(key.verifying_key().to_bytes()).unwrap()
}

fn finish<R: Role>(mut unsigned: Unsigned<R>, key: &SigningKey) -> Verified<R> {
    let sig = key.sign(unsigned.bytes_to_sign()).to_bytes();
    unsigned.add_signature(&tuf_key(key), &sig).unwrap();
    unsigned.finish(&Signers::single(tuf_key(key))).unwrap()
}

/// A published release.
#[derive(Debug, Clone)]
pub struct Release {
    pub version: String,
    pub digest: Digest,
    pub manifest: Vec<u8>,
}

pub struct Fleet {
    pub id: Digest,
    pub root: SigningKey,
    pub order: SigningKey,
    pub gate: SigningKey,
    pub halt: SigningKey,
    pub enrolment: SigningKey,
    pub token: SigningKey,
    pub metadata: BTreeMap<String, Vec<u8>>,
    pub artifacts: BTreeMap<String, Vec<u8>>,
    pub key_list: KeyList,
    pub envelope: EnvelopeRecord,
    targets: Verified<TargetsRole>,
    package: PackageRole,
    generation: u64,
}

/// An offer in parts.
#[derive(Debug, Clone)]
pub struct Parts {
    pub order: Order,
    pub policy: PolicyRecord,
    pub permit: Permit,
    pub place: ProvenPlace,
}

impl Fleet {
    pub fn new() -> Fleet {
        let keys: Vec<SigningKey> = (1..=10).map(key).collect();
        let single = |n: usize| Signers::single(tuf_key(&keys[n]));
        let expiry = Expiry::from_ms(now().as_ms() + 86_400_000).unwrap();
        let root = RootRole::first(expiry, single(0), single(1), single(2), single(3));
        let root = finish(Unsigned::new(root).unwrap(), &keys[0]);
        let id = Digest::of(root.bytes());
        let mut targets = TargetsRole::first(expiry);
        targets.delegate(RoleName::parse(PACKAGE).unwrap(), single(4)).unwrap();
        let targets = finish(Unsigned::new(targets).unwrap(), &keys[1]);
        let listed = |key: &SigningKey, scope: Scope| ListedKey {
            public_key: public(key),
            holder: "test".to_owned(),
            scopes: BTreeSet::from([scope]),
            not_before_ms: WallTime::from_ms(0),
            not_after_ms: now().after(Elapsed::from_s(86_400)),
        };
        let key_list = KeyList {
            fleet: id,
            version: 1,
            keys: vec![
                listed(&keys[5], Scope::Order),
                listed(&keys[6], Scope::Gate),
                listed(&keys[7], Scope::Halt),
                listed(&keys[8], Scope::Enrolment),
                listed(&key(21), Scope::Approve),
                listed(&key(22), Scope::Approve),
                listed(&key(23), Scope::Approve),
            ],
            issued_at_ms: now(),
            ext: BTreeMap::new(),
        };
        let text = ENVELOPE.to_owned();
        let envelope = EnvelopeRecord { fleet: id, version: 1, text, issued_at_ms: now(), ext: BTreeMap::new() };
        let mut fleet = Fleet {
            id,
            root: keys[0].clone(),
            order: keys[5].clone(),
            gate: keys[6].clone(),
            halt: keys[7].clone(),
            enrolment: keys[8].clone(),
            token: keys[9].clone(),
            metadata: BTreeMap::from([("1.root.json".to_owned(), root.bytes().to_vec())]),
            artifacts: BTreeMap::new(),
            key_list,
            envelope,
            targets,
            package: PackageRole::first(expiry),
            generation: 0,
        };
        fleet.publish_metadata();
        fleet
    }

    /// Publishes a release of these files.
    pub fn publish(&mut self, version: &str, files: &[(&str, &[u8])], change: impl FnOnce(&mut Value)) -> Release {
        let (release, artifacts) = release(version, files, change);
        self.artifacts.extend(artifacts);
        self.artifacts.insert(release.digest.hex(), release.manifest.clone());
        let info = TargetInfo { length: release.manifest.len() as u64, sha256: *release.digest.as_bytes() };
        self.package.add_release(&RoleName::parse(PACKAGE).unwrap(), version, info).unwrap();
        self.publish_metadata();
        release
    }

    fn publish_metadata(&mut self) {
        self.generation += 1;
        let name = RoleName::parse(PACKAGE).unwrap();
        let expiry = Expiry::from_ms(now().as_ms() + 86_400_000).unwrap();
        if self.generation > 1 {
            self.package = self.package.next(expiry).unwrap();
        }
        let package = finish(Unsigned::new(self.package.clone()).unwrap(), &key(5));
        let version = package.role().version();
        self.metadata.insert(format!("{version}.{PACKAGE}.json"), package.bytes().to_vec());
        self.metadata.insert("1.targets.json".to_owned(), self.targets.bytes().to_vec());
        let packages = Packages::from([(name, package)]);
        let mut snapshot = None;
        let mut timestamp = None;
        for _ in 0..self.generation {
            let previous: Option<Verified<_>> = snapshot.take();
            let unsigned =
                next_snapshot(previous.as_ref().map(Verified::role), &self.targets, &packages, expiry).unwrap();
            let next = finish(unsigned, &key(3));
            let previous: Option<Verified<_>> = timestamp.take();
            let unsigned = next_timestamp(previous.as_ref().map(Verified::role), &next, expiry).unwrap();
            timestamp = Some(finish(unsigned, &key(4)));
            snapshot = Some(next);
        }
        let (snapshot, timestamp) = (snapshot.unwrap(), timestamp.unwrap());
        let version = snapshot.role().version();
        self.metadata.insert(format!("{version}.snapshot.json"), snapshot.bytes().to_vec());
        self.metadata.insert("timestamp.json".to_owned(), timestamp.bytes().to_vec());
    }

    pub fn bundle(&self) -> TrustBundle {
        TrustBundle { key_list: signed(&self.key_list, &[&self.root]), envelope: signed(&self.envelope, &[&self.root]) }
    }

    pub fn token_body(&self, endpoint: &str) -> EnrolmentToken {
        EnrolmentToken {
            fleet: self.id,
            token: "t-1".parse().unwrap(),
            public_key: public(&self.token),
            ring: Some("canary".parse().unwrap()),
            attributes: BTreeMap::from([("os".parse().unwrap(), BTreeSet::from(["linux".parse().unwrap()]))]),
            devices_max: 5,
            expires_at_ms: now().after(Elapsed::from_s(3_600)),
            endpoints: vec![endpoint.to_owned()],
            ext: BTreeMap::new(),
        }
    }

    /// A token file as `device token create` writes it.
    pub fn token_file(&self, endpoint: &str) -> Value {
        let token = signed(&self.token_body(endpoint), &[&self.enrolment]);
        json!({"token": token, "secret_key": hex::encode(self.token.to_bytes())})
    }

    /// An offer of a release to [`DEVICE`], which stands second in its roster.
    pub fn parts(&self, release: &Release, order_seq: u64) -> Parts {
        let package: PackageName = PACKAGE.parse().unwrap();
        let place =
            |device: &str| Place { device: device.parse().unwrap(), stratum: "linux".parse().unwrap(), ring: 0 };
        let leaves: Vec<Digest> = ["device-0", DEVICE, "device-2"].into_iter().map(|d| place(d).leaf()).collect();
        let policy = PolicyRecord {
            fleet: self.id,
            name: "p".parse().unwrap(),
            text: POLICY.to_owned(),
            issued_at_ms: now(),
            ext: BTreeMap::new(),
        };
        let order = Order {
            fleet: self.id,
            rollout: RolloutId::of(&package, order_seq),
            package,
            version: release.version.parse().unwrap(),
            release: release.digest,
            policy: policy.policy_digest(),
            order_seq,
            rank_seed: Digest::of(b"seed"),
            rings: vec!["canary".parse().unwrap(), "broad".parse().unwrap()],
            rosters: vec![RosterRoot { stratum: "linux".parse().unwrap(), size: 3, root: merkle::root(&leaves) }],
            issued_at_ms: now(),
            expires_at_ms: now().after(Elapsed::from_s(3_600)),
            resumes: None,
            ext: BTreeMap::new(),
        };
        let permit = Permit {
            fleet: self.id,
            order: signed(&order, &[]).digest(),
            kind: PermitKind::Open,
            step: 1,
            previous: None,
            counts: vec![RosterCount { stratum: "linux".parse().unwrap(), addendum: 0, count: 2 }],
            take_by_ms: now().after(Elapsed::from_s(600)),
            issued_at_ms: now(),
            ext: BTreeMap::new(),
        };
        let proof = merkle::proof(&leaves, 1).unwrap();
        Parts { order, policy, permit, place: ProvenPlace { place: place(DEVICE), addendum: 0, index: 1, proof } }
    }

    pub fn go(&self, order: Digest, permit: Digest, nonce: Digest) -> Unverified<Go> {
        let device: DeviceId = DEVICE.parse().unwrap();
        let body = Go { fleet: self.id, device, order, permit, nonce, issued_at_ms: now(), ext: BTreeMap::new() };
        signed(&body, &[&self.gate])
    }

    pub fn halted(&self, order: Digest) -> Unverified<Halt> {
        let reasons = vec!["test".to_owned()];
        signed(&Halt { fleet: self.id, order, reasons, issued_at_ms: now(), ext: BTreeMap::new() }, &[&self.halt])
    }

    pub fn fleet_proven(&self, parts: &Parts) -> Unverified<FleetProven> {
        let body = FleetProven {
            fleet: self.id,
            order: parts.order_digest(),
            package: parts.order.package.clone(),
            release: parts.order.release,
            passed_at_ms: now(),
            ext: BTreeMap::new(),
        };
        signed(&body, &[&self.gate])
    }
}

impl Parts {
    pub fn order_digest(&self) -> Digest {
        signed(&self.order, &[]).digest()
    }

    /// The permit names the order as it is now.
    pub fn bind(&mut self) {
        self.permit.order = self.order_digest();
    }

    pub fn offer(&self, fleet: &Fleet) -> Offer {
        Offer {
            order: signed(&self.order, &[&fleet.order]),
            policy: signed(&self.policy, &[&fleet.order]),
            permit: signed(&self.permit, &[&fleet.gate]),
            addendum: None,
            place: self.place.clone(),
        }
    }
}

/// A release that nobody published yet: its manifest, and its files by their digests.
pub fn release(
    version: &str,
    files: &[(&str, &[u8])],
    change: impl FnOnce(&mut Value),
) -> (Release, BTreeMap<String, Vec<u8>>) {
    let entries: Vec<Value> = files
        .iter()
        .map(|(path, bytes)| json!({"path": path, "sha256": Digest::of(bytes).to_string(), "size": bytes.len()}))
        .collect();
    let mut manifest = json!({
        "package": PACKAGE, "version": version, "files": entries,
        "activation": {"kind": "supervise"}, "downtime": "8s",
    });
    change(&mut manifest);
    let manifest = manifest.to_string().into_bytes();
    let artifacts = files.iter().map(|(_, bytes)| (Digest::of(bytes).hex(), bytes.to_vec())).collect();
    (Release { version: version.to_owned(), digest: Digest::of(&manifest), manifest }, artifacts)
}
