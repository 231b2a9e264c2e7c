//! What the device checks, in the order of `docs/protocol.md`: bytes, held trust and the time in, a verdict out.
//!
//! Pure: reads no file, clock or socket. Whatever fails is a [`Refusal`] with the reason that the device reports; nothing of a
//! refused offer is used.

mod place;
#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use tidegate_domain::device::Trial;
use tidegate_domain::digest::Digest;
use tidegate_domain::envelope::Envelope;
use tidegate_domain::ids::{ContractName, PackageName};
use tidegate_domain::observation::RefusalReason;
use tidegate_domain::policy::Policy;
use tidegate_domain::release::Manifest;
use tidegate_domain::time::WallTime;
use tidegate_trust::keys::{PublicKey, Scope};
use tidegate_trust::records::{
    Enrolment, EnvelopeRecord, FleetProven, Go, Halt, KeyList, Order, Permit, PermitKind, PolicyRecord,
};
use tidegate_trust::signed::{Body, Fleet, Unverified, Verified};
use tidegate_trust::tuf::client::ClientError;
use tidegate_trust::tuf::repository::TargetInfo;
use tidegate_wire::device::Offer;

use place::{check_first_window, check_place, check_reach, rosters_of};

/// The most halts that a device remembers; the oldest are forgotten first.
const HALTS_MAX: usize = 256;

/// Why an offer, or what came with it, is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", reason.word())]
pub struct Refusal {
    /// What the device reports.
    pub reason: RefusalReason,
    /// What was found and what would be right.
    pub detail: String,
}

/// What a device remembers of orders, so that neither an old one nor a halted one comes back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The highest order of each package.
    pub orders: BTreeMap<PackageName, SeenOrder>,
    /// Orders that were halted.
    pub halts: VecDeque<Digest>,
}

/// An order that was accepted once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenOrder {
    /// Its number.
    pub order_seq: u64,
    /// The order.
    pub order: Digest,
    /// Its release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Digest>,
}

/// What root signed last, as this device holds it.
#[derive(Debug, Clone)]
pub struct RootSigned {
    /// Who may sign what.
    pub key_list: Verified<KeyList>,
    /// The bounds, as signed.
    pub envelope_record: Verified<EnvelopeRecord>,
    /// The bounds, read.
    pub envelope: Envelope,
}

/// The keys of TUF root and how many of them must sign.
#[derive(Debug, Clone)]
pub struct RootKeys {
    /// The keys.
    pub keys: Vec<PublicKey>,
    /// How many.
    pub threshold: usize,
}

/// All that an offer is held against.
#[derive(Debug)]
pub struct Held<'a> {
    /// The fleet: the digest of root version 1.
    pub fleet: Fleet,
    /// What root signed.
    pub root_signed: &'a RootSigned,
    /// This device's own enrolment record.
    pub enrolment: &'a Enrolment,
    /// What was seen before.
    pub seen: &'a Seen,
}

/// An offer that passed every check that needs no manifest.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The order.
    pub order: Verified<Order>,
    /// The permit.
    pub permit: Verified<Permit>,
    /// The policy.
    pub policy: Policy,
}

/// An offer that passed every check before the files.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// What the device machine tries.
    pub trial: Trial,
    /// The package.
    pub package: PackageName,
    /// The order's number.
    pub order_seq: u64,
    /// The release's manifest.
    pub manifest: Manifest,
    /// The manifest's bytes: their digest is the release.
    pub manifest_bytes: Vec<u8>,
}

impl Seen {
    /// Notes an accepted order.
    pub fn note_order(&mut self, package: &PackageName, order_seq: u64, (order, release): (Digest, Digest)) {
        self.orders.insert(package.clone(), SeenOrder { order_seq, order, release: Some(release) });
    }

    /// Whether the last order of a package that was accepted brought this release and was halted.
    fn halts_release(&self, order: &Order) -> bool {
        let seen = self.orders.get(&order.package);
        seen.is_some_and(|seen| seen.release == Some(order.release) && self.halts.contains(&seen.order))
    }

    /// Notes a halt. Says whether it is new.
    pub fn note_halt(&mut self, order: Digest) -> bool {
        if self.halts.contains(&order) {
            return false;
        }
        if self.halts.len() >= HALTS_MAX {
            self.halts.pop_front();
        }
        self.halts.push_back(order);
        true
    }
}

/// Step 1: what a failed TUF refresh or look-up means for the offer.
pub fn refusal_of_metadata(error: &ClientError) -> Refusal {
    let reason = match error {
        ClientError::Expired { .. } => RefusalReason::Expired,
        _ => RefusalReason::Signature,
    };
    refuse(reason, error)
}

/// Step 2: key list and envelope carry root's threshold and this fleet, and are not older than those held.
///
/// # Errors
/// `signature` where they are not.
pub fn judge_root_signed(
    key_list: Unverified<KeyList>,
    envelope: Unverified<EnvelopeRecord>,
    fleet: Fleet,
    root: &RootKeys,
    held: Option<&RootSigned>,
) -> Result<RootSigned, Refusal> {
    let wrong = |problem: String| Refusal { reason: RefusalReason::Signature, detail: problem };
    let key_list = by_root(key_list, fleet, root)?;
    let envelope_record = by_root(envelope, fleet, root)?;
    key_list.body().check().map_err(|e| wrong(e.to_string()))?;
    let envelope = Envelope::parse(&envelope_record.body().text).map_err(|e| wrong(e.to_string()))?;
    if let Some(held) = held {
        let (old, new) = (&held.key_list, &key_list);
        older("key list", old.body().version, new.body().version, old.digest() == new.digest())?;
        let (old, new) = (&held.envelope_record, &envelope_record);
        older("envelope", old.body().version, new.body().version, old.digest() == new.digest())?;
    }
    Ok(RootSigned { key_list, envelope_record, envelope })
}

fn by_root<T: Body>(record: Unverified<T>, fleet: Fleet, root: &RootKeys) -> Result<Verified<T>, Refusal> {
    record.verify(fleet, root.keys.iter().copied(), root.threshold).map_err(|e| refuse(RefusalReason::Signature, e))
}

fn older(what: &str, held: u64, offered: u64, same: bool) -> Result<(), Refusal> {
    if offered > held || (offered == held && same) {
        return Ok(());
    }
    let detail = format!("{what} version {offered} offered, version {held} is held: a version never goes back");
    Err(Refusal { reason: RefusalReason::Signature, detail })
}

/// Steps 3 to 8: may this device take what the offer says, as far as order, policy, permit and place go?
///
/// # Errors
/// The first check that fails.
pub fn judge_offer(offer: Offer, kind: PermitKind, held: &Held<'_>, now: WallTime) -> Result<Opened, Refusal> {
    let keys = held.root_signed.key_list.body();
    // 3. Order.
    // The way back needs nobody's approval.
    let order = match kind {
        PermitKind::Open => keys.verify_order(offer.order, held.root_signed.envelope.approvals_min, now),
        PermitKind::Revert => keys.verify(offer.order, &[Scope::Order], now),
    };
    let order = order.map_err(|e| refuse(RefusalReason::Signature, e))?;
    check_order(&order, kind, held, now)?;
    // 4. Policy.
    let policy = verify(keys, offer.policy, Scope::Order, now)?;
    let policy = check_policy(&policy, order.body(), &held.root_signed.envelope)?;
    // 5. Halts. A halted order may still be returned from.
    if kind == PermitKind::Open && held.seen.halts.contains(&order.digest()) {
        return Err(refuse(RefusalReason::Halted, "a halt of this order is held"));
    }
    if kind == PermitKind::Open && order.body().resumes.is_none() && held.seen.halts_release(order.body()) {
        let detail = "a halt of this release is held, and the order does not say that it goes on after one";
        return Err(refuse(RefusalReason::Halted, detail));
    }
    // 6. Permit.
    let permit = verify(keys, offer.permit, Scope::Gate, now)?;
    check_permit(permit.body(), kind, &order, &policy, now)?;
    // 7. Addendum.
    let addendum = offer.addendum.map(|record| verify(keys, record, Scope::Gate, now)).transpose()?;
    let rosters = rosters_of(&order, addendum.as_ref(), &offer.place)?;
    // 8. Place.
    check_place(&offer.place, rosters, order.body(), &policy, held.enrolment)?;
    check_reach(&offer.place, permit.body())?;
    Ok(Opened { order, permit, policy })
}

fn verify<T: Body>(keys: &KeyList, record: Unverified<T>, scope: Scope, now: WallTime) -> Result<Verified<T>, Refusal> {
    keys.verify(record, &[scope], now).map_err(|e| refuse(RefusalReason::Signature, e))
}

fn check_order(order: &Verified<Order>, kind: PermitKind, held: &Held<'_>, now: WallTime) -> Result<(), Refusal> {
    let body = order.body();
    if kind == PermitKind::Open && body.expires_at_ms <= now {
        return Err(refuse(RefusalReason::Expired, "the order is past its life"));
    }
    match held.seen.orders.get(&body.package) {
        Some(seen) if body.order_seq < seen.order_seq => Err(refuse(
            RefusalReason::OldOrder,
            format!("order {} offered, order {} was seen before", body.order_seq, seen.order_seq),
        )),
        Some(seen) if body.order_seq == seen.order_seq && order.digest() != seen.order => Err(refuse(
            RefusalReason::OldOrder,
            format!("another order with the number {} was seen before", body.order_seq),
        )),
        _ => Ok(()),
    }
}

fn check_policy(record: &Verified<PolicyRecord>, order: &Order, envelope: &Envelope) -> Result<Policy, Refusal> {
    if record.body().policy_digest() != order.policy {
        return Err(refuse(RefusalReason::Signature, "the policy is not the one that the order names"));
    }
    let policy = Policy::parse(&record.body().text).map_err(|e| refuse(RefusalReason::OutsideEnvelope, e))?;
    envelope.admits(&policy).map_err(|e| refuse(RefusalReason::OutsideEnvelope, e))?;
    if !policy.rings.iter().map(|ring| &ring.name).eq(order.rings.iter()) {
        return Err(refuse(RefusalReason::WrongRing, "the order's rings are not the policy's"));
    }
    Ok(policy)
}

fn check_permit(
    permit: &Permit,
    kind: PermitKind,
    order: &Verified<Order>,
    policy: &Policy,
    now: WallTime,
) -> Result<(), Refusal> {
    if permit.order != order.digest() {
        return Err(refuse(RefusalReason::Signature, "the permit is for another order"));
    }
    if permit.kind != kind {
        return Err(refuse(RefusalReason::Signature, "the permit is of the other kind"));
    }
    if kind == PermitKind::Open && permit.take_by_ms <= now {
        return Err(refuse(RefusalReason::Expired, "the place has lapsed: the permit's time to take it is over"));
    }
    if kind == PermitKind::Open && permit.step <= 1 {
        return check_first_window(permit, policy);
    }
    Ok(())
}

/// Step 9, before the bytes: the TUF target of the order's version is the order's release.
///
/// # Errors
/// `expired` or `signature` from the metadata, `wrong_digest` where it is another release.
pub fn judge_target(opened: &Opened, target: Result<TargetInfo, ClientError>) -> Result<u64, Refusal> {
    let target = target.map_err(|e| refusal_of_metadata(&e))?;
    if Digest::from_bytes(target.sha256) != opened.order.body().release {
        return Err(refuse(RefusalReason::WrongDigest, "the published release is not the one that the order names"));
    }
    Ok(target.length)
}

/// Step 9: the manifest is the order's release, keeps its bounds, and the device offers what it needs.
///
/// # Errors
/// `wrong_digest`, `manifest` or `needs_unmet`.
pub fn judge_manifest(
    opened: &Opened,
    manifest_bytes: Vec<u8>,
    offers: &BTreeMap<ContractName, u64>,
) -> Result<Accepted, Refusal> {
    let order = opened.order.body();
    if Digest::of(&manifest_bytes) != order.release {
        return Err(refuse(RefusalReason::WrongDigest, "the manifest is not the release that the order names"));
    }
    let manifest = Manifest::parse(&manifest_bytes).map_err(|e| refuse(RefusalReason::Manifest, e))?;
    if manifest.package != order.package || manifest.version != order.version {
        let found = format!("{} {}", manifest.package, manifest.version);
        return Err(refuse(RefusalReason::Manifest, format!("the manifest says that it is {found}")));
    }
    for (contract, level) in &manifest.needs {
        let offered = offers.get(contract).copied();
        if offered.is_none_or(|offered| offered < *level) {
            let offered = offered.map_or_else(|| "nothing".to_owned(), |level| format!("level {level}"));
            let detail = format!("needs `{contract}` at level {level}, this device offers {offered}");
            return Err(Refusal { reason: RefusalReason::NeedsUnmet, detail });
        }
    }
    let trial = Trial {
        rollout: order.rollout.clone(),
        order: opened.order.digest(),
        permit: opened.permit.digest(),
        release: order.release,
        version: order.version.clone(),
        prove_for: opened.policy.prove.duration,
        prove_restarts: opened.policy.prove.restarts,
        downtime: manifest.downtime,
        contact_deadline: manifest.contact_deadline,
    };
    let (package, order_seq) = (order.package.clone(), order.order_seq);
    Ok(Accepted { trial, package, order_seq, manifest, manifest_bytes })
}

/// Step 11: the go is for this device, order and permit, and echoes the nonce that was sent.
///
/// # Errors
/// `wrong_go` where anything of it differs or the signature is wrong.
pub fn judge_go(
    go: Unverified<Go>,
    trial: &Trial,
    nonce: Digest,
    held: &Held<'_>,
    now: WallTime,
) -> Result<(), Refusal> {
    let keys = held.root_signed.key_list.body();
    let go = keys.verify(go, &[Scope::Gate], now).map_err(|e| refuse(RefusalReason::WrongGo, e))?;
    let body = go.body();
    let checks = [
        (body.device == held.enrolment.device, "another device"),
        (body.order == trial.order, "another order"),
        (body.permit == trial.permit, "another permit"),
        (body.nonce == nonce, "another question: it does not echo the nonce that was sent"),
    ];
    match checks.into_iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(refuse(RefusalReason::WrongGo, format!("the go is for {what}"))),
        None => Ok(()),
    }
}

/// A halt counts when a gate key or a halt key signed it. Gives its order.
///
/// # Errors
/// `signature`.
pub fn judge_halt(halt: Unverified<Halt>, keys: &KeyList, now: WallTime) -> Result<Digest, Refusal> {
    let halt = keys.verify(halt, &[Scope::Gate, Scope::Halt], now);
    halt.map(|halt| halt.body().order).map_err(|e| refuse(RefusalReason::Signature, e))
}

/// A fleet-proven record counts when a gate key signed it.
///
/// # Errors
/// `signature`.
pub fn judge_fleet_proven(
    record: Unverified<FleetProven>,
    keys: &KeyList,
    now: WallTime,
) -> Result<FleetProven, Refusal> {
    verify(keys, record, Scope::Gate, now).map(|record| record.into_parts().0)
}

fn refuse(reason: RefusalReason, detail: impl ToString) -> Refusal {
    Refusal { reason, detail: detail.to_string() }
}
