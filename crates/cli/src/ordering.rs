//! Starts rollouts: asks the server for an order, holds it against what was asked and what the publishers signed, signs and sends it.
//! Never signs an order whose release, policy, rings or fleet a server has chosen.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, PackageName, PolicyName, RolloutId, Version};
use tidegate_domain::policy::Policy;
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_keyring::Signer;
use tidegate_trust::records::Order;
use tidegate_trust::signed::Unverified;
use tidegate_wire::operator::{DraftAnswer, DraftRequest, StartRequest};

use crate::client::Client;
use crate::repository::Repository;
use crate::signing::sign_record;

/// How far an order's `issued_at_ms` may lie from this host's clock.
const CLOCK_SLACK: Elapsed = Elapsed::from_s(900);

/// A policy by name and digest: `NAME@DIGEST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PolicyReference {
    /// The name, for people.
    pub(crate) name: PolicyName,
    /// SHA-256 of the text.
    pub(crate) digest: Digest,
}

/// What a rollout is wanted of.
pub(crate) struct Wanted {
    /// The package.
    pub(crate) package: PackageName,
    /// The version.
    pub(crate) version: Version,
    /// The policy.
    pub(crate) policy: PolicyReference,
    /// That it goes on after a halt, without the words of these devices.
    pub(crate) resume: Option<BTreeSet<DeviceId>>,
}

/// An order that was held against everything and is ready to be signed.
pub(crate) struct CheckedDraft {
    /// What it says.
    pub(crate) order: Order,
    /// Eligible devices, as the server counts them.
    pub(crate) devices: u64,
    /// Places that open before any proof, as the server counts them.
    pub(crate) first_window: u64,
    /// Approvers who must sign too, as the server counts them.
    pub(crate) approvals: u32,
    record: Unverified<Order>,
}

impl FromStr for PolicyReference {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<PolicyReference, String> {
        let right = "right is NAME@sha256:DIGITS with all 64 digits, as `tidegate policy list` prints it";
        let (name, digest) = text.split_once('@').ok_or_else(|| format!("it has no `@`; {right}"))?;
        let digest = if digest.starts_with("sha256:") { digest.to_owned() } else { format!("sha256:{digest}") };
        Ok(PolicyReference {
            name: name.parse().map_err(|e| format!("{e}"))?,
            digest: digest.parse().map_err(|_| format!("its digest is incomplete; {right}"))?,
        })
    }
}

impl fmt::Display for PolicyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.digest)
    }
}

/// Asks for an order and holds it against what was asked.
///
/// # Errors
/// When the release is not what publishers signed, the policy is another, or the server's order says anything else.
pub(crate) fn draft(
    api: &Client,
    repository: &Repository,
    fleet: Digest,
    wanted: &Wanted,
    now: WallTime,
) -> Result<CheckedDraft> {
    let release = Digest::from_bytes(repository.release(&wanted.package, &wanted.version)?.sha256);
    let policy = checked_policy(api, &wanted.policy)?;
    let request = DraftRequest {
        package: wanted.package.clone(),
        version: wanted.version.clone(),
        policy: wanted.policy.digest,
        resume: wanted.resume.is_some(),
        without: wanted.resume.iter().flatten().cloned().collect(),
    };
    let answer = api.draft(&request)?;
    // The body is what will be signed, so it is what is looked at; nobody has signed it yet.
    let order = answer.order.danger_unchecked_body()?;
    check(&order, fleet, wanted, release, &policy, now)?;
    let DraftAnswer { order: record, devices, first_window, approvals } = answer;
    Ok(CheckedDraft { order, devices, first_window, approvals, record })
}

/// Signs an order and starts its rollout.
///
/// # Errors
/// When the key does not sign or the server refuses.
pub(crate) fn start(api: &Client, draft: CheckedDraft, order_key: &dyn Signer) -> Result<RolloutId> {
    let rollout = draft.order.rollout.clone();
    api.start(&signed(draft, order_key)?)?;
    Ok(rollout)
}

/// Signs an order.
///
/// # Errors
/// When the key does not sign.
pub(crate) fn signed(draft: CheckedDraft, order_key: &dyn Signer) -> Result<StartRequest> {
    // Only the order key's signature goes along: whatever signatures the draft carried say nothing.
    let record = sign_record(Unverified::draft(&draft.order)?, order_key)?;
    if record.digest() != draft.record.digest() {
        bail!("the order changed between being checked and being signed");
    }
    Ok(StartRequest { order: record })
}

fn checked_policy(api: &Client, wanted: &PolicyReference) -> Result<Policy> {
    let view = api.policy(&wanted.digest)?;
    let text = view.text.context("the server does not show the policy's text")?;
    if Policy::digest_of(&text) != wanted.digest {
        bail!("the server shows another text for {wanted}: it has digest {}", Policy::digest_of(&text));
    }
    let policy = Policy::parse(&text)?;
    if policy.name != wanted.name {
        bail!("--policy {wanted}: the policy of that digest is named {}", policy.name);
    }
    Ok(policy)
}

fn check(order: &Order, fleet: Digest, wanted: &Wanted, release: Digest, policy: &Policy, now: WallTime) -> Result<()> {
    let same = |field: &str, found: String, expected: String| {
        if found == expected {
            return Ok(());
        }
        bail!("the server's order was not signed: `{field}` is {found}, expected {expected}")
    };
    let left_out = |without: Option<&BTreeSet<DeviceId>>| without.map_or_else(|| "nothing".to_owned(), names);
    let rings = |names: Vec<&str>| names.join(", ");
    same("fleet", order.fleet.to_string(), fleet.to_string())?;
    same("package", order.package.to_string(), wanted.package.to_string())?;
    same("version", order.version.to_string(), wanted.version.to_string())?;
    same("release", order.release.to_string(), release.to_string())?;
    same("policy", order.policy.to_string(), wanted.policy.digest.to_string())?;
    same("rollout", order.rollout.to_string(), RolloutId::of(&order.package, order.order_seq).to_string())?;
    same(
        "rings",
        rings(order.rings.iter().map(|ring| ring.as_str()).collect()),
        rings(policy.rings.iter().map(|ring| ring.name.as_str()).collect()),
    )?;
    let resumes = order.resumes.as_ref().map(|resumes| &resumes.without);
    same("resumes", left_out(resumes), left_out(wanted.resume.as_ref()))?;
    let away = now.since(order.issued_at_ms).max(order.issued_at_ms.since(now));
    if away > CLOCK_SLACK {
        bail!(
            "the server's order was not signed: `issued_at_ms` is {away} from this host's clock, expected at most {CLOCK_SLACK}"
        );
    }
    let life = order.expires_at_ms.since(order.issued_at_ms);
    if life.as_ms() == 0 || life > policy.pace.order_life {
        bail!(
            "the server's order was not signed: it lives {life}, expected more than 0s and at most the policy's {}",
            policy.pace.order_life
        );
    }
    Ok(())
}

/// Devices that are left out, for people.
pub(crate) fn names(without: &BTreeSet<DeviceId>) -> String {
    let names: Vec<&str> = without.iter().map(DeviceId::as_str).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_trust::records::Resumption;

    fn policy() -> Policy {
        Policy::parse("name = \"p\"\nrings = [{ name = \"all\", soak = \"5min\" }]\n").unwrap()
    }

    fn wanted() -> Wanted {
        let policy = PolicyReference { name: "p".parse().unwrap(), digest: Digest::of(b"policy") };
        Wanted { package: "content".parse().unwrap(), version: "1".parse().unwrap(), policy, resume: None }
    }

    fn order(now: WallTime) -> Order {
        Order {
            fleet: Digest::of(b"fleet"),
            rollout: "content.3".parse().unwrap(),
            package: "content".parse().unwrap(),
            version: "1".parse().unwrap(),
            release: Digest::of(b"release"),
            policy: Digest::of(b"policy"),
            order_seq: 3,
            rank_seed: Digest::of(b"seed"),
            rings: vec!["all".parse().unwrap()],
            rosters: Vec::new(),
            issued_at_ms: now,
            expires_at_ms: now.after(Elapsed::from_s(86_400)),
            resumes: None,
            ext: Default::default(),
        }
    }

    #[test]
    fn an_order_that_says_anything_else_than_what_was_asked_is_not_signed() {
        let now = WallTime::from_ms(1_795_367_340_000);
        let checked =
            |order: &Order| check(order, Digest::of(b"fleet"), &wanted(), Digest::of(b"release"), &policy(), now);
        checked(&order(now)).unwrap();
        let other = Digest::of(b"other");
        type Change = (&'static str, fn(&mut Order, Digest));
        let resumes = |o: &mut Order, _| {
            o.resumes = Some(Resumption { halted: "content.2".parse().unwrap(), without: BTreeSet::new() });
        };
        let changes: [Change; 9] = [
            ("resumes", resumes),
            ("fleet", |o, d| o.fleet = d),
            ("release", |o, d| o.release = d),
            ("policy", |o, d| o.policy = d),
            ("package", |o, _| o.package = "agent".parse().unwrap()),
            ("version", |o, _| o.version = "2".parse().unwrap()),
            ("rollout", |o, _| o.order_seq = 4),
            ("rings", |o, _| o.rings.clear()),
            ("issued_at_ms", |o, _| o.issued_at_ms = WallTime::from_ms(0)),
        ];
        for (field, change) in changes {
            let mut changed = order(now);
            change(&mut changed, other);
            let error = checked(&changed).unwrap_err().to_string();
            assert!(error.contains(field), "{field}: {error}");
        }
        let mut endless = order(now);
        endless.expires_at_ms = WallTime::from_ms(u64::MAX);
        assert!(checked(&endless).unwrap_err().to_string().contains("lives"));
    }

    #[test]
    fn a_policy_is_named_in_full() {
        let digest = Digest::of(b"policy");
        let right = format!("default@{digest}");
        assert_eq!(right.parse::<PolicyReference>().unwrap().to_string(), right);
        assert!(format!("default@{}", digest.hex()).parse::<PolicyReference>().is_ok());
        for wrong in ["default", "default@", "@sha256:00", &format!("default@{}", digest.short())] {
            assert!(wrong.parse::<PolicyReference>().is_err(), "{wrong}");
        }
    }
}
