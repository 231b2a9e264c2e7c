//! Scenarios of the simulator: what is accepted is the same when written and read again, and its fleet can be made smaller.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_fuzz::{bounded, repository_file, seed};
use tidegate_sim::scenario::Scenario;

fuzz_target!(
    init: {
        for name in ["crowdstrike_291", "sound_release", "facebook", "one_value_bricks", "servers_fail"] {
            seed(name, repository_file(&format!("scenarios/{name}.toml")));
        }
    },
    |text: &str| {
        let Ok(scenario) = bounded(text.len(), || Scenario::parse(text)) else { return };
        let written = toml::to_string(&scenario).expect("a scenario can be written");
        assert_eq!(Scenario::parse(&written).as_ref(), Ok(&scenario), "{written}");
        if scenario.servers.is_some() {
            return;
        }
        let least = scenario.fleet.lab + 1;
        assert_eq!(scenario.with_devices(least).map(|small| small.devices), Ok(least));
        assert!(scenario.with_devices(scenario.fleet.lab).is_err());
    }
);
