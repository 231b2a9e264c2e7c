//! P1: at every instant, in every scope, no more is unproven than the window allows, whatever happens and in whatever order.

use tidegate_domain::rollout::take::GoRefusal;

use crate::count::Planner;
use crate::schedule::{Schedule, Tried};

const SCHEDULES: u64 = 10_400;
const STEPS: u64 = 100;

fn run(seeds: std::ops::Range<u64>, planner: Planner) -> Tried {
    let mut all = Tried::default();
    for seed in seeds {
        let mut schedule = Schedule::new(seed, planner);
        if let Err(what) = schedule.run(STEPS) {
            panic!("seed {seed}: {what}");
        }
        all.add(&schedule.tried);
    }
    all
}

fn tried_everything(tried: &Tried) {
    let Tried { facts, takes, refused, lapses, addenda, blocks, controls, restarts, rings_passed, completed, halted } =
        *tried;
    println!("{tried:?}");
    for count in [facts, takes, refused, lapses, addenda, blocks, controls, restarts, rings_passed, completed, halted] {
        assert!(count > 40, "the schedules do not reach everything: {tried:?}");
    }
}

#[test]
fn no_schedule_leaves_the_window_in_any_scope() {
    tried_everything(&run(0..SCHEDULES / 2, Planner::Honest));
}

#[test]
fn no_other_schedule_leaves_the_window_in_any_scope() {
    tried_everything(&run(SCHEDULES / 2..SCHEDULES, Planner::Honest));
}

#[test]
fn a_planner_that_lies_takes_no_device_beyond_the_window() {
    run(0..2_000, Planner::Lying);
}

#[test]
fn after_a_permit_for_everybody_each_scope_lets_its_first_window_go_and_no_more() {
    for seed in 0..500 {
        let mut schedule = Schedule::new(seed, Planner::Lying);
        schedule.lies().unwrap();
        let devices: Vec<_> =
            schedule.rollout.rows().iter().flat_map(|row| &row.places).map(|place| place.device.clone()).collect();
        for device in &devices {
            schedule.asks_to_go(device.clone()).unwrap();
        }
        let window = &schedule.rollout.policy().window;
        let all = schedule.rollout.scopes().all().unwrap();
        assert!(all.taken_unproven() <= window.initial_all, "seed {seed}");
        for device in devices {
            match schedule.rollout.may_take(&device, schedule.now) {
                Err(GoRefusal::WindowFull { .. } | GoRefusal::NotOpen(_)) => {}
                Ok(_) => assert!(schedule.rollout.taken().any(|(taken, _)| *taken == device), "seed {seed}: {device}"),
                Err(other) => panic!("seed {seed}: {other}"),
            }
        }
    }
}
