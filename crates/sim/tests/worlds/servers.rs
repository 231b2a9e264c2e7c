//! Whole servers that die, stall, lose requests, read stale copies and race for the lease: what they record holds all the same.

use tidegate_sim::compare::trace;
use tidegate_sim::outcome::Outcome;
use tidegate_sim::replay::again::again;
use tidegate_sim::replay::{History, Recorded, replay};
use tidegate_sim::scenario::Scenario;
use tidegate_sim::to_the_end;

use crate::world::policy;

fn served(devices: u32, rest: &str) -> Scenario {
    let text = format!(
        r#"
        name = "served"
        title = "a world of a test"
        devices = {devices}
        horizon = "12h"
        {rest}
        [fleet]
        lab = 10
        silence = 0.0
        failures = 0.0
        [[fleet.attributes]]
        name = "os"
        values = [["linux", 60.0], ["windows", 40.0]]
        "#
    );
    Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

const HARSH: &str = r#"
[network]
loss = 0.02
late = 0.02
duplication = 0.05
skew = 0.01
[servers]
count = 2
crash = 0.003
lost = 0.02
stale = 0.1
stall = 0.005
skew = "3s"
"#;

/// What became of it, and everything that the servers recorded of their decisions.
fn ran(scenario: &Scenario, seed: u64) -> (Outcome, Vec<String>) {
    let mut lines = Vec::new();
    let outcome = trace(scenario, &policy("default"), seed, &to_the_end, &mut |line| lines.push(line.to_owned()));
    assert_eq!((&outcome.broken, &outcome.refused), (&Vec::new(), &None), "seed {seed}");
    (outcome, lines)
}

fn decides_the_same_again(lines: &[String], seed: u64) {
    let history = History::read(lines.join("\n").as_bytes()).unwrap();
    let again = again(&history).unwrap();
    assert!(again.steps > 3 && again.same == again.steps, "seed {seed}: {again:?}");
}

#[test]
fn a_sound_release_reaches_the_fleet_whatever_befalls_the_servers_and_nothing_that_must_hold_breaks() {
    let scenario = served(300, HARSH);
    let (mut done, mut taken_over) = (0, 0);
    for seed in 1..=6 {
        let (outcome, lines) = ran(&scenario, seed);
        decides_the_same_again(&lines, seed);
        // A ring as small as these, whose block found no control because its server had just died, cannot clear: a person is called.
        assert!(outcome.fleet_done_ms.is_some() || outcome.called.is_some(), "seed {seed}: {outcome:?}");
        assert!(outcome.halted_at_ms.is_none(), "seed {seed}: {outcome:?}");
        done += u32::from(outcome.fleet_done_ms.is_some());
        taken_over += u32::from(outcome.recorded[1] > 0);
    }
    assert!(done >= 3 && taken_over >= 3, "{done} of 6 done, {taken_over} taken over by the second server");
}

#[test]
fn a_release_that_breaks_every_device_is_halted_whatever_befalls_the_servers() {
    let scenario = served(300, &format!("[fault]\nharm = \"crash\"\nhits = [{{ share = 1.0 }}]\n{HARSH}"));
    for seed in 1..=6 {
        let (outcome, lines) = ran(&scenario, seed);
        decides_the_same_again(&lines, seed);
        assert!(outcome.halted_at_ms.is_some() && outcome.harmed <= 10, "seed {seed}: {outcome:?}");
    }
}

#[test]
fn a_step_that_the_planner_would_not_take_is_found_in_a_history() {
    let (_, mut lines) = ran(&served(300, "[servers]\n"), 3);
    let widened =
        lines.iter().position(|line| line.contains("\"kind\":\"step\"") && line.contains("\"step\":2,")).unwrap();
    let narrow = lines[widened].clone();
    lines[widened] = narrow.replacen("\"addendum\":0,\"count\":", "\"addendum\":0,\"count\":1", 1);
    assert_ne!(lines[widened], narrow, "the second permit opens another ten places or more");
    let again = again(&History::read(lines.join("\n").as_bytes()).unwrap()).unwrap();
    assert_eq!(again.different.first().map(|first| first.entry), Some(widened as u64 + 1));
}

#[test]
fn another_policy_meets_the_same_devices_and_the_recorded_one_does_what_it_did() {
    let faulty = "[fault]\nharm = \"crash\"\nhits = [{ share = 1.0 }]\nonset = [\"90s\", \"120s\"]\n[servers]\n";
    let (outcome, lines) = ran(&served(300, faulty), 1);
    let history = History::read(lines.join("\n").as_bytes()).unwrap();
    let recorded = Recorded::new(&history, None).unwrap();
    assert_eq!((recorded.went.exposed, recorded.went.harmed), (outcome.exposed, outcome.harmed));
    let same = replay(&recorded, &recorded.policy, 1);
    assert_eq!((same.exposed, same.harmed, same.by_another), (outcome.exposed, outcome.harmed, 0));
    let recorded_s = recorded.went.halted_after.unwrap().as_ms() as f64 / 1e3;
    // The replay's steps fall on other instants: a step is ten seconds, and what is heard may wait for the next one.
    assert!((same.halted_after_s.unwrap() - recorded_s).abs() <= 20.0, "{same:?}, recorded {recorded_s}");
    // With the window four times as wide more devices take it, and those that never did on record do as others did.
    let mut wider = recorded.policy.clone();
    (wider.window.initial_all, wider.window.initial_value, wider.window.initial_stratum) = (40, 24, 12);
    let wider = replay(&recorded, &wider, 1);
    assert!(wider.by_another > 0 && wider.halted_after_s.is_some(), "{wider:?}");
    assert!(Recorded::new(&history, Some("nobody.1")).unwrap_err().to_string().contains("simulated.1"));
}

#[test]
fn the_same_seed_gives_the_same_log() {
    let scenario = served(300, HARSH);
    assert_eq!(ran(&scenario, 7), ran(&scenario, 7));
    assert_ne!(ran(&scenario, 7).1, ran(&scenario, 8).1);
}
