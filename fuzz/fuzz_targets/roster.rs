//! Roster proofs: a proof shows the place that it was made for and no other, however place, proof, index or size are bent.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use tidegate_domain::digest::Digest;
use tidegate_domain::roster::merkle::{Proof, proof, root};
use tidegate_domain::roster::{Place, ProvenPlace};
use tidegate_fuzz::{read_json, seed};

#[derive(Debug, Arbitrary)]
struct Case {
    places: u8,
    stands: u8,
    claims: u32,
    size: u32,
    bend: Bend,
}

#[derive(Debug, Arbitrary)]
enum Bend {
    Nothing,
    Sibling { at: u8, with: [u8; 32] },
    Drop { at: u8 },
    Add { at: u8, with: [u8; 32] },
    Swap { at: u8 },
    Leaf { of: u8 },
}

fuzz_target!(
    init: for n in 1..20_u8 {
        seed(&n.to_string(), [n, n / 2, n / 2, 0, 0, 0, n, 0, 0, 0, 0, 0, 0, 0]);
    },
    |data: &[u8]| {
        if let Some(place) = read_json::<ProvenPlace>(data) {
            let _ = place.proof.shows(&Digest::of(b"root"), &place.place.leaf(), place.index, u32::MAX);
            return;
        }
        let mut data = arbitrary::Unstructured::new(data);
        if let Ok(case) = Case::arbitrary(&mut data) {
            check(&case);
        }
    }
);

fn check(case: &Case) {
    let places: Vec<Place> = (0..case.places.max(1)).map(place).collect();
    let leaves: Vec<Digest> = places.iter().map(Place::leaf).collect();
    let (top, stands) = (root(&leaves), usize::from(case.stands) % leaves.len());
    let honest = proof(&leaves, stands).unwrap();
    let size = u32::try_from(leaves.len()).unwrap();
    let index = u32::try_from(stands).unwrap();
    assert!(honest.shows(&top, &leaves[stands], index, size));
    let mut siblings: Vec<Digest> = serde_json::from_value(serde_json::to_value(&honest).unwrap()).unwrap();
    let mut leaf = leaves[stands];
    let at = |n: u8, length: usize| usize::from(n) % length.max(1);
    match &case.bend {
        Bend::Nothing => {}
        Bend::Sibling { at: n, with } => {
            let at = at(*n, siblings.len());
            siblings.get_mut(at).into_iter().for_each(|sibling| *sibling = Digest::from_bytes(*with));
        }
        Bend::Drop { at: n } if !siblings.is_empty() => drop(siblings.remove(at(*n, siblings.len()))),
        Bend::Drop { .. } => {}
        Bend::Add { at: n, with } => siblings.insert(at(*n, siblings.len()), Digest::from_bytes(*with)),
        Bend::Swap { at: n } if siblings.len() > 1 => {
            let at = at(*n, siblings.len() - 1);
            siblings.swap(at, at + 1);
        }
        Bend::Swap { .. } => {}
        Bend::Leaf { of } => leaf = place(*of).leaf(),
    }
    let bent: Proof = serde_json::from_value(serde_json::to_value(&siblings).unwrap()).unwrap();
    // The signed root comes with a signed size: only the place and its proof are the attacker's.
    if bent.shows(&top, &leaf, case.claims, size) {
        assert_eq!(leaves.get(case.claims as usize), Some(&leaf), "a place that is not in the roster is shown");
    }
    let _ = bent.shows(&top, &leaf, case.claims, case.size);
}

fn place(n: u8) -> Place {
    Place { device: format!("d-{n}").parse().unwrap(), stratum: "linux/ams".parse().unwrap(), ring: n / 100 }
}
