//! Signed records: what parses has one canonical form, and nothing is believed that the golden keys did not sign.
#![no_main]

use std::sync::LazyLock;

use ed25519_dalek::{Signer as _, SigningKey};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tidegate_domain::digest::Digest;
use tidegate_fuzz::{bounded, golden_records, same_again, seed};
use tidegate_trust::canonical::canonical_bytes;
use tidegate_trust::keys::{PublicKey, SignatureBytes};
use tidegate_trust::records::*;
use tidegate_trust::signed::{Body, Unverified};

/// The keys of the golden files, 1 to 8, and one that signed none of them.
static KEYS: LazyLock<Vec<(SigningKey, PublicKey)>> = LazyLock::new(|| (1..=9).map(key).collect());
static GOLDEN: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    golden_records()
        .map(|(_, file)| canonical_bytes(&serde_json::from_slice::<Value>(&file).unwrap()["body"]).unwrap())
        .collect()
});

fuzz_target!(
    init: golden_records().for_each(|(kind, file)| seed(kind, file)),
    |data: &[u8]| {
        check::<KeyList>(data);
        check::<EnvelopeRecord>(data);
        check::<PolicyRecord>(data);
        check::<Order>(data);
        check::<Permit>(data);
        check::<Addendum>(data);
        check::<GoRequest>(data);
        check::<Go>(data);
        check::<Halt>(data);
        check::<FleetProven>(data);
        check::<EnrolmentToken>(data);
        check::<Enrolment>(data);
        check::<Report>(data);
    }
);

fn check<T: Body + Clone>(data: &[u8]) {
    let Ok(record) = bounded(data.len(), || Unverified::<T>::parse(data)) else { return };
    same_again(&record);
    let value: Value = serde_json::from_slice(record.bytes_to_sign()).expect("canonical bytes are JSON");
    assert_eq!(value["_type"], T::CONTEXT);
    assert_eq!(canonical_bytes(&value).unwrap(), record.bytes_to_sign(), "the canonical form of the canonical form");
    assert_eq!(record.digest(), Digest::of(record.bytes_to_sign()));
    let Ok(body) = record.danger_unchecked_body() else { return };
    let draft = Unverified::draft(&body).unwrap();
    assert_eq!(draft.bytes_to_sign(), record.bytes_to_sign(), "a body that is read has exactly one record");
    nothing_is_forged(record, &body);
    what_is_signed_is_believed(draft, &body);
}

fn nothing_is_forged<T: Body>(record: Unverified<T>, body: &T) {
    let canonical = record.bytes_to_sign().to_vec();
    let believed = record.verify(body.fleet(), KEYS.iter().map(|(_, public)| *public), 1);
    assert!(believed.is_err() || GOLDEN.contains(&canonical), "a record that nobody signed is believed");
}

fn what_is_signed_is_believed<T: Body + Clone>(draft: Unverified<T>, body: &T) {
    let (secret, public) = &KEYS[8];
    let sig = SignatureBytes::from_bytes(secret.sign(draft.bytes_to_sign()).to_bytes());
    let signed = draft.with_signature(public, sig);
    let other = || signed.clone().verify(Digest::of(b"another fleet"), [*public], 1);
    assert!(other().is_err(), "signed for one fleet, believed by another");
    assert!(signed.clone().verify(body.fleet(), [*public, *public], 2).is_err(), "one key counts as two");
    let verified = signed.verify(body.fleet(), [*public], 1).expect("the signature is good");
    assert_eq!(verified.digest(), verified.record().digest());
}

fn key(number: u8) -> (SigningKey, PublicKey) {
    let secret = SigningKey::from_bytes(&[number; 32]);
    let public = PublicKey::from_bytes(secret.verifying_key().to_bytes()).unwrap();
    (secret, public)
}
