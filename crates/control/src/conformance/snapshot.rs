//! Cases of the snapshot and of the history's name.

use super::trial::{Outcome, Promise, Trial, decision, report, same};
use crate::contract::{Request, Seq, Snapshot, StoreEpoch, StoreError};

pub(super) const CASES: &[(&str, Promise)] = &[
    ("the newest snapshot is the one kept", newest),
    ("a snapshot is never ahead of the log", ahead),
    ("a snapshot comes back byte for byte", any_bytes),
    ("a new epoch loses nothing", new_epoch),
];

fn newest(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    trial.append(fence, 0, &[decision("x.1", None), report("d1", None), report("d2", None)])?;
    let (one, two) = (snapshot(1, 1, b"one"), snapshot(2, 1, b"two"));
    let two_again = snapshot(2, 2, b"two again");
    for (saved, kept) in [(&one, &one), (&two, &two), (&one, &two), (&two_again, &two_again)] {
        trial.done("a snapshot", Request::SaveSnapshot { fence, snapshot: saved.clone() })?;
        same("the snapshot kept", &trial.snapshot()?.as_ref(), &Some(kept))?;
        same("the head's word of it", &trial.head("a snapshot")?.snapshot, &Some(kept.seq))?;
    }
    Ok(())
}

fn ahead(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    trial.append(fence, 0, &[decision("x.1", None)])?;
    for seq in [2, u64::MAX] {
        let refused = StoreError::SnapshotAhead { seq: Seq::from_u64(seq), last: Seq::from_u64(1) };
        trial.refuses("ahead", Request::SaveSnapshot { fence, snapshot: snapshot(seq, 1, b"x") }, &refused)?;
    }
    same("the snapshot kept", &trial.snapshot()?, &None)
}

fn any_bytes(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    let every: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for due in [snapshot(0, 0, b""), snapshot(0, u32::MAX, &every)] {
        trial.done("a snapshot of nothing", Request::SaveSnapshot { fence, snapshot: due.clone() })?;
        same("the snapshot kept", &trial.snapshot()?, &Some(due))?;
    }
    Ok(())
}

fn new_epoch(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    let entries = [decision("x.1", Some("k")), report("d1", None)];
    trial.append(fence, 0, &entries)?;
    let before = trial.head("before")?;
    let epoch = StoreEpoch::from_bytes([0xE5; 16]);
    for _ in 0..2 {
        trial.done("a new epoch", Request::NewEpoch { fence, epoch })?;
        let after = trial.head("after")?;
        same("the head", &after, &crate::contract::Head { epoch, ..before.clone() })?;
    }
    trial.holds(&entries)
}

fn snapshot(seq: u64, format: u32, bytes: &[u8]) -> Snapshot {
    Snapshot { seq: Seq::from_u64(seq), format, bytes: bytes.to_vec() }
}
