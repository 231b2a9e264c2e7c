//! What one recorded rollout says of its devices: who they are, how soon each took the release, and what it said how long after that.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_control::contract::{Entry, NewEntry, Table};
use tidegate_control::decision::{Decision, REPORT, TAKE};
use tidegate_control::state::State;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, NumberName, RolloutId, StratumName};
use tidegate_domain::observation::{FailureReason, Observation};
use tidegate_domain::policy::Policy;
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::place::Stage;
use tidegate_domain::rollout::{Identity, Phase, Rollout};
use tidegate_domain::roster::Candidate;
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_trust::records::{GoRequest, Report};

use super::{History, ReplayError};
use crate::record::body_of;

/// One word of a device.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Word {
    /// How long after the take it arrived.
    pub(super) after: Elapsed,
    /// What it saw.
    pub(super) observation: Observation,
    /// The age that it gave.
    pub(super) age: Elapsed,
    /// What it said in numbers, in thousandths.
    pub(super) numbers: BTreeMap<NumberName, i64>,
}

/// What a control said of itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct ControlSaid {
    /// That it failed.
    pub(super) failed: bool,
    /// In numbers, with its last healthy word.
    pub(super) numbers: BTreeMap<NumberName, i64>,
}

/// What a device did with the release once its place was open.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Script {
    /// From the opening of its place to its take.
    pub(super) takes_after: Elapsed,
    /// What it said.
    pub(super) says: Vec<Word>,
}

impl Script {
    /// Whether the release failed on it.
    pub(super) fn is_harmed(&self) -> bool {
        self.says.iter().any(|word| is_hard(&word.observation))
    }
}

/// One recorded rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The rollout.
    pub rollout: RolloutId,
    /// The policy that it was ordered under.
    pub policy: Policy,
    /// How it went.
    pub went: Went,
    pub(super) identity: Identity,
    pub(super) rank_seed: Digest,
    pub(super) candidates: Vec<Candidate>,
    /// Devices that were enrolled before the release was published.
    pub(super) evidence: BTreeSet<DeviceId>,
    /// By device: its stratum.
    pub(super) strata: BTreeMap<DeviceId, StratumName>,
    /// By device, of those that took it.
    pub(super) scripts: BTreeMap<DeviceId, Script>,
    /// By stratum of the recorded rollout: who took it.
    pub(super) takers: BTreeMap<StratumName, Vec<DeviceId>>,
    /// What the devices said that were controls.
    pub(super) controls: Vec<ControlSaid>,
}

/// How a recorded rollout went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Went {
    /// Devices that took the release.
    pub exposed: u32,
    /// Of them, those that said that it failed.
    pub harmed: u32,
    /// From the start to the halt.
    pub halted_after: Option<Elapsed>,
    /// Why.
    pub halt_reasons: Vec<String>,
    /// From the start to its completion.
    pub completed_after: Option<Elapsed>,
}

impl Recorded {
    /// The rollout of a history, the last one that was started unless one is named.
    ///
    /// # Errors
    /// When an entry cannot be folded, or there is no such rollout.
    pub fn new(history: &History, rollout: Option<&str>) -> Result<Recorded, ReplayError> {
        let state = history.fold()?;
        let known = || state.rollouts().keys().cloned().collect::<Vec<_>>();
        let unknown = || ReplayError::UnknownRollout { wanted: rollout.unwrap_or("any").to_owned(), known: known() };
        let course = match rollout {
            Some(name) => state.rollouts().values().find(|course| course.order_body.rollout.as_str() == name),
            None => state.rollouts().values().max_by_key(|course| course.rollout.identity().started_at_ms),
        };
        let course = course.ok_or_else(unknown)?;
        let id = course.order_body.rollout.clone();
        let mut reading = Reading::new(id.clone(), course.order.digest());
        let mut at = State::default();
        for entry in history.entries() {
            reading.read(&at, entry);
            at.apply(entry)?;
        }
        let rows = course.rollout.rows().iter();
        let strata: BTreeMap<DeviceId, StratumName> = rows
            .filter_map(|row| Some((row, course.rollout.stratum(row.stratum)?)))
            .flat_map(|(row, stratum)| row.places.iter().map(move |place| (place.device.clone(), stratum.clone())))
            .collect();
        let mut takers: BTreeMap<StratumName, Vec<DeviceId>> = BTreeMap::new();
        for device in reading.scripts.keys() {
            if let Some(stratum) = strata.get(device) {
                takers.entry(stratum.clone()).or_default().push(device.clone());
            }
        }
        let places = course.rollout.rows().iter().filter(|row| row.addendum == 0).flat_map(|row| &row.places);
        let candidate = |device: &DeviceId| {
            let enrolment = &state.devices().get(device)?.enrolment;
            let (ring, attributes) = (enrolment.ring.clone(), enrolment.attributes.clone());
            Some(Candidate { device: device.clone(), ring, attributes })
        };
        let candidates = places.clone().filter_map(|place| candidate(&place.device)).collect();
        let evidence = places.filter(|place| place.evidence).map(|place| place.device.clone()).collect();
        Ok(Recorded {
            rollout: id,
            policy: course.rollout.policy().clone(),
            went: went(&course.rollout, &reading.scripts),
            identity: course.rollout.identity().clone(),
            rank_seed: course.order_body.rank_seed,
            candidates,
            evidence,
            strata,
            scripts: reading.scripts,
            takers,
            controls: reading.controls.into_values().collect(),
        })
    }

    /// Devices of the order's rosters.
    pub fn devices(&self) -> usize {
        self.candidates.len()
    }
}

fn went(rollout: &Rollout, scripts: &BTreeMap<DeviceId, Script>) -> Went {
    let started = rollout.identity().started_at_ms;
    let mut went = Went {
        exposed: scripts.len() as u32,
        harmed: scripts.values().filter(|script| script.is_harmed()).count() as u32,
        ..Went::default()
    };
    match rollout.phase() {
        Phase::Halted { reasons, at_ms } => {
            went.halted_after = Some(at_ms.since(started));
            went.halt_reasons = reasons.iter().map(ToString::to_string).collect();
        }
        Phase::Completed { at_ms } => went.completed_after = Some(at_ms.since(started)),
        Phase::Running | Phase::Paused { .. } => {}
    }
    went
}

/// Reads what concerns one rollout.
struct Reading {
    id: RolloutId,
    order: Digest,
    opened: BTreeMap<u32, WallTime>,
    took: BTreeMap<DeviceId, WallTime>,
    scripts: BTreeMap<DeviceId, Script>,
    controls: BTreeMap<DeviceId, ControlSaid>,
}

impl Reading {
    fn new(id: RolloutId, order: Digest) -> Reading {
        let (opened, took) = (BTreeMap::new(), BTreeMap::new());
        Reading { id, order, opened, took, scripts: BTreeMap::new(), controls: BTreeMap::new() }
    }

    /// Reads the next entry; `before` is what was known before it.
    fn read(&mut self, before: &State, entry: &Entry) {
        let NewEntry { table, kind, at, body, .. } = &entry.content;
        match (table, kind.as_str()) {
            (Table::Decisions, _) => {
                if let Ok(Decision::Step { rollout, facts, .. }) = serde_json::from_slice(body)
                    && rollout == self.id
                {
                    facts.iter().for_each(|fact| self.decided(fact, *at));
                }
            }
            (Table::Reports, TAKE) => {
                if let Some(go) = body_of::<GoRequest>(body).filter(|go| go.order == self.order) {
                    self.took(before, go.device, *at);
                }
            }
            (Table::Reports, REPORT) => {
                if let Some(report) = body_of::<Report>(body) {
                    self.said(report, *at);
                }
            }
            (Table::Reports, _) => {}
        }
    }

    fn decided(&mut self, fact: &Fact, at: WallTime) {
        match fact {
            Fact::PermitIssued { step, .. } => {
                self.opened.insert(*step, at);
            }
            Fact::BlockOpened { controls, .. } => {
                self.controls.extend(controls.iter().map(|device| (device.clone(), ControlSaid::default())));
            }
            _ => {}
        }
    }

    fn took(&mut self, before: &State, device: DeviceId, at: WallTime) {
        let course = before.rollouts().get(&self.id);
        let stage = course.and_then(|course| course.rollout.place_of(&device)).map(|(_, _, place)| &place.stage);
        let Some(Stage::Open { step }) = stage else { return };
        let takes_after = self.opened.get(step).map_or(Elapsed::ZERO, |opened| at.since(*opened));
        self.scripts.insert(device.clone(), Script { takes_after, says: Vec::new() });
        self.took.insert(device, at);
    }

    fn said(&mut self, report: Report, at: WallTime) {
        if report.order == Some(self.order)
            && let (Some(took), Some(script)) = (self.took.get(&report.device), self.scripts.get_mut(&report.device))
        {
            let (after, age) = (at.since(*took), Elapsed::from_ms(report.age_ms));
            script.says.push(Word { after, observation: report.observation, age, numbers: report.numbers });
        } else if let Some(said) = self.controls.get_mut(&report.device) {
            said.failed |= is_hard(&report.observation);
            if report.observation == Observation::Healthy {
                said.numbers = report.numbers;
            }
        }
    }
}

fn is_hard(observation: &Observation) -> bool {
    match observation {
        Observation::NeedsHands { .. } => true,
        Observation::Failed { reason, .. } => *reason != FailureReason::Reverted,
        _ => false,
    }
}
