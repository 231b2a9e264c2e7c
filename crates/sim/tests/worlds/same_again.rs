//! The same seed gives the same answer, byte for byte, whatever the number of threads.

use tidegate_sim::compare::{Entrant, TUNING_DEVICES, compare, trace};
use tidegate_sim::many::many;
use tidegate_sim::rivals::Rule;
use tidegate_sim::to_the_end;

use crate::world::{ours, policy, world};

const WEATHER: &str = r#"
    fault = { harm = "crash", hits = [{share = 0.05}], onset = ["1s", "20s"] }
    network = { loss = 0.05, duplication = 0.2, late = 0.1, skew = 0.01 }
    server_down = [{ at = "25min", for = "7min" }]
    fleet = { laptops = 0.2, joining = 0.1, outages = [{ share = 0.3, at = "30min", for = "20min" }] }
"#;

/// `[[fleet.attributes]]` cannot follow an inline `fleet`; these worlds have one stratum.
fn weather() -> tidegate_sim::scenario::Scenario {
    let text = format!("name = \"w\"\ntitle = \"t\"\ndevices = 5000\nhorizon = \"24h\"\n{WEATHER}");
    tidegate_sim::scenario::Scenario::parse(&text).unwrap()
}

#[test]
fn the_answer_does_not_depend_on_the_number_of_threads() {
    let entrants = [
        ours("default"),
        ours("expedited"),
        Entrant::Rule { rule: Rule::PercentGroups, tuned_on: TUNING_DEVICES },
        Entrant::Rule { rule: Rule::TimedWaves, tuned_on: TUNING_DEVICES },
    ];
    let one = compare(&weather(), &entrants, 7, 1, &to_the_end);
    for threads in [2, 5] {
        assert_eq!(compare(&weather(), &entrants, 7, threads, &to_the_end), one);
    }
    let entrants = [ours("expedited")];
    let one = many(&world(2_000, ""), &entrants, (3, 6), 1, &to_the_end);
    assert_eq!(many(&world(2_000, ""), &entrants, (3, 6), 4, &to_the_end), one);
}

#[test]
fn the_same_seed_gives_the_same_decisions_byte_for_byte_and_another_seed_others() {
    let lines = |seed| {
        let mut lines = Vec::new();
        trace(&weather(), &policy("default"), seed, &to_the_end, &mut |line| lines.push(line.to_owned()));
        lines
    };
    let first = lines(1);
    assert!(first.len() > 50, "{}", first.len());
    assert!(first.iter().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    assert_eq!(lines(1), first);
    assert_ne!(lines(2), first);
}
