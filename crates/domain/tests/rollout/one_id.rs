//! A million devices with one id: one place, whoever names them and however often.

use std::collections::BTreeMap;

use tidegate_domain::digest::Digest;
use tidegate_domain::policy::Policy;
use tidegate_domain::rollout::Rollout;
use tidegate_domain::rollout::fact::{AddedPlace, Fact};
use tidegate_domain::rollout::planner::{Moment, plan};
use tidegate_domain::roster::{Candidate, Place, rosters};
use tidegate_domain::time::{Elapsed, WallTime};

use crate::fleet::candidate;
use crate::schedule::identity;

const MILLION: usize = 1_000_000;

fn policy() -> Policy {
    let text = "name = \"p\"\nrings = [{ name = \"first\", share = 0.5, soak = \"1s\" }, { name = \"last\", soak = \"1s\" }]\n\
                [strata]\nby = [\"os\"]\nlisted = [[\"a\"], [\"b\"]]\n[window]\ninitial_all = 1000000\ninitial_value = 1000000\n\
                initial_stratum = 1000000\nunproven_share_max = 1.0\n";
    Policy::parse(text).unwrap()
}

fn start(rosters: BTreeMap<tidegate_domain::ids::StratumName, Vec<Place>>) -> Rollout {
    Rollout::start(identity(WallTime::from_ms(0), Elapsed::from_s(3_600), Elapsed::ZERO), policy(), rosters, |_| true)
}

/// The places that the next plan opens, and those that it adds.
fn planned(rollout: &Rollout, joiners: Vec<AddedPlace>) -> (u32, usize) {
    let moment = Moment {
        now: WallTime::from_ms(1),
        well_in_tick: &|_, _| true,
        present: &|_| true,
        shut: &|_| false,
        serving_since: WallTime::default(),
        joiners,
        unproven_elsewhere: 0,
        unproven_everywhere_max: u32::MAX,
    };
    let next = plan(rollout, &moment).next;
    let opened = next.iter().find_map(|fact| match fact {
        Fact::PermitIssued { counts, .. } => Some(counts.iter().map(|row| row.count).sum()),
        _ => None,
    });
    let added = next.iter().find_map(|fact| match fact {
        Fact::AddendumIssued { places, .. } => Some(places.len()),
        _ => None,
    });
    (opened.unwrap_or(0), added.unwrap_or(0))
}

fn places(rollout: &Rollout) -> usize {
    rollout.rows().iter().map(|row| row.places.len()).sum()
}

#[test]
fn a_million_candidates_with_one_id_stand_on_one_place() {
    let same: Vec<Candidate> =
        (0..MILLION).map(|i| candidate("same".to_owned(), &[("os", ["a", "b", "c"][i % 3])], None)).collect();
    let rosters = rosters(&policy(), &Digest::of(b"seed"), same);
    assert_eq!(rosters.values().map(Vec::len).sum::<usize>(), 1, "{:?}", rosters.keys());
    assert_eq!(rosters.keys().next().unwrap().as_str(), "a", "what was said of it first");
    let rollout = start(rosters);
    assert_eq!((rollout.place_count(), places(&rollout), rollout.places_left()), (1, 1, 1));
    assert_eq!(planned(&rollout, Vec::new()).0, 1);
}

#[test]
fn ids_that_are_named_again_change_nothing_for_the_others() {
    let once: Vec<Candidate> = (0..1_000).map(|i| candidate(format!("d{i}"), &[("os", "a")], None)).collect();
    let again = once.iter().flat_map(|candidate| [candidate.clone(), candidate.clone()]).chain(once.clone()).collect();
    let seed = Digest::of(b"seed");
    assert_eq!(rosters(&policy(), &seed, again), rosters(&policy(), &seed, once), "the shares of the rings too");
}

#[test]
fn a_roster_that_names_one_id_a_million_times_gives_it_one_place() {
    let place =
        |stratum: &str, ring| Place { device: "same".parse().unwrap(), stratum: stratum.parse().unwrap(), ring };
    let of =
        |stratum: &str| (stratum.parse().unwrap(), (0..MILLION / 2).map(|i| place(stratum, (i % 2) as u8)).collect());
    let rollout = start(BTreeMap::from([of("a"), of("b")]));
    assert_eq!((rollout.place_count(), places(&rollout), rollout.places_left()), (1, 1, 1));
    assert_eq!(rollout.scopes().all().unwrap().places, [1, 0]);
    assert_eq!(planned(&rollout, Vec::new()), (1, 0));
    let mut back: Rollout = serde_json::from_str(&serde_json::to_string(&rollout).unwrap()).unwrap();
    back.reindex();
    assert_eq!(back, rollout);
}

#[test]
fn a_million_joiners_with_one_id_get_one_place() {
    let rollout =
        start(rosters(&policy(), &Digest::of(b"seed"), vec![candidate("d".to_owned(), &[("os", "a")], None)]));
    let joiner =
        AddedPlace { device: "same".parse().unwrap(), stratum: "a".parse().unwrap(), ring: 0, evidence: false };
    assert_eq!(planned(&rollout, vec![joiner; MILLION]), (2, 1));
}
