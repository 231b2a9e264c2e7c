//! Clocks that jump, forwards and backwards, to the beginning and the end of time: nothing panics, nothing that was counted is lost, and no
//! band enters before its end.

use std::collections::BTreeMap;

use tidegate_domain::ids::DeviceId;
use tidegate_domain::rollout::Rollout;
use tidegate_domain::rollout::block::{Block, Horizons};
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::place::Stage;
use tidegate_domain::time::WallTime;

use crate::count::Planner;
use crate::dice::Dice;
use crate::schedule::Schedule;

/// What only ever grows: by ring and by scope, lab and others.
fn counted(rollout: &Rollout) -> Vec<u32> {
    let rings = rollout.rings().flat_map(|(_, tally)| [tally.taken, tally.proven, tally.proven_late, tally.failed]);
    let of_scopes = rollout.scopes().iter().flat_map(|scope| [scope.lab, scope.main]);
    rings.chain(of_scopes.flat_map(|tally| [tally.taken, tally.proven, tally.proven_late, tally.failed])).collect()
}

fn open_blocks(rollout: &Rollout) -> BTreeMap<u32, Block> {
    rollout.blocks().iter().map(|block| (block.id, block.clone())).collect()
}

/// The bands that entered between two moments, each with the instant from which on it might.
fn entered(before: &BTreeMap<u32, Block>, after: &BTreeMap<u32, Block>, horizons: &Horizons) -> Vec<(u32, WallTime)> {
    let second = before.values().filter(|block| !after.contains_key(&block.id));
    let first = after
        .values()
        .filter(|block| block.first_entered && before.get(&block.id).is_none_or(|known| !known.first_entered));
    let due_first = |block: &Block| Block { first_entered: false, ..block.clone() }.due_at(horizons);
    second
        .map(|block| (block.id, block.due_at(horizons)))
        .chain(first.map(|block| (block.id, due_first(block))))
        .collect()
}

/// An instant that is anything but the next one.
fn elsewhere(dice: &mut Dice, now: WallTime) -> WallTime {
    let now = now.as_ms();
    WallTime::from_ms(match dice.below(12) {
        0 => 0,
        1 => dice.below(1_000),
        2 => u64::MAX / 4,
        3..6 => now.saturating_sub(dice.below(3_600_000)),
        6 => now.saturating_add(dice.below(3_600_000)),
        7 => 1_000_000,
        _ => now.saturating_add(dice.below(5_000)).saturating_sub(dice.below(5_000)),
    })
}

#[test]
fn whatever_the_clock_does_nothing_counted_is_lost_and_no_band_enters_early() {
    let (mut bands, mut back) = (0, 0);
    for seed in 0..3_000 {
        let (mut schedule, mut dice) = (Schedule::new(seed, Planner::Honest), Dice::new(!seed));
        let identity = schedule.rollout.identity().clone();
        let horizons = Horizons::new(identity.downtime, schedule.rollout.policy());
        let wild = dice.chance(0.5);
        for _ in 0..120 {
            if dice.chance(if wild { 0.3 } else { 0.03 }) {
                let next = elsewhere(&mut dice, schedule.now);
                back += u32::from(next < schedule.now);
                schedule.now = next;
            }
            let (before, blocks) = (counted(&schedule.rollout), open_blocks(&schedule.rollout));
            schedule.run(1).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
            let after = counted(&schedule.rollout);
            assert!(
                before.iter().zip(&after).all(|(before, after)| before <= after),
                "seed {seed}: {before:?} {after:?}"
            );
            for (block, due) in entered(&blocks, &open_blocks(&schedule.rollout), &horizons) {
                bands += 1;
                assert!(due <= schedule.now, "seed {seed}: block {block} was due at {due:?}, it is {:?}", schedule.now);
            }
        }
    }
    println!("{back} jumps back, {bands} bands");
    assert!(back > 10_000 && bands > 1_000);
}

/// The devices whose places are open.
fn open_places(rollout: &Rollout) -> Vec<DeviceId> {
    let places = rollout.rows().iter().flat_map(|row| &row.places);
    places.filter(|place| matches!(place.stage, Stage::Open { .. })).map(|place| place.device.clone()).collect()
}

#[test]
fn at_the_beginning_and_at_the_end_of_time_a_plan_is_made_without_a_panic() {
    let mut taken = 0;
    for seed in 0..300 {
        let mut schedule = Schedule::new(seed, Planner::Honest);
        schedule.run(60).unwrap();
        for at in [u64::MAX, 0, u64::MAX - 1, 1, u64::MAX / 2] {
            schedule.now = WallTime::from_ms(at);
            for device in open_places(&schedule.rollout) {
                taken += 1;
                schedule.apply(Fact::Took { device }).unwrap_or_else(|what| panic!("seed {seed} at {at}: {what}"));
            }
            for _ in 0..3 {
                schedule.plans().unwrap_or_else(|what| panic!("seed {seed} at {at}: {what}"));
            }
        }
    }
    assert!(taken > 100, "{taken}");
}
