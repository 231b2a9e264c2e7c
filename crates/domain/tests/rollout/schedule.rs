//! Random schedules: everything that can happen to a rollout, in any order, from one seed.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_domain::attributes::{AttributeValue, Attributes};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{AttributeName, DeviceId};
use tidegate_domain::observation::{FailureReason, Observation};
use tidegate_domain::policy::Policy;
use tidegate_domain::rollout::fact::{AddedPlace, Fact, RowCount};
use tidegate_domain::rollout::place::Stage;
use tidegate_domain::rollout::planner::{Moment, plan};
use tidegate_domain::rollout::reason::HaltReason;
use tidegate_domain::rollout::take::Take;
use tidegate_domain::rollout::{Identity, Rollout};
use tidegate_domain::roster::{Candidate, rosters};
use tidegate_domain::time::{Elapsed, WallTime};

use crate::count::{Planner, Watch};
use crate::dice::Dice;

/// How much happened, so that a test can say that it tried what it claims.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tried {
    pub(crate) facts: u64,
    pub(crate) takes: u64,
    pub(crate) refused: u64,
    pub(crate) lapses: u64,
    pub(crate) addenda: u64,
    pub(crate) blocks: u64,
    pub(crate) controls: u64,
    pub(crate) restarts: u64,
    pub(crate) rings_passed: u64,
    pub(crate) completed: u64,
    pub(crate) halted: u64,
}

impl Tried {
    pub(crate) fn add(&mut self, other: &Tried) {
        let Tried {
            facts,
            takes,
            refused,
            lapses,
            addenda,
            blocks,
            controls,
            restarts,
            rings_passed,
            completed,
            halted,
        } = other;
        self.facts += facts;
        self.takes += takes;
        self.refused += refused;
        self.lapses += lapses;
        self.addenda += addenda;
        self.blocks += blocks;
        self.controls += controls;
        self.restarts += restarts;
        self.rings_passed += rings_passed;
        self.completed += completed;
        self.halted += halted;
    }
}

pub(crate) struct Schedule {
    pub(crate) rollout: Rollout,
    pub(crate) tried: Tried,
    pub(crate) now: WallTime,
    dice: Dice,
    planner: Planner,
    watch: Watch,
    devices: Vec<DeviceId>,
    absent: BTreeSet<DeviceId>,
    took_at: BTreeMap<DeviceId, WallTime>,
    health: f64,
    calm: bool,
    old_facts: Vec<Fact>,
}

fn random_policy(dice: &mut Dice) -> Policy {
    let lab = if dice.chance(0.7) { "{name = \"lab\", lab = true, soak = \"1s\"}, " } else { "" };
    let delta = dice.pick(&["0.97", "0.9", "0.5"]);
    let strata = match dice.below(3) {
        0 => "",
        1 => "[strata]\nby = [\"os\"]\nlisted = [[\"win\"], [\"mac\"]]",
        _ => "[strata]\nby = [\"os\", \"site\"]\nlisted = [[\"win\", \"ams\"], [\"win\", \"fra\"], [\"mac\", \"ams\"]]",
    };
    let text = format!(
        r#"
        name = "random"
        halt = "{}"
        rings = [{lab}{{name = "canary", share = 0.2, soak = "1s", clear_hard = {delta}, clear_silent = {delta}}},
                 {{name = "broad", soak = "2s", clear_hard = {delta}, clear_silent = {delta}}}]
        {strata}
        [window]
        initial_all = {}
        initial_value = {}
        initial_stratum = {}
        growth = {}
        unproven_share_max = {}
        [prove]
        for = "4s"
        [pace]
        check_in = "1s"
        take_within = "{}s"
        order_life = "{}s"
        [gate]
        proven_min_per_stratum = 1
        beta = {}
        [holdback]
        share = {}
        "#,
        dice.pick(&["rollout", "scope"]),
        dice.between(1, 10),
        dice.between(1, 6),
        dice.between(1, 4),
        dice.between(1, 3),
        dice.pick(&["0.25", "0.6", "1.0"]),
        dice.pick(&["2", "5", "60"]),
        dice.pick(&["120", "3600"]),
        dice.pick(&["0.01", "0.6", "0.9"]),
        dice.pick(&["0.0", "0.1", "0.3"]),
    );
    Policy::parse(&text).unwrap()
}

fn candidate(dice: &mut Dice, index: usize) -> Candidate {
    let os = *dice.pick(&["win", "mac", "bsd"]);
    let site = *dice.pick(&["ams", "fra"]);
    let ring = dice.chance(0.2).then(|| "lab".parse().unwrap());
    let attributes: BTreeMap<AttributeName, AttributeValue> =
        [("os", os), ("site", site)].map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).into();
    let attributes = Attributes::try_from(attributes).unwrap();
    Candidate { device: format!("d{index}").parse().unwrap(), ring, attributes }
}

pub(crate) fn identity(started_at_ms: WallTime, life: Elapsed, downtime: Elapsed) -> Identity {
    Identity {
        rollout: "sensor.1".parse().unwrap(),
        package: "sensor".parse().unwrap(),
        version: "1".parse().unwrap(),
        release: Digest::of(b"release"),
        policy: Digest::of(b"policy"),
        order: Digest::of(b"order"),
        started_at_ms,
        expires_at_ms: started_at_ms.after(life),
        downtime,
        numbers: Vec::new(),
    }
}

impl Schedule {
    pub(crate) fn new(seed: u64, planner: Planner) -> Schedule {
        let mut dice = Dice::new(seed);
        let policy = random_policy(&mut dice);
        let size = dice.between(6, 36) as usize;
        let candidates: Vec<Candidate> = (0..size).map(|index| candidate(&mut dice, index)).collect();
        let devices: Vec<DeviceId> = candidates.iter().map(|candidate| candidate.device.clone()).collect();
        let now = WallTime::from_ms(1_000_000);
        let identity = identity(now, policy.pace.order_life, Elapsed::from_s(dice.between(1, 3)));
        let rosters = rosters(&policy, &Digest::of(&seed.to_be_bytes()), candidates);
        // In a third of the schedules some were enrolled after the release was published.
        let late_share = if dice.chance(0.3) { 0.3 } else { 0.0 };
        let late: BTreeSet<&DeviceId> = devices.iter().filter(|_| dice.chance(late_share)).collect();
        let rollout = Rollout::start(identity, policy, rosters, |device| !late.contains(device));
        let calm = dice.chance(0.3);
        let health = if calm { 1.0 } else { *dice.pick(&[1.0, 0.97, 0.7, 0.2]) };
        Schedule {
            rollout,
            tried: Tried::default(),
            now,
            dice,
            planner,
            watch: Watch::default(),
            devices,
            absent: BTreeSet::new(),
            took_at: BTreeMap::new(),
            health,
            calm,
            old_facts: Vec::new(),
        }
    }

    /// Lets `steps` random things happen. Every fact is followed by a full count.
    pub(crate) fn run(&mut self, steps: u64) -> Result<(), String> {
        for _ in 0..steps {
            match self.dice.below(100) {
                0..35 => self.time_passes(),
                35..64 => self.plans()?,
                64..66 => self.restarts()?,
                66..73 if self.calm => self.devices_act()?,
                66..70 => self.somebody_comes_or_goes(),
                70..73 => self.a_person_acts()?,
                73..76 => self.an_old_fact_again()?,
                76..80 if self.planner == Planner::Lying => self.lies()?,
                _ => self.devices_act()?,
            }
        }
        Ok(())
    }

    pub(crate) fn apply(&mut self, fact: Fact) -> Result<(), String> {
        self.rollout.apply(&fact, self.now);
        self.tried.facts += 1;
        match &fact {
            Fact::Took { .. } => self.tried.takes += 1,
            Fact::Lapsed { .. } => self.tried.lapses += 1,
            Fact::AddendumIssued { .. } => self.tried.addenda += 1,
            Fact::RingPassed { .. } => self.tried.rings_passed += 1,
            Fact::Completed => self.tried.completed += 1,
            Fact::Halted { .. } => self.tried.halted += 1,
            Fact::BlockOpened { controls, .. } => {
                self.tried.blocks += 1;
                self.tried.controls += controls.len() as u64;
            }
            _ => {}
        }
        self.watch.check(&self.rollout, &fact, self.planner).map_err(|what| format!("after {fact:?}: {what}"))?;
        if self.dice.chance(0.2) {
            self.old_facts.push(fact);
        }
        Ok(())
    }

    fn time_passes(&mut self) {
        let now = self.now.as_ms();
        let passed = match self.dice.below(100) {
            0 => self.dice.between(10_000, 400_000),
            1..4 => 0,
            _ => self.dice.between(100, 2_000),
        };
        let back = if self.dice.chance(0.03) { self.dice.between(1, 30_000) } else { 0 };
        self.now = WallTime::from_ms((now + passed).saturating_sub(back));
    }

    pub(crate) fn plans(&mut self) -> Result<(), String> {
        let joiners = self.joiners();
        let absent = &self.absent;
        let moment = Moment {
            now: self.now,
            well_in_tick: &|device, _| !absent.contains(device),
            present: &|device| !absent.contains(device),
            joiners,
            unproven_elsewhere: self.dice.below(3) as u32,
            shut: &|_| false,
            serving_since: WallTime::default(),
            unproven_everywhere_max: *self.dice.pick(&[3, 1_000, 1_000, 1_000]),
        };
        let plan = plan(&self.rollout, &moment);
        // A server that dies may have recorded only the first facts of a plan.
        let kept =
            if self.dice.chance(0.1) { self.dice.below(plan.next.len() as u64 + 1) as usize } else { usize::MAX };
        for fact in plan.next.into_iter().take(kept) {
            self.apply(fact)?;
        }
        Ok(())
    }

    fn joiners(&mut self) -> Vec<AddedPlace> {
        let mut joiners = Vec::new();
        if self.dice.chance(0.1) {
            for _ in 0..self.dice.between(1, 3) {
                let new = self.dice.chance(0.7);
                let index = if new { self.devices.len() } else { self.dice.below(self.devices.len() as u64) as usize };
                let candidate = candidate(&mut self.dice, index);
                let stratum = self.rollout.policy().stratum_of(&candidate.attributes);
                let ring = self.dice.below(self.rollout.policy().rings.len() as u64 + 1) as u8;
                let evidence = self.dice.chance(0.5);
                if new {
                    self.devices.push(candidate.device.clone());
                }
                joiners.push(AddedPlace { device: candidate.device, stratum, ring, evidence });
            }
        }
        joiners
    }

    fn restarts(&mut self) -> Result<(), String> {
        let text = serde_json::to_string(&self.rollout).unwrap();
        let mut back: Rollout = serde_json::from_str(&text).unwrap();
        back.reindex();
        self.tried.restarts += 1;
        if back != self.rollout {
            return Err("a rollout that was stored and read back is another one".to_owned());
        }
        self.rollout = back;
        Ok(())
    }

    fn somebody_comes_or_goes(&mut self) {
        let device = self.dice.pick(&self.devices).clone();
        if !self.absent.remove(&device) {
            self.absent.insert(device);
        }
    }

    fn a_person_acts(&mut self) -> Result<(), String> {
        let by = "ada".parse().unwrap();
        let fact = match self.dice.below(60) {
            0 => Fact::Halted { reasons: vec![HaltReason::ByPerson { by, reason: "enough".to_owned() }] },
            1..10 => Fact::Paused { by, reason: String::new() },
            _ => Fact::Resumed { by, reason: String::new() },
        };
        self.apply(fact)
    }

    /// A fact that was applied before, once more: late, or twice. Only a device's words may still change anything.
    fn an_old_fact_again(&mut self) -> Result<(), String> {
        if self.old_facts.is_empty() {
            return Ok(());
        }
        let fact = self.dice.pick(&self.old_facts).clone();
        match &fact {
            Fact::Observed { .. }
            | Fact::TroubledElsewhere { .. }
            | Fact::Paused { .. }
            | Fact::Resumed { .. }
            | Fact::Escalated { .. } => self.apply(fact),
            // These two name things that may be there anew: a device's new place, another take in the same tick.
            Fact::Took { device }
                if self
                    .rollout
                    .place_of(device)
                    .is_some_and(|(_, _, place)| matches!(place.stage, Stage::Open { .. })) =>
            {
                Ok(())
            }
            Fact::BlockOpened { .. } | Fact::RingPassed { .. } | Fact::Completed | Fact::Halted { .. } => Ok(()),
            _ => {
                let before = self.rollout.clone();
                self.rollout.apply(&fact, self.now);
                if self.rollout == before { Ok(()) } else { Err(format!("once more {fact:?}: it changed something")) }
            }
        }
    }

    /// A permit that opens far more than the window holds.
    pub(crate) fn lies(&mut self) -> Result<(), String> {
        let step = self.rollout.permits().last().map_or(0, |last| last.step) + 1;
        let counts = self.rollout.rows().iter().map(|row| RowCount {
            stratum: self.rollout.stratum(row.stratum).unwrap().clone(),
            addendum: row.addendum,
            count: u32::MAX,
        });
        let fact =
            Fact::PermitIssued { step, counts: counts.collect(), take_by_ms: self.now.after(Elapsed::from_s(3_600)) };
        self.apply(fact)
    }

    fn devices_act(&mut self) -> Result<(), String> {
        let awaited = |stage: &Stage| match stage {
            Stage::Open { .. } | Stage::Control { .. } => true,
            Stage::Taken(taken) => !taken.proven,
            Stage::Waiting | Stage::Lapsed => false,
        };
        let rows = self.rollout.rows().iter().flat_map(|row| &row.places);
        let busy: Vec<DeviceId> =
            rows.filter(|place| awaited(&place.stage)).map(|place| place.device.clone()).collect();
        for _ in 0..self.dice.between(1, 8) {
            let among = if busy.is_empty() || self.dice.chance(0.1) { &self.devices } else { &busy };
            let device = self.dice.pick(among).clone();
            if self.absent.contains(&device) && self.dice.chance(0.9) {
                continue;
            }
            if self.took_at.contains_key(&device) && self.dice.chance(0.9) || self.dice.chance(0.1) {
                self.reports(device)?;
            } else {
                self.asks_to_go(device)?;
            }
        }
        Ok(())
    }

    pub(crate) fn asks_to_go(&mut self, device: DeviceId) -> Result<(), String> {
        match self.rollout.may_take(&device, self.now) {
            Ok(Take::New) => {
                self.may_go(&device)?;
                self.took_at.insert(device.clone(), self.now);
                self.apply(Fact::Took { device })
            }
            Ok(Take::Again) => Ok(()),
            Err(_) => {
                self.tried.refused += 1;
                Ok(())
            }
        }
    }

    /// What the go path promises besides the window: nothing without a permit in force, in a ring that is open, while running.
    fn may_go(&self, device: &DeviceId) -> Result<(), String> {
        let (_, _, place) = self.rollout.place_of(device).ok_or("a go without a place")?;
        let Stage::Open { step } = place.stage else { return Err(format!("a go for {:?}", place.stage)) };
        let permit = self.rollout.permits().iter().find(|permit| permit.step == step).ok_or("a go without a permit")?;
        let word = self.rollout.phase().word();
        let in_time = self.now <= permit.take_by_ms && self.now <= self.rollout.identity().expires_at_ms;
        if permit.lapsed || !in_time || place.ring > self.rollout.ring() || !["running", "completed"].contains(&word) {
            return Err(format!("{device} may go in ring {} while {word}, by {permit:?}", place.ring));
        }
        Ok(())
    }

    fn reports(&mut self, device: DeviceId) -> Result<(), String> {
        let reason = *self.dice.pick(&[FailureReason::Crashed, FailureReason::ProbeFailed, FailureReason::Reverted]);
        let observation = if self.dice.chance(self.health) {
            if self.dice.chance(0.3) { Observation::Healthy } else { Observation::Proven { restarts: 0 } }
        } else {
            self.dice
                .pick(&[
                    Observation::Failed { reason, attempt: 3 },
                    Observation::Returned { reason },
                    Observation::NeedsHands { reason },
                    Observation::ContactLostBoth,
                    Observation::Activating { attempt: 1 },
                ])
                .clone()
        };
        if self.dice.chance(0.03) {
            self.apply(Fact::TroubledElsewhere { device: device.clone() })?;
        }
        let age = self.took_at.get(&device).map_or(Elapsed::ZERO, |at| self.now.since(*at));
        let age_ms = if self.dice.chance(0.1) { self.dice.below(100_000) } else { age.as_ms() };
        let times = if self.dice.chance(0.1) { 2 } else { 1 };
        for _ in 0..times {
            self.apply(Fact::Observed {
                device: device.clone(),
                observation: observation.clone(),
                age_ms,
                numbers: BTreeMap::new(),
            })?;
        }
        Ok(())
    }
}
