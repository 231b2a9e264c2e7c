//! A server with a policy, and twelve enrolled devices that have been heard of once.

use serde_json::{Value, json};
use tidegate_domain::digest::Digest;

use crate::fleet::{Api, Fleet, Running, until};
use crate::played::{FAST_POLICY, Player, twelve};

pub(crate) struct World {
    pub(crate) fleet: Fleet,
    pub(crate) running: Running,
    pub(crate) api: Api,
    pub(crate) players: Vec<Player>,
    pub(crate) policy: Digest,
}

pub(crate) fn world() -> World {
    let fleet = Fleet::found();
    let running = fleet.start();
    let api = running.admin();
    let policy = fleet.apply_policy(&api, FAST_POLICY);
    let mut players = twelve(&fleet, &running.base);
    assert!(players.iter_mut().all(Player::enrol));
    players.iter_mut().for_each(|player| drop(player.play().unwrap()));
    World { fleet, running, api, players, policy }
}

impl World {
    pub(crate) fn start(&mut self, version: &str) -> String {
        self.fleet.publish(&self.api, version, version);
        format!("/rollouts/{}", self.fleet.start_rollout(&self.api, version, &self.policy))
    }

    pub(crate) fn play(&mut self) {
        self.players.iter_mut().for_each(|player| drop(player.play()));
    }

    pub(crate) fn hold(&self, body: &Value) -> u64 {
        let made = self.api.post("/holds", body);
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["hold"].as_u64().unwrap()
    }

    pub(crate) fn lift(&self, hold: u64) {
        let lifted = self.api.post(&format!("/holds/{hold}/lift"), &json!({"reason": "done"}));
        assert_eq!(lifted.status, 204, "{lifted:?}");
    }

    pub(crate) fn completes(&mut self, rollout: &str) {
        until("the rollout is complete", || {
            self.play();
            (self.api.get(rollout)["report"]["phase"] == "completed").then_some(())
        });
    }

    pub(crate) fn taken(&self, rollout: &str) -> u64 {
        let shown = self.api.get(rollout);
        shown["report"]["rings"].as_array().unwrap().iter().map(|ring| ring["taken"].as_u64().unwrap()).sum()
    }
}
