//! Envelopes: the same when written and read again, and one without `danger` in its name admits nothing that the safe one refuses.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tidegate_domain::envelope::Envelope;
use tidegate_domain::policy::Policy;
use tidegate_fuzz::{bounded, repository_file, seed};

static SAFE: LazyLock<Envelope> = LazyLock::new(|| Envelope::parse("name = \"safe\"").unwrap());
/// Each leaves one bound of the safe envelope, but the first.
static POLICIES: LazyLock<Vec<Policy>> = LazyLock::new(|| {
    let policy = |rest: &str| {
        let rings = "rings = [{name = \"lab\", soak = \"1h\"}, {name = \"broad\", soak = \"1h\"}]";
        Policy::parse(&format!("name = \"p\"\n{rings}\n{rest}")).unwrap()
    };
    [
        "",
        "window.initial_all = 101",
        "window.initial_value = 61",
        "window.initial_stratum = 31",
        "window.growth = 4",
        "window.unproven_share_max = 0.26",
        "prove.for = \"119s\"",
        "gate.beta = 0.06",
        "gate.tolerate_hard = 0.021",
        "gate.tolerate_silent = 0.021",
        "gate.alpha = 1e-7",
    ]
    .map(policy)
    .into()
});

fuzz_target!(
    init: {
        seed("safe", "name = \"safe\"\nrings_required = [\"lab\"]\n");
        seed("danger", repository_file("policies/danger-demo-envelope.toml"));
        seed("all", toml::to_string(&*SAFE).unwrap());
    },
    |text: &str| {
        let Ok(envelope) = bounded(text.len(), || Envelope::parse(text)) else { return };
        let written = toml::to_string(&envelope).expect("an envelope can be written");
        assert_eq!(Envelope::parse(&written).as_ref(), Ok(&envelope), "{written}");
        for policy in POLICIES.iter() {
            let admitted = envelope.admits(policy).is_ok();
            assert!(
                !admitted || envelope.name.as_str().contains("danger") || SAFE.admits(policy).is_ok(),
                "the envelope `{}` is weaker than the safe one without saying so",
                envelope.name
            );
        }
    }
);
