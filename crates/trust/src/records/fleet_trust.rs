//! What root signs for the whole fleet (key list, envelope), and policies.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::PolicyName;
use tidegate_domain::time::WallTime;

use super::{Approval, Ext, Order, body};
use crate::keys::{KeyId, ListedKey, PublicKey, Scope};
use crate::signed::{Body, Fleet, RecordError, Unverified, Verified};

const KEYS_MAX: usize = 256;

/// Who may sign what, and until when. Signed by the root threshold; a lower version is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyList {
    /// The fleet.
    pub fleet: Fleet,
    /// Rises with each change.
    pub version: u64,
    /// The keys.
    pub keys: Vec<ListedKey>,
    /// When it was made.
    pub issued_at_ms: WallTime,
    /// Room for later additions.
    #[serde(default, skip_serializing_if = "Ext::is_empty")]
    pub ext: Ext,
}
body!(KeyList, "tidegate/key-list/v1");

/// The bounds that no policy may leave, as TOML text. Signed by the root threshold; a lower version is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeRecord {
    /// The fleet.
    pub fleet: Fleet,
    /// Rises with each change.
    pub version: u64,
    /// The envelope's TOML, verbatim.
    pub text: String,
    /// When it was made.
    pub issued_at_ms: WallTime,
    /// Room for later additions.
    #[serde(default, skip_serializing_if = "Ext::is_empty")]
    pub ext: Ext,
}
body!(EnvelopeRecord, "tidegate/envelope/v1");

/// A policy's TOML text, signed by a person's order key. Its name in orders is the SHA-256 of the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyRecord {
    /// The fleet.
    pub fleet: Fleet,
    /// The policy's name, as in the text.
    pub name: PolicyName,
    /// The policy's TOML, verbatim: comments included.
    pub text: String,
    /// When it was signed.
    pub issued_at_ms: WallTime,
    /// Room for later additions.
    #[serde(default, skip_serializing_if = "Ext::is_empty")]
    pub ext: Ext,
}
body!(PolicyRecord, "tidegate/policy/v1");

impl PolicyRecord {
    /// The digest by which orders pin the policy: SHA-256 of the text, the same that `sha256sum` prints for the file.
    pub fn policy_digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }
}

/// Why a key list is not used although root signed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyListError {
    /// The list is longer than anybody reads.
    #[error("key list: {0} keys, at most {KEYS_MAX}")]
    TooMany(usize),
    /// One key material stands in it twice, so that one holder would count as two.
    #[error("key list: key {0} stands in it twice")]
    Twice(KeyId),
    /// Whoever asks would also approve.
    #[error("key list: key {0} may both order and approve: whoever asks does not approve")]
    OrdersAndApproves(KeyId),
    /// A key would never be good.
    #[error("key list: key {0} ends before it begins, or has no scope")]
    NeverGood(KeyId),
}

impl KeyList {
    /// Checks what the shape alone does not: no key twice, no key without scope or life.
    ///
    /// # Errors
    /// Names the first key that is wrong.
    pub fn check(&self) -> Result<(), KeyListError> {
        if self.keys.len() > KEYS_MAX {
            return Err(KeyListError::TooMany(self.keys.len()));
        }
        let mut seen = BTreeSet::new();
        for key in &self.keys {
            if !seen.insert(key.public_key) {
                return Err(KeyListError::Twice(key.public_key.id()));
            }
            if key.scopes.contains(&Scope::Order) && key.scopes.contains(&Scope::Approve) {
                return Err(KeyListError::OrdersAndApproves(key.public_key.id()));
            }
            if key.scopes.is_empty() || key.not_before_ms >= key.not_after_ms {
                return Err(KeyListError::NeverGood(key.public_key.id()));
            }
        }
        Ok(())
    }

    /// The keys that may sign `scope` at the instant `at`.
    pub fn keys_for(&self, scope: Scope, at: WallTime) -> impl Iterator<Item = PublicKey> + '_ {
        self.keys.iter().filter(move |key| key.may_sign(scope, at)).map(|key| key.public_key)
    }

    /// Believes a record if one key of any of the `scopes`, alive at `at`, signed it for this fleet.
    ///
    /// # Errors
    /// When no such key did, with a word on keys that are known but out of scope or past their life.
    pub fn verify<T: Body>(
        &self,
        record: Unverified<T>,
        scopes: &[Scope],
        at: WallTime,
    ) -> Result<Verified<T>, RecordError> {
        let keys: Vec<PublicKey> = scopes.iter().flat_map(|scope| self.keys_for(*scope, at)).collect();
        record.verify(self.fleet, keys, 1)
    }

    /// Believes an order as [`KeyList::verify`] does, and one that goes on after a halt only where `approvals` different approvers signed it
    /// too. A key that may order approves nothing.
    ///
    /// # Errors
    /// When a signature is missing.
    pub fn verify_order(
        &self,
        order: Unverified<Order>,
        approvals: u32,
        at: WallTime,
    ) -> Result<Verified<Order>, RecordError> {
        let verified = self.verify(order, &[Scope::Order], at)?;
        if verified.body().resumes.is_some() {
            verified.record().clone().verify(self.fleet, self.approvers(at), approvals.max(1) as usize)?;
        }
        Ok(verified)
    }

    /// Believes an approval that an approver signed. A key that may order approves nothing.
    ///
    /// # Errors
    /// When no such key did.
    pub fn verify_approval(
        &self,
        approval: Unverified<Approval>,
        at: WallTime,
    ) -> Result<Verified<Approval>, RecordError> {
        approval.verify(self.fleet, self.approvers(at), 1)
    }

    fn approvers(&self, at: WallTime) -> impl Iterator<Item = PublicKey> + '_ {
        let orders: BTreeSet<PublicKey> = self.keys_for(Scope::Order, at).collect();
        self.keys_for(Scope::Approve, at).filter(move |key| !orders.contains(key))
    }
}
