//! Worlds for these tests, and how they are run.

use tidegate_domain::policy::Policy;
use tidegate_sim::catalogue;
use tidegate_sim::compare::{Entrant, Fared, TUNING_DEVICES, compare};
use tidegate_sim::rivals::Rule;
use tidegate_sim::scenario::Scenario;
use tidegate_sim::to_the_end;

/// Two attributes, twelve strata; `rest` may say anything else.
pub(crate) fn world(devices: u32, rest: &str) -> Scenario {
    let text = format!(
        r#"
        name = "world"
        title = "a world of a test"
        devices = {devices}
        horizon = "24h"
        {rest}
        [[fleet.attributes]]
        name = "os"
        values = [["windows", 60.0], ["linux", 30.0], ["mac", 9.0], ["old", 1.0]]
        [[fleet.attributes]]
        name = "hardware"
        values = [["a", 70.0], ["b", 25.0], ["c", 5.0]]
        "#
    );
    Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

pub(crate) fn policy(name: &str) -> Policy {
    catalogue::policy(name).unwrap().unwrap()
}

pub(crate) fn ours(name: &str) -> Entrant {
    Entrant::Policy(Box::new(policy(name)))
}

/// How one entrant fares.
pub(crate) fn fared(scenario: &Scenario, entrant: Entrant, seed: u64) -> Fared {
    compare(scenario, &[entrant], seed, 1, &to_the_end).remove(0)
}

pub(crate) fn everyone_at_once(scenario: &Scenario, seed: u64) -> Fared {
    fared(scenario, Entrant::Rule { rule: Rule::EveryoneAtOnce, tuned_on: TUNING_DEVICES }, seed)
}
