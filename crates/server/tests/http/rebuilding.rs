//! P6: what is known is a fold of what is recorded; folding it again gives the same.

use crate::fleet::{Api, until};
use crate::log::{runtime, whole_log};
use crate::played::Player;
use crate::world::{World, world};

/// Plays until the log is a good deal longer.
fn play_on(api: &Api, players: &mut [Player]) {
    let before = api.seq();
    until("the rollout goes on", || {
        players.iter_mut().for_each(|player| drop(player.play()));
        (api.seq() > before + 20).then_some(())
    });
}

#[test]
fn a_rebuild_gives_the_identical_state() {
    let World { mut fleet, running, api, mut players, policy } = world();
    fleet.publish(&api, "1.0.0", "good");
    fleet.start_rollout(&api, "1.0.0", &policy);
    let data = fleet.data();
    let rebuild = || runtime().block_on(tidegate_server::rebuild(&data));
    assert!(rebuild().unwrap_err().to_string().contains("another server uses it"));
    play_on(&api, &mut players);
    running.stop();

    let first = rebuild().unwrap();
    assert_eq!((first.snapshot_at, first.identical), (None, true));
    let running = fleet.start();
    players.iter_mut().for_each(|player| player.moved_to(&running.base));
    play_on(&api.at(&running.base), &mut players);
    running.stop();
    let second = rebuild().unwrap();
    assert_eq!(
        (second.snapshot_at, second.identical),
        (Some(first.entries), true),
        "the snapshot and what came after it"
    );
    assert!(second.entries > first.entries + 20, "the rollout went on: {first:?} {second:?}");
    assert_eq!(second.entries, whole_log(&data).len() as u64);
}
