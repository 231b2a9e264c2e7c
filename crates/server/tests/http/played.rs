//! Devices played by the test: they sign and talk like real ones, and remember what the server acknowledged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::NumberName;
use tidegate_domain::observation::{FailureReason, Observation};
use tidegate_server::clock::now;
use tidegate_trust::records::{Enrolment, EnrolmentToken, GoRequest, Report};
use tidegate_trust::signed::Unverified;
use tidegate_wire::device::{CheckInAnswer, Offer, ReportsAnswer};
use ureq::http::Method;

use crate::fleet::{Fleet, OTHER, PACKAGE, Reply, TOKEN_KEY, http_agent, key, public, request, signed};

/// What a device does with a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Temper {
    /// Proves it.
    Proves,
    /// Fails and returns.
    Fails,
    /// Fails, and its fallback with it.
    NeedsHands,
}

/// A release that a device took.
#[derive(Debug, Clone)]
pub(crate) struct Active {
    pub(crate) order: Digest,
    pub(crate) taken: Instant,
    pub(crate) over: bool,
}

/// A device.
pub(crate) struct Player {
    pub(crate) id: String,
    pub(crate) key: SigningKey,
    pub(crate) bearer: String,
    pub(crate) temper: Temper,
    pub(crate) active: Option<Active>,
    staged: Option<(Digest, Digest)>,
    pub(crate) outbox: Vec<Unverified<Report>>,
    pub(crate) last_seq: u64,
    /// Numbers up to this one were acknowledged.
    pub(crate) acknowledged_seq: u64,
    /// Orders whose go was given.
    pub(crate) takes: Vec<Digest>,
    pub(crate) enrolment: Value,
    pub(crate) prove_for: Duration,
    /// Whether it runs the second package too.
    pub(crate) runs_both: bool,
    /// What it says of itself in its own words.
    pub(crate) words: String,
    /// The release that it says it runs.
    pub(crate) runs: Option<Digest>,
    /// What its payload says in numbers, in thousandths.
    pub(crate) numbers: BTreeMap<NumberName, i64>,
    fleet: Digest,
    base: String,
    agent: ureq::Agent,
}

impl Player {
    /// A device that has not enrolled yet.
    pub(crate) fn new(fleet: &Fleet, token: &Unverified<EnrolmentToken>, number: u8, ring: &str, os: &str) -> Player {
        Player::with_id(fleet, token, number, format!("{ring}-{os}-{number}"), (ring, os))
    }

    /// The same with an id of the test's own.
    pub(crate) fn with_id(
        fleet: &Fleet,
        token: &Unverified<EnrolmentToken>,
        number: u8,
        id: String,
        (ring, os): (&str, &str),
    ) -> Player {
        let device_key = key(100 + number);
        let customer = if number % 4 < 2 { "acme" } else { "blue" };
        let body = json!({
            "fleet": fleet.fleet, "device": id, "public_key": public(&device_key), "ring": ring,
            "attributes": {"os": os, "customer": customer}, "token": token.digest(), "enrolled_at_ms": now(),
        });
        let record = Unverified::draft(&serde_json::from_value::<Enrolment>(body).unwrap()).unwrap();
        let record = signed(signed(record, &key(TOKEN_KEY)), &device_key);
        Player {
            id,
            key: device_key,
            bearer: String::new(),
            temper: Temper::Proves,
            active: None,
            staged: None,
            outbox: Vec::new(),
            last_seq: 0,
            acknowledged_seq: 0,
            takes: Vec::new(),
            enrolment: json!({"token": token, "enrolment": record}),
            prove_for: Duration::from_millis(300),
            runs_both: false,
            words: String::new(),
            runs: None,
            numbers: BTreeMap::new(),
            fleet: fleet.fleet,
            base: String::new(),
            agent: http_agent(),
        }
    }

    pub(crate) fn moved_to(&mut self, base: &str) {
        self.base = base.to_owned();
    }

    pub(crate) fn call(&self, method: Method, path: &str, body: &[u8]) -> Result<Reply, ureq::Error> {
        let bearer = format!("Bearer {}", self.bearer);
        let headers = [("authorization", bearer.as_str()), ("tidegate-device", self.id.as_str())];
        request(&self.agent, method, &format!("{}/device/v1{path}", self.base), &headers, body)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Reply, ureq::Error> {
        self.call(Method::POST, path, body.to_string().as_bytes())
    }

    /// Joins. Whether it was acknowledged.
    pub(crate) fn enrol(&mut self) -> bool {
        let Ok(reply) = self.post("/enrol", &self.enrolment) else { return false };
        if reply.status != 201 {
            return false;
        }
        reply.json()["token"].as_str().unwrap().clone_into(&mut self.bearer);
        true
    }

    /// What the device says when it checks in.
    pub(crate) fn presence(&self) -> Value {
        let one = |package: &str| json!({"package": package, "state": "idle", "healthy": true});
        let packages: Vec<Value> = if self.runs_both { vec![one(PACKAGE), one(OTHER)] } else { vec![one(PACKAGE)] };
        json!({"packages": packages})
    }

    /// One check-in with all that follows from it. None where the server did not answer.
    pub(crate) fn play(&mut self) -> Option<CheckInAnswer> {
        let mut reply = self.post("/check-in", &self.presence()).ok()?;
        if reply.status == 401 {
            // The token was replaced by one whose answer was lost.
            self.enrol().then_some(())?;
            reply = self.post("/check-in", &self.presence()).ok()?;
        }
        if reply.status != 200 {
            return None;
        }
        let answer: CheckInAnswer = serde_json::from_slice(&reply.body).unwrap();
        for offer in &answer.offers {
            self.stage(offer.rollout.as_str())?;
        }
        self.ask_go()?;
        let package_wanted = answer.health_wanted.iter().any(|package| package.as_str() == PACKAGE);
        self.observe(package_wanted);
        self.send()?;
        Some(answer)
    }

    /// Stages what is offered.
    fn stage(&mut self, rollout: &str) -> Option<()> {
        let reply = self.call(Method::GET, &format!("/offers/{rollout}"), b"").ok()?;
        if reply.status == 200 {
            let offer: Offer = serde_json::from_slice(&reply.body).unwrap();
            self.staged = Some((offer.order.digest(), offer.permit.digest()));
        }
        Some(())
    }

    /// Asks for the go, again and again until there is an answer: the take may be recorded although its go was lost.
    fn ask_go(&mut self) -> Option<()> {
        let Some((order, permit)) = self.staged else { return Some(()) };
        let asked = self.go_request(order, permit, now().as_ms());
        let reply = self.post("/go", &serde_json::to_value(&asked).unwrap()).ok()?;
        if reply.status == 200 {
            let nonce = asked.danger_unchecked_body().unwrap().nonce.to_string();
            assert_eq!(reply.json()["body"]["nonce"].as_str(), Some(nonce.as_str()));
            self.takes.push(order);
            self.active = Some(Active { order, taken: Instant::now(), over: false });
        }
        if reply.status < 500 {
            self.staged = None;
        }
        Some(())
    }

    pub(crate) fn go_request(&self, order: Digest, permit: Digest, nonce: u64) -> Unverified<GoRequest> {
        let body = json!({
            "fleet": self.fleet, "device": self.id, "order": order, "permit": permit,
            "nonce": Digest::of(format!("{}/{nonce}", self.id).as_bytes()),
        });
        let record = Unverified::draft(&serde_json::from_value::<GoRequest>(body).unwrap()).unwrap();
        signed(record, &self.key)
    }

    fn observe(&mut self, health_wanted: bool) {
        let Some(active) = self.active.clone() else {
            if health_wanted {
                self.report(None, Observation::Healthy, 0);
            }
            return;
        };
        let age = active.taken.elapsed();
        let (order, age_ms) = (Some(active.order), age.as_millis() as u64);
        let over = match self.temper {
            Temper::Fails if !active.over => {
                let reason = FailureReason::Crashed;
                self.report(order, Observation::Failed { reason, attempt: 3 }, age_ms);
                self.report(order, Observation::Returned { reason }, age_ms);
                true
            }
            Temper::NeedsHands if !active.over => {
                self.report(order, Observation::NeedsHands { reason: FailureReason::Crashed }, age_ms);
                true
            }
            Temper::Proves if !active.over && age >= self.prove_for => {
                self.report(order, Observation::Proven { restarts: 0 }, age_ms);
                true
            }
            Temper::Proves if !active.over || health_wanted => {
                self.report(order, Observation::Healthy, age_ms);
                active.over
            }
            Temper::Fails | Temper::NeedsHands | Temper::Proves => active.over,
        };
        self.active = Some(Active { over, ..active });
    }

    pub(crate) fn report(&mut self, order: Option<Digest>, observation: Observation, age_ms: u64) {
        self.last_seq += 1;
        let report = self.signed_report(self.last_seq, order, observation, age_ms);
        self.outbox.push(report);
    }

    pub(crate) fn signed_report(
        &self,
        seq: u64,
        order: Option<Digest>,
        observation: Observation,
        age_ms: u64,
    ) -> Unverified<Report> {
        let body = Report {
            fleet: self.fleet,
            device: self.id.parse().unwrap(),
            seq,
            package: PACKAGE.parse().unwrap(),
            order,
            observation,
            detail: self.words.clone(),
            numbers: self.numbers.clone(),
            age_ms,
            current: self.runs,
            fallback: None,
            at_ms: now(),
            ext: Default::default(),
        };
        signed(Unverified::draft(&body).unwrap(), &self.key)
    }

    pub(crate) fn send(&mut self) -> Option<()> {
        if self.outbox.is_empty() {
            return Some(());
        }
        let first: Vec<_> = self.outbox.iter().take(64).collect();
        let reply = self.post("/reports", &json!({"reports": first})).ok()?;
        if reply.status == 200 {
            let answer: ReportsAnswer = serde_json::from_slice(&reply.body).unwrap();
            self.acknowledged_seq = self.acknowledged_seq.max(answer.acknowledged_seq);
            let acknowledged = answer.acknowledged_seq;
            self.outbox.retain(|report| report.danger_unchecked_body().unwrap().seq > acknowledged);
        }
        Some(())
    }
}

/// Twelve devices, two of them in the lab, of two systems.
pub(crate) fn twelve(fleet: &Fleet, base: &str) -> Vec<Player> {
    let (lab, broad) = (fleet.token("lab", 1_000), fleet.token("broad", 1_000));
    let player = |number: u8| {
        let os = if number.is_multiple_of(2) { "linux" } else { "windows" };
        let (token, ring) = if number < 2 { (&lab, "lab") } else { (&broad, "broad") };
        let mut player = Player::new(fleet, token, number, ring, os);
        player.moved_to(base);
        player
    };
    (0..12).map(player).collect()
}

/// A policy under which the twelve are through in a few seconds.
pub(crate) const FAST_POLICY: &str = r#"
name = "fast"
[strata]
by = ["os"]
listed = [["linux"], ["windows"]]
[window]
initial_all = 4
initial_value = 3
initial_stratum = 3
growth = 2
unproven_share_max = 1.0
[prove]
for = "300ms"
[pace]
check_in = "200ms"
take_within = "20s"
[gate]
beta = 0.9
proven_min_per_stratum = 1
[[rings]]
name = "lab"
lab = true
soak = "200ms"
[[rings]]
name = "broad"
soak = "200ms"
clear_hard = 0.9
clear_silent = 0.9
"#;
