//! P3: the agent and the guard killed with SIGKILL at every persisted step recover to one defined state and go on from it.

use crate::bench::{BAD, Bench, GOOD};

/// Kills at a point on the way of a good release to the fallback, starts again without the drill, and wants the same end as ever.
fn good_release_survives(point: &str) -> bool {
    let mut bench = Bench::new();
    let kept = bench.folder.path().join("token.json").display().to_string();
    bench.with_flags(&["--keep", &kept]);
    let release = bench.offer("1.0.0", GOOD, 1);
    bench.start_with_drill(point);
    let proven = |world: &mut crate::server::World| {
        let proven = world.reports.values().any(|r| r.observation.word() == "proven");
        if proven && world.fleet_proven.is_empty() {
            world.fleet_proven = vec![world.fleet.fleet_proven(world.offer.as_ref().unwrap())];
        }
        proven
    };
    let arrived = move |b: &mut Bench| b.server.with(proven) && b.pointer("fallback") == Some(release.digest);
    let mut drilled = false;
    bench.wait_until(point, |b| {
        if !drilled && b.drill_file().exists() {
            drilled = true;
            b.assert_defined();
            // A guard that was killed is started again by its agent; an agent that was killed by whoever starts agents.
            if !point.starts_with("guard") {
                b.kill();
                b.assert_defined();
                b.start();
            }
        }
        let ended = b.has_ended();
        assert!(!ended || b.drill_file().exists(), "{}", b.log());
        arrived(b)
    });
    bench.assert_defined();
    assert_eq!(
        (bench.pointer("current"), bench.pointer("kept")),
        (Some(release.digest), Some(bench.factory)),
        "{point}"
    );
    let needs_hands = bench.server.with(|w| w.reports.values().any(|r| r.observation.word() == "needs_hands"));
    assert!(!needs_hands, "{point}");
    drilled
}

/// The same on the way of a bad release, which must end on the fallback.
fn bad_release_is_left(point: &str) -> bool {
    let mut bench = Bench::new();
    bench.offer("1.0.0", BAD, 1);
    bench.start_with_drill(point);
    let mut drilled = false;
    let factory = bench.factory;
    bench.wait_until(point, |b| {
        if !drilled && b.drill_file().exists() {
            drilled = true;
            b.assert_defined();
            if !point.starts_with("guard") {
                b.kill();
                b.start();
            }
        }
        b.server.with(|w| w.reports.values().any(|r| r.observation.word() == "returned"))
    });
    bench.assert_defined();
    assert_eq!(bench.pointer("current"), Some(factory), "{point}");
    let words: Vec<_> = bench.server.with(|w| w.reports.values().map(|r| r.observation.word()).collect());
    assert!(words.contains(&"failed") && !words.contains(&"proven") && !words.contains(&"needs_hands"), "{words:?}");
    assert!(bench.attempts()["starts"].as_u64().unwrap() <= 8, "started too often");
    drilled
}

#[test]
fn every_drill_point_on_the_way_up_and_on_the_way_back_is_survived() {
    let back = ["state-reverting", "guard-current-pointer", "state-reverted"];
    let mut never = Vec::new();
    let hit =
        |point: &str| if back.contains(&point) { bad_release_is_left(point) } else { good_release_survives(point) };
    // Several at a time: most of each is waiting.
    for chunk in tidegate_agent::DRILL_POINTS.chunks(5) {
        std::thread::scope(|scope| {
            let runs: Vec<_> = chunk.iter().map(|point| (point, scope.spawn(move || hit(point)))).collect();
            for (point, run) in runs {
                let survived = run.join().unwrap_or_else(|_| panic!("drill {point}"));
                if !survived {
                    never.push(*point);
                }
            }
        });
    }
    assert!(never.is_empty(), "these points were never reached: {never:?}");
}

#[test]
fn a_bad_release_is_left_wherever_the_device_loses_power_on_the_way() {
    for chunk in
        ["state-activating", "attempts-kept", "current-pointer", "guard-attempt-kept:1", "guard-before-start"].chunks(5)
    {
        std::thread::scope(|scope| {
            for point in chunk {
                scope.spawn(move || assert!(bad_release_is_left(point), "{point}"));
            }
        });
    }
}

#[test]
fn a_payload_that_is_killed_is_started_again_and_counted() {
    let mut bench = Bench::new();
    bench.offer("1.0.0", GOOD, 1);
    bench.start();
    bench.server.wait_for_report("proven");
    let (count, starts) = (bench.attempts()["count"].as_u64().unwrap(), bench.attempts()["starts"].as_u64().unwrap());
    let pattern = format!("{}", bench.package().join("run").display());
    // The payload is the one process whose environment names this package's run folder.
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.windows(pattern.len()).any(|w| w == pattern.as_bytes()) {
            std::process::Command::new("kill").args(["-9", &entry.file_name().to_string_lossy()]).status().unwrap();
        }
    }
    bench.wait_until("started again", |b| b.attempts()["starts"].as_u64() > Some(starts));
    assert_eq!(bench.attempts()["count"].as_u64(), Some(count + 1));
    assert_eq!(bench.state(), "proven");
}
