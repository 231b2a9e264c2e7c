//! P6: what is known is a fold of what is recorded; folding it again gives the same.

use crate::fleet::{Api, Fleet, until};
use crate::log::{runtime, whole_log};
use crate::played::{FAST_POLICY, Player, twelve};

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
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let api = running.admin();
    let policy = fleet.apply_policy(&api, FAST_POLICY);
    let mut players = twelve(&fleet, &running.base);
    assert!(players.iter_mut().all(Player::enrol));
    players.iter_mut().for_each(|player| drop(player.play().unwrap()));
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
