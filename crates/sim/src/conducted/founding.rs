//! How a simulated fleet comes to be: founded, enrolled, released to and ordered by the commands that a real one gives.

use std::collections::BTreeMap;

use serde_json::json;
use tidegate_control::command::{Command, DraftRequest, Founding, OnlineKey, draft};
use tidegate_control::state::State;
use tidegate_domain::digest::Digest;
use tidegate_domain::policy::Policy;
use tidegate_domain::release::Manifest;
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_trust::keys::{ListedKey, Scope};
use tidegate_trust::records::{Enrolment, EnrolmentPair, EnrolmentToken, EnvelopeRecord, KeyList, Order, PolicyRecord};
use tidegate_trust::signed::Unverified;
use tidegate_trust::tuf::repository::{PackageRole, RootRole, TargetInfo, TargetsRole};
use tidegate_trust::tuf::{Expiry, RoleName};

use super::NotSet;
use super::keys::{Keys, key, metadata, public, signed, signers};
use crate::population::Population;
use crate::scenario::Scenario;

pub(super) const PACKAGE: &str = "simulated";
const LIFE: Elapsed = Elapsed::from_s(500 * 86_400);

/// The bounds of a fleet whose policies are fitted to it, whatever they then say.
const ENVELOPE: &str = r#"
name = "danger-simulated"
initial_all_max = 1000000
initial_value_max = 1000000
initial_stratum_max = 1000000
growth_max = 1000
unproven_share_max = 1.0
prove_min = "100ms"
soak_min = "0ms"
clear_max = 0.999
beta_max = 0.999
tolerate_max = 0.999
alpha_min = 1e-30
proven_share_min = 0.0
unproven_all_rollouts_max = 1000000000
"#;

fn expiry(now: WallTime) -> Result<Expiry, NotSet> {
    Expiry::from_ms(now.after(LIFE).as_ms()).map_err(NotSet::of)
}

/// The fleet itself.
pub(super) fn founding(keys: &Keys, now: WallTime) -> Result<Founding, NotSet> {
    let role = RootRole::first(
        expiry(now)?,
        signers(&keys.root)?,
        signers(&keys.targets)?,
        keys.signers_of(OnlineKey::Snapshot)?,
        keys.signers_of(OnlineKey::Timestamp)?,
    );
    let root = metadata(role, &keys.root)?;
    let fleet = Digest::of(&root);
    let mut targets = TargetsRole::first(expiry(now)?);
    targets.delegate(role_name()?, signers(&keys.publisher)?).map_err(NotSet::of)?;
    let listed = |key: tidegate_trust::keys::PublicKey, holder: &str, scope: Scope| ListedKey {
        public_key: key,
        holder: holder.to_owned(),
        scopes: [scope].into(),
        not_before_ms: WallTime::from_ms(0),
        not_after_ms: now.after(LIFE),
    };
    use tidegate_control::command::OnlineSigner as _;
    let list = KeyList {
        fleet,
        version: 1,
        keys: vec![
            listed(public(&keys.order), "order", Scope::Order),
            listed(keys.public_key(OnlineKey::Gate), "gate", Scope::Gate),
            listed(public(&keys.enrolment), "enrolment", Scope::Enrolment),
        ],
        issued_at_ms: now,
        ext: Default::default(),
    };
    let envelope =
        EnvelopeRecord { fleet, version: 1, text: ENVELOPE.to_owned(), issued_at_ms: now, ext: Default::default() };
    Ok(Founding {
        root,
        targets: metadata(targets, &keys.targets)?,
        key_list: signed(&list, &[&keys.root]).map_err(NotSet::of)?,
        envelope: signed(&envelope, &[&keys.root]).map_err(NotSet::of)?,
    })
}

fn role_name() -> Result<RoleName, NotSet> {
    RoleName::parse(PACKAGE).map_err(NotSet::of)
}

/// The token that devices of the lab, or all others, enrol by.
pub(super) fn token(
    keys: &Keys,
    fleet: Digest,
    (policy, scenario): (&Policy, &Scenario),
    lab: bool,
    now: WallTime,
) -> Result<Unverified<EnrolmentToken>, NotSet> {
    let ring = policy.rings.first().filter(|ring| ring.lab && lab).map(|ring| ring.name.clone());
    let attributes =
        scenario.fleet.attributes.iter().map(|attribute| {
            (attribute.name.clone(), attribute.values.iter().map(|(value, _)| value.clone()).collect())
        });
    let body = EnrolmentToken {
        fleet,
        token: if lab { "lab" } else { "others" }.parse().map_err(NotSet::of)?,
        public_key: public(&keys.token),
        ring,
        attributes: attributes.collect(),
        devices_max: u64::from(scenario.devices),
        expires_at_ms: now.after(LIFE),
        endpoints: vec!["https://server.invalid".to_owned()],
        ext: Default::default(),
    };
    signed(&body, &[&keys.enrolment]).map_err(NotSet::of)
}

/// A device joins.
pub(super) fn enrolment(
    (keys, seed): (&Keys, u64),
    token: &Unverified<EnrolmentToken>,
    (scenario, population): (&Scenario, &Population),
    device: u32,
    now: WallTime,
) -> Result<Command, NotSet> {
    let body = token.danger_unchecked_body().map_err(NotSet::of)?;
    let stratum = population.strata.get(population.stratum_of(device));
    let values = stratum.map(|stratum| stratum.values.as_slice()).unwrap_or_default();
    let attributes: BTreeMap<_, _> =
        scenario.fleet.attributes.iter().map(|attribute| &attribute.name).zip(values).collect();
    let own = key(seed, &format!("device/{device}"));
    let enrolment = Enrolment {
        fleet: body.fleet,
        device: super::device_id(device).ok_or_else(|| NotSet::of("a device's number is no name"))?,
        public_key: public(&own),
        ring: body.ring,
        attributes: serde_json::from_value(json!(attributes)).map_err(NotSet::of)?,
        token: token.digest(),
        enrolled_at_ms: now,
        ext: Default::default(),
    };
    let enrolment = signed(&enrolment, &[&keys.token, &own]).map_err(NotSet::of)?;
    let request = Box::new(EnrolmentPair { token: token.clone(), enrolment });
    Ok(Command::Enrol { request, bearer: Digest::of(format!("bearer/{device}").as_bytes()) })
}

/// The release.
pub(super) fn release(keys: &Keys, scenario: &Scenario, now: WallTime) -> Result<Command, NotSet> {
    let deadline = scenario.release.contact_deadline;
    let mut manifest = json!({
        "package": PACKAGE,
        "version": "1.0.0",
        "files": [{"path": "content", "sha256": Digest::of(b"content"), "size": 7}],
        "activation": {"kind": "supervise", "command": ["payload"]},
        "downtime": scenario.release.downtime,
    });
    if let (Some(deadline), Some(fields)) = (deadline, manifest.as_object_mut()) {
        fields.insert("network".to_owned(), json!(true));
        fields.insert("contact_deadline".to_owned(), json!(deadline));
    }
    let bytes = serde_json::to_vec(&manifest).map_err(NotSet::of)?;
    Manifest::parse(&bytes).map_err(NotSet::of)?;
    let sha256 = Digest::of(&bytes);
    let mut role = PackageRole::first(expiry(now)?);
    let info = TargetInfo { length: bytes.len() as u64, sha256: *sha256.as_bytes() };
    role.add_release(&role_name()?, "1.0.0", info).map_err(NotSet::of)?;
    Ok(Command::PutPackage {
        package: PACKAGE.parse().map_err(NotSet::of)?,
        bytes: metadata(role, &keys.publisher)?,
        manifests: vec![(sha256, bytes)],
    })
}

/// The policy, as a person signs it, and its digest.
pub(super) fn policy(keys: &Keys, fleet: Digest, policy: &Policy, now: WallTime) -> Result<(Command, Digest), NotSet> {
    let text = toml::to_string(policy).map_err(NotSet::of)?;
    let body = PolicyRecord {
        fleet,
        name: policy.name.clone(),
        text: text.clone(),
        issued_at_ms: now,
        ext: Default::default(),
    };
    let record = signed(&body, &[&keys.order]).map_err(NotSet::of)?;
    Ok((Command::ApplyPolicy(record), Policy::digest_of(&text)))
}

/// The order, signed as the draft that the server makes.
pub(super) fn order(keys: &Keys, state: &State, policy: Digest, seed: u64, now: WallTime) -> Result<Command, NotSet> {
    let request = DraftRequest {
        package: PACKAGE.parse().map_err(NotSet::of)?,
        version: "1.0.0".parse().map_err(NotSet::of)?,
        policy,
        resume: None,
        rank_seed: Digest::of(format!("rank/{seed}").as_bytes()),
        idle_check_in: Elapsed::from_ms(1),
    };
    let draft = draft(state, now, request, &|_, _| true).map_err(NotSet::of)?;
    let order: Unverified<Order> = signed(&draft.order, &[&keys.order]).map_err(NotSet::of)?;
    Ok(Command::Start { order: Box::new(order), draft: Box::new(draft) })
}
