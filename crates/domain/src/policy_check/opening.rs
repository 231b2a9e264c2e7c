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
                let bound = |(scope, proven): (&Scope, &u32)| {
                    let bound = scope.initial.saturating_add(policy.window.growth.saturating_mul(*proven));
                    if scope.name == ScopeName::All { bound.min(share_max) } else { bound }
                };
                let room = scopes.iter().zip(&proven).map(bound).collect();
                let opened = open_window(&scopes, &strata, room, vec![u32::MAX; strata.len()], &mut left);
                let all = opened.iter().copied().fold(0, u32::saturating_add);
                if all == 0 {
                    break;
                }
                if opening.first_window == 0 {
                    opening.first_window = all;
                }
                windows += 1;
                for (stratum, opened) in opened.into_iter().enumerate() {
                    for scope in scopes.of_stratum(stratum) {
                        if let Some(proven) = proven.get_mut(*scope) {
                            *proven = proven.saturating_add(opened);
                        }
                    }
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

/// Opens one window, one place a stratum in turn, `other` last: as far as every scope has `room`, a stratum has places `left` and may
/// open them within its `cut`. Gives what was opened, by stratum.
pub(super) fn open_window(
    scopes: &Scopes,
    strata: &[StratumName],
    mut room: Vec<u32>,
    mut cut: Vec<u32>,
    left: &mut [u32],
) -> Vec<u32> {
    let mut opened = vec![0_u32; strata.len()];
    loop {
        let mut moved = false;
        let listed_left =
            strata.iter().zip(left.iter()).any(|(name, left)| *left > 0 && name.as_str() != Strata::OTHER);
        for (stratum, name) in strata.iter().enumerate() {
            let waits = listed_left && name.as_str() == Strata::OTHER;
            let of_it = scopes.of_stratum(stratum);
            let has_room = of_it.iter().all(|scope| room.get(*scope).is_some_and(|room| *room > 0));
            let (Some(left), Some(cut), Some(opened)) =
                (left.get_mut(stratum), cut.get_mut(stratum), opened.get_mut(stratum))
            else {
                continue;
            };
            if *left == 0 || *cut == 0 || waits || !has_room {
                continue;
            }
            moved = true;
            for scope in of_it {
                if let Some(room) = room.get_mut(*scope) {
                    *room -= 1;
                }
            }
            *opened += 1;
            *left -= 1;
            *cut -= 1;
        }
        if !moved {
            return opened;
        }
    }
}
