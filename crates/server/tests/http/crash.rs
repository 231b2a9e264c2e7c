//! P6: a server that is killed at every named step of running rollouts, again and again, loses nothing that it acknowledged,
//! never leaves the window, and goes on to the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_domain::digest::Digest;
use tidegate_server::drill::{KILL_VARIABLE, POINTS};
use ureq::http::Method;

use crate::child::Process;
use crate::fleet::{Api, Fleet, until};
use crate::log::{Account, runtime, whole_log};
use crate::played::{FAST_POLICY, Player, twelve};

const KILLS: u32 = 200;
const KILLS_AT_EACH: u32 = 5;
/// A drill whose step is not reached within this is ended from outside, at an instant of its own.
const PATIENCE: Duration = Duration::from_secs(3);
const SEED: u64 = 0x7469_6465;

/// A small generator of numbers, so that a run can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Everything that outlives the server's processes.
struct Drill {
    fleet: Fleet,
    players: Vec<Player>,
    admin: Api,
    policy: Digest,
    dice: Dice,
    rollout: String,
    releases: u32,
    artifacts: Vec<String>,
    completed: u32,
    halted: u32,
}

/// Easily cleared, and slow to leave the lab, so that many kills fall into each ring.
fn drill_policy() -> String {
    FAST_POLICY.replace("beta = 0.9", "beta = 0.99").replacen("soak = \"200ms\"", "soak = \"2s\"", 1)
}

impl Drill {
    fn new() -> Drill {
        let mut fleet = Fleet::found();
        let process = Process::start(&fleet, None);
        let base = process.base.clone().unwrap();
        let admin = Api::nobody(&base).login(&process.login_code);
        let policy = fleet.apply_policy(&admin, &drill_policy());
        let mut players = twelve(&fleet, &base);
        assert!(players.iter_mut().all(Player::enrol));
        players.iter_mut().for_each(|player| drop(player.play().unwrap()));
        let content = "release 1".to_owned();
        fleet.publish(&admin, "1.0.1", &content);
        let rollout = fleet.start_rollout(&admin, "1.0.1", &policy);
        let dice = Dice(SEED);
        let (artifacts, releases) = (vec![content], 1);
        Drill { fleet, players, admin, policy, dice, rollout, releases, artifacts, completed: 0, halted: 0 }
    }

    fn move_to(&mut self, base: &str) {
        self.admin = self.admin.at(base);
        self.players.iter_mut().for_each(|player| player.moved_to(base));
    }

    /// The rollout; none while the server does not answer. A person looks after one that asks for a person, and ends one whose
    /// evidence is complete and does not suffice: a server that is down for long makes every device silent.
    fn view(&self) -> Option<Value> {
        let path = format!("/rollouts/{}", self.rollout);
        let reply = self.admin.try_call(Method::GET, &path, b"").ok()?;
        let view = (reply.status == 200).then(|| reply.json())?;
        let reasons = view["reasons"].as_array().unwrap();
        let says = |words: &str| reasons.iter().any(|reason| reason.as_str().unwrap().starts_with(words));
        if says("needs a person: every device of the ring was heard out") {
            let body = json!({"reason": "it cannot pass any more"}).to_string();
            let _ = self.admin.try_call(Method::POST, &format!("{path}/halt"), body.as_bytes());
        } else if says("needs a person") {
            let body = json!({"reason": "I have looked"}).to_string();
            let _ = self.admin.try_call(Method::POST, &format!("{path}/resume"), body.as_bytes());
        }
        Some(view)
    }

    /// Plays the fleet for one round. None as soon as the server does not answer.
    fn round(&mut self) -> Option<()> {
        for index in 0..self.players.len() {
            self.players[index].play()?;
        }
        // The pace of the devices, not a wait for an event.
        std::thread::sleep(Duration::from_millis(20));
        Some(())
    }

    /// Starts the next rollout where the last one is over. One that is in its lab gets through it undisturbed, so that the first
    /// devices behind the lab find others to be compared with.
    fn go_on(&mut self) {
        let process = Process::start(&self.fleet, None);
        self.move_to(&process.base.clone().unwrap());
        self.round().unwrap();
        let view = until("the rollout", || self.view());
        match view["report"]["phase"].as_str().unwrap() {
            "completed" => self.completed += 1,
            "halted" => self.halted += 1,
            _ if view["report"]["ring"] == "lab" => return self.leave_the_lab(),
            _ => return,
        }
        self.start_next();
    }

    fn start_next(&mut self) {
        self.releases += 1;
        let (version, content) = (format!("1.0.{}", self.releases), format!("release {}", self.releases));
        self.fleet.publish(&self.admin, &version, &content);
        self.artifacts.push(content);
        self.players.iter_mut().for_each(|player| player.active = None);
        self.rollout = self.fleet.start_rollout(&self.admin, &version, &self.policy);
    }

    fn leave_the_lab(&mut self) {
        until("the lab passes", || {
            self.round();
            (self.view()?["report"]["ring"] != "lab").then_some(())
        });
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(600) {
            self.round();
        }
    }

    /// Serves and plays until the server ends by its drill; whether it did.
    fn strike(&mut self, point: &str, nth: u64) -> bool {
        let mut process = Process::start(&self.fleet, Some((KILL_VARIABLE, &format!("{point}:{nth}"))));
        let Some(base) = process.base.clone() else { return process.ends_within(PATIENCE) };
        self.move_to(&base);
        let (begun, mut rounds) = (Instant::now(), 0);
        while begun.elapsed() < PATIENCE && !process.is_over() {
            rounds += 1;
            if point == "before_artifact_named" {
                self.upload();
            }
            if point == "after_halt_file" && rounds == 2 {
                let path = format!("/rollouts/{}/halt", self.rollout);
                let _ = self.admin.try_call(Method::POST, &path, json!({"reason": "drill"}).to_string().as_bytes());
            }
            // One device after the other joins again, as if its answer had been lost.
            let index = self.dice.below(12) as usize;
            self.players[index].enrol();
            let _ = self.round();
        }
        process.is_over()
    }

    fn upload(&mut self) {
        let content = format!("artifact {}", self.dice.below(1 << 40));
        let path = format!("/artifacts/{}", Digest::of(content.as_bytes()).hex());
        let reply = self.admin.try_call(Method::PUT, &path, content.as_bytes());
        if reply.is_ok_and(|reply| reply.status == 201) {
            self.artifacts.push(content);
        }
    }

    /// Which visit of a step ends the process: early ones strike while it starts, later ones while it serves.
    fn nth(&mut self, point: &str) -> u64 {
        1 + match point {
            "before_append" | "after_append" => self.dice.below(25),
            "before_other_request" | "after_other_request" => self.dice.below(4),
            "before_answer" => self.dice.below(15),
            "before_go" => self.dice.below(2),
            _ => 0,
        }
    }

    /// The next step to strike: the one struck least, halts seldom.
    fn choose(&mut self, hits: &BTreeMap<&'static str, u32>, kill: u32) -> &'static str {
        if kill % 30 == 29 && hits["after_halt_file"] < KILLS_AT_EACH + 1 {
            return "after_halt_file";
        }
        let often: Vec<&str> = POINTS.map(|(_, name)| name).into_iter().filter(|n| *n != "after_halt_file").collect();
        let scarce = often.iter().find(|name| hits[*name] * KILLS < kill * KILLS_AT_EACH);
        scarce.copied().unwrap_or(often[self.dice.below(often.len() as u64) as usize])
    }
}

#[test]
fn a_server_killed_at_every_durable_step_loses_nothing_that_it_acknowledged() {
    let mut drill = Drill::new();
    let mut hits: BTreeMap<&'static str, u32> = POINTS.map(|(_, name)| (name, 0)).into();
    let (mut kills, mut from_outside) = (0, 0);
    while kills < KILLS || hits.values().any(|hits| *hits < KILLS_AT_EACH) {
        let point = drill.choose(&hits, kills);
        let nth = drill.nth(point);
        if drill.strike(point, nth) {
            kills += 1;
            *hits.get_mut(point).unwrap() += 1;
        } else {
            from_outside += 1;
        }
        assert!(from_outside < KILLS, "steps are not reached: {hits:?}");
        if kills == KILLS / 2 {
            let report = runtime().block_on(tidegate_server::rebuild(&drill.fleet.data())).unwrap();
            assert!(report.identical, "{report:?}");
        }
        if point == "after_halt_file" || kills % 4 == 0 {
            drill.go_on();
        }
    }
    drill.finish();
    let account = drill.verify();
    println!("kills at each step, {kills} in all, {from_outside} more from outside:");
    hits.iter().for_each(|(point, hits)| println!("  {point:<24}{hits:>4}"));
    println!(
        "{} releases, {} completed, {} halted; {} takes, {} reports; the window was checked {} times",
        drill.releases,
        drill.completed,
        drill.halted,
        account.takes.len(),
        account.reports.len(),
        account.checked
    );
    assert!(drill.completed >= 3, "rollouts complete in spite of it");
}

impl Drill {
    /// The last rollout completes, unless it is halted: then the next one does, with nothing in its way.
    fn finish(&mut self) {
        let process = Process::start(&self.fleet, None);
        self.move_to(&process.base.clone().unwrap());
        until("a rollout completes", || {
            self.round();
            match self.view()?["report"]["phase"].as_str()? {
                "completed" => return Some(()),
                "halted" => {
                    self.halted += 1;
                    self.start_next();
                }
                _ => {}
            }
            None
        });
        self.completed += 1;
        for content in &self.artifacts {
            let name = Digest::of(content.as_bytes()).hex();
            let reply = self.players[0].call(Method::GET, &format!("/artifacts/{name}"), b"").unwrap();
            assert_eq!(reply.body, content.as_bytes(), "an artifact that was acknowledged is there");
        }
        assert!(self.players.iter_mut().all(|player| player.play().is_some()), "every token given last is good");
    }

    /// Everything acknowledged is in the log, and the log alone keeps the bound.
    fn verify(&self) -> Account {
        let log = whole_log(&self.fleet.data());
        let account = Account::of(&log);
        for player in &self.players {
            assert!(account.devices.contains_key(&player.id), "{} enrolled", player.id);
            for seq in 1..=player.acknowledged_seq {
                assert!(account.reports.contains(&(player.id.clone(), seq)), "{} report {seq}", player.id);
            }
            for order in &player.takes {
                assert!(account.takes.contains(&(player.id.clone(), *order)), "{} took {order}", player.id);
            }
        }
        let report = runtime().block_on(tidegate_server::rebuild(&self.fleet.data())).unwrap();
        assert!(report.identical && report.snapshot_at.is_some(), "{report:?}");
        account
    }
}
