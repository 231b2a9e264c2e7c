//! Cases of pruning: the content goes, number and time stay, of all or of none, and never of decisions.

use super::trial::{Outcome, Promise, Trial, append, at, decision, fenced, report};
use crate::contract::bounds::no_report;
use crate::contract::{Fence, NewEntry, Request, Seq};

pub(super) const CASES: &[(&str, Promise)] = &[
    ("a pruned report leaves its number and its time", leaves),
    ("pruning that names anything but reports changes nothing", only_reports),
    ("only the holder of the lease prunes", fence),
    ("a pruned report's key is free again", key),
];

fn leaves(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    let all = [report("d1", Some("d1/1")), decision("x.1", None), report("d2", None), report("d1", Some("d1/2"))];
    let all = [0_u64, 1, 2, 3].map(|n| NewEntry { at: at(n * 1_000), ..all[n as usize % 4].clone() });
    trial.append(fence, 0, &all)?;
    let mut left = all.clone();
    for numbers in [vec![4, 1], vec![1, 3, 3]] {
        trial.done("pruning", prune(fence, &numbers))?;
        for number in numbers {
            let entry = &mut left[number as usize - 1];
            *entry = NewEntry::pruned(entry.at);
        }
        trial.holds(&left)?;
    }
    trial.append(fence, 4, &[report("d3", None)])?;
    trial.holds(&[&left[..], &[report("d3", None)]].concat())
}

fn only_reports(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    let all = [report("d1", None), decision("x.1", None)];
    trial.append(fence, 0, &all)?;
    for (numbers, other) in [(vec![1, 2], 2), (vec![3, 2], 3), (vec![1, 0], 0), (vec![1, u64::MAX], u64::MAX)] {
        trial.refuses("pruning", prune(fence, &numbers), &no_report(Seq::from_u64(other)))?;
    }
    trial.holds(&all)
}

fn fence(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    trial.append(fence, 0, &[report("d1", None)])?;
    trial.done("giving the lease back", Request::Release { fence })?;
    trial.refuses("pruning without the lease", prune(fence, &[1]), &fenced(fence, fence))?;
    trial.holds(&[report("d1", None)])
}

fn key(trial: &mut Trial<'_, '_>) -> Outcome {
    let fence = trial.granted("a", 0)?;
    let all = [report("d1", Some("k"))];
    trial.append(fence, 0, &all)?;
    trial.done("pruning", prune(fence, &[1]))?;
    trial
        .ask(append(fence, 1, &all))
        .map(drop)
        .map_err(|error| super::trial::departure("the key again", &error, "admitted"))?;
    trial.holds(&[NewEntry::pruned(all[0].at), all[0].clone()])
}

fn prune(fence: Fence, numbers: &[u64]) -> Request {
    Request::Prune { fence, reports: numbers.iter().copied().map(Seq::from_u64).collect() }
}
