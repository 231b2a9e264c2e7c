//! A fleet of six strata by two attributes, with two rings and no lab.

use tidegate_domain::policy::Policy;
use tidegate_domain::time::Elapsed;

use crate::fleet::{Fleet, Nature, candidate};

/// The strata, in the order in which the devices `d0`, `d1`, … fall into them.
pub(crate) const STRATA: [(&str, &str); 6] =
    [("linux", "ams"), ("linux", "fra"), ("mac", "ams"), ("mac", "fra"), ("windows", "ams"), ("windows", "fra")];

/// So many devices under this policy with `rest`.
pub(crate) fn fleet(rest: &str, devices: usize, nature: Nature, seed: u64) -> Fleet {
    let text = format!(
        r#"
        name = "six-strata"
        {rest}
        rings = [
            {{name = "canary", share = 0.1, soak = "1s", clear_hard = 0.5, clear_silent = 0.5}},
            {{name = "broad", soak = "1s", clear_hard = 0.3, clear_silent = 0.3}},
        ]
        [strata]
        by = ["os", "site"]
        listed = [["linux", "ams"], ["linux", "fra"], ["mac", "ams"], ["mac", "fra"], ["windows", "ams"], ["windows", "fra"]]
        [prove]
        for = "4s"
        [pace]
        check_in = "1s"
        take_within = "10s"
        [holdback]
        share = 0.05
        "#
    );
    let policy = Policy::parse(&text).unwrap();
    let attributes = |i: usize| [("os", STRATA[i % 6].0), ("site", STRATA[i % 6].1)];
    let candidates = (0..devices).map(|i| candidate(format!("d{i}"), &attributes(i), None)).collect();
    Fleet::new(&policy, candidates, Elapsed::from_s(1), Elapsed::from_ms(250), nature, seed)
}
