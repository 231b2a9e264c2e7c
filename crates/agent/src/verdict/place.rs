//! Steps 6 to 8 in detail: does the permit keep the first window, and does the place that it opens belong to this device?

use std::collections::BTreeMap;

use tidegate_domain::ids::StratumName;
use tidegate_domain::observation::RefusalReason;
use tidegate_domain::policy::Policy;
use tidegate_domain::roster::ProvenPlace;
use tidegate_trust::records::{Addendum, Enrolment, Order, Permit, RosterRoot};
use tidegate_trust::signed::Verified;

use super::{Refusal, refuse};

/// What opens before any proof keeps the policy's initial window, in the scope of all devices, of each value and of each stratum.
pub(super) fn check_first_window(permit: &Permit, policy: &Policy) -> Result<(), Refusal> {
    let mut strata: BTreeMap<&StratumName, u64> = BTreeMap::new();
    for count in &permit.counts {
        *strata.entry(&count.stratum).or_default() += u64::from(count.count);
    }
    let mut values: BTreeMap<(usize, &str), u64> = BTreeMap::new();
    for (stratum, count) in &strata {
        for (i, value) in policy.strata.values_of(stratum).into_iter().flatten().enumerate() {
            *values.entry((i, value.as_str())).or_default() += count;
        }
    }
    let window = &policy.window;
    let over = |what: String, count: u64, most: u32| {
        let detail = format!("the first permit opens {count} places {what}; the policy's initial window is {most}");
        Err(Refusal { reason: RefusalReason::OutsideEnvelope, detail })
    };
    let all: u64 = strata.values().sum();
    if all > u64::from(window.initial_all) {
        return over("in all".to_owned(), all, window.initial_all);
    }
    if let Some(((_, value), count)) = values.iter().find(|(_, count)| **count > u64::from(window.initial_value)) {
        return over(format!("for `{value}`"), *count, window.initial_value);
    }
    if let Some((stratum, count)) = strata.iter().find(|(_, count)| **count > u64::from(window.initial_stratum)) {
        return over(format!("in the stratum `{stratum}`"), *count, window.initial_stratum);
    }
    Ok(())
}

pub(super) fn rosters_of<'a>(
    order: &'a Verified<Order>,
    addendum: Option<&'a Verified<Addendum>>,
    place: &ProvenPlace,
) -> Result<&'a [RosterRoot], Refusal> {
    match addendum {
        None if place.addendum == 0 => Ok(&order.body().rosters),
        Some(addendum) if place.addendum == addendum.body().number && place.addendum > 0 => {
            if addendum.body().order != order.digest() {
                return Err(refuse(RefusalReason::Signature, "the addendum is for another order"));
            }
            Ok(&addendum.body().rosters)
        }
        _ => Err(refuse(RefusalReason::WrongPlace, "the place names a roster that did not come with the offer")),
    }
}

pub(super) fn check_place(
    place: &ProvenPlace,
    rosters: &[RosterRoot],
    order: &Order,
    policy: &Policy,
    enrolment: &Enrolment,
) -> Result<(), Refusal> {
    let wrong = |detail: String| Err(Refusal { reason: RefusalReason::WrongPlace, detail });
    if place.place.device != enrolment.device {
        return wrong(format!("the place is that of {}", place.place.device));
    }
    let stratum = policy.stratum_of(&enrolment.attributes);
    if place.place.stratum != stratum {
        return wrong(format!("the place is in the stratum `{}`, this device is in `{stratum}`", place.place.stratum));
    }
    if !policy.select.matches(&enrolment.attributes) {
        return wrong("the policy does not select this device".to_owned());
    }
    if let Some(label) = &enrolment.ring {
        let last = order.rings.len().saturating_sub(1);
        let own = order.rings.iter().position(|ring| ring == label).unwrap_or(last);
        if usize::from(place.place.ring) != own {
            let detail = format!("the place is in ring {}, this device is in ring {own} (`{label}`)", place.place.ring);
            return Err(Refusal { reason: RefusalReason::WrongRing, detail });
        }
    } else if usize::from(place.place.ring) >= order.rings.len() {
        return Err(refuse(RefusalReason::WrongRing, "the place is in a ring that the order does not have"));
    }
    let Some(roster) = rosters.iter().find(|roster| roster.stratum == stratum) else {
        return wrong(format!("there is no roster of the stratum `{stratum}`"));
    };
    if !place.proof.shows(&roster.root, &place.place.leaf(), place.index, roster.size) {
        return wrong("the proof does not lead to the signed root".to_owned());
    }
    Ok(())
}

pub(super) fn check_reach(place: &ProvenPlace, permit: &Permit) -> Result<(), Refusal> {
    let mut counts = permit.counts.iter();
    let count = counts.find(|c| c.stratum == place.place.stratum && c.addendum == place.addendum);
    let open = count.map_or(0, |c| c.count);
    if place.index < open {
        return Ok(());
    }
    let detail = format!("the permit opens {open} places of the roster, this device stands at {}", place.index);
    Err(Refusal { reason: RefusalReason::WrongPlace, detail })
}
