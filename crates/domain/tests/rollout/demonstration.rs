//! The demonstration works by calculation: its policy on its fleet, in simulated time, over many seeds.

use tidegate_domain::envelope::Envelope;
use tidegate_domain::policy::Policy;
use tidegate_domain::rollout::Phase;
use tidegate_domain::rollout::reason::HaltReason;
use tidegate_domain::time::Elapsed;

use crate::fleet::{Fleet, Nature, demo_candidates};

const SEEDS: u64 = 200;

fn demo() -> Policy {
    Policy::parse(include_str!("../../../../policies/demo.toml")).unwrap()
}

fn fleet(nature: Nature, seed: u64) -> Fleet {
    Fleet::new(&demo(), demo_candidates(), Elapsed::from_s(3), Elapsed::from_ms(250), nature, seed)
}

fn spread(what: &str, mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let (first, last) = (values[0], values[values.len() - 1]);
    println!("{what}: {first:.1} to {last:.1}, median {:.1}", values[values.len() / 2]);
    (first, last)
}

#[test]
fn the_demo_policy_lies_inside_its_envelope_and_outside_the_safe_one() {
    let danger = Envelope::parse(include_str!("../../../../policies/danger-demo-envelope.toml")).unwrap();
    assert_eq!(danger.admits(&demo()), Ok(()));
    let safe = Envelope::parse("name = \"safe\"").unwrap();
    assert!(safe.admits(&demo()).is_err());
}

#[test]
fn a_good_release_reaches_all_60_in_45_to_75_seconds() {
    let mut seconds = Vec::new();
    for seed in 0..SEEDS {
        let mut fleet = fleet(Nature::good(), seed);
        fleet.run_until_over(Elapsed::from_s(300));
        assert!(matches!(fleet.rollout.phase(), Phase::Completed { .. }), "seed {seed}\n{}", fleet.story());
        assert_eq!((fleet.proven(), fleet.harmed(), fleet.calls), (60, 0, 0), "seed {seed}\n{}", fleet.story());
        seconds.push(fleet.elapsed_s());
        if seed == 0 {
            println!("{}", fleet.story());
        }
    }
    let (first, last) = spread("good release, seconds", seconds);
    assert!(first >= 45.0 && last <= 75.0, "{first} to {last}");
}

#[test]
fn a_release_that_crashes_everywhere_harms_the_8_of_the_lab_and_halts_within_8_seconds() {
    let mut seconds = Vec::new();
    for seed in 0..SEEDS {
        let mut fleet = fleet(Nature::crashing(1.0), seed);
        fleet.run_until_over(Elapsed::from_s(300));
        seconds.push(fleet.elapsed_s());
        fleet.run_for(Elapsed::from_s(20));
        assert!(halted_for(&fleet, "wedged"), "seed {seed}\n{}", fleet.story());
        assert_eq!(fleet.harmed(), 8, "seed {seed}\n{}", fleet.story());
        assert!(fleet.rollout.taken().all(|(_, taken)| taken.returned && taken.well && !taken.needs_hands));
    }
    let (first, last) = spread("release that crashes everywhere, seconds to halt", seconds);
    assert!(last <= 8.0, "{first} to {last}");
}

#[test]
fn a_fault_that_the_lab_misses_harms_no_more_than_the_canarys_first_window() {
    let mut seconds = Vec::new();
    for seed in 0..SEEDS {
        let mut fleet = fleet(Nature { spares_lab: true, ..Nature::crashing(1.0) }, seed);
        fleet.run_until_over(Elapsed::from_s(300));
        seconds.push(fleet.elapsed_s());
        fleet.run_for(Elapsed::from_s(20));
        assert!(halted_for(&fleet, "wedged"), "seed {seed}\n{}", fleet.story());
        assert!((8..=10).contains(&fleet.harmed()), "seed {seed}\n{}", fleet.story());
        assert_eq!(fleet.proven(), 8, "seed {seed}");
    }
    spread("fault missed by the lab, seconds to halt", seconds);
}

pub(crate) fn halted_for(fleet: &Fleet, word: &str) -> bool {
    match fleet.rollout.phase() {
        Phase::Halted { reasons, .. } => reasons.iter().map(HaltReason::word).any(|of| of == word),
        _ => false,
    }
}
