//! Merkle trees over roster places: a root that commits to all of them, and short proofs for one of them.
//!
//! The shape of RFC 6962 section 2.1: leaves are given as hashes, inner nodes are SHA-256 of a 1 byte and both children.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

const DEPTH_MAX: usize = 32;

/// The siblings from a leaf up to the root, nearest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Proof(Vec<Digest>);

/// The root over these leaf hashes. The root of no leaves is the digest of nothing.
pub fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&root(left), &root(right))
        }
    }
}

/// The proof for the leaf at `index`; none where there is no such leaf.
pub fn proof(leaves: &[Digest], index: usize) -> Option<Proof> {
    if index >= leaves.len() {
        return None;
    }
    let mut siblings = Vec::new();
    climb(leaves, index, &mut siblings);
    Some(Proof(siblings))
}

fn climb(leaves: &[Digest], index: usize, siblings: &mut Vec<Digest>) {
    if leaves.len() < 2 {
        return;
    }
    let middle = split(leaves.len());
    let (left, right) = leaves.split_at(middle);
    if index < middle {
        climb(left, index, siblings);
        siblings.push(root(right));
    } else {
        climb(right, index - middle, siblings);
        siblings.push(root(left));
    }
}

impl Proof {
    /// Whether `root` commits to `leaf` at `index` of `size` places. O(log size).
    pub fn shows(&self, root: &Digest, leaf: &Digest, index: u32, size: u32) -> bool {
        if index >= size || self.0.len() > DEPTH_MAX {
            return false;
        }
        // At each level, from the root down: which half holds the leaf, until one leaf is left.
        let mut turns = Vec::new();
        let (mut index, mut size) = (index as usize, size as usize);
        while size > 1 {
            let middle = split(size);
            let right = index >= middle;
            turns.push(right);
            (index, size) = if right { (index - middle, size - middle) } else { (index, middle) };
        }
        if turns.len() != self.0.len() {
            return false;
        }
        let climbed =
            self.0.iter().zip(turns.iter().rev()).fold(*leaf, |below, (sibling, right)| {
                if *right { node(sibling, &below) } else { node(&below, sibling) }
            });
        climbed == *root
    }
}

/// The largest power of two below `n` (n > 1).
fn split(n: usize) -> usize {
    n.next_power_of_two() / 2
}

fn node(left: &Digest, right: &Digest) -> Digest {
    Digest::of_parts([&[1_u8][..], left.as_bytes(), right.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(n: u32) -> Vec<Digest> {
        (0..n).map(|i| Digest::of(&i.to_be_bytes())).collect()
    }

    #[test]
    fn every_place_is_shown_at_its_index_and_at_no_other() {
        for n in 1..=33 {
            let leaves = leaves(n);
            let top = root(&leaves);
            for i in 0..n {
                let proof = proof(&leaves, i as usize).unwrap();
                for j in 0..n {
                    assert_eq!(proof.shows(&top, &leaves[i as usize], j, n), i == j, "leaf {i} at {j} of {n}");
                }
            }
        }
    }

    #[test]
    fn a_proof_does_not_fit_another_root_leaf_or_size() {
        let leaves = leaves(9);
        let (top, path) = (root(&leaves), proof(&leaves, 4).unwrap());
        assert!(!path.shows(&Digest::of(b"x"), &leaves[4], 4, 9));
        assert!(!path.shows(&top, &leaves[5], 4, 9));
        assert!(!path.shows(&top, &leaves[4], 4, 3));
        assert!(proof(&leaves, 9).is_none());
    }
}
