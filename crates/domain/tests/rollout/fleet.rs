//! A fleet in simulated time: devices that check in with jitter, take, prove, fail, return or fall silent, and a planner that steps.
//! Deterministic from its seed. It drives what ships and knows nothing of its inside.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use tidegate_domain::attributes::AttributeValue;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{AttributeName, DeviceId};
use tidegate_domain::observation::{FailureReason, Observation};
use tidegate_domain::policy::Policy;
use tidegate_domain::release::{WatchedNumber, Worse};
use tidegate_domain::rollout::fact::{AddedPlace, Fact};
use tidegate_domain::rollout::planner::{Effect, Moment, plan};
use tidegate_domain::rollout::report::StepReport;
use tidegate_domain::rollout::take::Take;
use tidegate_domain::rollout::{Phase, Rollout};
use tidegate_domain::roster::{Candidate, rosters};
use tidegate_domain::time::{Elapsed, WallTime};

use crate::dice::Dice;
use crate::schedule::identity;

const START_MS: u64 = 1_000_000_000;

/// What a release does to the devices that take it, and what they do anyway.
#[derive(Clone)]
pub(crate) struct Nature {
    /// How many of those that take it crash, by stratum name; `*` is any.
    pub(crate) crash: Vec<(&'static str, f64)>,
    /// Whether the lab is spared: a fault that it misses.
    pub(crate) spares_lab: bool,
    /// How many fail hard anyway, treated or not.
    pub(crate) base_failures: f64,
    /// How many fall silent anyway while they are looked at, treated or not.
    pub(crate) base_silence: f64,
    /// How many of those that take it fall silent because of it.
    pub(crate) silencing: f64,
    /// The age at which it crashes; none: at once, at every start.
    pub(crate) crash_age: Option<Elapsed>,
    /// How many of those that take it crash once because of it and are well after that; and how many do so anyway.
    pub(crate) stumbling: (f64, f64),
    /// How many of those that take it say a number outside its bounds because of it, and how many do so anyway. Where either is more than 0
    /// the release declares one.
    pub(crate) off: (f64, f64),
    /// Which way is bad, where the release declares that number without a bound: off is high, and everybody else says between 100 and 149.
    pub(crate) worse: Option<Worse>,
    /// On how many of those that take it another package fails because of it, and on how many it does so anyway.
    pub(crate) elsewhere: (f64, f64),
    /// How long those that take it keep to themselves that they are well, once they have said so first.
    pub(crate) lateness: Option<Elapsed>,
}

impl Nature {
    pub(crate) fn good() -> Nature {
        Nature {
            crash: Vec::new(),
            spares_lab: false,
            base_failures: 0.0,
            base_silence: 0.0,
            silencing: 0.0,
            crash_age: None,
            stumbling: (0.0, 0.0),
            off: (0.0, 0.0),
            worse: None,
            lateness: None,
            elsewhere: (0.0, 0.0),
        }
    }

    pub(crate) fn crashing(share: f64) -> Nature {
        Nature { crash: vec![("*", share)], ..Nature::good() }
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    ChecksIn,
    AsksToGo,
    Says(Saying),
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Saying {
    Failed,
    Returned,
    Healthy,
    Proven,
    Stumbled,
    FailedElsewhere,
}

struct Device {
    id: DeviceId,
    ticks: [u64; 8],
    last_seen_ms: u64,
    took_ms: Option<u64>,
    mute_as_control: bool,
    fails_as_control: bool,
    stumbles_as_control: bool,
    fails_elsewhere_as_control: bool,
    off: bool,
    silent: bool,
    lab: bool,
    stratum: String,
    healthy_until_ms: Option<(u64, u64)>,
    takes_nothing: bool,
}

/// A fleet with one rollout on its way.
pub(crate) struct Fleet {
    pub(crate) rollout: Rollout,
    pub(crate) now_ms: u64,
    pub(crate) calls: u32,
    pub(crate) log: Vec<(u64, Fact)>,
    /// Everything that happened.
    pub(crate) all: Vec<(WallTime, Fact)>,
    pub(crate) joiners: Vec<AddedPlace>,
    nature: Nature,
    dice: Dice,
    devices: Vec<Device>,
    index: BTreeMap<DeviceId, usize>,
    events: BinaryHeap<Reverse<(u64, u64, usize, Event)>>,
    event_count: u64,
    check_in_ms: u64,
    downtime_ms: u64,
    proof_ms: u64,
    step_ms: u64,
    next_step_ms: u64,
}

pub(crate) fn candidate(id: String, attributes: &[(&str, &str)], ring: Option<&str>) -> Candidate {
    let attributes: BTreeMap<AttributeName, AttributeValue> =
        attributes.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    Candidate {
        device: id.parse().unwrap(),
        ring: ring.map(|ring| ring.parse().unwrap()),
        attributes: attributes.try_into().unwrap(),
    }
}

/// The demonstration's fleet: four strata of 15, by label 8 in the lab, 10 in the canary, 42 in broad.
pub(crate) fn demo_candidates() -> Vec<Candidate> {
    let strata = [("linux", "ams"), ("linux", "fra"), ("windows", "ams"), ("windows", "fra")];
    (0..60)
        .map(|i| {
            let (os, site) = strata[i % 4];
            let ring = if i < 8 {
                "lab"
            } else if i < 18 {
                "canary"
            } else {
                "broad"
            };
            candidate(format!("device-{i:02}"), &[("os", os), ("site", site)], Some(ring))
        })
        .collect()
}

impl Fleet {
    pub(crate) fn new(
        policy: &Policy,
        candidates: Vec<Candidate>,
        downtime: Elapsed,
        step: Elapsed,
        nature: Nature,
        seed: u64,
    ) -> Fleet {
        Fleet::with_evidence(policy, candidates, (downtime, step), nature, seed, |_| true)
    }

    /// The same, where not everybody is evidence.
    pub(crate) fn with_evidence(
        policy: &Policy,
        candidates: Vec<Candidate>,
        (downtime, step): (Elapsed, Elapsed),
        nature: Nature,
        seed: u64,
        is_evidence: impl Fn(&DeviceId) -> bool,
    ) -> Fleet {
        let mut dice = Dice::new(seed);
        let check_in_ms = policy.pace.check_in.as_ms();
        let mut devices = Vec::new();
        let lab = policy.rings.first().filter(|ring| ring.lab).map(|ring| ring.name.clone());
        for candidate in &candidates {
            devices.push(Device {
                id: candidate.device.clone(),
                ticks: [0; 8],
                last_seen_ms: START_MS,
                took_ms: None,
                mute_as_control: dice.chance(nature.base_silence),
                fails_as_control: dice.chance(nature.base_failures),
                stumbles_as_control: nature.stumbling.1 > 0.0 && dice.chance(nature.stumbling.1),
                fails_elsewhere_as_control: nature.elsewhere.1 > 0.0 && dice.chance(nature.elsewhere.1),
                off: nature.off.1 > 0.0 && dice.chance(nature.off.1),
                silent: dice.chance(nature.base_silence),
                lab: candidate.ring.is_some() && candidate.ring == lab,
                stratum: policy.stratum_of(&candidate.attributes).to_string(),
                healthy_until_ms: None,
                takes_nothing: false,
            });
        }
        let index = devices.iter().enumerate().map(|(i, device)| (device.id.clone(), i)).collect();
        let start = WallTime::from_ms(START_MS);
        let mut identity = identity(start, policy.pace.order_life, downtime);
        if nature.off != (0.0, 0.0) {
            let at_most = nature.worse.is_none().then_some(200);
            let latency =
                WatchedNumber { name: "latency".parse().unwrap(), at_least: None, at_most, worse: nature.worse };
            identity.numbers = vec![latency];
        }
        let rosters = rosters(policy, &Digest::of(&seed.to_be_bytes()), candidates);
        let rollout = Rollout::start(identity, policy.clone(), rosters, is_evidence);
        let mut fleet = Fleet {
            rollout,
            now_ms: START_MS,
            calls: 0,
            log: Vec::new(),
            all: Vec::new(),
            joiners: Vec::new(),
            nature,
            dice,
            devices,
            index,
            events: BinaryHeap::new(),
            event_count: 0,
            check_in_ms,
            downtime_ms: downtime.as_ms(),
            proof_ms: policy.prove.duration.as_ms(),
            step_ms: step.as_ms(),
            next_step_ms: START_MS,
        };
        for device in 0..fleet.devices.len() {
            let phase = fleet.dice.below(check_in_ms);
            fleet.at(START_MS + phase, device, Event::ChecksIn);
        }
        fleet
    }

    /// These devices check in but never ask to go: disk full, say.
    /// Whether these devices leave every offer alone from now on.
    pub(crate) fn let_take_nothing(&mut self, devices: &[DeviceId], nothing: bool) {
        for device in devices {
            let index = self.index[device];
            self.devices[index].takes_nothing = nothing;
        }
    }

    /// Devices that are enrolled now, after the release was published, into the first stratum.
    pub(crate) fn enrol(&mut self, names: impl Iterator<Item = String>, ring: u8) {
        let stratum = self.rollout.stratum(0).cloned().unwrap();
        for name in names {
            let id: DeviceId = name.parse().unwrap();
            let index = self.devices.len();
            self.joiners.push(AddedPlace { device: id.clone(), stratum: stratum.clone(), ring, evidence: false });
            self.index.insert(id.clone(), index);
            self.devices.push(Device {
                id,
                ticks: [0; 8],
                last_seen_ms: self.now_ms,
                took_ms: None,
                mute_as_control: false,
                fails_as_control: false,
                stumbles_as_control: false,
                fails_elsewhere_as_control: false,
                off: false,
                silent: false,
                lab: false,
                stratum: stratum.to_string(),
                healthy_until_ms: None,
                takes_nothing: false,
            });
            let phase = self.dice.below(self.check_in_ms);
            self.at(self.now_ms + phase, index, Event::ChecksIn);
        }
    }

    pub(crate) fn elapsed_s(&self) -> f64 {
        (self.now_ms - START_MS) as f64 / 1e3
    }

    pub(crate) fn now(&self) -> WallTime {
        WallTime::from_ms(self.now_ms)
    }

    /// Lets time pass until the rollout is over or so much has passed.
    pub(crate) fn run_until_over(&mut self, most: Elapsed) {
        let end = START_MS + most.as_ms();
        while self.now_ms < end && matches!(self.rollout.phase(), Phase::Running | Phase::Paused { .. }) {
            self.step();
        }
    }

    pub(crate) fn run_for(&mut self, more: Elapsed) {
        let end = self.now_ms + more.as_ms();
        while self.now_ms < end {
            self.step();
        }
    }

    /// One step of the planner, and all that devices do until then.
    pub(crate) fn step(&mut self) {
        while let Some(Reverse((at, ..))) = self.events.peek()
            && *at <= self.next_step_ms
        {
            let Some(Reverse((at, _, device, event))) = self.events.pop() else { break };
            self.now_ms = self.now_ms.max(at);
            self.happens(device, event);
        }
        self.now_ms = self.next_step_ms;
        self.next_step_ms += self.step_ms;
        self.plan();
    }

    fn plan(&mut self) {
        let (devices, index, now_ms) = (&self.devices, &self.index, self.now_ms);
        let contact_ms = 3 * self.check_in_ms;
        let moment = Moment {
            now: self.now(),
            well_in_tick: &|id, tick| index.get(id).is_some_and(|i| devices[*i].ticks.contains(&tick)),
            present: &|id| index.get(id).is_some_and(|i| devices[*i].last_seen_ms + contact_ms >= now_ms),
            joiners: std::mem::take(&mut self.joiners),
            unproven_elsewhere: 0,
            shut: &|_| false,
            serving_since: WallTime::default(),
            unproven_everywhere_max: 1_000_000,
        };
        let plan = plan(&self.rollout, &moment);
        self.calls += plan.effects.iter().filter(|effect| matches!(effect, Effect::CallOperator { .. })).count() as u32;
        for fact in plan.next {
            self.apply(fact);
        }
    }

    pub(crate) fn apply(&mut self, fact: Fact) {
        self.rollout.apply(&fact, self.now());
        self.all.push((self.now(), fact.clone()));
        if !matches!(fact, Fact::Observed { .. } | Fact::Took { .. }) {
            self.log.push((self.now_ms - START_MS, fact));
        }
    }

    fn at(&mut self, at_ms: u64, device: usize, event: Event) {
        self.event_count += 1;
        self.events.push(Reverse((at_ms, self.event_count, device, event)));
    }

    fn jittered(&mut self, ms: u64) -> u64 {
        self.dice.between(ms * 9 / 10, ms * 11 / 10)
    }

    fn happens(&mut self, device: usize, event: Event) {
        match event {
            Event::ChecksIn => self.checks_in(device),
            Event::AsksToGo => self.asks_to_go(device),
            Event::Says(saying) => self.says(device, &saying),
        }
    }

    fn checks_in(&mut self, index: usize) {
        let next = self.now_ms + self.jittered(self.check_in_ms);
        self.at(next, index, Event::ChecksIn);
        let taken = self.devices[index].took_ms.is_some();
        if taken && self.devices[index].silent {
            return;
        }
        let tick = self.now_ms / self.check_in_ms;
        let now_ms = self.now_ms;
        let device = &mut self.devices[index];
        device.last_seen_ms = now_ms;
        device.ticks[(tick % 8) as usize] = tick;
        let (id, healthy) = (device.id.clone(), device.healthy_until_ms);
        let keeps_quiet = self.nature.lateness.filter(|_| taken).map_or(0, Elapsed::as_ms);
        let in_health = healthy.is_none_or(|(from, until)| from + keeps_quiet <= now_ms && now_ms < until);
        if self.rollout.wants_health_of(&id) {
            if taken && in_health {
                self.says(index, &Saying::Healthy);
            } else if !taken && !self.devices[index].mute_as_control {
                if std::mem::take(&mut self.devices[index].stumbles_as_control) {
                    self.says(index, &Saying::Stumbled);
                }
                if std::mem::take(&mut self.devices[index].fails_elsewhere_as_control) {
                    self.says(index, &Saying::FailedElsewhere);
                }
                let fails = std::mem::take(&mut self.devices[index].fails_as_control);
                self.says(index, if fails { &Saying::Failed } else { &Saying::Healthy });
            }
        }
        if !taken && !self.devices[index].takes_nothing && self.rollout.may_take(&id, self.now()).is_ok() {
            let staged = self.now_ms + self.dice.between(50, 300);
            self.at(staged, index, Event::AsksToGo);
        }
    }

    fn asks_to_go(&mut self, index: usize) {
        let id = self.devices[index].id.clone();
        if self.rollout.may_take(&id, self.now()) == Ok(Take::New) {
            self.devices[index].took_ms = Some(self.now_ms);
            self.apply(Fact::Took { device: id });
            if !self.devices[index].silent {
                self.fate(index);
            }
        }
    }

    /// Draws what the release does to a device that has just taken it.
    fn fate(&mut self, index: usize) {
        let (lab, stratum) = (self.devices[index].lab, self.devices[index].stratum.clone());
        let hit = |(name, share): &&(&str, f64)| (*name == "*" || *name == stratum) && *share > 0.0;
        let share = self.nature.crash.iter().find(hit).map_or(0.0, |(_, share)| *share);
        let spared = lab && self.nature.spares_lab;
        if !spared && self.dice.chance(self.nature.silencing) {
            self.devices[index].silent = true;
            return;
        }
        let active = self.now_ms + self.dice.between(self.downtime_ms / 10, self.downtime_ms);
        let crashes = !spared && self.dice.chance(share);
        if crashes || self.dice.chance(self.nature.base_failures) {
            let at_once = self.now_ms + self.dice.between(self.downtime_ms * 2 / 3, self.downtime_ms);
            let at = self.nature.crash_age.filter(|_| crashes).map_or(at_once, |age| self.now_ms + age.as_ms());
            self.devices[index].healthy_until_ms = Some((active, at));
            self.at(at, index, Event::Says(Saying::Failed));
            let back = at + self.dice.between(200, 1_000);
            self.at(back, index, Event::Says(Saying::Returned));
            if at > active + self.proof_ms {
                self.at(active + self.proof_ms, index, Event::Says(Saying::Proven));
            }
            return;
        }
        let (because, anyway) = self.nature.stumbling;
        if because + anyway > 0.0 && (self.dice.chance(because) || self.dice.chance(anyway)) {
            self.at(active - self.downtime_ms / 20, index, Event::Says(Saying::Stumbled));
        }
        let (because, anyway) = self.nature.elsewhere;
        if because + anyway > 0.0 && (self.dice.chance(because) || self.dice.chance(anyway)) {
            self.at(active, index, Event::Says(Saying::FailedElsewhere));
        }
        self.devices[index].off |= self.nature.off.0 > 0.0 && self.dice.chance(self.nature.off.0);
        self.devices[index].healthy_until_ms = Some((active, u64::MAX));
        self.at(active, index, Event::Says(Saying::Healthy));
        self.at(active + self.proof_ms, index, Event::Says(Saying::Proven));
    }

    fn says(&mut self, index: usize, saying: &Saying) {
        let reason = FailureReason::Crashed;
        let observation = match saying {
            Saying::Healthy => Observation::Healthy,
            Saying::Proven => Observation::Proven { restarts: 0 },
            Saying::Failed => Observation::Failed { reason, attempt: 3 },
            Saying::Returned => Observation::Returned { reason },
            Saying::Stumbled => Observation::Crashed,
            Saying::FailedElsewhere => {
                let device = self.devices[index].id.clone();
                return self.apply(Fact::TroubledElsewhere { device });
            }
        };
        let device = self.devices[index].id.clone();
        let age_ms = self.devices[index].took_ms.map_or(0, |took| self.now_ms - took);
        let latency = if self.devices[index].off { 900 } else { 100 + index as i64 % 50 };
        let declared = self.rollout.identity().numbers.iter();
        let numbers = declared.map(|number| (number.name.clone(), latency * 1_000)).collect();
        self.apply(Fact::Observed { device, observation, age_ms, numbers });
    }

    /// Those that took the release and failed or fell silent.
    pub(crate) fn harmed(&self) -> usize {
        self.rollout.taken().filter(|(_, taken)| taken.failed.is_some() || taken.overdue).count()
    }

    pub(crate) fn proven(&self) -> usize {
        self.rollout.taken().filter(|(_, taken)| taken.proven).count()
    }

    pub(crate) fn report(&self) -> StepReport {
        StepReport::of(&self.rollout, self.now())
    }

    /// When each thing that the server decided happened, for people.
    pub(crate) fn story(&self) -> String {
        let lines = self.log.iter().map(|(ms, fact)| {
            let what = match fact {
                Fact::PermitIssued { step, counts, .. } => {
                    let open: u32 = counts.iter().map(|count| count.count).sum();
                    format!("permit {step}: {open} open")
                }
                Fact::BlockOpened { tick, stratum, controls, .. } => {
                    format!("block of {stratum}, tick {tick}, {} controls", controls.len())
                }
                other => format!("{other:?}"),
            };
            format!("{:8.2} s  {what}\n", *ms as f64 / 1e3)
        });
        let report = self.report();
        lines.collect::<String>() + &format!("{:8.2} s  {:?} {:#?}", self.elapsed_s(), report.reasons(), report.rings)
    }
}
