//! Rosters: who stands where in the queue of a stratum, committed to before anything opens.
//!
//! Places are sorted by (ring, rank), where rank is SHA-256 of the seed and the device id. The seed is drawn after the release
//! is signed, so nobody can grind for a place. Nothing here decides how far a roster is open; that is a permit's count.

pub mod merkle;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::attributes::Attributes;
use crate::digest::Digest;
use crate::ids::{DeviceId, RingName, StratumName};
use crate::policy::Policy;
use merkle::Proof;

/// A device that a rollout may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The device.
    pub device: DeviceId,
    /// The ring label of its enrolment record.
    pub ring: Option<RingName>,
    /// The attributes of its enrolment record.
    pub attributes: Attributes,
}

/// One place of a roster: what a leaf of the Merkle tree commits to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The device that stands here.
    pub device: DeviceId,
    /// The stratum.
    pub stratum: StratumName,
    /// The ring, as an index into the order's list.
    pub ring: u8,
}

/// A place with the proof that a root commits to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenPlace {
    /// The place.
    pub place: Place,
    /// 0 for the order's own roster, else the addendum's number.
    pub addendum: u32,
    /// The index within that roster.
    pub index: u32,
    /// The path to its root.
    pub proof: Proof,
}

impl Place {
    /// The leaf's hash: SHA-256 of a 0 byte, the stratum, a 0 byte, the ring, and the device id.
    pub fn leaf(&self) -> Digest {
        leaf(&self.device, &self.stratum, self.ring)
    }
}

/// A place's leaf, from its parts.
pub fn leaf(device: &DeviceId, stratum: &StratumName, ring: u8) -> Digest {
    Digest::of_parts([&[0_u8][..], stratum.as_str().as_bytes(), &[0], &[ring], device.as_str().as_bytes()])
}

/// A device's rank: SHA-256 of the seed and the device id.
pub fn rank(seed: &Digest, device: &DeviceId) -> Digest {
    Digest::of_parts([&seed.as_bytes()[..], device.as_str().as_bytes()])
}

/// Sorts the candidates into one roster a stratum.
///
/// Labelled devices belong to the ring of their label; a label that the policy does not know puts a device into the last ring.
/// Of the devices without a label, each ring takes its `share` by rank, the last ring the rest. A device that is named more than once
/// has one place, by what was said of it first.
pub fn rosters(policy: &Policy, seed: &Digest, candidates: Vec<Candidate>) -> BTreeMap<StratumName, Vec<Place>> {
    let last = policy.rings.len().saturating_sub(1);
    let mut ranked: Vec<(Digest, Candidate)> = candidates.into_iter().map(|c| (rank(seed, &c.device), c)).collect();
    ranked.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.device.cmp(&b.1.device)));
    ranked.dedup_by(|again, first| again.1.device == first.1.device);

    let unlabelled = ranked.iter().filter(|(_, candidate)| candidate.ring.is_none()).count();
    let mut by_share = ring_by_share(policy, unlabelled);
    let mut rosters: BTreeMap<StratumName, Vec<Place>> = BTreeMap::new();
    for (_, candidate) in ranked {
        let ring = match &candidate.ring {
            Some(label) => policy.rings.iter().position(|ring| ring.name == *label).unwrap_or(last),
            None => by_share.next().unwrap_or(last),
        };
        let stratum = policy.stratum_of(&candidate.attributes);
        let place =
            Place { device: candidate.device, stratum: stratum.clone(), ring: u8::try_from(ring).unwrap_or(u8::MAX) };
        rosters.entry(stratum).or_default().push(place);
    }
    for places in rosters.values_mut() {
        places.sort_by_key(|place| place.ring);
    }
    rosters
}

/// Deals the rings out to the unlabelled devices in rank order: first those of the first ring with a share, and so on.
fn ring_by_share(policy: &Policy, unlabelled: usize) -> impl Iterator<Item = usize> {
    let mut dealt = Vec::with_capacity(unlabelled);
    for (ring, rule) in policy.rings.iter().enumerate() {
        let wanted = (rule.share * unlabelled as f64).ceil() as usize;
        let count = wanted.min(unlabelled - dealt.len());
        dealt.extend(std::iter::repeat_n(ring, count));
    }
    dealt.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let text = r#"
            name = "p"
            rings = [{name = "lab", lab = true, soak = "1s"}, {name = "canary", share = 0.1, soak = "1s"}, {name = "broad", soak = "0s"}]
        "#;
        Policy::parse(text).unwrap()
    }

    fn candidates(n: usize, ring: Option<&str>) -> Vec<Candidate> {
        let label = ring.unwrap_or("none");
        (0..n)
            .map(|i| Candidate {
                device: format!("{label}-{i}").parse().unwrap(),
                ring: ring.map(|r| r.parse().unwrap()),
                attributes: Attributes::default(),
            })
            .collect()
    }

    #[test]
    fn rings_stand_in_order_and_shares_are_dealt_by_rank() {
        let mut all = candidates(100, None);
        all.extend(candidates(3, Some("lab")));
        all.extend(candidates(2, Some("mistyped")));
        let rosters = rosters(&policy(), &Digest::of(b"seed"), all);
        let rings: Vec<u8> = rosters.values().next().unwrap().iter().map(|p| p.ring).collect();
        assert!(rings.is_sorted());
        let count = |ring| rings.iter().filter(|r| **r == ring).count();
        assert_eq!(
            (count(0), count(1), count(2)),
            (3, 10, 92),
            "a mistyped label lands in the last ring, never in the first"
        );
    }

    #[test]
    fn another_seed_gives_another_order_and_the_same_seed_the_same() {
        let of = |seed: &[u8]| rosters(&policy(), &Digest::of(seed), candidates(50, None));
        assert_eq!(of(b"a"), of(b"a"));
        assert_ne!(of(b"a"), of(b"b"));
    }
}
