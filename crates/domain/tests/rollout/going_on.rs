//! The same files ordered again: what spoke against them still does, and no device serves as control for them twice.

use std::collections::BTreeSet;

use tidegate_domain::ids::DeviceId;
use tidegate_domain::policy::Policy;
use tidegate_domain::rollout::Phase;
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::time::Elapsed;

use crate::fleet::{Fleet, Nature, candidate};
use crate::scenarios::plain;

const DEVICES: usize = 2_000;

/// An order of the release for its first so many devices, all of one system.
fn ordered(policy: &Policy, devices: usize, seed: u64) -> Fleet {
    let candidates = (0..devices).map(|i| candidate(format!("d{i}"), &[], None)).collect();
    let nature = Nature { base_failures: 0.02, ..Nature::good() };
    Fleet::new(policy, candidates, Elapsed::from_s(1), Elapsed::from_ms(250), nature, seed)
}

fn controls(fleet: &Fleet) -> BTreeSet<DeviceId> {
    let of = |(_, fact): &(u64, Fact)| match fact {
        Fact::BlockOpened { controls, .. } => controls.clone(),
        _ => Vec::new(),
    };
    fleet.log.iter().flat_map(of).collect()
}

fn completes(fleet: &mut Fleet, seed: u64) {
    fleet.run_until_over(Elapsed::from_s(600));
    assert!(matches!(fleet.rollout.phase(), Phase::Completed { .. }), "seed {seed}\n{}", fleet.story());
}

#[test]
fn what_spoke_against_a_release_still_does_when_it_is_ordered_again() {
    let (policy, _) = plain("");
    let (stricter, _) = plain("[gate]\ntolerate_hard = 1e-4");
    for seed in 0..10 {
        let mut first = ordered(&policy, 400, seed);
        completes(&mut first, seed);
        let so_far = first.report().ln_evidence;
        assert!(so_far.abs() > 1e-3, "seed {seed}: it learnt something");
        for policy in [&policy, &stricter] {
            let mut second = ordered(policy, DEVICES, 1_000 + seed);
            second.rollout.go_on_from([&first.rollout]);
            assert_eq!(second.report().ln_evidence.to_bits(), so_far.to_bits(), "seed {seed}");
            assert_eq!(second.rollout.goes_on_from(), Some(&first.rollout.identity().rollout));
            let clearance = |fleet: &Fleet| fleet.rollout.gate().clearance(0);
            let anew = ordered(policy, DEVICES, 1_000 + seed);
            assert_eq!(clearance(&second), clearance(&anew), "past success lowers no gate");
        }
    }
}

#[test]
fn who_was_control_or_took_it_is_no_control_when_it_is_ordered_again() {
    let (policy, _) = plain("");
    for seed in 0..5 {
        let mut first = ordered(&policy, 400, seed);
        completes(&mut first, seed);
        let mut spent = controls(&first);
        spent.extend(first.rollout.taken().map(|(device, _)| device.clone()));
        let mut second = ordered(&policy, DEVICES, 1_000 + seed);
        second.rollout.go_on_from([&first.rollout]);
        completes(&mut second, seed);
        let again = controls(&second);
        assert!(!again.is_empty() && again.is_disjoint(&spent), "seed {seed}");
        let mut third = ordered(&policy, DEVICES, 2_000 + seed);
        third.rollout.go_on_from([&first.rollout, &second.rollout]);
        third.run_for(Elapsed::from_s(30));
        assert!(controls(&third).is_empty(), "seed {seed}: nobody is left who never had to do with it");
    }
}
