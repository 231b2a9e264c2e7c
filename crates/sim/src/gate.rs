//! The production rollout, planner and gate as a way to spread a release. Devices are numbers here and names there.

use std::collections::BTreeMap;

use tidegate_domain::device::Trial;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, RolloutId};
use tidegate_domain::observation::Observation;
use tidegate_domain::policy::Policy;
use tidegate_domain::rollout::block::Horizons;
use tidegate_domain::rollout::fact::{AddedPlace, Fact};
use tidegate_domain::rollout::hearing::Heard;
use tidegate_domain::rollout::place::{PlaceRef, Stage};
use tidegate_domain::rollout::planner::{Effect, Moment, plan_and_apply};
use tidegate_domain::rollout::take::Take;
use tidegate_domain::rollout::{Identity, Phase, Rollout};
use tidegate_domain::roster::Place;
use tidegate_domain::time::{Elapsed, WallTime};

use crate::chance::Stream;
use crate::fitting::Rings;
use crate::population::Population;
use crate::scenario::Scenario;
use crate::spread::{Presence, Spread, Stand, Stepped, Told};

/// A day in 2026, so that instants look like instants.
const START_MS: u64 = 1_780_000_000_000;

/// A release that the gate spreads.
pub(crate) struct Gated<'a> {
    rollout: Rollout,
    population: &'a Population,
    /// By stratum: the devices that join later come last and have no place yet.
    settled: Vec<u32>,
    /// Devices that join, by when.
    joiners: Vec<(u64, u32)>,
    joined: usize,
    lasting_ms: u64,
    stepped_ms: u64,
    serving_since_ms: u64,
    /// Who hears of each decision, as a line of JSON.
    trace: Option<Trace<'a>>,
}

/// Hears of each decision.
pub(crate) type Trace<'a> = &'a mut dyn FnMut(&str);

/// What devices try under a policy.
pub(crate) fn trial(policy: &Policy, scenario: &Scenario) -> Option<Trial> {
    Some(Trial {
        rollout: rollout_id()?,
        order: Digest::of(b"order"),
        permit: Digest::of(b"permit"),
        release: Digest::of(b"release"),
        version: "1".parse().ok()?,
        prove_for: policy.prove.duration,
        prove_restarts: policy.prove.restarts,
        downtime: scenario.release.downtime,
        contact_deadline: scenario.release.contact_deadline,
    })
}

fn rollout_id() -> Option<RolloutId> {
    "simulated.1".parse().ok()
}

impl<'a> Gated<'a> {
    /// A rollout of this policy at its start; none where a name of it is no name, which the scenario's bounds exclude.
    pub(crate) fn new(
        policy: &Policy,
        scenario: &Scenario,
        population: &'a Population,
        trace: Option<Trace<'a>>,
    ) -> Option<Gated<'a>> {
        let settled = population.strata.iter().map(|stratum| {
            let joining = (scenario.fleet.joining * f64::from(stratum.size)) as u32;
            stratum.size - joining.min(stratum.size.saturating_sub(stratum.lab + 1))
        });
        let settled: Vec<u32> = settled.collect();
        let mut rosters = BTreeMap::new();
        let mut joiners = Vec::new();
        for (stratum, settled) in population.strata.iter().zip(&settled) {
            let rings = Rings::of(policy, stratum.lab, *settled);
            let place = |index: u32| {
                Some(Place {
                    device: device_id(stratum.first + index)?,
                    stratum: stratum.name.clone(),
                    ring: rings.ring_of(index),
                })
            };
            let places: Option<Vec<Place>> = (0..*settled).map(place).collect();
            rosters.insert(stratum.name.clone(), places?);
            let late = stratum.first + settled..stratum.first + stratum.size;
            let half = (0, scenario.horizon.as_ms() / 2);
            joiners.extend(late.map(|device| (population.seed.between(Stream::Joining, device, 0, half), device)));
        }
        joiners.sort_unstable();
        let identity = Identity {
            rollout: rollout_id()?,
            package: "simulated".parse().ok()?,
            version: "1".parse().ok()?,
            release: Digest::of(b"release"),
            policy: Digest::of(policy.name.as_str().as_bytes()),
            order: Digest::of(b"order"),
            started_at_ms: wall(0),
            expires_at_ms: wall(0).after(policy.pace.order_life),
            downtime: scenario.release.downtime,
            numbers: Vec::new(),
        };
        let rollout = Rollout::start(identity, policy.clone(), rosters, |_| true);
        let lasting_ms = policy.prove.duration.as_ms() + 10 * policy.pace.check_in.as_ms();
        Some(Gated {
            rollout,
            population,
            settled,
            joiners,
            joined: 0,
            lasting_ms,
            stepped_ms: 0,
            serving_since_ms: 0,
            trace,
        })
    }

    /// Where a device's place is. Those of the order's rosters are where their numbers say, unless they lapsed.
    fn place_of(&self, device: u32) -> Option<(PlaceRef, &Stage)> {
        let stratum = self.population.stratum_of(device);
        let index = device - self.population.strata.get(stratum)?.first;
        if index < *self.settled.get(stratum)? {
            let at = PlaceRef { row: stratum as u32, index };
            let (_, place) = self.rollout.place(at)?;
            if place.stage != Stage::Lapsed {
                return Some((at, &place.stage));
            }
        }
        let (at, _, place) = self.rollout.place_of(&device_id(device)?)?;
        Some((at, &place.stage))
    }
}

impl Spread for Gated<'_> {
    fn stand(&self, device: u32, now_ms: u64) -> Stand {
        let stand = |(at, stage)| stand_in(&self.rollout, at, stage, self.lasting_ms, now_ms);
        self.place_of(device).map_or(Stand::Shut, stand)
    }

    fn take(&mut self, device: u32, now_ms: u64) -> Told {
        let Some((at, _)) = self.place_of(device) else { return Told::No };
        if self.rollout.may_take_at(at, wall(now_ms)) != Ok(Take::New) {
            return Told::No;
        }
        self.rollout.took_at(at, wall(now_ms));
        Told::Go
    }

    fn hear(&mut self, device: u32, observation: &Observation, age: Elapsed, now_ms: u64) -> bool {
        // That a payload is being started changes nothing in a rollout.
        if !matches!(observation, Observation::Activating { .. })
            && let Some((at, _)) = self.place_of(device)
        {
            let heard = Heard { observation, age, outside: false };
            self.rollout.observed_at(at, &heard, wall(now_ms));
        }
        true
    }

    fn step(&mut self, now_ms: u64, presence: &dyn Presence) -> Stepped {
        let check_in_ms = self.rollout.policy().pace.check_in.as_ms();
        // As the conduct loop does: a server that missed steps was away.
        if now_ms > self.stepped_ms + 2 * check_in_ms {
            self.serving_since_ms = now_ms;
        }
        self.stepped_ms = now_ms;
        let due = self.joiners.get(self.joined..).unwrap_or_default().iter().take_while(|(at, _)| *at <= now_ms);
        let due: Vec<u32> = due.map(|(_, device)| *device).collect();
        self.joined += due.len();
        let last = u8::try_from(self.rollout.policy().rings.len().saturating_sub(1)).unwrap_or(u8::MAX);
        let place = |device: u32| {
            let stratum = self.population.strata.get(self.population.stratum_of(device))?.name.clone();
            Some(AddedPlace { device: device_id(device)?, stratum, ring: last, evidence: false })
        };
        let moment = Moment {
            now: wall(now_ms),
            well_in_tick: &|device, tick| {
                let from_ms = (tick * check_in_ms).saturating_sub(START_MS);
                number_of(device).is_some_and(|device| presence.is_well_during(device, from_ms))
            },
            present: &|device| number_of(device).is_some_and(|device| presence.is_present(device)),
            serving_since: wall(self.serving_since_ms),
            joiners: due.into_iter().filter_map(place).collect(),
            unproven_elsewhere: 0,
            unproven_everywhere_max: u32::MAX,
        };
        let plan = plan_and_apply(&mut self.rollout, &moment);
        let blamed = plan.report.suspects.iter().filter(|one| one.blamed).map(|one| one.scope.to_string());
        let mut stepped = Stepped {
            ln_evidence: Some(plan.report.ln_evidence),
            ln_halt: Some(plan.report.ln_halt),
            blamed: blamed.collect(),
            ..Stepped::default()
        };
        for fact in &plan.next {
            concerned_by(&self.rollout, fact, &mut stepped.concerned);
            if let Some(trace) = &mut self.trace
                && let Ok(fact) = serde_json::to_string(fact)
            {
                trace(&format!("{{\"at_ms\":{now_ms},\"decision\":{fact}}}"));
            }
            match fact {
                Fact::Halted { reasons } => {
                    stepped.halted = Some(reasons.iter().map(|reason| (reason.word(), reason.to_string())).collect());
                }
                Fact::Completed => stepped.completed = true,
                _ => {}
            }
        }
        let call = |effect: &Effect| match effect {
            Effect::CallOperator { why } => Some(why.to_string()),
            Effect::Sign { .. } => None,
        };
        stepped.called = plan.effects.iter().find_map(call);
        stepped
    }

    fn is_over(&self) -> bool {
        match self.rollout.phase() {
            Phase::Running | Phase::Paused { .. } => false,
            Phase::Completed { .. } if self.rollout.policy().holdback.duration.is_some() && self.held_back() > 0 => {
                false
            }
            Phase::Completed { .. } => self.joined == self.joiners.len() && self.rollout.blocks().is_empty(),
            Phase::Halted { .. } => !self.rollout.needs_steps(),
        }
    }

    fn horizons(&self) -> Option<Horizons> {
        Some(Horizons::new(self.rollout.identity().downtime, self.rollout.policy()))
    }

    fn held_back(&self) -> u32 {
        self.rollout.rows().iter().map(|row| row.held_back).sum()
    }
}

/// The devices whose standing a fact changed.
pub(crate) fn concerned_by(rollout: &Rollout, fact: &Fact, into: &mut Vec<u32>) {
    match fact {
        Fact::PermitIssued { step, .. } => {
            let permit = rollout.permits().iter().rev().find(|permit| permit.step == *step);
            for (row, from, to) in permit.iter().flat_map(|permit| &permit.ranges) {
                let row = rollout.rows().get(*row as usize);
                let places = row.and_then(|row| row.places.get(*from as usize..*to as usize));
                into.extend(places.into_iter().flatten().filter_map(|place| number_of(&place.device)));
            }
        }
        Fact::ReturnIssued { .. } => {
            for row in rollout.rows() {
                let reached = (0..row.returning).filter(|index| rollout.is_to_return(row, *index));
                let places = reached.filter_map(|index| row.places.get(index as usize));
                into.extend(places.filter_map(|place| number_of(&place.device)));
            }
        }
        Fact::BlockOpened { controls, .. } => into.extend(controls.iter().filter_map(number_of)),
        _ => {}
    }
}

/// How a place stands to whoever has it; `lasting_ms` is how long after the downtime its health is wanted.
pub(crate) fn stand_in(rollout: &Rollout, at: PlaceRef, stage: &Stage, lasting_ms: u64, now_ms: u64) -> Stand {
    match stage {
        Stage::Open { .. } => Stand::Open,
        Stage::Control { block, seen } => {
            let opened = rollout.blocks().get(*block).map(|block| block.opened_at_ms);
            let age = opened.map_or(Elapsed::ZERO, |opened| wall(now_ms).since(opened));
            Stand::Control { block: *block, age, seen: *seen }
        }
        Stage::Taken(taken) => {
            let to_return = rollout.rows().get(at.row as usize).is_some_and(|row| rollout.is_to_return(row, at.index));
            let young = wall(now_ms).since(taken.at_ms).as_ms() < lasting_ms + rollout.identity().downtime.as_ms();
            let wanted = young && taken.failed.is_none() && !taken.heard_out;
            Stand::Taken { seen: taken.seen, wanted, to_return }
        }
        Stage::Waiting | Stage::Lapsed => Stand::Shut,
    }
}

/// The instant that many milliseconds after the start.
pub(crate) fn wall(ms: u64) -> WallTime {
    WallTime::from_ms(START_MS + ms)
}

/// A device's name.
pub(crate) fn device_id(number: u32) -> Option<DeviceId> {
    format!("d{number}").parse().ok()
}

/// The number of a device that has such a name.
pub(crate) fn number_of(device: &DeviceId) -> Option<u32> {
    device.as_str().strip_prefix('d')?.parse().ok()
}
