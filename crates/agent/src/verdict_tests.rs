//! Each thing that must be refused is refused for the right reason, and what is right is accepted.

#[path = "../tests/fleet.rs"]
mod fleet;

use ed25519_dalek::Signer as _;
use fleet::{DEVICE, Fleet, PACKAGE, Parts, Release, key, now, signed};
use std::collections::BTreeSet;
use tidegate_domain::time::Elapsed;
use tidegate_trust::keys::SignatureBytes;
use tidegate_trust::records::{Resumption, RosterCount};

use super::*;

struct Bench {
    fleet: Fleet,
    release: Release,
    enrolment: Enrolment,
    seen: Seen,
}

impl Bench {
    fn new() -> Bench {
        let mut fleet = Fleet::new();
        let needs = |m: &mut serde_json::Value| m["needs"] = serde_json::json!({"sensor-api": 3});
        let release = fleet.publish("1.0.0", &[("x", b"x")], needs);
        let enrolment = Enrolment {
            fleet: fleet.id,
            device: DEVICE.parse().unwrap(),
            public_key: fleet::public(&key(20)),
            ring: Some("canary".parse().unwrap()),
            attributes: BTreeMap::from([("os".parse().unwrap(), "linux".parse().unwrap())]).try_into().unwrap(),
            token: Digest::of(b"token"),
            enrolled_at_ms: now(),
            ext: BTreeMap::new(),
        };
        Bench { fleet, release, enrolment, seen: Seen::default() }
    }

    fn root_signed(&self) -> RootSigned {
        let bundle = self.fleet.bundle();
        judge_root_signed(bundle.key_list, bundle.envelope, self.fleet.id, &self.root_keys(), None).unwrap()
    }

    fn root_keys(&self) -> RootKeys {
        RootKeys { keys: vec![fleet::public(&self.fleet.root)], threshold: 1 }
    }

    fn judge(&self, offer: Offer) -> Result<Opened, RefusalReason> {
        let root_signed = self.root_signed();
        let (fleet, enrolment, seen) = (self.fleet.id, &self.enrolment, &self.seen);
        let held = Held { fleet, root_signed: &root_signed, enrolment, seen };
        judge_offer(offer, PermitKind::Open, &held, now()).map_err(|refusal| refusal.reason)
    }

    fn parts(&self) -> Parts {
        self.fleet.parts(&self.release, 7)
    }

    /// What an offer with one thing changed is refused for.
    fn reason(&self, change: impl FnOnce(&mut Parts)) -> RefusalReason {
        let mut parts = self.parts();
        change(&mut parts);
        self.judge(parts.offer(&self.fleet)).unwrap_err()
    }
}

#[test]
fn a_good_offer_is_accepted() {
    let bench = Bench::new();
    let opened = bench.judge(bench.parts().offer(&bench.fleet)).unwrap();
    let info = TargetInfo { length: 1, sha256: *bench.release.digest.as_bytes() };
    assert_eq!(judge_target(&opened, Ok(info)), Ok(1));
    let offers = BTreeMap::from([("sensor-api".parse().unwrap(), 3)]);
    let accepted = judge_manifest(&opened, bench.release.manifest.clone(), &offers).unwrap();
    assert_eq!(accepted.trial.release, bench.release.digest);
    assert_eq!(accepted.trial.prove_for, Elapsed::from_s(1));
}

#[test]
fn a_permit_that_does_not_reach_the_place_is_refused() {
    let bench = Bench::new();
    assert_eq!(bench.reason(|p| p.permit.counts[0].count = 1), RefusalReason::WrongPlace);
    assert_eq!(bench.reason(|p| p.permit.counts.clear()), RefusalReason::WrongPlace);
    assert_eq!(bench.reason(|p| p.permit.counts[0].addendum = 1), RefusalReason::WrongPlace);
}

#[test]
fn a_wrong_proof_or_a_foreign_place_is_refused() {
    let bench = Bench::new();
    assert_eq!(bench.reason(|p| p.place.index = 0), RefusalReason::WrongPlace);
    assert_eq!(bench.reason(|p| p.place.place.device = "device-0".parse().unwrap()), RefusalReason::WrongPlace);
    assert_eq!(bench.reason(|p| p.place.place.stratum = "windows".parse().unwrap()), RefusalReason::WrongPlace);
    assert_eq!(bench.reason(|p| p.place.addendum = 1), RefusalReason::WrongPlace);
    assert_eq!(bench.reason(|p| p.place.place.ring = 1), RefusalReason::WrongRing);
}

#[test]
fn an_order_with_a_lower_number_is_refused_and_so_is_another_with_the_same() {
    let mut bench = Bench::new();
    bench.seen.note_order(&PACKAGE.parse().unwrap(), 7, (bench.parts().order_digest(), bench.release.digest));
    assert_eq!(bench.reason(|p| (p.order.order_seq = 6, p.bind()).1), RefusalReason::OldOrder);
    assert_eq!(bench.reason(|p| (p.order.rank_seed = Digest::of(b"y"), p.bind()).1), RefusalReason::OldOrder);
    let mut same = Bench::new();
    let parts = same.parts();
    same.seen.note_order(&PACKAGE.parse().unwrap(), 7, (parts.order_digest(), same.release.digest));
    assert!(same.judge(parts.offer(&same.fleet)).is_ok(), "the very same order may be offered again");
}

#[test]
fn a_policy_outside_the_envelope_is_refused() {
    let bench = Bench::new();
    let wide = |p: &mut Parts| {
        p.policy.text = fleet::POLICY.replace("growth = 2", "growth = 4");
        p.order.policy = p.policy.policy_digest();
        p.bind();
    };
    assert_eq!(bench.reason(wide), RefusalReason::OutsideEnvelope);
    assert_eq!(bench.reason(|p| p.policy.text.push('\n')), RefusalReason::Signature, "not the policy that is ordered");
}

#[test]
fn a_first_permit_above_the_initial_window_is_refused() {
    let bench = Bench::new();
    let count = |stratum: &str, count| RosterCount { stratum: stratum.parse().unwrap(), addendum: 0, count };
    assert_eq!(bench.reason(|p| p.permit.counts = vec![count("linux", 4)]), RefusalReason::OutsideEnvelope);
    let both = |p: &mut Parts| p.permit.counts = vec![count("linux", 3), count("windows", 2)];
    assert_eq!(bench.reason(both), RefusalReason::OutsideEnvelope);
    let later = bench.judge({
        let mut parts = bench.parts();
        (parts.permit.step, parts.permit.counts) = (2, vec![count("linux", 100)]);
        parts.offer(&bench.fleet)
    });
    assert!(later.is_ok(), "later steps open by proof; the server counts those");
}

#[test]
fn keys_of_another_scope_and_keys_past_their_life_are_refused() {
    let mut bench = Bench::new();
    let parts = bench.parts();
    let mut offer = parts.offer(&bench.fleet);
    offer.permit = signed(&parts.permit, &[&bench.fleet.order]);
    assert_eq!(bench.judge(offer).unwrap_err(), RefusalReason::Signature);
    let mut offer = parts.offer(&bench.fleet);
    offer.order = signed(&parts.order, &[&bench.fleet.gate]);
    assert_eq!(bench.judge(offer).unwrap_err(), RefusalReason::Signature);
    let mut offer = parts.offer(&bench.fleet);
    offer.order = signed(&parts.order, &[]);
    assert_eq!(bench.judge(offer).unwrap_err(), RefusalReason::Signature);
    for listed in &mut bench.fleet.key_list.keys {
        listed.not_after_ms = WallTime::from_ms(now().as_ms() - 1);
    }
    assert_eq!(bench.reason(|_| ()), RefusalReason::Signature);
}

#[test]
fn an_order_that_goes_on_after_a_halt_counts_with_the_approvals_that_the_envelope_asks_for() {
    let bench = Bench::new();
    let resumes = Some(Resumption { halted: format!("{PACKAGE}.6").parse().unwrap(), without: BTreeSet::new() });
    let judge = |approvers: &[u8]| {
        let mut parts = bench.parts();
        parts.order.resumes = resumes.clone();
        parts.permit.order = Unverified::draft(&parts.order).unwrap().digest();
        let mut offer = parts.offer(&bench.fleet);
        for approver in approvers {
            let sig = key(*approver).sign(offer.order.bytes_to_sign());
            offer.order =
                offer.order.with_signature(&fleet::public(&key(*approver)), SignatureBytes::from_bytes(sig.to_bytes()));
        }
        bench.judge(offer).map(|_| ())
    };
    assert_eq!(judge(&[21, 22]), Ok(()));
    for too_few in [&[][..], &[21], &[21, 21], &[21, 20]] {
        assert_eq!(judge(too_few), Err(RefusalReason::Signature), "{too_few:?}");
    }
}

#[test]
fn a_release_whose_order_was_halted_is_taken_under_no_order_that_does_not_say_so() {
    let mut bench = Bench::new();
    let halted = Digest::of(b"the order that was halted");
    bench.seen.note_order(&PACKAGE.parse().unwrap(), 6, (halted, bench.release.digest));
    assert!(bench.judge(bench.parts().offer(&bench.fleet)).is_ok(), "nothing was halted");
    bench.seen.note_halt(halted);
    assert_eq!(bench.judge(bench.parts().offer(&bench.fleet)).map(drop), Err(RefusalReason::Halted));
    bench.seen.note_order(&PACKAGE.parse().unwrap(), 6, (halted, Digest::of(b"another release")));
    assert!(bench.judge(bench.parts().offer(&bench.fleet)).is_ok(), "other content was halted");
}

#[test]
fn records_of_another_fleet_are_refused() {
    let bench = Bench::new();
    assert_eq!(bench.reason(|p| (p.order.fleet = Digest::of(b"other"), p.bind()).1), RefusalReason::Signature);
    assert_eq!(bench.reason(|p| p.permit.fleet = Digest::of(b"other")), RefusalReason::Signature);
    assert_eq!(bench.reason(|p| p.permit.order = Digest::of(b"other")), RefusalReason::Signature);
}

#[test]
fn what_is_past_its_life_or_halted_is_refused() {
    let mut bench = Bench::new();
    assert_eq!(bench.reason(|p| p.permit.take_by_ms = now()), RefusalReason::Expired);
    assert_eq!(bench.reason(|p| (p.order.expires_at_ms = now(), p.bind()).1), RefusalReason::Expired);
    assert_eq!(bench.reason(|p| p.permit.kind = PermitKind::Revert), RefusalReason::Signature);
    let parts = bench.parts();
    let root_signed = bench.root_signed();
    let halt = judge_halt(bench.fleet.halted(parts.order_digest()), root_signed.key_list.body(), now()).unwrap();
    assert!(bench.seen.note_halt(halt) && !bench.seen.note_halt(halt));
    assert_eq!(bench.judge(parts.offer(&bench.fleet)).unwrap_err(), RefusalReason::Halted);
}

#[test]
fn unmet_needs_another_release_and_a_malformed_manifest_are_refused() {
    let bench = Bench::new();
    let opened = bench.judge(bench.parts().offer(&bench.fleet)).unwrap();
    let reason = |bytes: &[u8], level: u64| {
        let offers = BTreeMap::from([("sensor-api".parse().unwrap(), level)]);
        judge_manifest(&opened, bytes.to_vec(), &offers).unwrap_err().reason
    };
    assert_eq!(reason(&bench.release.manifest, 2), RefusalReason::NeedsUnmet);
    assert_eq!(reason(b"{}", 3), RefusalReason::WrongDigest);
    let info = TargetInfo { length: 1, sha256: [0; 32] };
    assert_eq!(judge_target(&opened, Ok(info)).unwrap_err().reason, RefusalReason::WrongDigest);
    let gone = ClientError::NotRefreshed { role: PACKAGE.to_owned() };
    assert_eq!(judge_target(&opened, Err(gone)).unwrap_err().reason, RefusalReason::Signature);
    let old = ClientError::Expired { role: "timestamp".to_owned(), expires: String::new() };
    assert_eq!(judge_target(&opened, Err(old)).unwrap_err().reason, RefusalReason::Expired);
}

#[test]
fn a_go_counts_only_for_the_question_that_was_asked() {
    let bench = Bench::new();
    let parts = bench.parts();
    let opened = bench.judge(parts.offer(&bench.fleet)).unwrap();
    let offers = BTreeMap::from([("sensor-api".parse().unwrap(), 3)]);
    let trial = judge_manifest(&opened, bench.release.manifest.clone(), &offers).unwrap().trial;
    let root_signed = bench.root_signed();
    let (fleet, enrolment, seen) = (bench.fleet.id, &bench.enrolment, &bench.seen);
    let held = Held { fleet, root_signed: &root_signed, enrolment, seen };
    let nonce = Digest::of(b"nonce");
    let judge = |go| judge_go(go, &trial, nonce, &held, now()).map_err(|refusal| refusal.reason);
    let right = bench.fleet.go(trial.order, trial.permit, nonce);
    assert_eq!(judge(right.clone()), Ok(()));
    for (order, permit, nonce) in [
        (trial.order, trial.permit, Digest::of(b"another nonce")),
        (trial.order, Digest::of(b"another permit"), nonce),
        (Digest::of(b"another order"), trial.permit, nonce),
    ] {
        assert_eq!(judge(bench.fleet.go(order, permit, nonce)), Err(RefusalReason::WrongGo));
    }
    let mut body = right.danger_unchecked_body().unwrap();
    assert_eq!(judge(signed(&body, &[&bench.fleet.order])), Err(RefusalReason::WrongGo), "another scope's key");
    body.device = "device-0".parse().unwrap();
    assert_eq!(judge(signed(&body, &[&bench.fleet.gate])), Err(RefusalReason::WrongGo), "another device");
}

#[test]
fn key_list_and_envelope_need_roots_threshold_and_never_go_back() {
    let mut bench = Bench::new();
    bench.fleet.key_list.version = 2;
    let held = bench.root_signed();
    let judge = |bench: &Bench, keys: &RootKeys| {
        let bundle = bench.fleet.bundle();
        judge_root_signed(bundle.key_list, bundle.envelope, bench.fleet.id, keys, Some(&held)).map(|_| ())
    };
    let keys = bench.root_keys();
    assert_eq!(judge(&bench, &keys), Ok(()), "the same again");
    let two = RootKeys { keys: keys.keys.clone(), threshold: 2 };
    assert_eq!(judge(&bench, &two).unwrap_err().reason, RefusalReason::Signature);
    bench.fleet.key_list.keys.pop();
    assert!(judge(&bench, &keys).is_err(), "another list with the same version");
    bench.fleet.key_list.version = 1;
    assert!(judge(&bench, &keys).unwrap_err().detail.contains("never goes back"));
    bench.fleet.key_list.version = 3;
    bench.fleet.envelope.text = bench.fleet.envelope.text.replace("danger", "quiet");
    assert!(judge(&bench, &keys).unwrap_err().detail.contains("danger"));
}
