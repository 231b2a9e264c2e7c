//! What comes with the program: the scenarios of the disaster suite and the policies of the house.

use tidegate_domain::policy::{Policy, PolicyError};

use crate::scenario::{Scenario, ScenarioError};

macro_rules! texts {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("../../../scenarios/", $name, ".toml")))),*] };
}

/// The disaster suite: every scenario with its text, in the order of the table of disasters.
pub const SUITE: &[(&str, &str)] = texts! {
    "crowdstrike_291"
    "mcafee_5958"
    "sophos_shh"
    "webroot_2017"
    "defender_asr"
    "kb5000802"
    "win10_1809"
    "kb5066835_winre"
    "cloudflare_waf"
    "cloudflare_bot"
    "cloudflare_dec5"
    "gcp_service_control"
    "facebook"
    "datadog"
    "rogers"
    "optus"
    "azure_ad_sdp"
    "azure_ad_key"
    "afd"
    "fastly"
    "knight"
    "samsung_bluray"
    "samsung_soundbar"
    "lockstate"
    "nest"
    "hp_officejet"
    "ios_801"
    "galaxy_s10"
    "rivian"
    "firefox_cert"
    "sonos_app"
    "ledger_kit"
    "solarwinds"
    "notpetya"
    "3cx"
    "xz"
    "viasat"
    "pumpkin"
};

/// Scenarios that are no disaster.
pub const OTHERS: &[(&str, &str)] = texts! {
    "sound_release"
    "one_in_ten_crashes"
    "one_in_a_hundred_crashes"
    "one_stratum_bricks"
    "one_value_bricks"
    "crash_after_five_minutes"
    "servers_fail"
};

/// The policies of the house with their texts.
pub const POLICIES: &[(&str, &str)] = &[
    ("default", include_str!("../../../policies/default.toml")),
    ("expedited", include_str!("../../../policies/expedited.toml")),
];

/// Every scenario with its text.
pub fn all() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    SUITE.iter().chain(OTHERS)
}

/// A scenario by name.
///
/// # Errors
/// Never for what comes with the program; a test reads them all.
pub fn scenario(name: &str) -> Option<Result<Scenario, ScenarioError>> {
    all().find(|(known, _)| *known == name).map(|(_, text)| Scenario::parse(text))
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
        for (name, text) in all() {
            let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(scenario.name, *name);
        }
        for (name, text) in POLICIES {
            assert_eq!(Policy::parse(text).unwrap().name.as_str(), *name);
        }
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios")).unwrap();
        let files = folder.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|end| end == "toml"));
        assert_eq!(files.count(), all().count(), "the folder and the list hold the same");
    }
}
