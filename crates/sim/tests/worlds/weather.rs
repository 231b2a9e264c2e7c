//! Bad weather that is nobody's fault: a sound release comes through it, and is not halted.

use tidegate_sim::compare::Entrant;

use crate::world::{fared, ours, policy, world};

fn comes_through(rest: &str, devices: u32) {
    let world = world(devices, rest);
    for policy in ["default", "expedited"] {
        for seed in 1..4 {
            let outcome = fared(&world, ours(policy), seed).outcome;
            assert_eq!(outcome.halt_reasons, Vec::<String>::new(), "{policy}, seed {seed}: {rest}");
            assert!(
                outcome.fleet_done_ms.is_some(),
                "{policy}, seed {seed}: {rest}: {} exposed, {:?}",
                outcome.exposed,
                outcome.called
            );
        }
    }
}

#[test]
fn loss_delay_duplication_and_clocks_that_are_off() {
    comes_through("network = { loss = 0.05, duplication = 0.3, late = 0.2, skew = 0.01 }", 100_000);
}

/// Minutes of the simulated fleet, not of the test. With controls that stand in the window's way it takes 243.
#[test]
fn a_sound_release_is_not_held_up_by_its_own_controls() {
    let outcome = fared(&world(1_000_000, ""), ours("default"), 1).outcome;
    let minutes = outcome.fleet_done_s().map(|s| s / 60.0);
    println!("a million devices after {minutes:?} min");
    assert!(minutes.is_some_and(|minutes| minutes < 220.0), "{minutes:?}");
    assert_eq!(outcome.called, None, "nobody is called");
}

#[test]
fn a_control_plane_that_is_down_for_a_while() {
    comes_through("server_down = [{ at = \"21min\", for = \"10min\" }, { at = \"1h\", for = \"30min\" }]", 100_000);
}

#[test]
fn updates_that_restart_the_device_and_take_most_of_their_downtime() {
    comes_through("release = { downtime = \"5min\", up = [\"2min\", \"290s\"] }", 100_000);
}

/// A device that waits for its planned restart until the proof is over takes the restart for one that never ends: nobody is proven then.
#[test]
fn proofs_that_ask_for_restarts_of_the_payload() {
    for restarts in [1, 2, 5] {
        let mut asks = policy("default");
        asks.prove.restarts = restarts;
        let outcome = fared(&world(20_000, ""), Entrant::Policy(Box::new(asks)), 1).outcome;
        assert_eq!(outcome.halt_reasons, Vec::<String>::new(), "{restarts} restarts");
        assert!(outcome.fleet_done_ms.is_some(), "{restarts} restarts: {} exposed", outcome.exposed);
    }
}
