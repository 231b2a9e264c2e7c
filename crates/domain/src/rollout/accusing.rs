//! Which of many rollouts explains a rise in failures, and in whom: e-BH over every scope of every rollout at once. It accuses; it halts nothing.
//!
//! The e-values are those of the gates. Each scope of each rollout is a suspect of its own, so among those that e-BH blames the expected share
//! of innocent ones is at most [`BLAME_FALSE_SHARE`], however the rollouts share devices and controls. What the gate has halted is blamed where
//! it was halted, whatever e-BH says of it: a wedge of three failures is no strong evidence, and the gate's own error is far smaller. Which
//! of a rollout's blamed scopes is *named* is a rule of thumb without a bound: all devices, unless a part of the fleet holds clearly
//! stronger evidence.

use serde::{Deserialize, Serialize};

use super::gate::{BLAME_FALSE_SHARE, HaltReason};
use super::processes::share;
use super::scope::ScopeName;
use super::{Phase, Rollout};
use crate::evidence::{Accused, Suspect, blamed};
use crate::ids::{PackageName, RolloutId, Version};

/// The most rollouts that are weighed together: those that were started last.
pub const ROLLOUTS_MAX: usize = 20;
/// By how much a part's evidence must exceed that of all devices to be named in their place: a fault of everybody shows first in some part.
const PART_LN_MORE: f64 = 1.0;
/// The most that are told besides those to blame.
const NEXT_MAX: usize = 5;

/// One suspect, after the judgement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accusation {
    /// The rollout.
    pub rollout: RolloutId,
    /// Its package.
    pub package: PackageName,
    /// Its version.
    pub version: Version,
    /// In whom: all devices, a value, a stratum.
    pub scope: ScopeName,
    /// ln of the average of the scope's e-values.
    pub ln_e: f64,
    /// Whether it is to blame: by e-BH, or because the gate halted it there.
    pub blamed: bool,
    /// Whether it is the one of its rollout's blamed scopes that says most: what to look at first.
    pub named: bool,
}

/// Weighs rollouts against each other. The strongest evidence comes first: all that are to blame, and a few that come closest.
pub fn accuse<'a>(rollouts: impl IntoIterator<Item = &'a Rollout>) -> Vec<Accusation> {
    let mut rollouts: Vec<&Rollout> = rollouts.into_iter().collect();
    rollouts.sort_by_key(|rollout| std::cmp::Reverse(rollout.identity.started_at_ms));
    rollouts.truncate(ROLLOUTS_MAX);
    let mut suspects = Vec::new();
    for (number, rollout) in rollouts.iter().enumerate() {
        for (scope, ln_e) in rollout.gate.by_scope(&rollout.scopes) {
            suspects.extend(Suspect::new((number, scope.clone()), ln_e).ok());
        }
    }
    let halted: Vec<(usize, ScopeName)> =
        rollouts.iter().enumerate().flat_map(|(n, rollout)| halted_in(rollout).map(move |scope| (n, scope))).collect();
    let mut accused = blamed(&suspects, share(BLAME_FALSE_SHARE));
    accused.iter_mut().for_each(|one| one.blamed |= halted.contains(&one.name));
    accused.retain(|one| one.ln_e > 0.0 || one.blamed);
    // Whoever is to blame first; the sort keeps the order of the evidence.
    accused.sort_by_key(|one| !one.blamed);
    let count = accused.iter().filter(|one| one.blamed).count();
    accused.truncate(count.saturating_add(NEXT_MAX));
    let named: Vec<(usize, ScopeName)> =
        (0..rollouts.len()).filter_map(|number| Some((number, most_telling(&accused, number)?))).collect();
    let told = |one: Accused<(usize, ScopeName)>| {
        let identity = &rollouts.get(one.name.0)?.identity;
        Some(Accusation {
            rollout: identity.rollout.clone(),
            package: identity.package.clone(),
            version: identity.version.clone(),
            named: named.contains(&one.name),
            scope: one.name.1,
            ln_e: one.ln_e,
            blamed: one.blamed,
        })
    };
    accused.into_iter().filter_map(told).collect()
}

/// The scopes that the gate halted a rollout in, as a whole or alone.
fn halted_in(rollout: &Rollout) -> impl Iterator<Item = ScopeName> {
    let whole = match &rollout.phase {
        Phase::Halted { reasons, .. } => reasons.as_slice(),
        Phase::Running | Phase::Paused { .. } | Phase::Completed { .. } => &[],
    };
    let alone = rollout.closed.iter().flat_map(|closed| &closed.reasons);
    whole.iter().chain(alone).filter_map(HaltReason::scope).cloned()
}

/// Of the blamed scopes of a rollout, all devices unless a part holds clearly stronger evidence.
fn most_telling(accused: &[Accused<(usize, ScopeName)>], number: usize) -> Option<ScopeName> {
    let of_it = || accused.iter().filter(|one| one.blamed && one.name.0 == number);
    let whole = of_it().find(|one| one.name.1 == ScopeName::All);
    let part = of_it().find(|one| one.name.1 != ScopeName::All);
    match (whole, part) {
        (Some(whole), Some(part)) if part.ln_e < whole.ln_e + PART_LN_MORE => Some(ScopeName::All),
        (_, Some(part)) => Some(part.name.1.clone()),
        (whole, None) => whole.map(|one| one.name.1.clone()),
    }
}
