//! Cases of the lease: who may write, and that nobody else can.

use super::trial::{Outcome, Promise, TTL_MS, Trial, append, at, decision, fenced, renew, same};
use crate::contract::{Fence, Lease, LeaseAnswer, Reply, Request, Seq, Snapshot, StoreEpoch, StoreError};

pub(super) const CASES: &[(&str, Promise)] = &[
    ("a held lease is not given to another", held),
    ("a holder that comes back gets a higher fence at once", comes_back),
    ("an expired lease is taken over and the old fence refused for every write", taken_over),
    ("an expired lease that nobody took can be renewed and written with", expired),
    ("a renewed lease lasts longer", renewed),
    ("a released lease is free and its fence is spent", released),
    ("a fence that was never given is refused", never_given),
    ("time that runs backwards delays a takeover by one lease at most", backwards),
    ("a holder whose clock was set back keeps its lease", holder_set_back),
];

fn held(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    let due = LeaseAnswer::HeldBy { holder: "a".to_owned(), until: at(TTL_MS) };
    same("b asks while a holds", &trial.acquire("b", TTL_MS - 1)?, &due)?;
    let lease = Lease { fence, holder: "a".to_owned(), until: at(TTL_MS) };
    same("the lease in the head", &trial.head("held")?.lease, &Some(lease))
}

fn comes_back(trial: &mut Trial<'_, '_>) -> Outcome {
    let first = trial.granted("a", 0)?;
    let second = trial.granted("a", 1)?;
    same("the second fence is higher", &(second > first && first > Fence::ZERO), &true)?;
    trial.refuses("the first process writes", append(first, 0, &[decision("x.1", None)]), &fenced(first, second))?;
    trial.append(second, 0, &[decision("x.1", None)])
}

fn taken_over(trial: &mut Trial<'_, '_>) -> Outcome {
    let old = trial.granted("a", 0)?;
    trial.append(old, 0, &[decision("x.1", None)])?;
    let new = trial.granted("b", TTL_MS)?;
    same("the new fence is higher", &(new > old), &true)?;
    let snapshot = Snapshot { seq: Seq::from_u64(1), format: 1, bytes: vec![1] };
    for request in [
        append(old, 1, &[decision("x.2", None)]),
        renew(old, TTL_MS + 1),
        Request::Release { fence: old },
        Request::SaveSnapshot { fence: old, snapshot },
        Request::NewEpoch { fence: old, epoch: StoreEpoch::from_bytes([9; 16]) },
    ] {
        let step = format!("the old holder asks {request:?}");
        trial.refuses(&step, request, &fenced(old, new))?;
    }
    trial.append(new, 1, &[decision("x.2", None)])?;
    trial.holds(&[decision("x.1", None), decision("x.2", None)])
}

fn expired(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    let granted = LeaseAnswer::Granted { fence, until: at(4 * TTL_MS) };
    same("a renewal long after the end", &trial.renew(fence, 3 * TTL_MS), &Ok(granted))?;
    trial.append(fence, 0, &[decision("x.1", None)])
}

fn renewed(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    let until = at(TTL_MS + 5_000);
    same("a renewal", &trial.renew(fence, 5_000), &Ok(LeaseAnswer::Granted { fence, until }))?;
    let due = LeaseAnswer::HeldBy { holder: "a".to_owned(), until };
    same("b asks after the first end", &trial.acquire("b", TTL_MS + 1)?, &due)?;
    trial.granted("b", TTL_MS + 5_000).map(|_| ())
}

fn released(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    trial.done("a release", Request::Release { fence })?;
    trial.done("the same release again", Request::Release { fence })?;
    same("the lease in the head", &trial.head("released")?.lease, &None)?;
    trial.refuses("a write after it", append(fence, 0, &[decision("x.1", None)]), &fenced(fence, fence))?;
    trial.refuses("a renewal after it", renew(fence, 1), &fenced(fence, fence))?;
    let next = trial.granted("b", 1)?;
    same("the next fence is higher", &(next > fence), &true)?;
    trial.refuses("the release once more", Request::Release { fence }, &fenced(fence, next))
}

fn never_given(trial: &mut Trial<'_, '_>) -> Outcome {
    let entries = [decision("x.1", None)];
    trial.refuses("a write before any grant", append(Fence::ZERO, 0, &entries), &fenced(Fence::ZERO, Fence::ZERO))?;
    let release = Request::Release { fence: Fence::ZERO };
    trial.refuses("a release before any grant", release, &fenced(Fence::ZERO, Fence::ZERO))?;
    let fence = trial.granted("a", 0)?;
    for presented in [Fence::ZERO, Fence::from_u64(fence.as_u64() + 1), Fence::from_u64(u64::MAX)] {
        trial.refuses("a write with a foreign fence", append(presented, 0, &entries), &fenced(presented, fence))?;
    }
    Ok(())
}

fn backwards(trial: &mut Trial<'_, '_>) -> Outcome {
    let day_ms = 86_400_000;
    trial.granted("a", day_ms)?;
    let due = LeaseAnswer::HeldBy { holder: "a".to_owned(), until: at(TTL_MS) };
    same("b asks a day earlier", &trial.acquire("b", 0)?, &due)?;
    same("b asks again before its end", &trial.acquire("b", TTL_MS - 1)?, &due)?;
    trial.granted("b", TTL_MS).map(|_| ())
}

fn holder_set_back(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 86_400_000)?;
    let granted = LeaseAnswer::Granted { fence, until: at(TTL_MS) };
    same("a renewal a day earlier", &trial.renew(fence, 0), &Ok(granted))?;
    trial.append(fence, 0, &[decision("x.1", None)])?;
    let next = trial.granted("b", TTL_MS)?;
    let refused: Result<Reply, StoreError> = Err(fenced(fence, next));
    same("a write after the takeover", &trial.ask(append(fence, 1, &[decision("x.2", None)])), &refused)
}
