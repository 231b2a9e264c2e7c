//! The conformance suite, and random schedules that the store has to answer as the model does.

use std::time::{SystemTime, UNIX_EPOCH};

use tidegate_control::conformance;
use tidegate_control::model_store::ModelStore;

use crate::{EPOCH, open, runtime};

#[test]
fn sqlite_keeps_every_promise_of_the_contract() {
    let runtime = runtime();
    for case in conformance::cases() {
        let folder = tempfile::tempdir().unwrap();
        let store = runtime.block_on(open(&folder.path().join("store.db")));
        let outcome = case.run(&mut |request| runtime.block_on(store.perform(request)));
        assert_eq!(outcome, Ok(()), "{}", case.name);
    }
}

#[test]
fn sqlite_answers_as_the_model_does_also_when_reopened_in_between() {
    let clock_seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
    let given = std::env::var("TIDEGATE_SEED").ok().map(|seed| seed.parse().expect("TIDEGATE_SEED is a number"));
    let seeds: Vec<u64> = given.map_or_else(|| (1..=8).chain([clock_seed]).collect(), |seed| vec![seed]);
    println!("seeds {seeds:?}; one again: TIDEGATE_SEED=N");
    let runtime = runtime();
    for seed in seeds {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let mut model = ModelStore::new(EPOCH);
        let mut store = Some(runtime.block_on(open(&path)));
        let mut asked = 0;
        let outcome = conformance::compare(seed, 400, &mut |request| model.perform(request), &mut |request| {
            asked += 1;
            if asked % 50 == 0 {
                runtime.block_on(store.take().unwrap().close());
                store = Some(runtime.block_on(open(&path)));
            }
            runtime.block_on(store.as_ref().unwrap().perform(request))
        });
        assert_eq!(outcome, Ok(()));
    }
}
