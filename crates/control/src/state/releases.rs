//! TUF metadata, releases and policies.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{PackageName, RolloutId, Version};
use tidegate_domain::policy::Policy;
use tidegate_domain::release::Manifest;
use tidegate_domain::time::WallTime;
use tidegate_trust::records::PolicyRecord;
use tidegate_trust::signed::Unverified;
use tidegate_trust::tuf::Unverified as Tuf;
use tidegate_trust::tuf::repository::TargetsRole;

use super::{State, held};

/// A published release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Its name: the manifest's digest.
    pub release: Digest,
    /// The manifest.
    pub manifest: Manifest,
    /// When the server took it.
    pub published_at_ms: WallTime,
    /// The rollout that halted it, where one did and no order has resumed it: the same bytes are not ordered again.
    pub halted_by: Option<RolloutId>,
}

/// A policy that was applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppliedPolicy {
    /// The record.
    pub record: Unverified<PolicyRecord>,
    /// The text.
    pub text: String,
    /// What it says.
    pub policy: Policy,
    /// When.
    pub applied_at_ms: WallTime,
}

impl State {
    pub(super) fn put_metadata(&mut self, files: BTreeMap<String, String>, at: WallTime) {
        if let Some(root) = files.get("1.root.json") {
            self.fleet.get_or_insert_with(|| Digest::of(root.as_bytes()));
        }
        let lists_publishers = files.keys().any(|name| name.ends_with(".targets.json"));
        self.metadata.extend(files);
        if lists_publishers {
            let before = std::mem::take(&mut self.publishers_since);
            let listed = self.publishers().into_iter().map(|key| {
                let since = before.get(&key).copied().unwrap_or(at);
                (key, since)
            });
            self.publishers_since = listed.collect();
        }
    }

    /// The ids of the keys that may sign releases of any package.
    fn publishers(&self) -> BTreeSet<String> {
        // What stands was verified before it was recorded.
        let targets = self.newest_metadata("targets").map(|file| Tuf::<TargetsRole>::parse(file.as_bytes()));
        let targets = targets.and_then(Result::ok).map(|file| file.role().clone());
        let packages = targets.iter().flat_map(TargetsRole::packages);
        packages.flat_map(|(_, signers)| signers.keys().map(|(id, _)| id.to_string())).collect()
    }

    /// The file `N.role.json` with the greatest N.
    pub(crate) fn newest_metadata(&self, role: &str) -> Option<&str> {
        let version = |name: &str| name.strip_suffix(&format!(".{role}.json")).and_then(|n| n.parse::<u64>().ok());
        let files = self.metadata.iter().filter_map(|(name, file)| Some((version(name)?, file)));
        files.max_by_key(|(version, _)| *version).map(|(_, file)| file.as_str())
    }

    pub(super) fn put_release(&mut self, release: Digest, manifest: Manifest, at: WallTime) {
        let halted_by = self.halt_of_same_files(&manifest);
        let releases = self.releases.entry(manifest.package.clone()).or_default();
        if !releases.iter().any(|known| known.release == release) {
            releases.push(Release { release, manifest, published_at_ms: at, halted_by });
        }
    }

    /// A halt follows the artifacts: the same files under a new version are as halted as before.
    fn halt_of_same_files(&self, manifest: &Manifest) -> Option<RolloutId> {
        let known = self.releases.get(&manifest.package)?;
        known.iter().filter(|release| release.has_files_of(manifest)).find_map(|release| release.halted_by.clone())
    }

    pub(super) fn mark_halted(&mut self, package: &PackageName, release: &Digest, by: &RolloutId) {
        let releases = self.releases.get_mut(package).map(Vec::as_mut_slice).unwrap_or_default();
        let Some(halted) = releases.iter().find(|known| known.release == *release).map(|known| known.manifest.clone())
        else {
            return;
        };
        for known in releases.iter_mut().filter(|known| known.has_files_of(&halted)) {
            known.halted_by.get_or_insert_with(|| by.clone());
        }
    }

    /// The files go on after a halt: an order says so that approvers signed.
    pub(super) fn unmark_halted(&mut self, package: &PackageName, version: &Version) {
        let Some(manifest) = self.release(package, version).map(|release| release.manifest.clone()) else { return };
        let same = self.releases.get_mut(package).into_iter().flatten().filter(|known| known.has_files_of(&manifest));
        same.for_each(|known| known.halted_by = None);
    }

    pub(super) fn put_policy(&mut self, record: Unverified<PolicyRecord>, at: WallTime) -> Result<(), String> {
        let body = held(&record)?;
        let policy = Policy::parse(&body.text).map_err(|e| e.to_string())?;
        let digest = body.policy_digest();
        self.policies.insert(digest, AppliedPolicy { record, text: body.text, policy, applied_at_ms: at });
        Ok(())
    }

    /// A release by package and version.
    pub fn release(&self, package: &PackageName, version: &Version) -> Option<&Release> {
        self.releases.get(package)?.iter().find(|release| release.manifest.version == *version)
    }
}

impl Release {
    /// Whether a manifest names the same files: what the gate learnt follows them, whatever the version.
    pub(super) fn has_files_of(&self, manifest: &Manifest) -> bool {
        let digests = |manifest: &Manifest| {
            let mut files: Vec<_> = manifest.files.iter().map(|file| (file.path.clone(), file.sha256)).collect();
            files.sort();
            files
        };
        digests(&self.manifest) == digests(manifest)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_trust::tuf::{Expiry, Role as _, RoleName, Signers, TufKey, Unsigned};

    use super::*;
    use crate::contract::{Entry, Seq};
    use crate::decision::Decision;

    /// Public keys of RFC 8032, section 7.1.
    const KEYS: [&str; 3] = [
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    ];

    #[test]
    fn a_publishers_key_is_as_old_as_its_listing_and_one_that_comes_back_is_new() {
        let key = |which: usize| {
            let key: tidegate_trust::keys::PublicKey = KEYS[which].parse().unwrap();
            TufKey::from_bytes(*key.as_bytes()).unwrap()
        };
        let mut state = State::default();
        let mut targets = TargetsRole::first(Expiry::from_ms(4_000_000_000_000).unwrap());
        let mut list = |at: u64, keys: &[usize]| {
            if at > 1 {
                targets = targets.next(targets.expires()).unwrap();
            }
            let signers = Signers::new(keys.iter().map(|which| key(*which)), 1).unwrap();
            targets.delegate(RoleName::parse("pump").unwrap(), signers).unwrap();
            let file = String::from_utf8(Unsigned::new(targets.clone()).unwrap().to_bytes()).unwrap();
            let files = BTreeMap::from([(format!("{}.targets.json", targets.version()), file)]);
            let content = Decision::Metadata { files }.to_entry(WallTime::from_ms(at)).unwrap();
            state.apply(&Entry { seq: Seq::from_u64(at), content }).unwrap();
            keys.iter().map(|which| state.publishers_since[&key(*which).id().to_string()].as_ms()).collect::<Vec<_>>()
        };
        assert_eq!(list(1, &[0, 1]), [1, 1]);
        assert_eq!(list(2, &[0, 2]), [1, 2], "one stays, one goes, one comes");
        assert_eq!(list(3, &[0, 1]), [1, 3], "who comes back is new");
    }
}
