//! Whole servers as a way to spread a release: commands, lease, log and fold as they ship, on the store's model, with what befalls
//! servers drawn from the seed. For small fleets: every device has keys of its own and signs what it says.

mod audit;
mod device;
mod founding;
mod keys;
mod presence;
mod server;
mod store;

use std::collections::BTreeSet;

use tidegate_control::command::{Answer, Command, Refusal};
use tidegate_control::conduct::Notice;
use tidegate_control::contract::StoreEpoch;
use tidegate_control::history::line_of;
use tidegate_control::model_store::ModelStore;
use tidegate_control::state::{Course, State};
use tidegate_domain::digest::Digest;
use tidegate_domain::observation::Observation;
use tidegate_domain::policy::Policy;
use tidegate_domain::rollout::block::Horizons;
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::place::Stage;
use tidegate_domain::rollout::report::StepReport;
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_trust::records::Report;
use tidegate_trust::signed::Unverified;

use crate::chance::{Seed, Stream};
use crate::gate::Trace;
use crate::names::{device_id, wall};
use crate::population::Population;
use crate::reading;
use crate::scenario::Scenario;
use crate::spread::{Presence, Settled, Spread, Stand, Stepped, Told};
use audit::Audit;
use device::DeviceSide;
use keys::Keys;
use presence::Heard;
use server::{Server, Surroundings, Turned};
use store::Shared;

/// Before a run begins, its fleet is founded and enrolled; so long before.
const FOUNDED_MS: u64 = 3_600_000;
/// The release is published so long before.
const PUBLISHED_MS: u64 = 600_000;
/// A server that died is back after this, in milliseconds: from, to.
const BACK_AFTER_MS: (u64, u64) = (3_000, 60_000);

/// Why a fleet could not be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotSet(String);

impl NotSet {
    fn of(why: impl ToString) -> NotSet {
        NotSet(why.to_string())
    }
}

/// A fleet with its servers.
pub(crate) struct Conducted<'a> {
    seed: Seed,
    population: &'a Population,
    policy: &'a Policy,
    scenario: &'a Scenario,
    keys: Keys,
    numeric_seed: u64,
    fleet: Digest,
    store: Shared,
    servers: Vec<Server>,
    audit: Audit,
    devices: Vec<DeviceSide>,
    /// Devices that join, by when.
    joiners: Vec<(u64, u32)>,
    joined: usize,
    news: Vec<Fact>,
    /// By server: the entries that it recorded.
    recorded: Vec<u64>,
    called: Option<String>,
    lasting_ms: u64,
    /// While the fleet is set up: how long before the run.
    before_ms: u64,
    trace: Option<Trace<'a>>,
}

impl<'a> Conducted<'a> {
    /// Servers and a fleet, and the order started.
    pub(crate) fn new(
        policy: &'a Policy,
        scenario: &'a Scenario,
        population: &'a Population,
        numeric_seed: u64,
        trace: Option<Trace<'a>>,
    ) -> Result<Conducted<'a>, NotSet> {
        let faults = scenario.servers.clone().unwrap_or_default();
        let seed = population.seed;
        let step_every = Elapsed::from_ms(policy.pace.check_in.as_ms() / 6);
        let ahead = |number| seed.between(Stream::Server, number, 0, (0, faults.skew.as_ms()));
        let servers = (0..faults.count).map(|number| Server::new(number, step_every, ahead(number))).collect();
        let store = ModelStore::new(StoreEpoch::from_bytes([7; 16]));
        let mut conducted = Conducted {
            seed,
            store: Shared::new(store, seed, faults.clone()),
            population,
            policy,
            scenario,
            keys: Keys::new(numeric_seed),
            numeric_seed,
            fleet: Digest::of(b""),
            servers,
            audit: Audit::default(),
            devices: (0..population.devices).filter_map(|device| DeviceSide::new(numeric_seed, device)).collect(),
            joiners: joiners(scenario, population),
            joined: 0,
            news: Vec::new(),
            recorded: vec![0; faults.count as usize],
            called: None,
            lasting_ms: policy.prove.duration.as_ms() + 10 * policy.pace.check_in.as_ms(),
            before_ms: FOUNDED_MS,
            trace,
        };
        conducted.set_up()?;
        Ok(conducted)
    }

    /// Founds, enrols, publishes and orders, in peace.
    fn set_up(&mut self) -> Result<(), NotSet> {
        let founding = founding::founding(&self.keys, self.now(0))?;
        self.fleet = Digest::of(&founding.root);
        self.must(Command::Found(Box::new(founding)))?;
        let later: BTreeSet<u32> = self.joiners.iter().map(|(_, device)| *device).collect();
        for device in (0..self.population.devices).filter(|device| !later.contains(device)) {
            for command in self.joining(device, 0)? {
                self.must(command)?;
            }
        }
        self.before_ms = PUBLISHED_MS;
        let release = founding::release(&self.keys, self.scenario, self.now(0))?;
        self.must(release)?;
        let (policy, digest) = founding::policy(&self.keys, self.fleet, self.policy, self.now(0))?;
        self.must(policy)?;
        self.before_ms = 0;
        let order = founding::order(&self.keys, &self.audit.truth, digest, self.numeric_seed, self.now(0))?;
        self.must(order)?;
        self.store.calm = false;
        Ok(())
    }

    fn now(&self, now_ms: u64) -> WallTime {
        WallTime::from_ms(wall(now_ms).as_ms() - self.before_ms)
    }

    /// What a device that joins says: who it is, and that it runs the package.
    fn joining(&mut self, device: u32, now_ms: u64) -> Result<[Command; 2], NotSet> {
        let (lab, now) = (self.population.is_lab(device), self.now(now_ms));
        let token = founding::token(&self.keys, self.fleet, (self.policy, self.scenario), lab, now)?;
        let world = (self.scenario, self.population);
        let enrol = founding::enrolment((&self.keys, self.numeric_seed), &token, world, device, now)?;
        let report = self.report(device, &Observation::Healthy, Elapsed::ZERO, None);
        let (Some(report), Some(device)) = (report, device_id(device)) else {
            return Err(NotSet::of("a device's number is no name"));
        };
        Ok([enrol, Command::Hear { device, reports: vec![report] }])
    }

    /// Gives a command that nothing can be in the way of.
    fn must(&mut self, command: Command) -> Result<Answer, NotSet> {
        self.ask(0, command, 0).unwrap_or_else(|| Err(unanswered())).map_err(NotSet::of)
    }

    /// Which server a device's request reaches: one that says it is ready.
    fn route(&self, device: u32, now_ms: u64) -> Option<usize> {
        let ready: Vec<usize> =
            self.servers.iter().enumerate().filter(|(_, server)| server.is_ready()).map(|(at, _)| at).collect();
        let drawn = self.seed.bits(Stream::Route, device, now_ms) as usize;
        ready.get(drawn.checked_rem(ready.len())?).copied()
    }

    /// Hands a command to a server and waits for its answer; none where none comes.
    fn ask(&mut self, at: usize, command: Command, now_ms: u64) -> Option<Result<Answer, Refusal>> {
        let ticket = self.servers.get_mut(at)?.submit(command, now_ms)?;
        let answers = self.turn(at, now_ms);
        answers.into_iter().find(|(given, _)| *given == ticket).map(|(_, answer)| answer)
    }

    /// One server works until it rests.
    fn turn(&mut self, at: usize, now_ms: u64) -> Vec<(u64, Result<Answer, Refusal>)> {
        let mut turned = Turned::default();
        let Some(server) = self.servers.get_mut(at) else { return Vec::new() };
        let presence = Heard {
            population: self.population,
            devices: &self.devices,
            now_ms,
            since_ms: server.serving_since_ms.unwrap_or(now_ms),
        };
        let before_ms = self.before_ms;
        let with = Surroundings { store: &mut self.store, keys: &self.keys, presence: &presence, now_ms, before_ms };
        if !server.turn(with, &mut turned) {
            let back = self.seed.between(Stream::Server, at as u32, now_ms * 2, BACK_AFTER_MS);
            server.dies_until(now_ms + back);
        }
        if let Some(what) = turned.broken.take() {
            self.audit.breach(what);
        }
        let call = turned.notices.iter().find_map(|notice| match notice {
            Notice::Call { why, .. } => Some(why.to_string()),
            Notice::Stuck { .. } => None,
        });
        self.called = self.called.take().or(call);
        for entry in self.store.after(self.audit.truth.last()) {
            if let (Some(trace), Ok(line)) = (&mut self.trace, line_of(&entry)) {
                trace(&line);
            }
            if let Some(count) = self.recorded.get_mut(at) {
                *count += 1;
            }
            self.news.extend(self.audit.read(&entry));
        }
        turned.answers
    }

    /// A device joins while the release spreads; whether it could.
    fn join(&mut self, device: u32, now_ms: u64) -> bool {
        let (Some(at), Ok(commands)) = (self.route(device, now_ms), self.joining(device, now_ms)) else { return false };
        commands.into_iter().all(|command| matches!(self.ask(at, command, now_ms), Some(Ok(_))))
    }

    fn report(
        &mut self,
        device: u32,
        observation: &Observation,
        age: Elapsed,
        order: Option<Digest>,
    ) -> Option<Unverified<Report>> {
        self.devices.get_mut(device as usize)?.report(self.fleet, observation, age, order)
    }

    fn course(&self) -> Option<&Course> {
        self.audit.course()
    }

    /// What every server knows is what the log says, and a snapshot of it says the same.
    fn hold_folds(&mut self, now_ms: u64) {
        let truth = &self.audit.truth;
        let differs =
            |server: &Server| server.knows(now_ms).is_some_and(|state| state.last() == truth.last() && state != truth);
        let servers = self.servers.iter().any(differs);
        let read_back = truth.to_snapshot().ok().and_then(|kept| State::from_snapshot(&kept).ok().flatten());
        let snapshot = read_back.is_none_or(|state| state != *truth);
        if servers {
            self.audit.breach("a server knows something else than the log says".to_owned());
        }
        if snapshot {
            self.audit.breach("a snapshot says something else than the log".to_owned());
        }
    }
}

fn unanswered() -> Refusal {
    Refusal::new(tidegate_control::command::Why::Unavailable, "unanswered", "the server did not answer")
}

fn joiners(scenario: &Scenario, population: &Population) -> Vec<(u64, u32)> {
    let half = (0, scenario.horizon.as_ms() / 2);
    let joins = |device: &u32| {
        !population.is_lab(*device) && population.seed.share(Stream::Joining, *device, 1) < scenario.fleet.joining
    };
    let when = |device: u32| (population.seed.between(Stream::Joining, device, 0, half), device);
    let mut joiners: Vec<(u64, u32)> = (0..population.devices).filter(joins).map(when).collect();
    joiners.sort_unstable();
    joiners
}

impl Spread for Conducted<'_> {
    fn stand(&self, device: u32, now_ms: u64) -> Stand {
        let server = self.route(device, now_ms).and_then(|at| self.servers.get(at));
        let Some(state) = server.and_then(|server| server.knows(now_ms)) else { return Stand::Unanswered };
        let Some(course) = state.rollouts().values().next() else { return Stand::Unanswered };
        let stand = device_id(device).map_or(Stand::Shut, |id| match course.rollout.place_of(&id) {
            Some((at, _, place)) => reading::stand(&course.rollout, at, &place.stage, self.lasting_ms, now_ms),
            None => Stand::Shut,
        });
        let gone = self.devices.get(device as usize).is_some_and(|side| side.gone);
        match stand {
            // Its take was recorded and the answer lost: it asks again.
            Stand::Taken { .. } if !gone => Stand::Open,
            // What is told by a server that lacks the newest entries is not the last word.
            Stand::Shut if state.last() < self.audit.truth.last() => Stand::Unanswered,
            Stand::Shut | Stand::Open | Stand::Control { .. } if gone => Stand::Unanswered,
            stand => stand,
        }
    }

    fn take(&mut self, device: u32, now_ms: u64) -> Told {
        let Some(at) = self.route(device, now_ms) else { return Told::Nothing };
        let known = self.servers.get(at).and_then(|server| server.knows(now_ms));
        let Some(course) = known.and_then(|state| state.rollouts().values().next()) else { return Told::Nothing };
        let Some(id) = device_id(device) else { return Told::No };
        let step = match course.rollout.place_of(&id).map(|(_, _, place)| &place.stage) {
            Some(Stage::Open { step }) => *step,
            _ => 1,
        };
        let (order, Some(permit)) = (course.order.digest(), course.permit(step).map(Unverified::digest)) else {
            return Told::Nothing;
        };
        let side = self.devices.get(device as usize);
        let Some(request) = side.and_then(|side| side.asks_to_go(self.fleet, order, permit, now_ms)) else {
            return Told::No;
        };
        match self.ask(at, Command::Take { device: id.clone(), request }, now_ms) {
            Some(Ok(_)) => {
                self.audit.gone(&id);
                if let Some(side) = self.devices.get_mut(device as usize) {
                    side.gone = true;
                }
                Told::Go
            }
            Some(Err(refusal)) if refusal.why == tidegate_control::command::Why::Conflict => Told::No,
            Some(Err(_)) | None => Told::Nothing,
        }
    }

    fn hear(&mut self, device: u32, observation: &Observation, age: Elapsed, now_ms: u64) -> bool {
        let Some(at) = self.route(device, now_ms) else { return false };
        let gone = self.devices.get(device as usize).is_some_and(|side| side.gone);
        let order = self.course().filter(|_| gone).map(|course| course.order.digest());
        let (Some(report), Some(id)) = (self.report(device, observation, age, order), device_id(device)) else {
            return true;
        };
        let answer = self.ask(at, Command::Hear { device: id, reports: vec![report] }, now_ms);
        matches!(answer, Some(Ok(_)))
    }

    fn step(&mut self, now_ms: u64, _: &dyn Presence) -> Stepped {
        while let Some((_, device)) = self.joiners.get(self.joined).copied().filter(|(at, _)| *at <= now_ms) {
            if !self.join(device, now_ms) {
                break;
            }
            self.joined += 1;
        }
        for at in 0..self.servers.len() {
            self.turn(at, now_ms);
        }
        let facts = std::mem::take(&mut self.news);
        let called = self.called.take();
        let Some(course) = self.audit.course() else { return Stepped { called, ..Stepped::default() } };
        let report = StepReport::of(&course.rollout, wall(now_ms));
        Stepped { called, ..reading::stepped(&course.rollout, &facts, &report) }
    }

    fn is_over(&self) -> bool {
        self.course().is_none_or(|course| reading::is_over(&course.rollout, self.joined == self.joiners.len()))
    }

    fn horizons(&self) -> Option<Horizons> {
        self.course().map(|course| reading::horizons(&course.rollout))
    }

    fn held_back(&self) -> u32 {
        self.course().map_or(0, |course| reading::held_back(&course.rollout))
    }

    fn settle(&mut self, now_ms: u64) -> Settled {
        self.hold_folds(now_ms);
        Settled { broken: self.audit.breaches(), recorded: std::mem::take(&mut self.recorded) }
    }
}
