//! What root and publishers sign: founding the fleet, metadata, releases, key list and envelope. Snapshot and timestamp follow by themselves.

use std::collections::BTreeMap;

use tidegate_domain::digest::Digest;
use tidegate_domain::envelope::Envelope;
use tidegate_domain::ids::PackageName;
use tidegate_domain::release::Manifest;
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_trust::keys::PublicKey;
use tidegate_trust::records::{EnvelopeRecord, KeyList};
use tidegate_trust::signed::{Body, Unverified as Record, Verified as Believed};
use tidegate_trust::tuf::acceptance::{
    Accepted, accept_first_root, accept_package, accept_root, accept_targets, reopen_root,
};
use tidegate_trust::tuf::online::{Packages, next_snapshot, next_timestamp, refresh_due};
use tidegate_trust::tuf::repository::{PackageRole, RootRole, SnapshotRole, TargetsRole, TimestampRole};
use tidegate_trust::tuf::{Expiry, Role, RoleName, Signers, TufKey, Unsigned, Unverified, Verified};

use super::{Answer, Founding, OnlineKey, OnlineSigner, Refusal, Staged, Why, done, fleet_of, not_signed, nothing};
use crate::decision::Decision;
use crate::state::State;

/// How long a snapshot lives. It is made anew with each release, and when half of this is over.
pub const SNAPSHOT_LIFE: Elapsed = Elapsed::from_s(7 * 86_400);
/// How long a timestamp lives: how long a device can be kept from news without noticing.
pub const TIMESTAMP_LIFE: Elapsed = Elapsed::from_s(86_400);

/// The TUF metadata that stands, reopened.
struct Repository {
    root: Verified<RootRole>,
    targets: Verified<TargetsRole>,
    packages: Packages,
}

fn tuf(kind: &'static str, error: impl std::fmt::Display) -> Refusal {
    Refusal::new(Why::Invalid, kind, error)
}

fn broken(what: &str, error: impl std::fmt::Display) -> Refusal {
    Refusal::new(Why::Unavailable, "metadata_broken", format!("the server's own {what} does not open: {error}"))
}

pub(super) fn found(
    state: &State,
    keys: &dyn OnlineSigner,
    now: WallTime,
    founding: Founding,
) -> Result<Staged, Refusal> {
    if let Some(fleet) = state.fleet() {
        if fleet == Digest::of(&founding.root) {
            return nothing(Answer::Done);
        }
        let detail =
            format!("this server's data belong to fleet {fleet}: give another `--data` or the right `--fleet`");
        return Err(Refusal::new(Why::Conflict, "another_fleet", detail));
    }
    let root = accept_first_root(&founding.root, now.as_ms()).map_err(|e| tuf(e.kind(), e))?;
    let targets = match accept_targets(&root, None, &founding.targets, now.as_ms()).map_err(|e| tuf(e.kind(), e))? {
        Accepted::New(targets) => targets,
        Accepted::AlreadyCurrent => return nothing(Answer::Done),
    };
    let fleet = Digest::of(&founding.root);
    let key_list = by_root(&root, fleet, founding.key_list)?;
    key_list.body().check().map_err(|e| Refusal::new(Why::Invalid, "key_list", e))?;
    let envelope = by_root(&root, fleet, founding.envelope)?;
    Envelope::parse(&envelope.body().text).map_err(|e| Refusal::new(Why::Invalid, "envelope", e))?;
    let mut files = BTreeMap::from([
        ("1.root.json".to_owned(), text(&founding.root)?),
        ("1.targets.json".to_owned(), text(&founding.targets)?),
    ]);
    let repository = Repository { root, targets, packages: Packages::new() };
    files.extend(online_files(&repository, None, None, keys, now)?);
    let decisions = vec![
        Decision::Metadata { files },
        Decision::KeyList { record: key_list.into_parts().1 },
        Decision::Envelope { record: envelope.into_parts().1 },
    ];
    done(now, decisions, Answer::Done)
}

pub(super) fn put_root(state: &State, keys: &dyn OnlineSigner, now: WallTime, bytes: &[u8]) -> Result<Staged, Refusal> {
    let mut repository = reopen(state)?;
    match accept_root(&repository.root, bytes, now.as_ms()).map_err(|e| tuf(e.kind(), e))? {
        Accepted::AlreadyCurrent => nothing(Answer::Done),
        Accepted::New(root) => {
            let name = format!("{}.root.json", root.role().version());
            repository.root = root;
            publish(state, &repository, keys, now, vec![(name, text(bytes)?)], Vec::new())
        }
    }
}

pub(super) fn put_targets(
    state: &State,
    keys: &dyn OnlineSigner,
    now: WallTime,
    bytes: &[u8],
) -> Result<Staged, Refusal> {
    let mut repository = reopen(state)?;
    let accepted = accept_targets(&repository.root, Some(&repository.targets), bytes, now.as_ms());
    match accepted.map_err(|e| tuf(e.kind(), e))? {
        Accepted::AlreadyCurrent => nothing(Answer::Done),
        Accepted::New(targets) => {
            let name = format!("{}.targets.json", targets.role().version());
            repository.targets = targets;
            let listed: Vec<RoleName> = repository.targets.role().packages().map(|(name, _)| name.clone()).collect();
            repository.packages.retain(|package, _| listed.contains(package));
            publish(state, &repository, keys, now, vec![(name, text(bytes)?)], Vec::new())
        }
    }
}

pub(super) fn put_package(
    state: &State,
    keys: &dyn OnlineSigner,
    now: WallTime,
    package: &PackageName,
    bytes: &[u8],
    manifests: &[(Digest, Vec<u8>)],
) -> Result<Staged, Refusal> {
    let mut repository = reopen(state)?;
    let role = role_name(package)?;
    let current = repository.packages.get(&role);
    let accepted = accept_package(&repository.targets, &role, current, bytes, now.as_ms());
    let new = match accepted.map_err(|e| tuf(e.kind(), e))? {
        Accepted::AlreadyCurrent => return nothing(Answer::Done),
        Accepted::New(new) => new,
    };
    let releases = new_releases(state, package, &new, manifests)?;
    let name = format!("{}.{package}.json", new.role().version());
    repository.packages.insert(role, new);
    publish(state, &repository, keys, now, vec![(name, text(bytes)?)], releases)
}

/// Every release that the role adds must come with its manifest, which must be what the role says and of this package and version.
fn new_releases(
    state: &State,
    package: &PackageName,
    role: &Verified<PackageRole>,
    manifests: &[(Digest, Vec<u8>)],
) -> Result<Vec<Decision>, Refusal> {
    let mut decisions = Vec::new();
    for (path, info) in role.role().releases() {
        let release = Digest::from_bytes(info.sha256);
        let known = state.releases().get(package).is_some_and(|all| all.iter().any(|known| known.release == release));
        if known {
            continue;
        }
        let Some((_, bytes)) = manifests.iter().find(|(digest, _)| *digest == release) else {
            let detail = format!("release {path}: upload its manifest {release} as an artifact first");
            return Err(Refusal::new(Why::Conflict, "manifest_missing", detail));
        };
        let manifest = Manifest::parse(bytes).map_err(|e| Refusal::new(Why::Invalid, "manifest", e))?;
        let right = manifest.package == *package && manifest.version.as_str() == path.version();
        if !right || Digest::of(bytes) != release || bytes.len() as u64 != info.length {
            let detail = format!("release {path}: the manifest is of {} {}", manifest.package, manifest.version);
            return Err(Refusal::new(Why::Invalid, "manifest_mismatch", detail));
        }
        decisions.push(Decision::Release { release, manifest });
    }
    Ok(decisions)
}

pub(super) fn refresh(state: &State, keys: &dyn OnlineSigner, now: WallTime) -> Result<Staged, Refusal> {
    let repository = reopen(state)?;
    let (snapshot, timestamp) = online(state)?;
    let due = refresh_due(&snapshot, SNAPSHOT_LIFE.as_ms(), now.as_ms())
        || refresh_due(&timestamp, TIMESTAMP_LIFE.as_ms(), now.as_ms());
    if !due {
        return nothing(Answer::Done);
    }
    publish(state, &repository, keys, now, Vec::new(), Vec::new())
}

/// Stores files and releases together with the snapshot and timestamp that list them.
fn publish(
    state: &State,
    repository: &Repository,
    keys: &dyn OnlineSigner,
    now: WallTime,
    files: Vec<(String, String)>,
    releases: Vec<Decision>,
) -> Result<Staged, Refusal> {
    let (snapshot, timestamp) = online(state)?;
    let mut all: BTreeMap<String, String> = files.into_iter().collect();
    all.extend(online_files(repository, Some(&snapshot), Some(&timestamp), keys, now)?);
    let mut decisions = vec![Decision::Metadata { files: all }];
    decisions.extend(releases);
    done(now, decisions, Answer::Done)
}

fn online_files(
    repository: &Repository,
    snapshot: Option<&SnapshotRole>,
    timestamp: Option<&TimestampRole>,
    keys: &dyn OnlineSigner,
    now: WallTime,
) -> Result<Vec<(String, String)>, Refusal> {
    let expiry = |life| Expiry::from_ms(now.after(life).as_ms()).map_err(|e| tuf("expiry", e));
    let root = repository.root.role();
    let unsigned = next_snapshot(snapshot, &repository.targets, &repository.packages, expiry(SNAPSHOT_LIFE)?)
        .map_err(|e| tuf(e.kind(), e))?;
    let new_snapshot = sign(keys, OnlineKey::Snapshot, unsigned, root.snapshot())?;
    let unsigned = next_timestamp(timestamp, &new_snapshot, expiry(TIMESTAMP_LIFE)?).map_err(|e| tuf(e.kind(), e))?;
    let new_timestamp = sign(keys, OnlineKey::Timestamp, unsigned, root.timestamp())?;
    Ok(vec![
        (format!("{}.snapshot.json", new_snapshot.role().version()), text(new_snapshot.bytes())?),
        ("snapshot.json".to_owned(), text(new_snapshot.bytes())?),
        ("timestamp.json".to_owned(), text(new_timestamp.bytes())?),
    ])
}

fn sign<R: Role>(
    keys: &dyn OnlineSigner,
    key: OnlineKey,
    mut unsigned: Unsigned<R>,
    signers: &Signers,
) -> Result<Verified<R>, Refusal> {
    let signature = keys.sign(key, unsigned.bytes_to_sign())?;
    let tuf_key = TufKey::from_bytes(*keys.public_key(key).as_bytes()).map_err(|e| tuf("online_key", e))?;
    unsigned.add_signature(&tuf_key, signature.as_bytes()).map_err(|e| tuf("online_key", e))?;
    unsigned.finish(signers).map_err(|e| {
        let detail = format!("the server's {key:?} key is not the one that root lists: {e}");
        Refusal::new(Why::Unavailable, "online_key", detail)
    })
}

pub(super) fn put_key_list(state: &State, now: WallTime, record: Record<KeyList>) -> Result<Staged, Refusal> {
    let fleet = fleet_of(state)?;
    let verified = by_root(&reopen(state)?.root, fleet, record)?;
    verified.body().check().map_err(|e| Refusal::new(Why::Invalid, "key_list", e))?;
    let current = state.key_list().map_or(0, |(_, list)| list.version);
    if verified.body().version == current && state.key_list().map(|(held, _)| held) == Some(verified.record()) {
        return nothing(Answer::Done);
    }
    next_version("key list", verified.body().version, current)?;
    done(now, vec![Decision::KeyList { record: verified.into_parts().1 }], Answer::Done)
}

pub(super) fn put_envelope(state: &State, now: WallTime, record: Record<EnvelopeRecord>) -> Result<Staged, Refusal> {
    let fleet = fleet_of(state)?;
    let verified = by_root(&reopen(state)?.root, fleet, record)?;
    Envelope::parse(&verified.body().text).map_err(|e| Refusal::new(Why::Invalid, "envelope", e))?;
    let current = state.envelope().map_or(0, |(_, _, version)| *version);
    if verified.body().version == current && state.envelope().map(|(held, _, _)| held) == Some(verified.record()) {
        return nothing(Answer::Done);
    }
    next_version("envelope", verified.body().version, current)?;
    done(now, vec![Decision::Envelope { record: verified.into_parts().1 }], Answer::Done)
}

fn next_version(what: &str, found: u64, current: u64) -> Result<(), Refusal> {
    if found == current + 1 {
        return Ok(());
    }
    let detail = format!("{what} version {found} is not the next: {} is right", current + 1);
    Err(Refusal::new(Why::Conflict, "version", detail))
}

/// Believes a record that the root threshold signed.
fn by_root<T: Body>(root: &Verified<RootRole>, fleet: Digest, record: Record<T>) -> Result<Believed<T>, Refusal> {
    let signers = root.role().root();
    let keys: Vec<PublicKey> =
        signers.keys().filter_map(|(_, key)| PublicKey::from_bytes(*key.as_bytes()).ok()).collect();
    record.verify(fleet, keys, signers.threshold() as usize).map_err(|e| not_signed(&e))
}

fn reopen(state: &State) -> Result<Repository, Refusal> {
    fleet_of(state)?;
    let root = reopen_root(newest(state, "root")?.as_bytes()).map_err(|e| broken("root", e))?;
    let targets = open::<TargetsRole>(newest(state, "targets")?, root.role().targets(), "targets")?;
    let mut packages = Packages::new();
    for (name, signers) in targets.role().packages() {
        let Ok(file) = newest(state, name.as_str()) else { continue };
        // A package whose publishers have changed since its last release waits for its role to be signed again.
        if let Ok(role) = open::<PackageRole>(file, signers, name.as_str()) {
            packages.insert(name.clone(), role);
        }
    }
    Ok(Repository { root, targets, packages })
}

fn online(state: &State) -> Result<(SnapshotRole, TimestampRole), Refusal> {
    let root = reopen_root(newest(state, "root")?.as_bytes()).map_err(|e| broken("root", e))?;
    let file = |name: &str| {
        let missing = || broken(name, "it is missing");
        state.metadata(name).ok_or_else(missing)
    };
    let snapshot = open::<SnapshotRole>(file("snapshot.json")?, root.role().snapshot(), "snapshot")?;
    let timestamp = open::<TimestampRole>(file("timestamp.json")?, root.role().timestamp(), "timestamp")?;
    Ok((snapshot.role().clone(), timestamp.role().clone()))
}

/// A package that targets delegate: how many of how many publishers must sign its releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// The package.
    pub package: PackageName,
    /// How many must sign.
    pub threshold: u32,
    /// How many there are.
    pub publishers: u32,
}

/// The packages that the targets in force delegate.
///
/// # Errors
/// When the server has no fleet yet, or its own metadata do not open.
pub fn delegations(state: &State) -> Result<Vec<Delegation>, Refusal> {
    fleet_of(state)?;
    let targets = Unverified::<TargetsRole>::parse(newest(state, "targets")?.as_bytes());
    let targets = targets.map_err(|e| broken("targets", e))?;
    let delegation = |(name, signers): (&RoleName, &Signers)| {
        let package = name.as_str().parse().ok()?;
        let publishers = u32::try_from(signers.keys().count()).unwrap_or(u32::MAX);
        Some(Delegation { package, threshold: signers.threshold(), publishers })
    };
    Ok(targets.role().packages().filter_map(delegation).collect())
}

/// The releases that an uploaded role lists and that are not published yet, by the digests of their manifests. Nothing is verified here.
///
/// # Errors
/// When the bytes are no package role.
pub fn unpublished(state: &State, package: &PackageName, bytes: &[u8]) -> Result<Vec<Digest>, Refusal> {
    let role = Unverified::<PackageRole>::parse(bytes).map_err(|e| tuf(e.kind(), e))?;
    let known = state.releases().get(package).map(Vec::as_slice).unwrap_or_default();
    let listed = role.role().releases().map(|(_, info)| Digest::from_bytes(info.sha256));
    Ok(listed.filter(|release| !known.iter().any(|known| known.release == *release)).collect())
}

fn open<R: Role>(file: &str, signers: &Signers, what: &str) -> Result<Verified<R>, Refusal> {
    let parsed = Unverified::<R>::parse(file.as_bytes()).map_err(|e| broken(what, e))?;
    parsed.verify(signers).map_err(|e| broken(what, e))
}

/// The file `N.role.json` with the greatest N.
fn newest<'a>(state: &'a State, role: &str) -> Result<&'a str, Refusal> {
    state.newest_metadata(role).ok_or_else(|| broken(role, "it is missing"))
}

fn role_name(package: &PackageName) -> Result<RoleName, Refusal> {
    RoleName::parse(package.as_str()).map_err(|e| Refusal::new(Why::Invalid, "package_name", e))
}

fn text(bytes: &[u8]) -> Result<String, Refusal> {
    String::from_utf8(bytes.to_vec()).map_err(|e| Refusal::new(Why::Invalid, "not_utf8", e))
}
