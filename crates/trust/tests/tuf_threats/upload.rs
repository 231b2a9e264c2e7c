//! What a server refuses to take, and what its online side refuses to sign over.

use std::collections::BTreeMap;

use ed25519_dalek::Signer as _;
use tidegate_trust::tuf::acceptance::{
    Accepted, accept_first_root, accept_package, accept_root, accept_targets, reopen_root,
};
use tidegate_trust::tuf::online::{lists, next_snapshot, next_timestamp, refresh_due};
use tidegate_trust::tuf::repository::{PackageRole, TargetsRole};
use tidegate_trust::tuf::{RoleName, SignatureError, Unsigned, Unverified, Verified};

use super::bench::*;

fn app_with(releases: &[(&str, u8)], version: u64) -> PackageRole {
    let mut role = PackageRole::first(days(180));
    for _ in 1..version {
        role = role.next(days(180)).unwrap();
    }
    for (release, byte) in releases {
        role.add_release(&app(), release, manifest(*byte)).unwrap();
    }
    role
}

fn targets() -> Verified<TargetsRole> {
    verified(Bench::new().targets, &[4, 5])
}

fn refusal(upload: &[u8]) -> &'static str {
    let current = verified(app_with(&[("1", 1)], 1), &[8, 9]);
    match accept_package(&targets(), &app(), Some(&current), upload, NOW_MS) {
        Ok(Accepted::New(_)) => "taken",
        Ok(Accepted::AlreadyCurrent) => "current",
        Err(error) => error.kind(),
    }
}

#[test]
fn a_package_upload_is_the_next_version_signed_by_its_publishers_with_every_release_as_before() {
    let both: &[u8] = &[8, 9];
    assert_eq!(refusal(&signed(app_with(&[("1", 1), ("2", 2)], 2), both)), "taken");
    assert_eq!(refusal(&signed(app_with(&[("1", 1)], 1), both)), "current");
    assert_eq!(refusal(&signed(app_with(&[("1", 1), ("2", 2)], 1), both)), "version");
    assert_eq!(refusal(&signed(app_with(&[("1", 1), ("2", 2)], 3), both)), "version");
    assert_eq!(refusal(&signed(app_with(&[("1", 1), ("2", 2)], 2), &[8])), "threshold");
    assert_eq!(refusal(&signed(app_with(&[("1", 1), ("2", 2)], 2), &[4, 5, 20])), "threshold");
    assert_eq!(refusal(&signed(app_with(&[("2", 2)], 2), both)), "release_removed");
    assert_eq!(refusal(&signed(app_with(&[("1", 9)], 2), both)), "release_altered");
    let mut expired = content(&signed(app_with(&[("1", 1)], 2), both));
    expired["expires"] = days(0).to_string().into();
    assert_eq!(refusal(&forged(&expired, both)), "expired");
    let mut foreign = app_with(&[("1", 1)], 2);
    foreign.add_release(&RoleName::parse("other").unwrap(), "1", manifest(2)).unwrap();
    assert_eq!(refusal(&signed(foreign, both)), "foreign_target");
    assert_eq!(refusal(b"{}"), "malformed");
    assert_eq!(refusal(&vec![b' '; 5 * 1024 * 1024]), "too_large");
}

#[test]
fn a_package_upload_with_custom_data_or_delegations_of_its_own_is_refused() {
    for (field, value) in [("delegations", serde_json::json!({})), ("custom", serde_json::json!({}))] {
        let mut file = content(&signed(app_with(&[("1", 1)], 2), &[8, 9]));
        file[field] = value;
        assert_eq!(refusal(&forged(&file, &[8, 9])), "malformed");
    }
    let mut file = content(&signed(app_with(&[("1", 1)], 2), &[8, 9]));
    file["targets"]["app/1.json"]["custom"] = serde_json::json!({"a": 1});
    assert_eq!(refusal(&forged(&file, &[8, 9])), "malformed");
    let mut file = content(&signed(app_with(&[("1", 1)], 2), &[8, 9]));
    file["ext"] = serde_json::json!({"later": true});
    assert_eq!(refusal(&forged(&file, &[8, 9])), "taken");
}

#[test]
fn an_unknown_package_is_refused() {
    let other = RoleName::parse("other").unwrap();
    let upload = signed(PackageRole::first(days(1)), &[20]);
    assert_eq!(accept_package(&targets(), &other, None, &upload, NOW_MS).unwrap_err().kind(), "unknown_package");
}

#[test]
fn a_targets_upload_keeps_every_package_and_needs_both_keys() {
    let root = verified(first_root(), &[1, 2]);
    let current = targets();
    let next = current.role().next(days(365)).unwrap();
    let take = |upload: &[u8]| accept_targets(&root, Some(&current), upload, NOW_MS);
    assert!(matches!(take(&signed(next.clone(), &[4, 5])), Ok(Accepted::New(_))));
    assert!(matches!(take(current.bytes()), Ok(Accepted::AlreadyCurrent)));
    assert_eq!(take(&signed(next, &[4])).unwrap_err().kind(), "threshold");
    let empty = TargetsRole::first(days(365)).next(days(365)).unwrap();
    assert_eq!(take(&signed(empty, &[4, 5])).unwrap_err().kind(), "package_removed");
}

#[test]
fn a_root_upload_needs_the_old_threshold_and_the_new() {
    let first = accept_first_root(&signed(first_root(), &[1, 3]), NOW_MS).unwrap();
    assert_eq!(accept_first_root(&signed(first_root(), &[1]), NOW_MS).unwrap_err().kind(), "threshold");
    assert_eq!(accept_first_root(&signed(first_root(), &[1, 3]), NOW_MS * 2).unwrap_err().kind(), "expired");
    assert_eq!(reopen_root(first.bytes()).unwrap(), first);
    let next = first_root().next(days(700)).unwrap().with_root(signers(&[11, 12], 2));
    let take = |seeds: &[u8]| accept_root(&first, &signed(next.clone(), seeds), NOW_MS);
    assert!(matches!(take(&[1, 2, 11, 12]), Ok(Accepted::New(_))));
    for seeds in [&[1, 2][..], &[11, 12], &[1, 2, 11], &[2, 11, 12]] {
        assert_eq!(take(seeds).unwrap_err().kind(), "threshold", "{seeds:?}");
    }
    assert!(matches!(accept_root(&first, first.bytes(), NOW_MS), Ok(Accepted::AlreadyCurrent)));
}

#[test]
fn a_file_signed_on_two_machines_ends_with_both_signatures_and_no_wrong_one() {
    let mut here = Unsigned::new(app_with(&[("1", 1)], 1)).unwrap();
    let eight = secret(8).sign(here.bytes_to_sign()).to_bytes();
    assert_eq!(here.add_signature(&key(9), &eight), Err(SignatureError::Wrong(key(9).id())));
    here.add_signature(&key(8), &eight).unwrap();
    assert_eq!(here.clone().finish(&signers(&[8, 9], 2)).unwrap_err().found, 1);
    let travelled = Unverified::<PackageRole>::parse(&here.to_bytes()).unwrap();
    let mut there = travelled.sign_on([&key(8), &key(9)]).unwrap();
    assert_eq!(there.signed_by().count(), 1);
    let nine = secret(9).sign(there.bytes_to_sign()).to_bytes();
    there.add_signature(&key(9), &nine).unwrap();
    there.add_signature(&key(9), &nine).unwrap();
    assert!(there.finish(&signers(&[8, 9], 2)).is_ok());
}

#[test]
fn the_online_side_never_signs_over_a_rollback_or_over_what_publishers_did_not_sign() {
    let bench = Bench::new();
    let targets = targets();
    let previous = bench.snapshot.clone().unwrap();
    assert!(lists(&previous, &targets, &bench.packages));
    let kind = |packages: &BTreeMap<_, _>, targets: &Verified<TargetsRole>| {
        next_snapshot(Some(&previous), targets, packages, days(7)).map_or_else(|error| error.kind(), |_| "made")
    };
    assert_eq!(kind(&bench.packages, &targets), "made");
    assert_eq!(kind(&BTreeMap::new(), &targets), "rollback");
    let unlisted = verified(TargetsRole::first(days(365)), &[4, 5]);
    assert_eq!(kind(&bench.packages, &unlisted), "unknown_package");
    let mut moved = bench.targets.next(days(365)).unwrap();
    moved.delegate(app(), signers(&[20], 1)).unwrap();
    assert_eq!(kind(&bench.packages, &verified(moved, &[4, 5])), "threshold");
    let snapshot = verified(previous.clone(), &[6]);
    let newer = next_snapshot(Some(&previous), &targets, &bench.packages, days(7)).unwrap();
    let newer = verified(newer.role().clone(), &[6]);
    let timestamp = next_timestamp(bench.timestamp.as_ref(), &newer, days(1)).unwrap();
    assert_eq!(next_timestamp(Some(timestamp.role()), &snapshot, days(1)).unwrap_err().kind(), "rollback");
}

#[test]
fn online_files_are_signed_anew_at_half_their_life() {
    let timestamp = Bench::new().timestamp.unwrap();
    assert!(!refresh_due(&timestamp, DAY_MS, NOW_MS));
    assert!(!refresh_due(&timestamp, DAY_MS, NOW_MS + DAY_MS / 2 - 1));
    assert!(refresh_due(&timestamp, DAY_MS, NOW_MS + DAY_MS / 2));
    assert!(refresh_due(&timestamp, DAY_MS, u64::MAX));
}
