//! How the window rule opens a fleet whose devices are all proven in their turn: window after window, ring after ring.
//! It counts places; it knows no device, no time and no evidence.

use std::collections::BTreeMap;

use crate::ids::StratumName;
use crate::policy::{Policy, Strata};
use crate::rollout::scope::{Scope, ScopeName, Scopes};

/// How a window opens a fleet when everything is proven in its turn.
pub(super) struct Opening {
    /// Places that open before any proof.
    pub(super) first_window: u32,
    /// By ring: how many windows fill it; none where one never does.
    pub(super) windows: Vec<Option<u32>>,
}

/// Windows after which a ring that barely opens is given up.
const WINDOWS_MAX: u32 = 100_000;

impl Opening {
    pub(super) fn of(policy: &Policy, places: &BTreeMap<StratumName, Vec<u32>>) -> Opening {
        let strata: Vec<StratumName> = places.keys().cloned().collect();
        let scopes = Scopes::new(policy, &strata);
        let total: u32 = places.values().flatten().copied().fold(0, u32::saturating_add);
        let share_max = policy.window.share_of(total);
        let mut opening = Opening { first_window: 0, windows: Vec::new() };
        let mut proven = vec![0_u32; scopes.iter().count()];
        for (index, ring) in policy.rings.iter().enumerate() {
            let mut left: Vec<u32> = places.values().map(|rings| rings.get(index).copied().unwrap_or(0)).collect();
            let mut windows = 0;
            while left.iter().any(|left| *left > 0) && windows < WINDOWS_MAX {
                let opened = open_window(policy, &scopes, &strata, &proven, share_max, &mut left);
                let all = opened.first().copied().unwrap_or(0);
                if all == 0 {
                    break;
                }
                if opening.first_window == 0 {
                    opening.first_window = all;
                }
                windows += 1;
                for (proven, opened) in proven.iter_mut().zip(opened) {
                    *proven = proven.saturating_add(opened);
                }
            }
            if ring.lab {
                proven.fill(0);
            }
            opening.windows.push(left.iter().all(|left| *left == 0).then_some(windows));
        }
        opening
    }
}

/// Opens one window, one place a stratum in turn, `other` last. Gives what was opened in each scope.
fn open_window(
    policy: &Policy,
    scopes: &Scopes,
    strata: &[StratumName],
    proven: &[u32],
    share_max: u32,
    left: &mut [u32],
) -> Vec<u32> {
    let mut opened = vec![0_u32; proven.len()];
    let bound = |(scope, proven): (&Scope, &u32)| {
        let bound = scope.initial.saturating_add(policy.window.growth.saturating_mul(*proven));
        if scope.name == ScopeName::All { bound.min(share_max) } else { bound }
    };
    let bounds: Vec<u32> = scopes.iter().zip(proven).map(bound).collect();
    loop {
        let mut moved = false;
        let listed_left =
            strata.iter().zip(left.iter()).any(|(name, left)| *left > 0 && name.as_str() != Strata::OTHER);
        for (stratum, name) in strata.iter().enumerate() {
            let has = left.get(stratum).is_some_and(|left| *left > 0);
            let waits = listed_left && name.as_str() == Strata::OTHER;
            let of_it = scopes.of_stratum(stratum);
            let room = |scope: &usize| {
                opened.get(*scope).zip(bounds.get(*scope)).is_some_and(|(opened, bound)| opened < bound)
            };
            if !has || waits || !of_it.iter().all(room) {
                continue;
            }
            moved = true;
            for scope in of_it {
                if let Some(opened) = opened.get_mut(*scope) {
                    *opened += 1;
                }
            }
            if let Some(left) = left.get_mut(stratum) {
                *left -= 1;
            }
        }
        if !moved {
            return opened;
        }
    }
}
