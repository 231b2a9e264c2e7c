//! The production rollout, planner and gate as a way to spread a release. Devices are numbers here and names there.

use std::collections::BTreeMap;

use tidegate_domain::device::Trial;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::RolloutId;
use tidegate_domain::observation::Observation;
use tidegate_domain::policy::Policy;
use tidegate_domain::rollout::block::Horizons;
use tidegate_domain::rollout::fact::AddedPlace;
use tidegate_domain::rollout::hearing::Heard;
use tidegate_domain::rollout::place::{PlaceRef, Stage};
use tidegate_domain::rollout::planner::{Effect, Moment, plan_and_apply};
use tidegate_domain::rollout::take::Take;
use tidegate_domain::rollout::{Identity, Rollout};
use tidegate_domain::roster::Place;
use tidegate_domain::time::Elapsed;

use crate::chance::Stream;
use crate::fitting::Rings;
use crate::names::{START_MS, device_id, number_of, wall};
use crate::population::Population;
use crate::reading;
use crate::scenario::Scenario;
use crate::spread::{Presence, Spread, Stand, Stepped, Told};

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
        let first = self.place_of_roster(device).filter(|(_, stage)| !matches!(stage, Stage::Lapsed));
        first.or_else(|| {
            let (at, _, place) = self.rollout.place_of(&device_id(device)?)?;
            Some((at, &place.stage))
        })
    }

    fn place_of_roster(&self, device: u32) -> Option<(PlaceRef, &Stage)> {
        let stratum = self.population.stratum_of(device);
        let index = device - self.population.strata.get(stratum)?.first;
        if index >= *self.settled.get(stratum)? {
            return None;
        }
        let at = PlaceRef { row: stratum as u32, index };
        let (_, place) = self.rollout.place(at)?;
        Some((at, &place.stage))
    }
}

impl Spread for Gated<'_> {
    fn look_ahead(&self, devices: &[u32]) {
        let open = devices
            .iter()
            .filter_map(|device| self.place_of_roster(*device))
            .filter(|(_, stage)| matches!(stage, Stage::Open { .. }));
        std::hint::black_box(open.count());
    }

    fn stand(&self, device: u32, now_ms: u64) -> Stand {
        let stand = |(at, stage)| reading::stand(&self.rollout, at, stage, self.lasting_ms, now_ms);
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
            let heard = Heard { observation, age, numbers: &BTreeMap::new() };
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
            shut: &|_| false,
            serving_since: wall(self.serving_since_ms),
            joiners: due.into_iter().filter_map(place).collect(),
            unproven_elsewhere: 0,
            unproven_everywhere_max: u32::MAX,
        };
        let plan = plan_and_apply(&mut self.rollout, &moment);
        let mut stepped = reading::stepped(&self.rollout, &plan.next, &plan.report);
        for fact in &plan.next {
            if let Some(trace) = &mut self.trace
                && let Ok(fact) = serde_json::to_string(fact)
            {
                trace(&format!("{{\"at_ms\":{now_ms},\"decision\":{fact}}}"));
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
        reading::is_over(&self.rollout, self.joined == self.joiners.len())
    }

    fn horizons(&self) -> Option<Horizons> {
        Some(reading::horizons(&self.rollout))
    }

    fn held_back(&self) -> u32 {
        reading::held_back(&self.rollout)
    }
}
