//! Selectors: an error points into the text; a selector printed and parsed again is the same one.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use tidegate_domain::attributes::Attributes;
use tidegate_domain::selector::Selector;
use tidegate_fuzz::{bounded, same_again, seed};

fuzz_target!(
    init: {
        seed("logic", "os == \"windows\" && site in [\"ams\", \"fra\"] || !(role != \"till\")");
        seed("true", "true");
        seed("wrong", "os = windows");
    },
    |text: &str| {
        match bounded(text.len(), || text.parse::<Selector>()) {
            Err(error) => {
                let characters = text.chars().count();
                assert!((1..=characters + 1).contains(&error.column), "column {} of {characters}", error.column);
                assert!(error.text.chars().count() <= 200 && error.to_string().len() < 10_000);
            }
            Ok(selector) => {
                assert_eq!(selector.as_str(), text);
                assert_eq!(selector.to_string().parse::<Selector>().as_ref(), Ok(&selector));
                same_again(&selector);
                denied_is_the_contrary(&selector);
            }
        }
    }
);

fn denied_is_the_contrary(selector: &Selector) {
    let Ok(denied) = format!("!({selector})").parse::<Selector>() else { return };
    for pairs in [&[][..], &[("os", "windows"), ("site", "ams")]] {
        let map: BTreeMap<_, _> = pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect();
        let device = Attributes::try_from(map).unwrap();
        assert_ne!(selector.matches(&device), denied.matches(&device));
    }
}
