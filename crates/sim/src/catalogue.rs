//! What comes with the program: the scenarios of the disaster suite and the policies of the house.

use tidegate_domain::policy::{Policy, PolicyError};

use crate::scenario::{Scenario, ScenarioError};

macro_rules! scenarios {
    ($($name:literal)*) => {
        /// Every scenario of the suite with its text, in the order of the table of disasters.
        pub const SCENARIOS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../scenarios/", $name, ".toml")))),*];
    };
}

scenarios! {
    "sound_release"
}

/// The policies of the house with their texts.
pub const POLICIES: &[(&str, &str)] = &[
    ("default", include_str!("../../../policies/default.toml")),
    ("expedited", include_str!("../../../policies/expedited.toml")),
];

/// A scenario of the suite.
///
/// # Errors
/// Never for what comes with the program; a test reads them all.
pub fn scenario(name: &str) -> Option<Result<Scenario, ScenarioError>> {
    SCENARIOS.iter().find(|(known, _)| *known == name).map(|(_, text)| Scenario::parse(text))
}

/// A policy of the house.
///
/// # Errors
/// Never for what comes with the program; a test reads them all.
pub fn policy(name: &str) -> Option<Result<Policy, PolicyError>> {
    POLICIES.iter().find(|(known, _)| *known == name).map(|(_, text)| Policy::parse(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_and_policy_can_be_read_and_goes_by_its_own_name() {
        for (name, text) in SCENARIOS {
            let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(scenario.name, *name);
        }
        for (name, text) in POLICIES {
            assert_eq!(Policy::parse(text).unwrap().name.as_str(), *name);
        }
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios")).unwrap();
        let files = folder.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|end| end == "toml"));
        assert_eq!(files.count(), SCENARIOS.len(), "the folder and the list hold the same");
    }
}
