//! Messages of the operator API, requests and views: each that is read is written and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tidegate_domain::digest::Digest;
use tidegate_fuzz::{golden, read_json, seed_json};
use tidegate_wire::operator::*;

fuzz_target!(init: seeds(), |data: &[u8]| {
    read_json::<LoginRequest>(data);
    read_json::<OperatorRequest>(data);
    read_json::<PolicyRequest>(data);
    read_json::<DraftRequest>(data);
    read_json::<StartRequest>(data);
    read_json::<ReasonRequest>(data);
    read_json::<TokenAnswer>(data);
    read_json::<OperatorView>(data);
    read_json::<StatusView>(data);
    read_json::<PackageView>(data);
    read_json::<PolicyView>(data);
    read_json::<DraftAnswer>(data);
    read_json::<HaltAnswer>(data);
    read_json::<RolloutView>(data);
    read_json::<DeviceView>(data);
    read_json::<IncidentView>(data);
});

fn seeds() {
    let record = |kind: &str| -> Value { serde_json::from_slice(&golden(kind)).unwrap() };
    let digest = Digest::of(b"x");
    seed_json("login", &json!({"code": "c"}));
    seed_json("operator", &json!({"operator": "ann", "role": "approver"}));
    seed_json("token", &json!({"operator": "ann", "role": "admin", "token": "t"}));
    seed_json("policy", &json!({"policy": record("policy")}));
    seed_json("draft", &json!({"package": "sensor-content", "version": "1.0", "policy": digest}));
    seed_json("drafted", &json!({"order": record("order"), "devices": 5, "first_window": 3}));
    seed_json("start", &json!({"order": record("order")}));
    seed_json("reason", &json!({"reason": "looks bad"}));
    seed_json("halt", &json!({"rollout": "sensor-content.7", "recorded": true}));
    seed_json(
        "status",
        &json!({
            "fleet": digest, "version": "1", "store_epoch": "e", "seq": 1, "envelope": "safe", "p4": "not in force", "devices": 1,
            "incidents_open": 0
        }),
    );
    seed_json(
        "package",
        &json!({
            "package": "p", "threshold": 1, "publishers": 2,
            "releases": [{"version": "1", "release": digest, "published_at_ms": 1, "halted_by": "p.1"}]
        }),
    );
    seed_json("view", &json!({"name": "p", "digest": digest, "applied_at_ms": 1, "current": true, "text": "x"}));
    let status = json!({"package": "p", "current": digest, "fallback": null, "state": "idle", "healthy": true, "last_report": "proven"});
    seed_json(
        "device",
        &json!({
            "device": "d", "ring": "lab", "attributes": {"os": "linux"}, "enrolled_at_ms": 1, "seen_at_ms": 2, "packages": [status]
        }),
    );
    seed_json(
        "incident",
        &json!({
            "incident": "inc-p.1", "rollout": "p.1", "state": "open", "opened_at_ms": 1, "restored_at_ms": 2, "reasons": ["r"],
            "exposed": 1, "harmed": 1, "restored": 1, "back_without_hands": 1, "need_hands": 0,
            "devices": [{"device": "d", "taken_at_ms": 1, "state": "failed"}]
        }),
    );
}
