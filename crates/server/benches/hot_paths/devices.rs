//! A crowd of enrolled devices, and the requests that they send, made beforehand.

use ed25519_dalek::SigningKey;
use serde::Serialize;
use serde_json::json;
use tidegate_control::command::Command;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::RolloutId;
use tidegate_domain::observation::Observation;
use tidegate_server::clock::now;
use tidegate_trust::records::{Enrolment, EnrolmentPair, GoRequest, Report};
use tidegate_trust::signed::Unverified;
use tidegate_wire::device::Offer;

use crate::fleet::{Fleet, PACKAGE, Running, TOKEN_KEY, key, public, signed};
use crate::load;

/// A policy that opens the whole crowd at once.
pub(crate) const WIDE_POLICY: &str = r#"
name = "wide"
[window]
initial_all = 10000
initial_value = 10000
initial_stratum = 10000
unproven_share_max = 1.0
[prove]
for = "1h"
[pace]
check_in = "1min"
take_within = "1h"
[[rings]]
name = "broad"
lab = true
soak = "1h"
[[rings]]
name = "rest"
soak = "1h"
"#;

struct Device {
    id: String,
    bearer: String,
    key: SigningKey,
}

/// Many devices.
pub(crate) struct Crowd {
    fleet: Digest,
    devices: Vec<Device>,
}

impl Crowd {
    /// Enrols so many and lets each check in once.
    pub(crate) fn enrol(fleet: &Fleet, running: &Running, count: usize) -> Crowd {
        let token = fleet.token("broad", count as u64);
        let devices: Vec<Device> = (0..count).map(device).collect();
        let enrolment = |device: &Device| {
            let body = json!({
                "fleet": fleet.fleet, "device": device.id, "public_key": public(&device.key), "ring": "broad",
                "attributes": {"os": "linux"}, "token": token.digest(), "enrolled_at_ms": now(),
            });
            let record = Unverified::draft(&serde_json::from_value::<Enrolment>(body).unwrap()).unwrap();
            let enrolment = signed(signed(record, &key(TOKEN_KEY)), &device.key);
            let request = Box::new(EnrolmentPair { token: token.clone(), enrolment });
            Command::Enrol { request, bearer: Digest::of(device.bearer.as_bytes()) }
        };
        let desk = &running.server.as_ref().unwrap().app().desk;
        for some in devices.chunks(1_000) {
            let asked = futures_util::future::join_all(some.iter().map(|device| desk.ask(enrolment(device))));
            assert!(running.runtime.block_on(asked).iter().all(Result::is_ok));
        }
        let crowd = Crowd { fleet: fleet.fleet, devices };
        load::load_once(&running.base, &crowd.check_ins());
        crowd
    }

    fn each(&self, request: impl Fn(&Device) -> Vec<u8>) -> Vec<Vec<u8>> {
        self.devices.iter().map(request).collect()
    }

    /// An idle check-in of each.
    pub(crate) fn check_ins(&self) -> Vec<Vec<u8>> {
        let said = json!({"packages": [{"package": PACKAGE, "state": "idle", "healthy": true}]});
        self.each(|device| device.request("POST", "/check-in", &said))
    }

    /// Each asks for its offer.
    pub(crate) fn offers(&self, rollout: &str) -> Vec<Vec<u8>> {
        let rollout: RolloutId = rollout.parse().unwrap();
        self.each(|device| device.request("GET", &format!("/offers/{rollout}"), &()))
    }

    /// Order and permit of an offer.
    pub(crate) fn offered(&self, base: &str, rollout: &str) -> (Digest, Digest) {
        let answer = load::once(base, &self.offers(rollout)[0]);
        let body = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let offer: Offer = serde_json::from_slice(&answer[body..]).unwrap();
        (offer.order.digest(), offer.permit.digest())
    }

    /// Each asks to go.
    pub(crate) fn go_requests(&self, order: Digest, permit: Digest) -> Vec<Vec<u8>> {
        self.each(|device| {
            let body = json!({
                "fleet": self.fleet, "device": device.id, "order": order, "permit": permit,
                "nonce": Digest::of(device.id.as_bytes()),
            });
            let record = Unverified::draft(&serde_json::from_value::<GoRequest>(body).unwrap()).unwrap();
            device.request("POST", "/go", &signed(record, &device.key))
        })
    }

    /// Each of the first so many sends `count` reports in one request, numbered from `first`.
    pub(crate) fn reports(&self, devices: usize, order: Digest, first: u64, count: u64) -> Vec<Vec<u8>> {
        let request = |device: &Device| {
            let report = |seq| {
                let body = Report {
                    fleet: self.fleet,
                    device: device.id.parse().unwrap(),
                    seq,
                    package: PACKAGE.parse().unwrap(),
                    order: Some(order),
                    observation: Observation::Healthy,
                    detail: String::new(),
                    numbers: Default::default(),
                    age_ms: 1_000,
                    current: None,
                    fallback: None,
                    at_ms: now(),
                    ext: Default::default(),
                };
                signed(Unverified::draft(&body).unwrap(), &device.key)
            };
            let reports: Vec<_> = (first..first + count).map(report).collect();
            device.request("POST", "/reports", &json!({"reports": reports}))
        };
        self.devices.iter().take(devices).map(request).collect()
    }
}

fn device(number: usize) -> Device {
    let mut seed = [0x5A; 32];
    seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
    let bearer = Digest::of(&seed).hex();
    Device { id: format!("device-{number:07}"), bearer, key: SigningKey::from_bytes(&seed) }
}

impl Device {
    fn request(&self, method: &str, path: &str, body: &impl Serialize) -> Vec<u8> {
        let body = if method == "GET" { String::new() } else { serde_json::to_string(body).unwrap() };
        let nonce = Digest::of(self.id.as_bytes()).hex();
        format!(
            "{method} /device/v1{path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ntidegate-device: {}\r\n\
             tidegate-nonce: {nonce}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.bearer,
            self.id,
            body.len()
        )
        .into_bytes()
    }
}
