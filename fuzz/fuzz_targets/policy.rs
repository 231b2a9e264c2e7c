//! Policies: what is accepted is the same when written and read again, and every device finds one stratum and one ring in it.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tidegate_domain::attributes::Attributes;
use tidegate_domain::digest::Digest;
use tidegate_domain::envelope::Envelope;
use tidegate_domain::ids::RingName;
use tidegate_domain::policy::{Policy, STRATA_MAX};
use tidegate_domain::roster::{Candidate, rosters};
use tidegate_fuzz::{bounded, repository_file, seed};

static SAFE: LazyLock<Envelope> = LazyLock::new(|| Envelope::parse("name = \"safe\"").unwrap());

fuzz_target!(
    init: {
        for name in ["default", "expedited", "demo"] {
            seed(name, repository_file(&format!("policies/{name}.toml")));
        }
        seed("strata", "name=\"p\"\nrings=[{name=\"a\",lab=true,share=0.5,soak=\"1h\"},{name=\"b\",soak=\"0s\"}]\n\
            [strata]\nby=[\"os\",\"site\"]\nlisted=[[\"linux\",\"ams\"],[\"linux\",\"fra\"]]\n[holdback]\nshare=0.1\n");
    },
    |text: &str| {
        let Ok(policy) = bounded(text.len(), || Policy::parse(text)) else { return };
        let written = toml::to_string(&policy).expect("a policy can be written");
        assert_eq!(Policy::parse(&written).as_ref(), Ok(&policy), "{written}");
        if SAFE.admits(&policy).is_ok() {
            let (window, gate) = (&policy.window, &policy.gate);
            assert!(window.initial_all <= 100 && window.growth <= 3 && window.unproven_share_max <= 0.25);
            assert!(gate.beta <= 0.05 && gate.alpha >= 1e-6);
        }
        every_device_has_one_place(&policy);
    }
);

fn every_device_has_one_place(policy: &Policy) {
    let values = policy.strata.listed.iter().chain([const { &Vec::new() }]).take(STRATA_MAX);
    let mut candidates = Vec::new();
    for (n, values) in values.enumerate() {
        let map: BTreeMap<_, _> = policy.strata.by.iter().cloned().zip(values.iter().cloned()).collect();
        for ring in [None, policy.rings.first().map(|ring| ring.name.clone()), Some("mistyped".parse().unwrap())] {
            let ring: Option<RingName> = ring;
            let device = format!("d-{n}-{}", ring.as_ref().map_or("none", |ring| ring.as_str())).parse().unwrap();
            candidates.push(Candidate { device, ring, attributes: Attributes::try_from(map.clone()).unwrap() });
        }
    }
    candidates.dedup_by(|a, b| a.device == b.device);
    let count = candidates.len();
    let rosters = rosters(policy, &Digest::of(b"seed"), candidates);
    assert_eq!(rosters.values().map(Vec::len).sum::<usize>(), count, "every device stands once");
    assert!(rosters.len() <= STRATA_MAX);
    for (stratum, places) in &rosters {
        assert!(places.is_sorted_by_key(|place| place.ring), "rings stand in order");
        assert!(places.iter().all(|place| usize::from(place.ring) < policy.rings.len() && place.stratum == *stratum));
    }
}
