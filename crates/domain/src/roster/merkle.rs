//! Merkle trees over roster places: a root that commits to all of them, and short proofs for one of them.
//!
//! The shape of RFC 6962 section 2.1: leaves are given as hashes, inner nodes are SHA-256 of a 1 byte and both children.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

const DEPTH_MAX: usize = 32;
/// Leaves whose common node is the lowest that a [`Tree`] keeps; a power of two.
const GROUP: usize = 16;

/// The siblings from a leaf up to the root, nearest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Proof(Vec<Digest>);

/// A tree that keeps its inner nodes, so that a proof costs O(log n) and not a walk over all leaves.
///
/// It keeps the roots of groups of 16 leaves and what stands above them: 4 bytes a leaf. What stands below is hashed anew for a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    size: usize,
    /// The groups' roots, then each level above; the last one is the root alone.
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    /// The tree over these leaf hashes.
    pub fn new(leaves: impl IntoIterator<Item = Digest>) -> Tree {
        let mut leaves = leaves.into_iter();
        let (mut size, mut groups) = (0, Vec::new());
        loop {
            let group: Vec<Digest> = leaves.by_ref().take(GROUP).collect();
            size += group.len();
            let Some(root) = reduced(group, |_| {}) else { break };
            groups.push(root);
        }
        let mut levels = Vec::new();
        reduced(groups, |level| levels.push(level.to_vec()));
        Tree { size, levels }
    }

    /// The root. That of no leaves is the digest of nothing.
    pub fn root(&self) -> Digest {
        self.levels.last().and_then(|top| top.first()).copied().unwrap_or_else(|| Digest::of(b""))
    }

    /// The proof for the leaf at `index`; none where there is no such leaf. `leaf` gives the hash of any leaf again.
    pub fn proof(&self, index: usize, leaf: impl Fn(usize) -> Option<Digest>) -> Option<Proof> {
        if index >= self.size {
            return None;
        }
        let mut siblings = Vec::new();
        let first = index - index % GROUP;
        let group: Vec<Digest> = (first..self.size.min(first + GROUP)).map(leaf).collect::<Option<_>>()?;
        let mut at = index - first;
        reduced(group, |level| climb(level, &mut at, &mut siblings));
        at = index / GROUP;
        self.levels.iter().for_each(|level| climb(level, &mut at, &mut siblings));
        Some(Proof(siblings))
    }
}

/// The root over these leaf hashes. The root of no leaves is the digest of nothing.
pub fn root(leaves: &[Digest]) -> Digest {
    Tree::new(leaves.iter().copied()).root()
}

/// The proof for the leaf at `index` of a tree that is asked once; none where there is no such leaf.
pub fn proof(leaves: &[Digest], index: usize) -> Option<Proof> {
    Tree::new(leaves.iter().copied()).proof(index, |at| leaves.get(at).copied())
}

/// Hashes a level to its root, shows each level on the way, and gives the root; none for no nodes.
///
/// A node without a sibling moves up as it is: the same shape as RFC 6962 describes from the root down.
fn reduced(mut level: Vec<Digest>, mut show: impl FnMut(&[Digest])) -> Option<Digest> {
    loop {
        show(&level);
        if level.len() < 2 {
            return level.first().copied();
        }
        level = level.chunks(2).filter_map(parent).collect();
    }
}

fn parent(pair: &[Digest]) -> Option<Digest> {
    match pair {
        [left, right] => Some(node(left, right)),
        [alone] => Some(*alone),
        _ => None,
    }
}

/// One level up: notes the sibling of the node at `at`, where it has one.
fn climb(level: &[Digest], at: &mut usize, siblings: &mut Vec<Digest>) {
    siblings.extend(level.get(*at ^ 1));
    *at /= 2;
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

    /// RFC 6962 section 2.1, word for word: the left half has the largest power of two of leaves below n.
    fn rfc_6962(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest::of(b""),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                node(&rfc_6962(left), &rfc_6962(right))
            }
        }
    }

    #[test]
    fn every_place_is_shown_at_its_index_and_at_no_other() {
        for n in (1..=50).chain([63, 64, 65, 257]) {
            let leaves = leaves(n);
            let top = rfc_6962(&leaves);
            assert_eq!(root(&leaves), top, "{n} leaves");
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
        assert_eq!(root(&[]), rfc_6962(&[]));
        assert!(proof(&[], 0).is_none());
    }
}
