//! The signed records: golden files, one of each kind, and the threats that `signed` and `records` stand against.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_domain::attributes::Attributes;
use tidegate_domain::digest::Digest;
use tidegate_domain::observation::{FailureReason, Observation};
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_trust::canonical::canonical_bytes;
use tidegate_trust::keys::{ListedKey, PublicKey, Scope, SignatureBytes};
use tidegate_trust::records::{
    Addendum, Approval, Enrolment, EnrolmentToken, EnvelopeRecord, Ext, FleetProven, Go, GoRequest, Halt, KeyList,
    KeyListError, Order, Permit, PermitKind, PolicyRecord, Report, Resumption, RosterCount, RosterRoot,
};
use tidegate_trust::signed::{Body, Unverified};

const NOW: WallTime = WallTime::from_ms(1_750_000_000_000);
const LATER: WallTime = WallTime::from_ms(1_760_000_000_000);
const POLICY: &str = "name = \"default\"\nrings = [{name = \"broad\", soak = \"1h\"}]\n";

/// Who signs, by number: 1 and 2 root, 3 orders, 4 gate, 5 enrolment, 6 halts, 7 the token, 8 the device.
fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn public(number: u8) -> PublicKey {
    PublicKey::from_bytes(key(number).verifying_key().to_bytes()).unwrap()
}

fn fleet() -> Digest {
    Digest::of(b"root 1")
}

fn signed<T: Body>(body: &T, by: &[u8]) -> Unverified<T> {
    by.iter().fold(Unverified::draft(body).unwrap(), |record, number| {
        let sig = SignatureBytes::from_bytes(key(*number).sign(record.bytes_to_sign()).to_bytes());
        record.with_signature(&public(*number), sig)
    })
}

fn listed(number: u8, holder: &str, scope: Scope) -> ListedKey {
    let scopes = BTreeSet::from([scope]);
    ListedKey { public_key: public(number), holder: holder.to_owned(), scopes, not_before_ms: NOW, not_after_ms: LATER }
}

fn key_list() -> KeyList {
    let keys = vec![
        listed(3, "ada", Scope::Order),
        listed(4, "server", Scope::Gate),
        listed(5, "grace", Scope::Enrolment),
        listed(6, "night shift", Scope::Halt),
    ];
    KeyList { fleet: fleet(), version: 1, keys, issued_at_ms: NOW, ext: Ext::new() }
}

fn envelope() -> EnvelopeRecord {
    let text = "name = \"safe\"\nrings_required = [\"lab\"]\n".to_owned();
    EnvelopeRecord { fleet: fleet(), version: 1, text, issued_at_ms: NOW, ext: Ext::new() }
}

fn policy() -> PolicyRecord {
    let name = "default".parse().unwrap();
    PolicyRecord { fleet: fleet(), name, text: POLICY.to_owned(), issued_at_ms: NOW, ext: Ext::new() }
}

fn roster_root() -> RosterRoot {
    RosterRoot { stratum: "windows/ams".parse().unwrap(), size: 15, root: Digest::of(b"roster") }
}

fn order() -> Order {
    Order {
        fleet: fleet(),
        rollout: "sensor-content.7".parse().unwrap(),
        package: "sensor-content".parse().unwrap(),
        version: "2026.11.1".parse().unwrap(),
        release: Digest::of(b"manifest"),
        policy: policy().policy_digest(),
        order_seq: 7,
        rank_seed: Digest::of(b"seed"),
        rings: ["lab", "canary", "broad"].map(|ring| ring.parse().unwrap()).to_vec(),
        rosters: vec![roster_root()],
        issued_at_ms: NOW,
        expires_at_ms: LATER,
        resumes: None,
        ext: Ext::new(),
    }
}

fn order_digest() -> Digest {
    Unverified::draft(&order()).unwrap().digest()
}

fn permit() -> Permit {
    Permit {
        fleet: fleet(),
        order: order_digest(),
        kind: PermitKind::Open,
        step: 2,
        previous: Some(Digest::of(b"permit 1")),
        counts: vec![RosterCount { stratum: "windows/ams".parse().unwrap(), addendum: 0, count: 3 }],
        take_by_ms: LATER,
        issued_at_ms: NOW,
        ext: Ext::new(),
    }
}

fn permit_digest() -> Digest {
    Unverified::draft(&permit()).unwrap().digest()
}

fn addendum() -> Addendum {
    let (order, rosters) = (order_digest(), vec![roster_root()]);
    Addendum { fleet: fleet(), order, number: 1, previous: None, rosters, issued_at_ms: NOW, ext: Ext::new() }
}

fn go_request() -> GoRequest {
    GoRequest {
        fleet: fleet(),
        device: "device-07".parse().unwrap(),
        order: order_digest(),
        permit: permit_digest(),
        nonce: Digest::of(b"nonce"),
        ext: Ext::new(),
    }
}

fn go() -> Go {
    Go {
        fleet: fleet(),
        device: "device-07".parse().unwrap(),
        order: order_digest(),
        permit: permit_digest(),
        nonce: Digest::of(b"nonce"),
        issued_at_ms: NOW,
        ext: Ext::new(),
    }
}

fn approval() -> Approval {
    Approval {
        fleet: fleet(),
        order: order_digest(),
        policy: Digest::of(b"policy"),
        ring: "broad".parse().unwrap(),
        places: 7_640_000,
        issued_at_ms: NOW,
        expires_at_ms: NOW.after(Elapsed::from_s(3_600)),
        ext: Ext::new(),
    }
}

fn halt() -> Halt {
    let reasons = vec!["stratum windows/ams: 3 hard failures fill all 3 places that may be unproven".to_owned()];
    Halt { fleet: fleet(), order: order_digest(), reasons, issued_at_ms: NOW, ext: Ext::new() }
}

fn fleet_proven() -> FleetProven {
    FleetProven {
        fleet: fleet(),
        order: order_digest(),
        package: "sensor-content".parse().unwrap(),
        release: Digest::of(b"manifest"),
        passed_at_ms: LATER,
        ext: Ext::new(),
    }
}

fn token() -> EnrolmentToken {
    let values = |values: &[&str]| values.iter().map(|value| value.parse().unwrap()).collect();
    EnrolmentToken {
        fleet: fleet(),
        token: "warehouse-3".parse().unwrap(),
        public_key: public(7),
        ring: Some("canary".parse().unwrap()),
        attributes: BTreeMap::from([
            ("os".parse().unwrap(), values(&["linux", "windows"])),
            ("site".parse().unwrap(), values(&["ams"])),
        ]),
        devices_max: 100,
        expires_at_ms: LATER,
        endpoints: vec!["https://tidegate.example".to_owned()],
        ext: Ext::new(),
    }
}

fn enrolment() -> Enrolment {
    let attributes = BTreeMap::from([
        ("os".parse().unwrap(), "windows".parse().unwrap()),
        ("site".parse().unwrap(), "ams".parse().unwrap()),
    ]);
    Enrolment {
        fleet: fleet(),
        device: "device-07".parse().unwrap(),
        public_key: public(8),
        ring: Some("canary".parse().unwrap()),
        attributes: Attributes::try_from(attributes).unwrap(),
        token: Unverified::draft(&token()).unwrap().digest(),
        enrolled_at_ms: NOW,
        ext: Ext::new(),
    }
}

fn report() -> Report {
    Report {
        fleet: fleet(),
        device: "device-07".parse().unwrap(),
        seq: 12,
        package: "sensor-content".parse().unwrap(),
        order: Some(order_digest()),
        observation: Observation::Failed { reason: FailureReason::Crashed, attempt: 3 },
        detail: "signal 11 three times".to_owned(),
        numbers: Default::default(),
        age_ms: 2_400,
        current: Some(Digest::of(b"manifest")),
        fallback: Some(Digest::of(b"manifest before")),
        at_ms: NOW,
        ext: Ext::new(),
    }
}

/// The bytes of a golden file: the record as canonical JSON and a line end.
fn bytes<T: Body>(record: &Unverified<T>) -> Vec<u8> {
    let mut bytes = canonical_bytes(&serde_json::to_value(record).unwrap()).unwrap();
    bytes.push(b'\n');
    bytes
}

/// Holds code against file, and believes the file by the keys that may sign it.
fn golden<T: Body>(body: &T, by: &[u8], believe: impl Fn(Unverified<T>) -> Result<(), String>) {
    let name = T::CONTEXT.split('/').nth(1).unwrap();
    let path = format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let of_code = bytes(&signed(body, by));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &of_code).unwrap();
    }
    let of_file = std::fs::read(&path).unwrap();
    let (file, code) = (String::from_utf8_lossy(&of_file), String::from_utf8_lossy(&of_code));
    assert_eq!(file, code, "{name}: UPDATE_GOLDEN=1 writes the file anew; formats that are final never change");
    let record = Unverified::<T>::parse(&of_file).unwrap();
    assert_eq!(record.digest(), Unverified::draft(body).unwrap().digest());
    believe(record).unwrap_or_else(|error| panic!("{name}: {error}"));
}

fn by_list<T: Body>(scopes: &'static [Scope]) -> impl Fn(Unverified<T>) -> Result<(), String> {
    move |record| key_list().verify(record, scopes, NOW).map(drop).map_err(|error| error.to_string())
}

fn by_both<T: Body>(keys: [u8; 2]) -> impl Fn(Unverified<T>) -> Result<(), String> {
    move |record| record.verify(fleet(), keys.map(public), 2).map(drop).map_err(|error| error.to_string())
}

fn by_device<T: Body>(record: Unverified<T>) -> Result<(), String> {
    record.verify(fleet(), [public(8)], 1).map(drop).map_err(|error| error.to_string())
}

#[test]
fn code_and_golden_files_agree_byte_for_byte_and_verify() {
    golden(&key_list(), &[1, 2], by_both([1, 2]));
    golden(&envelope(), &[1, 2], by_both([1, 2]));
    golden(&policy(), &[3], by_list(&[Scope::Order]));
    golden(&order(), &[3], by_list(&[Scope::Order]));
    golden(&permit(), &[4], by_list(&[Scope::Gate]));
    golden(&addendum(), &[4], by_list(&[Scope::Gate]));
    golden(&go_request(), &[8], by_device);
    golden(&go(), &[4], by_list(&[Scope::Gate]));
    golden(&approval(), &[11], |record| {
        let list = with_approvers();
        list.verify_approval(record, NOW).map(drop).map_err(|error| error.to_string())
    });
    golden(&halt(), &[6], by_list(&[Scope::Gate, Scope::Halt]));
    golden(&fleet_proven(), &[4], by_list(&[Scope::Gate]));
    golden(&token(), &[5], by_list(&[Scope::Enrolment]));
    golden(&enrolment(), &[7, 8], by_both([7, 8]));
    golden(&report(), &[8], by_device);
    let files = std::fs::read_dir(format!("{}/tests/golden", env!("CARGO_MANIFEST_DIR"))).unwrap();
    assert_eq!(files.count(), 14, "a golden file without a record");
}

/// The word of the error with which a key list refuses a record.
fn refused<T: Body>(record: Unverified<T>, scope: Scope, at: WallTime) -> &'static str {
    key_list().verify(record, &[scope], at).map(drop).unwrap_err().kind()
}

/// A record whose body was changed after it was signed.
fn forged<T: Body>(record: &Unverified<T>, change: impl FnOnce(&mut Value)) -> Result<Unverified<T>, String> {
    let mut value = serde_json::to_value(record).unwrap();
    change(&mut value);
    Unverified::parse(value.to_string().as_bytes()).map_err(|error| error.kind().to_owned())
}

#[test]
fn a_record_of_another_fleet_is_refused_even_if_its_signature_is_good() {
    let other = Permit { fleet: Digest::of(b"another root 1"), ..permit() };
    assert_eq!(refused(signed(&other, &[4]), Scope::Gate, NOW), "record_of_another_fleet");
}

#[test]
fn a_signature_for_one_kind_of_record_is_good_for_no_other() {
    let permit = signed(&permit(), &[4]);
    let as_it_is = serde_json::to_vec(&permit).unwrap();
    assert!(Unverified::<Halt>::parse(&as_it_is).is_err(), "the context string is another");
    let swapped = forged(&signed(&go_request(), &[8]), |record| record["body"]["_type"] = json!("tidegate/go/v1"));
    assert_eq!(swapped.unwrap_err(), "record_malformed");
    // A go-request whose context is changed to that of a go: the shape would fit, the signature does not.
    let mut value = serde_json::to_value(signed(&go_request(), &[4])).unwrap();
    value["body"]["_type"] = json!("tidegate/go/v1");
    value["body"]["issued_at_ms"] = json!(NOW.as_ms());
    let as_go = Unverified::<Go>::parse(value.to_string().as_bytes()).unwrap();
    assert_eq!(refused(as_go, Scope::Gate, NOW), "record_not_signed");
    let without = forged(&permit, |record| {
        record["body"].as_object_mut().unwrap().remove("_type");
    });
    assert_eq!(without.unwrap_err(), "record_malformed");
}

#[test]
fn a_key_of_another_scope_signs_nothing_here() {
    assert_eq!(refused(signed(&permit(), &[3]), Scope::Gate, NOW), "record_not_signed", "an order key signs no permit");
    assert_eq!(
        refused(signed(&order(), &[4]), Scope::Order, NOW),
        "record_not_signed",
        "the gate key starts no rollout"
    );
    assert_eq!(refused(signed(&token(), &[4]), Scope::Enrolment, NOW), "record_not_signed", "nor enrols devices");
    assert_eq!(refused(signed(&permit(), &[6]), Scope::Gate, NOW), "record_not_signed", "a halt key only closes");
    assert_eq!(refused(signed(&permit(), &[9]), Scope::Gate, NOW), "record_not_signed", "an unknown key");
    assert_eq!(refused(Unverified::draft(&permit()).unwrap(), Scope::Gate, NOW), "record_not_signed", "no key at all");
}

#[test]
fn a_key_past_its_life_or_before_it_is_refused_whoever_presents_it() {
    let record = || signed(&permit(), &[4]);
    let before = WallTime::from_ms(NOW.as_ms() - 1);
    let last = WallTime::from_ms(LATER.as_ms() - 1);
    assert_eq!(refused(record(), Scope::Gate, LATER), "record_not_signed");
    assert_eq!(refused(record(), Scope::Gate, before), "record_not_signed");
    assert!(key_list().verify(record(), &[Scope::Gate], last).is_ok());
}

#[test]
fn one_stolen_key_cannot_be_counted_twice() {
    let record = signed(&key_list(), &[1]);
    let twice = forged(&record, |record| {
        let once = record["signatures"][0].clone();
        record["signatures"].as_array_mut().unwrap().push(once);
    });
    let keys = [public(1), public(1), public(2)];
    let error = twice.unwrap().verify(fleet(), keys, 2).map(drop).unwrap_err();
    assert_eq!(error.kind(), "record_not_signed");
    assert!(error.to_string().contains("1 good signatures"), "{error}");
    // Under another key's name the same signature is not good.
    let renamed = forged(&record, |record| {
        let mut other = record["signatures"][0].clone();
        other["key"] = json!(public(2).id().to_string());
        record["signatures"].as_array_mut().unwrap().push(other);
    });
    assert!(renamed.unwrap().verify(fleet(), keys, 2).is_err());
    // A threshold of 0 still needs one good signature.
    assert!(Unverified::draft(&key_list()).unwrap().verify(fleet(), keys, 0).is_err());
}

#[test]
fn a_key_list_with_one_key_twice_or_a_key_without_use_is_refused() {
    let with = |key: ListedKey| {
        let mut list = key_list();
        list.keys.push(key);
        list.check()
    };
    assert_eq!(key_list().check(), Ok(()));
    assert!(matches!(with(listed(3, "ada again", Scope::Halt)), Err(KeyListError::Twice(_))));
    let useless = ListedKey { scopes: BTreeSet::new(), ..listed(9, "nobody", Scope::Halt) };
    assert!(matches!(with(useless), Err(KeyListError::NeverGood(_))));
    let lifeless = ListedKey { not_after_ms: NOW, ..listed(9, "nobody", Scope::Halt) };
    assert!(matches!(with(lifeless), Err(KeyListError::NeverGood(_))));
    let many = (0..=256).map(|_| listed(3, "ada", Scope::Order)).collect();
    assert!(matches!(KeyList { keys: many, ..key_list() }.check(), Err(KeyListError::TooMany(257))));
}

/// Who may approve, besides those of [`key_list`]: 11 to 13.
fn with_approvers() -> KeyList {
    let mut list = key_list();
    list.keys.extend((11..=13).map(|number| listed(number, "an approver", Scope::Approve)));
    list
}

#[test]
fn an_order_that_goes_on_after_a_halt_wants_approvers_who_do_not_order() {
    let list = with_approvers();
    assert_eq!(list.check(), Ok(()));
    let resumes = Some(Resumption { halted: "sensor-content.6".parse().unwrap(), without: BTreeSet::new() });
    let resuming = Order { resumes, ..order() };
    let verify = |by: &[u8], approvals: u32| list.verify_order(signed(&resuming, by), approvals, NOW).map(drop);
    assert_eq!(verify(&[3, 11, 12], 2), Ok(()));
    // Without the order key, with too few approvers, one twice, keys of other scopes.
    for by in [&[11, 12, 13][..], &[3], &[3, 11], &[3, 11, 11], &[3, 11, 4], &[3, 11, 6]] {
        assert_eq!(verify(by, 2).unwrap_err().kind(), "record_not_signed", "{by:?}");
    }
    assert!(verify(&[3], 0).is_err(), "an envelope that asks for none still gets one");
    assert!(list.verify_order(signed(&resuming, &[3, 11, 12]), 2, LATER).is_err(), "past their life");
    assert!(list.verify_order(signed(&order(), &[3]), 2, NOW).is_ok(), "any other order needs none");
    // One key of both scopes: the list is refused, and were it not, the key would approve nothing.
    let mut both = with_approvers();
    both.keys[0].scopes.insert(Scope::Approve);
    assert!(matches!(both.check(), Err(KeyListError::OrdersAndApproves(_))));
    assert!(both.verify_order(signed(&resuming, &[3, 11]), 2, NOW).is_err());
}

#[test]
fn an_approval_wants_an_approver_who_does_not_order() {
    let list = with_approvers();
    let verify = |list: &KeyList, by: &[u8], at| list.verify_approval(signed(&approval(), by), at).map(drop);
    assert_eq!(verify(&list, &[11], NOW), Ok(()));
    for by in [&[][..], &[3], &[4], &[6], &[14]] {
        assert_eq!(verify(&list, by, NOW).unwrap_err().kind(), "record_not_signed", "{by:?}");
    }
    assert!(verify(&list, &[11], LATER).is_err(), "past its life");
    let mut both = with_approvers();
    both.keys[0].scopes.insert(Scope::Approve);
    assert!(verify(&both, &[3], NOW).is_err(), "whoever orders approves nothing");
}

/// A record with one more field in its body, signed as it then stands.
fn with_field(field: &str, value: Value) -> Unverified<Permit> {
    let mut body = serde_json::to_value(signed(&permit(), &[])).unwrap()["body"].clone();
    body[field] = value;
    let canonical = canonical_bytes(&body).unwrap();
    let sig = hex::encode(key(4).sign(&canonical).to_bytes());
    let record = json!({"body": body, "signatures": [{"key": public(4).id(), "sig": sig}]});
    Unverified::parse(record.to_string().as_bytes()).unwrap()
}

#[test]
fn an_unknown_field_is_refused_though_signed_and_kept_under_ext() {
    assert_eq!(refused(with_field("widen", json!(true)), Scope::Gate, NOW), "record_malformed");
    let verified = key_list().verify(with_field("ext", json!({"log_proof": [1, 2]})), &[Scope::Gate], NOW).unwrap();
    assert_eq!(verified.body().ext["log_proof"], json!([1, 2]));
    assert_ne!(verified.digest(), permit_digest(), "what stands under ext is signed too");
    let outside = forged(&signed(&permit(), &[4]), |record| record["comment"] = json!("hello"));
    assert!(outside.is_err(), "nor beside the body");
    let in_signature = forged(&signed(&permit(), &[4]), |record| record["signatures"][0]["alg"] = json!("none"));
    assert!(in_signature.is_err());
}

#[test]
fn numbers_that_two_readers_could_read_differently_are_refused() {
    let text = serde_json::to_string(&signed(&permit(), &[4])).unwrap();
    assert!(text.contains("\"step\":2"), "{text}");
    assert!(Unverified::<Permit>::parse(text.as_bytes()).is_ok());
    for number in ["2.0", "2e0", "-0", "2.5", "9007199254740992", "18446744073709551616", "1e400"] {
        let other = text.replace("\"step\":2", &format!("\"step\":{number}"));
        let refused = Unverified::<Permit>::parse(other.as_bytes())
            .and_then(|record| key_list().verify(record, &[Scope::Gate], NOW).map(drop));
        assert!(refused.is_err(), "{number}");
    }
}

#[test]
fn a_body_that_is_changed_after_signing_is_refused() {
    let wider = forged(&signed(&permit(), &[4]), |record| record["body"]["counts"][0]["count"] = json!(15)).unwrap();
    assert_eq!(refused(wider, Scope::Gate, NOW), "record_not_signed");
}

#[test]
fn a_signature_has_one_form_only() {
    // The order of the curve's group, little endian: s + l is the same scalar, and lax verifiers take it.
    let l = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let record = signed(&permit(), &[4]);
    let mut sig = key(4).sign(record.bytes_to_sign()).to_bytes();
    let mut carry = 0_u16;
    for (byte, of_l) in sig[32..].iter_mut().zip(l) {
        carry += u16::from(*byte) + u16::from(of_l);
        *byte = (carry & 0xff) as u8;
        carry >>= 8;
    }
    let malleable = Unverified::draft(&permit()).unwrap().with_signature(&public(4), SignatureBytes::from_bytes(sig));
    assert_eq!(refused(malleable, Scope::Gate, NOW), "record_not_signed");
    let text = serde_json::to_string(&record).unwrap();
    let sig = hex::encode(key(4).sign(record.bytes_to_sign()).to_bytes());
    let upper = text.replace(&sig, &sig.to_uppercase());
    assert_ne!(upper, text);
    assert!(Unverified::<Permit>::parse(upper.as_bytes()).is_err(), "nor in upper case");
}

#[test]
fn weak_keys_are_no_keys() {
    let mut identity = [0_u8; 32];
    identity[0] = 1;
    for weak in [identity, [0; 32]] {
        assert!(PublicKey::from_bytes(weak).is_err(), "a point of small order signs anything");
    }
}

#[test]
fn oversize_records_and_too_many_signatures_are_refused_before_anything_else() {
    let huge = vec![b' '; (1 << 20) + 1];
    assert_eq!(Unverified::<Permit>::parse(&huge).unwrap_err().kind(), "record_too_large");
    let many = forged(&signed(&permit(), &[4]), |record| {
        let one = record["signatures"][0].clone();
        record["signatures"] = Value::Array(vec![one; 33]);
    });
    assert!(many.is_err());
}

#[test]
fn a_second_signature_by_one_key_replaces_the_first() {
    let record = signed(&permit(), &[4]);
    let again = record.clone().with_signature(&public(4), SignatureBytes::from_bytes([0; 64]));
    assert_eq!(again.digest(), record.digest());
    assert_eq!(refused(again, Scope::Gate, NOW), "record_not_signed");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Unverified::<Order>::parse(&bytes);
        let _ = Unverified::<Report>::parse(&bytes);
    }

    #[test]
    fn a_damaged_record_never_panics_and_is_never_believed(at in 0_usize..1_000, byte: u8) {
        let good = signed(&permit(), &[4]);
        let mut bytes = bytes(&good);
        let at = at % bytes.len();
        let changed = bytes[at] != byte;
        bytes[at] = byte;
        if let Ok(record) = Unverified::<Permit>::parse(&bytes) {
            let same = record == good;
            let believed = key_list().verify(record, &[Scope::Gate], NOW).is_ok();
            prop_assert!(!believed || same || !changed, "byte {at} became {byte}");
        }
    }
}

/// A record around any JSON body, signed by the device.
fn around(body: &Value) -> Vec<u8> {
    let sig = hex::encode(key(8).sign(&canonical_bytes(body).unwrap()).to_bytes());
    json!({"body": body, "signatures": [{"key": public(8).id(), "sig": sig}]}).to_string().into_bytes()
}

#[test]
fn one_content_has_one_record_and_so_one_digest() {
    let body: Value = serde_json::from_slice(signed(&report(), &[8]).bytes_to_sign()).unwrap();
    let believed = |body: &Value| Unverified::<Report>::parse(&around(body)).unwrap().verify(fleet(), [public(8)], 1);
    assert!(believed(&body).is_ok());
    for (field, value) in [("ext", json!({})), ("current", Value::Null)] {
        let mut other = body.clone();
        other[field] = value;
        assert_eq!(believed(&other).unwrap_err().kind(), "record_malformed", "{field}");
    }
}

#[test]
fn a_record_inside_a_message_keeps_the_same_bound_as_one_alone() {
    let mut body: Value = serde_json::from_slice(signed(&report(), &[8]).bytes_to_sign()).unwrap();
    body["detail"] = json!("x".repeat(1 << 20));
    assert!(serde_json::from_slice::<Unverified<Report>>(&around(&body)).is_err());
}
