//! The numbers of a release in the report: each device counts once, with what it says first in band 2.

use std::collections::BTreeMap;

use tidegate_domain::observation::Observation;
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::time::Elapsed;

use crate::fleet::{Fleet, Nature};
use crate::scenarios::plain;

#[test]
fn a_device_counts_once_with_its_first_healthy_word_of_band_2() {
    let (policy, candidates) = plain("");
    // Who is off says a number, so that the release declares one.
    let nature = Nature { off: (0.0, 1e-9), ..Nature::good() };
    let mut fleet = Fleet::new(&policy, candidates, Elapsed::from_s(1), Elapsed::from_ms(250), nature, 1);
    while fleet.rollout.taken().next().is_none() {
        fleet.step();
    }
    let device = fleet.rollout.taken().next().map(|(device, _)| device.clone()).unwrap();
    let name = fleet.rollout.identity().numbers[0].name.clone();
    let mut says = |milli: i64, age: Elapsed| {
        let (observation, age_ms, numbers) =
            (Observation::Healthy, age.as_ms(), BTreeMap::from([(name.clone(), milli)]));
        fleet.apply(Fact::Observed { device: device.clone(), observation, age_ms, numbers });
        fleet.report().numbers[0].treated.map(|treated| (treated.devices, treated.mean))
    };
    // A downtime of one second and two check-ins of one are band 1.
    assert_eq!(says(1_000, Elapsed::from_ms(2_900)), None, "band 1 is still the start");
    assert_eq!(says(2_500, Elapsed::from_ms(3_500)), Some((1, 2.5)));
    assert_eq!(says(9_000, Elapsed::from_ms(4_500)), Some((1, 2.5)), "its own past says nothing of others");
}
