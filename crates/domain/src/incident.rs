//! An incident: what a halt leaves behind until every device that took the release is well again, in the whole fleet or in the parts that were
//! halted alone.
//!
//! It is a view of the halted rollout, computed anew from it at each look, from its tallies; only its opening, its reasons and the moment of its
//! restoration are its own. It goes back from restored only where more of the fleet is halted, and it changes nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{DeviceId, IncidentId, PackageName, RolloutId, Version};
use crate::observation::Trouble;
use crate::policy::OnHalt;
use crate::rollout::place::{Stage, Taken};
use crate::rollout::reason::HaltReason;
use crate::rollout::scope::ScopeName;
use crate::rollout::{Phase, Rollout};
use crate::time::WallTime;

/// What a halt leaves behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its name: `inc-` and the rollout.
    pub id: IncidentId,
    /// The rollout that halted.
    pub rollout: RolloutId,
    /// Its package.
    pub package: PackageName,
    /// The version that was being rolled out.
    pub version: Version,
    /// The parts of the fleet that were halted alone; none where the whole rollout was.
    #[serde(default)]
    pub parts: Vec<ScopeName>,
    /// When the rollout halted, or the first part of the fleet.
    pub opened_at_ms: WallTime,
    /// Why, the parts' reasons first.
    pub reasons: Vec<HaltReason>,
    /// Where the incident stands.
    #[serde(default)]
    pub state: IncidentState,
    /// The devices, as last observed.
    #[serde(default)]
    pub devices: Restoration,
    /// Since when each device that is well now has been so: the course of the restoration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub well: BTreeMap<DeviceId, WallTime>,
    /// The last trouble that each device told of with what was halted. It stays, whatever becomes of the device.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub words: BTreeMap<DeviceId, Trouble>,
}

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum IncidentState {
    /// Some device that took the release is not well yet.
    #[default]
    Open,
    /// Every device that took the release was well. For good, unless more of the fleet is halted.
    Restored {
        /// When that was first seen.
        at_ms: WallTime,
    },
}

/// How far restoration has come. Units: devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Restoration {
    /// Took the release.
    pub exposed: u32,
    /// Of them, failed or fell silent.
    pub harmed: u32,
    /// Of the harmed, well again.
    pub healed: u32,
    /// Of the exposed, well now: healthy, proven, back on their fallback or on another release; where the policy orders all back, only those
    /// that left it.
    pub restored: u32,
    /// Back on their fallback, and nobody had to come.
    pub back_without_hands: u32,
    /// Say that neither release nor fallback runs: somebody must come.
    pub needs_hands: u32,
}

impl IncidentState {
    /// The stable word.
    pub fn word(&self) -> &'static str {
        match self {
            IncidentState::Open => "open",
            IncidentState::Restored { .. } => "restored",
        }
    }
}

impl Incident {
    /// Opens the incident of a rollout that is halted, or parts of whose fleet are; none for any other.
    pub fn open(rollout: &Rollout, now: WallTime) -> Option<Incident> {
        let opened_at_ms = match (rollout.closed().first(), rollout.phase()) {
            (Some(first), _) => first.at_ms,
            (None, Phase::Halted { at_ms, .. }) => *at_ms,
            (None, _) => return None,
        };
        let identity = rollout.identity();
        let mut incident = Incident {
            id: IncidentId::of(&identity.rollout),
            rollout: identity.rollout.clone(),
            package: identity.package.clone(),
            version: identity.version.clone(),
            parts: Vec::new(),
            opened_at_ms,
            reasons: Vec::new(),
            state: IncidentState::Open,
            devices: Restoration::default(),
            well: BTreeMap::new(),
            words: BTreeMap::new(),
        };
        incident.observe(rollout, now);
        Some(incident)
    }

    /// Takes up what one device said: it is well from then on, or no longer; and what it told of trouble with what was halted.
    pub fn hear(&mut self, rollout: &Rollout, device: &DeviceId, trouble: Option<&Trouble>, now: WallTime) {
        let place = rollout.place_of(device).filter(|_| rollout.identity().rollout == self.rollout);
        let Some((_, row, place)) = place else { return };
        if let Some(trouble) = trouble.filter(|_| matches!(place.stage, Stage::Taken(_)) && rollout.is_to_be_left(row))
        {
            self.words.insert(device.clone(), trouble.clone());
        }
        match &place.stage {
            Stage::Taken(taken) if rollout.is_to_be_left(row) && is_well(rollout, taken) => {
                self.well.entry(device.clone()).or_insert(now);
            }
            _ => {
                self.well.remove(device);
            }
        }
    }

    /// Looks at the rollout again: what is halted, and the devices counted anew; closes when every exposed one is well. Says whether anything
    /// changed.
    /// Another rollout than its own changes nothing.
    pub fn observe(&mut self, rollout: &Rollout, now: WallTime) -> bool {
        if rollout.identity().rollout != self.rollout {
            return false;
        }
        let before = (self.state, self.devices);
        if self.covers_more_of(rollout) {
            self.state = IncidentState::Open;
            let well = rollout.taken_of_halted().filter(|(_, taken)| is_well(rollout, taken));
            for (device, _) in well {
                self.well.entry(device.clone()).or_insert(now);
            }
        }
        self.devices = Restoration::of(rollout);
        if self.state == IncidentState::Open && self.devices.restored == self.devices.exposed {
            self.state = IncidentState::Restored { at_ms: now };
        }
        before != (self.state, self.devices)
    }

    /// Takes up what was halted since the last look. Whether anything was.
    fn covers_more_of(&mut self, rollout: &Rollout) -> bool {
        let whole = match rollout.phase() {
            Phase::Halted { reasons, .. } => Some(reasons),
            Phase::Running | Phase::Paused { .. } | Phase::Completed { .. } => None,
        };
        let of_parts = rollout.closed().iter().flat_map(|part| &part.reasons);
        let reasons = of_parts.chain(whole.into_iter().flatten());
        if reasons.clone().count() == self.reasons.len() {
            return false;
        }
        self.reasons = reasons.cloned().collect();
        let parts = rollout.closed().iter().filter(|_| whole.is_none());
        self.parts = parts.map(|part| part.scope.clone()).collect();
        true
    }
}

/// Whether a device counts as restored, as [`Restoration::of`] counts.
fn is_well(rollout: &Rollout, taken: &Taken) -> bool {
    match rollout.policy().on_halt {
        OnHalt::Revert => (taken.returned || taken.moved_on) && !taken.needs_hands,
        OnHalt::Hold => taken.well,
    }
}

impl Restoration {
    /// The devices that took what is halted of a rollout, from its tallies: whatever was counted there is not counted again. O(closed strata).
    pub fn of(rollout: &Rollout) -> Restoration {
        let all_return = rollout.policy().on_halt == OnHalt::Revert;
        rollout.halted_tallies().fold(Restoration::default(), |sum, tally| Restoration {
            exposed: sum.exposed + tally.taken,
            harmed: sum.harmed + tally.harmed,
            healed: sum.healed + tally.healed,
            restored: sum.restored + if all_return { tally.back + tally.moved_on } else { tally.well },
            back_without_hands: sum.back_without_hands + tally.back,
            needs_hands: sum.needs_hands + tally.needs_hands,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::observation::{FailureReason, Observation};
    use crate::policy::Policy;
    use crate::rollout::Identity;
    use crate::rollout::fact::{Fact, RowCount};
    use crate::roster::Place;
    use crate::time::Elapsed;

    const NOW: WallTime = WallTime::from_ms(1_000_000);

    /// Three devices that took the release.
    fn taken() -> Rollout {
        let policy = Policy::parse("name = \"p\"\nrings = [{name = \"broad\", soak = \"1s\"}]").unwrap();
        let places =
            ["a", "b", "c"].map(|id| Place { device: id.parse().unwrap(), stratum: "all".parse().unwrap(), ring: 0 });
        let digest = Digest::of(b"x");
        let identity = Identity {
            rollout: "p.1".parse().unwrap(),
            package: "p".parse().unwrap(),
            version: "1".parse().unwrap(),
            release: digest,
            policy: digest,
            order: digest,
            started_at_ms: NOW,
            expires_at_ms: NOW.after(Elapsed::from_s(3_600)),
            downtime: Elapsed::from_s(1),
            numbers: Vec::new(),
        };
        let mut rollout =
            Rollout::start(identity, policy, BTreeMap::from([("all".parse().unwrap(), places.to_vec())]), |_| true);
        let counts = vec![RowCount { stratum: "all".parse().unwrap(), addendum: 0, count: 3 }];
        rollout.apply(&Fact::PermitIssued { step: 1, counts, take_by_ms: NOW.after(Elapsed::from_s(60)) }, NOW);
        for id in ["a", "b", "c"] {
            rollout.apply(&Fact::Took { device: id.parse().unwrap() }, NOW);
        }
        rollout
    }

    fn says(rollout: &mut Rollout, id: &str, observation: Observation) {
        rollout.apply(
            &Fact::Observed { device: id.parse().unwrap(), observation, age_ms: 500, numbers: BTreeMap::new() },
            NOW,
        );
    }

    fn halted() -> Rollout {
        let mut rollout = taken();
        let reasons = vec![HaltReason::ByPerson { by: "ada".parse().unwrap(), reason: "smoke".to_owned() }];
        rollout.apply(&Fact::Halted { reasons }, NOW);
        rollout
    }

    const CRASH: FailureReason = FailureReason::Crashed;

    #[test]
    fn only_a_halted_rollout_opens_an_incident() {
        assert_eq!(Incident::open(&taken(), NOW), None);
        let incident = Incident::open(&halted(), NOW).unwrap();
        assert_eq!((incident.id.as_str(), incident.state), ("inc-p.1", IncidentState::Open));
        assert_eq!(incident.devices, Restoration { exposed: 3, ..Restoration::default() });
    }

    #[test]
    fn it_closes_when_every_exposed_device_is_well_and_stays_closed() {
        let mut rollout = halted();
        let mut incident = Incident::open(&rollout, NOW).unwrap();
        says(&mut rollout, "a", Observation::Failed { reason: CRASH, attempt: 3 });
        says(&mut rollout, "a", Observation::Returned { reason: CRASH });
        says(&mut rollout, "b", Observation::Healthy);
        says(&mut rollout, "c", Observation::NeedsHands { reason: CRASH });
        assert!(incident.observe(&rollout, NOW));
        let counts =
            Restoration { exposed: 3, harmed: 2, healed: 1, restored: 2, back_without_hands: 1, needs_hands: 1 };
        assert_eq!((incident.state, incident.devices), (IncidentState::Open, counts));
        assert!(!incident.observe(&rollout, NOW), "nothing new");

        says(&mut rollout, "c", Observation::Returned { reason: CRASH });
        let later = NOW.after(Elapsed::from_s(9));
        incident.observe(&rollout, later);
        assert_eq!(incident.state, IncidentState::Restored { at_ms: later });
        says(&mut rollout, "b", Observation::Failed { reason: CRASH, attempt: 3 });
        incident.observe(&rollout, later.after(Elapsed::from_s(1)));
        assert_eq!(incident.state, IncidentState::Restored { at_ms: later }, "for good");
        assert_eq!(incident.devices.harmed, 3, "the count goes on");
    }

    #[test]
    fn it_keeps_since_when_each_device_is_well() {
        let mut rollout = taken();
        says(&mut rollout, "a", Observation::Healthy);
        says(&mut rollout, "b", Observation::Failed { reason: CRASH, attempt: 3 });
        let mut incident = {
            let reasons = vec![HaltReason::ByPerson { by: "ada".parse().unwrap(), reason: "smoke".to_owned() }];
            rollout.apply(&Fact::Halted { reasons }, NOW);
            Incident::open(&rollout, NOW).unwrap()
        };
        let well = |incident: &Incident| {
            incident.well.iter().map(|(device, at)| (device.to_string(), at.since(NOW).as_ms())).collect::<Vec<_>>()
        };
        assert_eq!(well(&incident), [("a".to_owned(), 0)], "it was so at the halt");
        let mut hears = |device: &str, observation, after_ms| {
            says(&mut rollout, device, observation);
            incident.hear(&rollout, &device.parse().unwrap(), None, NOW.after(Elapsed::from_ms(after_ms)));
            well(&incident)
        };
        assert_eq!(hears("b", Observation::Returned { reason: CRASH }, 5).len(), 2);
        assert_eq!(hears("a", Observation::Failed { reason: CRASH, attempt: 1 }, 6), [("b".to_owned(), 5)]);
        assert_eq!(hears("b", Observation::Healthy, 7), [("b".to_owned(), 5)], "since the first time");
        assert_eq!(hears("nobody", Observation::Healthy, 8), [("b".to_owned(), 5)]);
    }

    #[test]
    fn a_device_that_runs_another_release_well_is_restored_and_what_it_said_stays() {
        let mut rollout = halted();
        let mut incident = Incident::open(&rollout, NOW).unwrap();
        says(&mut rollout, "a", Observation::NeedsHands { reason: CRASH });
        let trouble =
            Trouble { what: "needs_hands: crashed".to_owned(), detail: "no slot runs".to_owned(), at_ms: NOW };
        let a: DeviceId = "a".parse().unwrap();
        incident.hear(&rollout, &a, Some(&trouble), NOW);
        incident.observe(&rollout, NOW);
        assert_eq!((incident.devices.needs_hands, incident.devices.restored), (1, 0));
        rollout.apply(&Fact::MovedOn { device: a.clone() }, NOW);
        incident.hear(&rollout, &a, None, NOW);
        incident.observe(&rollout, NOW);
        let counts = Restoration { exposed: 3, harmed: 1, healed: 1, restored: 1, ..Restoration::default() };
        assert_eq!(
            incident.devices, counts,
            "nobody has to come any more, and nobody says that it came back by itself"
        );
        assert_eq!((incident.well.len(), incident.words.get(&a)), (1, Some(&trouble)));
        says(&mut rollout, "a", Observation::NeedsHands { reason: CRASH });
        incident.observe(&rollout, NOW);
        assert_eq!(incident.devices, counts, "what is heard late of the release that it left");
    }

    #[test]
    fn an_incident_written_before_there_were_counts_can_still_be_read() {
        let incident = Incident::open(&halted(), NOW).unwrap();
        let mut value = serde_json::to_value(&incident).unwrap();
        assert_eq!(serde_json::from_value::<Incident>(value.clone()).unwrap(), incident);
        let map = value.as_object_mut().unwrap();
        map.remove("devices");
        map.remove("state");
        let old: Incident = serde_json::from_value(value).unwrap();
        assert_eq!((old.state, old.devices), (IncidentState::Open, Restoration::default()));
    }

    #[test]
    fn another_rollout_changes_nothing() {
        let mut incident = Incident::open(&halted(), NOW).unwrap();
        incident.rollout = "p.2".parse().unwrap();
        assert!(!incident.observe(&halted(), NOW));
    }
}
