//! A device's verdict on offers from a server that holds stolen keys, the order key, the gate key, or both: the honest half of what
//! only one key signed cannot be replaced, and no key takes a device out of its place, ring, envelope or order of orders.
#![no_main]

#[path = "../../crates/agent/tests/fleet.rs"]
mod fleet;
#[allow(dead_code)]
#[path = "../../crates/agent/src"]
mod agent {
    pub(crate) mod verdict;
}

use std::collections::BTreeMap;
use std::sync::LazyLock;

use agent::verdict::{Held, Opened, RootKeys, RootSigned, Seen, SeenOrder, judge_offer, judge_root_signed};
use fleet::{DEVICE, Fleet, PACKAGE, Parts, key, now, public, signed};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tidegate_domain::digest::Digest;
use tidegate_fuzz::{bounded, seed_json};
use tidegate_trust::records::{Enrolment, PermitKind};
use tidegate_wire::device::Offer;

struct Bench {
    fleet: Fleet,
    parts: Parts,
    root_signed: RootSigned,
    enrolment: Enrolment,
    seen: Seen,
}

static BENCH: LazyLock<Bench> = LazyLock::new(Bench::new);

// The input is a JSON object: for each of `order`, `policy`, `permit` and `place` the fields that are other than the honest ones.
fuzz_target!(init: seeds(), |data: &[u8]| {
    let Ok(patch) = serde_json::from_slice::<Value>(data) else { return };
    for (order_key, gate_key) in [(true, false), (false, true), (true, true)] {
        let Some(offer) = BENCH.offer(&patch, order_key, gate_key) else { continue };
        let permit = offer.permit.clone();
        let place = offer.place.clone();
        let Ok(opened) = bounded(data.len(), || judge_offer(offer, PermitKind::Open, &BENCH.held(), now())) else {
            continue;
        };
        assert_eq!(opened.permit.digest(), permit.digest());
        nothing_honest_is_replaced(&opened, order_key, gate_key);
        assert_eq!(place.place.device, BENCH.enrolment.device, "the place of another device");
        assert_eq!((place.place.stratum.as_str(), place.place.ring), ("linux", 0), "a place that is not the device's own");
        what_is_opened_keeps_its_bounds(&opened, place.index);
    }
});

fn nothing_honest_is_replaced(opened: &Opened, order_key: bool, gate_key: bool) {
    let honest = &BENCH.parts;
    if !(order_key && gate_key) {
        assert_eq!(opened.order.digest(), honest.order_digest(), "one key alone replaced the order");
        assert_eq!(opened.order.body().policy, honest.policy.policy_digest());
    }
    if !gate_key {
        assert_eq!(opened.permit.body(), &honest.permit, "the permit was replaced without the gate key");
    }
}

fn what_is_opened_keeps_its_bounds(opened: &Opened, index: u32) {
    let (order, permit) = (opened.order.body(), opened.permit.body());
    assert!(BENCH.root_signed.envelope.admits(&opened.policy).is_ok(), "a policy outside the envelope");
    assert!(order.order_seq >= 7 && order.expires_at_ms > now() && !BENCH.seen.halts.contains(&opened.order.digest()));
    assert!(permit.kind == PermitKind::Open && permit.take_by_ms > now() && permit.order == opened.order.digest());
    let open: u64 = permit.counts.iter().map(|count| u64::from(count.count)).sum();
    assert!(u64::from(index) < open, "a place that is not open");
    assert!(permit.step > 1 || open <= u64::from(opened.policy.window.initial_all), "a first window that is too wide");
}

impl Bench {
    fn new() -> Bench {
        let mut fleet = Fleet::new();
        let release = fleet.publish("1.0.0", &[("x", b"x")], |_| {});
        let parts = fleet.parts(&release, 8);
        let bundle = fleet.bundle();
        let root = RootKeys { keys: vec![public(&fleet.root)], threshold: 1 };
        let root_signed = judge_root_signed(bundle.key_list, bundle.envelope, fleet.id, &root, None).unwrap();
        let enrolment = Enrolment {
            fleet: fleet.id,
            device: DEVICE.parse().unwrap(),
            public_key: public(&key(20)),
            ring: Some("canary".parse().unwrap()),
            attributes: BTreeMap::from([("os".parse().unwrap(), "linux".parse().unwrap())]).try_into().unwrap(),
            token: Digest::of(b"token"),
            enrolled_at_ms: now(),
            ext: BTreeMap::new(),
        };
        let mut seen = Seen::default();
        seen.orders.insert(PACKAGE.parse().unwrap(), SeenOrder { order_seq: 7, order: Digest::of(b"order 7"), release: None });
        Bench { fleet, parts, root_signed, enrolment, seen }
    }

    fn held(&self) -> Held<'_> {
        Held { fleet: self.fleet.id, root_signed: &self.root_signed, enrolment: &self.enrolment, seen: &self.seen }
    }

    /// What the holder of these keys makes of the honest parts; none where a patch does not fit.
    fn offer(&self, patch: &Value, order_key: bool, gate_key: bool) -> Option<Offer> {
        let mut parts = self.parts.clone();
        if order_key {
            parts.policy = patched(&parts.policy, &patch["policy"])?;
            parts.order.policy = parts.policy.policy_digest();
            parts.order = patched(&parts.order, &patch["order"])?;
        }
        if gate_key {
            parts.bind();
            parts.permit = patched(&parts.permit, &patch["permit"])?;
        }
        parts.place = patched(&parts.place, &patch["place"])?;
        Some(Offer {
            order: signed(&parts.order, &[&self.fleet.order]),
            policy: signed(&parts.policy, &[&self.fleet.order]),
            permit: signed(&parts.permit, &[&self.fleet.gate]),
            addendum: None,
            place: parts.place,
        })
    }
}

/// The value with some of its fields replaced.
fn patched<T: Serialize + DeserializeOwned>(value: &T, patch: &Value) -> Option<T> {
    let mut value = serde_json::to_value(value).unwrap();
    for (name, new) in patch.as_object().into_iter().flatten() {
        value[name] = new.clone();
    }
    // What has no canonical form cannot be signed.
    tidegate_trust::canonical::canonical_bytes(&value).ok()?;
    serde_json::from_value(value).ok()
}

fn seeds() {
    let parts = &BENCH.parts;
    seed_json("honest", &json!({}));
    seed_json(
        "all",
        &json!({"order": parts.order, "policy": parts.policy, "permit": parts.permit, "place": parts.place}),
    );
    seed_json("wider", &json!({"permit": {"step": 2, "counts": [{"stratum": "linux", "addendum": 0, "count": 3}]}}));
    seed_json("place", &json!({"place": {"index": 0, "addendum": 1}}));
    seed_json("policy", &json!({"policy": {"text": fleet::POLICY}, "order": {"order_seq": 9}}));
}
