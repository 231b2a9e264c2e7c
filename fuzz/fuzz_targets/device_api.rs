//! Messages of the device API, requests and answers: each that is read is written and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tidegate_domain::digest::Digest;
use tidegate_fuzz::{golden, read_json, seed_json};
use tidegate_trust::records::GoRequest;
use tidegate_trust::signed::Unverified;
use tidegate_wire::authenticity::AnswerKey;
use tidegate_wire::device::{
    CheckIn, CheckInAnswer, EnrolAnswer, EnrolRequest, Offer, Reports, ReportsAnswer, TrustBundle,
};
use tidegate_wire::problem::Problem;

fuzz_target!(init: seeds(), |data: &[u8]| {
    read_json::<EnrolRequest>(data);
    read_json::<CheckIn>(data);
    read_json::<Unverified<GoRequest>>(data);
    read_json::<Reports>(data);
    read_json::<TrustBundle>(data);
    read_json::<EnrolAnswer>(data);
    read_json::<CheckInAnswer>(data);
    read_json::<Offer>(data);
    read_json::<ReportsAnswer>(data);
    read_json::<Problem>(data);
    answers_are_told_apart(data);
});

fn answers_are_told_apart(data: &[u8]) {
    let key = AnswerKey::of_token("token");
    let (nonce, other) = ("a".repeat(64), "b".repeat(64));
    let mac = key.answer_mac(&nonce, data);
    assert!(key.accepts(&nonce, data, &mac) && !key.accepts(&other, data, &mac));
    assert!(!key.accepts(&nonce, data, &String::from_utf8_lossy(data)), "an answer carries its own MAC");
}

fn seeds() {
    let record = |kind: &str| -> Value { serde_json::from_slice(&golden(kind)).unwrap() };
    let digest = Digest::of(b"x");
    seed_json("enrol", &json!({"token": record("enrolment-token"), "enrolment": record("enrolment")}));
    seed_json("enrolled", &json!({"token": "t", "check_in_ms": 60000}));
    let status =
        json!({"package": "sensor-content", "current": digest, "fallback": digest, "state": "idle", "healthy": true});
    seed_json("check-in", &json!({"packages": [status], "store_epoch": "e"}));
    seed_json(
        "answer",
        &json!({
            "check_in_ms": 1, "now_ms": 2, "store_epoch": "e",
            "offers": [{"rollout": "sensor-content.7", "package": "sensor-content", "permit": digest}],
            "health_wanted": ["sensor-content"], "halts": [record("halt")], "fleet_proven": [record("fleet-proven")],
            "reverts": ["sensor-content.7"], "key_list_version": 1, "envelope_version": 1
        }),
    );
    seed_json("trust", &json!({"key_list": record("key-list"), "envelope": record("envelope")}));
    let place = json!({"device": "d", "stratum": "linux/ams", "ring": 1});
    seed_json(
        "offer",
        &json!({
            "order": record("order"), "policy": record("policy"), "permit": record("permit"), "addendum": record("addendum"),
            "place": {"place": place, "addendum": 1, "index": 3, "proof": [digest, digest]}
        }),
    );
    seed_json("go-request", &record("go-request"));
    seed_json("reports", &json!({"reports": [record("report"), record("report")]}));
    seed_json("acknowledged", &json!({"acknowledged_seq": 9}));
    seed_json("problem", &Problem::new(409, "rollout_not_running", "Conflict", "halted"));
}
