//! Threats to a device that refreshes.

use serde_json::json;
use tidegate_trust::tuf::client::{Answer, Client, ClientError, Step};
use tidegate_trust::tuf::repository::{PackageRole, SnapshotRole, TimestampRole};
use tidegate_trust::tuf::{Role, RoleName, Unverified};

use super::bench::*;

fn kind_after(bench: &Bench, client: &mut Client) -> &'static str {
    bench.serve(client, NOW_MS).unwrap_err().kind()
}

fn problem_after(bench: &Bench, client: &mut Client) -> ClientError {
    let mut refreshed = bench.serve(client, NOW_MS).unwrap();
    assert_eq!(refreshed.problems.len(), 1);
    refreshed.problems.remove(0).error
}

#[test]
fn a_release_is_found_with_its_length_and_digest() {
    let mut bench = Bench::new();
    let mut client = bench.refreshed();
    assert_eq!(client.target(&path("app/1.json"), NOW_MS), Ok(manifest(1)));
    assert_eq!(client.target(&path("app/2.json"), NOW_MS).unwrap_err().kind(), "unknown_target");
    assert_eq!(client.target(&path("other/1.json"), NOW_MS).unwrap_err().kind(), "unknown_package");
    bench.release("2", 2);
    assert!(bench.serve(&mut client, NOW_MS).unwrap().problems.is_empty());
    assert_eq!(client.target(&path("app/2.json"), NOW_MS), Ok(manifest(2)));
    assert_eq!(client.releases(&app(), NOW_MS).unwrap().len(), 2);
}

#[test]
fn an_unchanged_repository_costs_two_small_questions_also_after_a_restart() {
    let mut bench = Bench::new();
    let mut client = bench.refreshed();
    for mut client in [bench.restarted(&client), bench.refreshed()] {
        let (done, asked) = bench.serve_counting(&mut client, NOW_MS);
        assert!(done.unwrap().problems.is_empty());
        assert_eq!(asked, ["2.root.json", "timestamp.json"]);
    }
    // A new snapshot of the same files: neither targets nor the package is fetched again.
    bench.publish();
    let (_, asked) = bench.serve_counting(&mut client, NOW_MS);
    assert_eq!(asked, ["2.root.json", "timestamp.json", "2.snapshot.json"]);
    assert_eq!(client.target(&path("app/1.json"), NOW_MS), Ok(manifest(1)));
}

#[test]
fn rollback_of_the_timestamp_is_refused_also_after_a_restart() {
    let mut bench = Bench::new();
    let old = bench.files["timestamp.json"].clone();
    bench.release("2", 2);
    let client = bench.refreshed();
    bench.put("timestamp.json".into(), &old);
    for mut client in [bench.restarted(&client), client] {
        assert_eq!(kind_after(&bench, &mut client), "rollback");
        assert_eq!(client.target(&path("app/2.json"), NOW_MS), Ok(manifest(2)));
    }
}

#[test]
fn rollback_of_the_snapshot_under_a_newer_timestamp_is_refused() {
    let mut bench = Bench::new();
    let old = bench.clone();
    bench.release("2", 2);
    let mut client = bench.refreshed();
    // The online timestamp key in wrong hands: timestamp 9 names snapshot 1.
    let mut content = content(&old.files["timestamp.json"]);
    content["version"] = 9.into();
    bench.put("timestamp.json".into(), &forged(&content, &[7]));
    assert_eq!(kind_after(&bench, &mut client), "rollback");
}

#[test]
fn rollback_of_targets_or_of_a_package_by_both_online_keys_is_refused() {
    for file in ["targets.json", "app.json"] {
        let mut bench = Bench::new();
        let old = bench.snapshot.clone().unwrap();
        bench.targets = bench.targets.next(days(365)).unwrap();
        bench.release("2", 2);
        let mut client = bench.refreshed();
        // Both online keys stolen: snapshot 3 names the old version of one file.
        let newest = signed(bench.snapshot.clone().unwrap(), &[6]);
        let mut meta = content(&newest);
        meta["version"] = 3.into();
        meta["meta"][file] = content(&signed(old, &[6]))["meta"][file].clone();
        publish_forged(&mut bench, &forged(&meta, &[6]), 3);
        assert_eq!(kind_after(&bench, &mut client), "rollback", "{file}");
        assert_eq!(kind_after(&bench, &mut bench.restarted(&client)), "rollback", "{file} after a restart");
    }
}

#[test]
fn a_snapshot_that_drops_a_package_is_refused() {
    let mut bench = Bench::new();
    let mut client = bench.refreshed();
    let mut meta = content(&bench.files["1.snapshot.json"]);
    meta["version"] = 2.into();
    meta["meta"].as_object_mut().unwrap().remove("app.json");
    publish_forged(&mut bench, &forged(&meta, &[6]), 2);
    assert_eq!(kind_after(&bench, &mut client), "rollback");
}

/// Puts out a forged snapshot and a timestamp, by the true timestamp key, that names it.
fn publish_forged(bench: &mut Bench, snapshot: &[u8], version: u64) {
    let file = Unverified::<SnapshotRole>::parse(snapshot).unwrap().verify(&signers(&[6], 1)).unwrap();
    let timestamp = tidegate_trust::tuf::online::next_timestamp(bench.timestamp.as_ref(), &file, days(1)).unwrap();
    bench.put(format!("{version}.snapshot.json"), snapshot);
    bench.put("timestamp.json".into(), &signed(timestamp.role().clone(), &[7]));
}

#[test]
fn freeze_an_expired_timestamp_snapshot_targets_package_or_root_opens_nothing() {
    let bench = Bench::new();
    for (days_later, role) in [(2, "timestamp"), (400, "root")] {
        let mut client = bench.client();
        let error = bench.serve(&mut client, NOW_MS + days_later * DAY_MS).unwrap_err();
        assert!(matches!(&error, ClientError::Expired { role: found, .. } if found == role), "{error}");
        assert_eq!(error.kind(), "expired");
    }
    let mut snapshot_old = Bench::new();
    snapshot_old.publish_until(days(0), days(1));
    let later = NOW_MS + 1000;
    let error = snapshot_old.serve(&mut snapshot_old.client(), later).unwrap_err();
    assert!(matches!(&error, ClientError::Expired { role, .. } if role == "snapshot"), "{error}");
    let mut targets_old = Bench::new();
    targets_old.targets = targets_old.targets.next(days(0)).unwrap();
    targets_old.publish();
    let error = targets_old.serve(&mut targets_old.client(), later).unwrap_err();
    assert!(matches!(&error, ClientError::Expired { role, .. } if role == "targets"), "{error}");
    let mut package_old = Bench::new();
    let role = package_old.packages[&app()].role().next(days(0)).unwrap();
    package_old.packages.insert(app(), verified(role, &[8, 9]));
    package_old.publish();
    let refreshed = package_old.serve(&mut package_old.client(), later).unwrap();
    assert_eq!(refreshed.problems[0].error.kind(), "expired");
}

#[test]
fn freeze_what_was_fresh_at_the_refresh_expires_at_the_look_up() {
    let bench = Bench::new();
    let client = bench.refreshed();
    let error = client.target(&path("app/1.json"), NOW_MS + DAY_MS).unwrap_err();
    assert!(matches!(&error, ClientError::Expired { role, .. } if role == "timestamp"), "{error}");
    let mut again = bench.refreshed();
    assert_eq!(bench.serve(&mut again, NOW_MS + 2 * DAY_MS).unwrap_err().kind(), "expired");
    assert_eq!(again.target(&path("app/1.json"), u64::MAX).unwrap_err().kind(), "expired");
}

#[test]
fn an_expired_store_still_counts_against_rollback() {
    let mut bench = Bench::new();
    let old = bench.files["timestamp.json"].clone();
    bench.release("2", 2);
    let client = bench.refreshed();
    let mut resumed = bench.restarted(&client);
    // All stored files have expired by now; the mirror shows the still older timestamp, signed to last longer.
    let mut content = content(&old);
    content["expires"] = json!(days(60).to_string());
    bench.put("timestamp.json".into(), &forged(&content, &[7]));
    let error = bench.serve(&mut resumed, NOW_MS + 30 * DAY_MS).unwrap_err();
    assert_eq!(error.kind(), "rollback");
}

#[test]
fn another_snapshot_of_the_same_version_never_leaves_a_device_stuck() {
    let mut bench = Bench::new();
    let mut client = bench.refreshed();
    let mut meta = content(&bench.files["1.snapshot.json"]);
    meta["expires"] = json!(days(8).to_string());
    publish_forged(&mut bench, &forged(&meta, &[6]), 1);
    assert!(bench.serve(&mut client, NOW_MS).unwrap().problems.is_empty());
    assert_eq!(client.target(&path("app/1.json"), NOW_MS), Ok(manifest(1)));
}

#[test]
fn mix_and_match_of_two_snapshots_is_refused() {
    let mut bench = Bench::new();
    let other = {
        let mut other = bench.clone();
        other.release("2", 2);
        other
    };
    bench.release("3", 3);
    // The same version numbers, other content: package and snapshot are each well signed, but do not belong together.
    bench.put("2.app.json".into(), &other.files["2.app.json"].clone());
    let mut client = bench.client();
    assert_eq!(problem_after(&bench, &mut client).kind(), "mismatch");
    assert_eq!(client.target(&path("app/2.json"), NOW_MS).unwrap_err().kind(), "not_refreshed");
    bench.put("2.snapshot.json".into(), &other.files["2.snapshot.json"].clone());
    assert_eq!(kind_after(&bench, &mut bench.client()), "mismatch");
}

#[test]
fn arbitrary_software_without_signatures_or_with_strange_ones_is_refused() {
    for file in ["timestamp.json", "1.snapshot.json", "1.targets.json"] {
        let bench = Bench::new();
        for seeds in [&[][..], &[30, 31], &[4]] {
            let mut lying = bench.clone();
            lying.put(file.into(), &forged(&content(&bench.files[file]), seeds));
            let kind = kind_after(&lying, &mut lying.client());
            assert!(["threshold", "too_large"].contains(&kind), "{file}: {kind}");
        }
    }
    let mut bench = Bench::new();
    bench.put("1.app.json".into(), &forged(&content(&bench.files["1.app.json"]), &[]));
    assert_eq!(problem_after(&bench, &mut bench.client()).kind(), "threshold");
}

#[test]
fn a_threshold_is_not_met_by_one_key_for_any_offline_role() {
    let unsigned_root = signed(first_root(), &[1]);
    assert_eq!(Client::new(&unsigned_root, [app()]).unwrap_err().kind(), "threshold");
    // Online keys in wrong hands pin a file that only one of two publishers signed.
    let mut bench = Bench::new();
    let one = signed(bench.packages[&app()].role().clone(), &[8]);
    let file = Unverified::<PackageRole>::parse(&one).unwrap().verify(&signers(&[8], 1)).unwrap();
    let snapshot = {
        let mut lone = tidegate_trust::tuf::repository::TargetsRole::first(days(365));
        lone.delegate(app(), signers(&[8], 1)).unwrap();
        let packages = std::collections::BTreeMap::from([(app(), file)]);
        tidegate_trust::tuf::online::next_snapshot(None, &verified(lone, &[4, 5]), &packages, days(7)).unwrap()
    };
    let mut meta = content(&bench.files["1.snapshot.json"]);
    meta["meta"]["app.json"] = content(&signed(snapshot.role().clone(), &[6]))["meta"]["app.json"].clone();
    meta["version"] = 2.into();
    publish_forged(&mut bench, &forged(&meta, &[6]), 2);
    bench.put("1.app.json".into(), &one);
    assert_eq!(problem_after(&bench, &mut bench.client()).kind(), "threshold");
}

#[test]
fn one_key_under_two_ids_never_counts_as_two_in_root_or_in_a_delegation() {
    let bench = Bench::new();
    let mut root = content(bench.pinned());
    let own = root["keys"][key(1).id().to_string()].clone();
    let second = "ab".repeat(32);
    root["keys"][&second] = own;
    root["roles"]["root"] = json!({"keyids": [key(1).id().to_string(), second], "threshold": 2});
    let error = Client::new(&forged(&root, &[1, 2]), [app()]).unwrap_err();
    assert_eq!(error.kind(), "repeated_key", "{error}");

    let mut listed_twice = content(bench.pinned());
    listed_twice["roles"]["root"]["keyids"] = json!([key(1).id().to_string(), key(1).id().to_string()]);
    assert_eq!(Client::new(&forged(&listed_twice, &[1, 2]), [app()]).unwrap_err().kind(), "repeated_key");

    let mut upper = content(&bench.files["1.targets.json"]);
    let mut twin = upper["delegations"]["keys"][key(8).id().to_string()].clone();
    twin["keyval"]["public"] = json!(twin["keyval"]["public"].as_str().unwrap().to_uppercase());
    upper["delegations"]["keys"]["cd".repeat(32)] = twin;
    let mut lying = bench.clone();
    republish_targets(&mut lying, &upper);
    assert_eq!(kind_after(&lying, &mut lying.client()), "repeated_key");
}

#[test]
fn a_threshold_of_zero_or_out_of_reach_is_refused_in_root_and_in_a_delegation() {
    let bench = Bench::new();
    for threshold in [0, 4] {
        for role in ["root", "timestamp"] {
            let mut root = content(bench.pinned());
            root["roles"][role]["threshold"] = threshold.into();
            assert_eq!(Client::new(&forged(&root, &[1, 2, 3]), [app()]).unwrap_err().kind(), "threshold_impossible");
        }
        let mut targets = content(&bench.files["1.targets.json"]);
        targets["delegations"]["roles"][0]["threshold"] = threshold.into();
        let mut lying = bench.clone();
        republish_targets(&mut lying, &targets);
        assert_eq!(kind_after(&lying, &mut lying.client()), "threshold_impossible");
    }
}

/// Puts out forged targets 1, signed by the true keys, under a snapshot and timestamp that pin it.
fn republish_targets(bench: &mut Bench, targets: &serde_json::Value) {
    let file = forged(targets, &[4, 5]);
    let mut meta = content(&bench.files["1.snapshot.json"]);
    meta["meta"]["targets.json"]["length"] = file.len().into();
    meta["meta"]["targets.json"]["hashes"]["sha256"] = json!(sha256(&file));
    meta["version"] = 2.into();
    publish_forged(bench, &forged(&meta, &[6]), 2);
    bench.put("1.targets.json".into(), &file);
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}

#[test]
fn a_delegation_beyond_the_packages_own_paths_is_refused() {
    let bench = Bench::new();
    for (field, value) in [
        ("paths", json!(["*"])),
        ("paths", json!(["app/*", "other/*"])),
        ("terminating", json!(false)),
        ("name", json!("snapshot")),
    ] {
        let mut targets = content(&bench.files["1.targets.json"]);
        targets["delegations"]["roles"][0][field] = value;
        let mut lying = bench.clone();
        republish_targets(&mut lying, &targets);
        assert_eq!(kind_after(&lying, &mut lying.client()), "malformed", "{field}");
    }
}

#[test]
fn a_package_that_signs_outside_its_own_paths_is_refused_and_holds_up_no_other() {
    let mut bench = Bench::new();
    let other = RoleName::parse("other").unwrap();
    bench.targets = bench.targets.next(days(365)).unwrap();
    bench.targets.delegate(other.clone(), signers(&[20], 1)).unwrap();
    let mut role = PackageRole::first(days(180));
    role.add_release(&other, "1", manifest(7)).unwrap();
    bench.packages.insert(other.clone(), verified(role.clone(), &[20]));
    bench.publish();
    // The publishers of `other` list a release of `app`; the online keys pin it all the same.
    role.add_release(&app(), "9", manifest(9)).unwrap();
    let file = signed(role, &[20]);
    let mut meta = content(&bench.files["2.snapshot.json"]);
    meta["meta"]["other.json"]["length"] = file.len().into();
    meta["meta"]["other.json"]["hashes"]["sha256"] = json!(sha256(&file));
    meta["version"] = 3.into();
    publish_forged(&mut bench, &forged(&meta, &[6]), 3);
    bench.put("1.other.json".into(), &file);
    let mut client = Client::new(bench.pinned(), [app(), other.clone()]).unwrap();
    assert_eq!(problem_after(&bench, &mut client).kind(), "foreign_target");
    assert_eq!(client.target(&path("app/1.json"), NOW_MS), Ok(manifest(1)));
    assert!(client.target(&path("app/9.json"), NOW_MS).is_err());
    assert!(client.target(&path("other/1.json"), NOW_MS).is_err());
}

#[test]
fn endless_data_is_cut_off_at_what_the_file_may_have() {
    for file in ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"] {
        let mut bench = Bench::new();
        let mut client = bench.client();
        bench.put(file.into(), &vec![b' '; 5 * 1024 * 1024]);
        assert_eq!(kind_after(&bench, &mut client), "too_large", "{file}");
    }
    let mut bench = Bench::new();
    let longer = [bench.files["1.app.json"].as_slice(), b" "].concat();
    bench.put("1.app.json".into(), &longer);
    assert_eq!(problem_after(&bench, &mut bench.client()).kind(), "too_large");
    let mut client = bench.client();
    let Step::Need(request) = client.next(NOW_MS) else { panic!("no question") };
    assert_eq!(request.path, "2.root.json");
    client.feed(Answer::NotFound);
    assert!(matches!(client.next(NOW_MS), Step::Need(request) if request.bytes_max == 65_536));
}

#[test]
fn a_new_root_needs_a_threshold_of_the_old_keys_and_of_the_new() {
    for (seeds, verdict) in [
        (&[1, 2][..], "threshold"),
        (&[11, 12], "threshold"),
        (&[1, 11, 12], "threshold"),
        (&[1, 2, 11], "threshold"),
        (&[1, 2, 11, 12], "taken"),
    ] {
        let mut bench = Bench::new();
        bench.rotate(|root| root.with_root(signers(&[11, 12], 2)), seeds);
        let mut client = bench.client();
        let outcome = bench.serve(&mut client, NOW_MS);
        assert_eq!(outcome.as_ref().map_or_else(ClientError::kind, |_| "taken"), verdict, "{seeds:?}");
        assert_eq!(client.root_version(), if verdict == "taken" { 2 } else { 1 });
    }
}

#[test]
fn a_root_that_skips_or_repeats_a_version_is_refused() {
    for version in [1, 3] {
        let mut bench = Bench::new();
        let mut root = content(bench.pinned());
        root["version"] = version.into();
        bench.put("2.root.json".into(), &forged(&root, &[1, 2]));
        assert_eq!(kind_after(&bench, &mut bench.client()), "root_version");
    }
}

#[test]
fn a_rotation_of_other_keys_keeps_the_protection_against_rollback() {
    let mut bench = Bench::new();
    let old = bench.files["timestamp.json"].clone();
    bench.release("2", 2);
    let mut client = bench.refreshed();
    bench.rotate(|root| root.with_root(signers(&[11, 12], 2)), &[1, 2, 11, 12]);
    bench.put("timestamp.json".into(), &old);
    assert_eq!(kind_after(&bench, &mut client), "rollback");
    assert_eq!(client.root_version(), 2);
    assert_eq!(kind_after(&bench, &mut bench.restarted(&client)), "rollback");
}

#[test]
fn versions_that_ran_away_are_recovered_by_new_online_keys() {
    let mut bench = Bench::new();
    // Both online keys stolen: snapshot and timestamp run to a version that the true server will never reach.
    let mut meta = content(&bench.files["1.snapshot.json"]);
    meta["version"] = ((1_u64 << 53) - 1).into();
    let mut attacked = bench.clone();
    publish_forged(&mut attacked, &forged(&meta, &[6]), (1 << 53) - 1);
    let client = attacked.refreshed();
    bench.release("2", 2);
    bench.publish();
    assert_eq!(kind_after(&bench, &mut attacked.restarted(&client)), "rollback");
    // Root 2 takes the stolen keys out; versions start over.
    bench.rotate(|root| root.with_snapshot(signers(&[16], 1)).with_timestamp(signers(&[17], 1)), &[1, 2]);
    bench.online_seeds = (16, 17);
    (bench.snapshot, bench.timestamp) = (None, None);
    bench.publish();
    for mut client in [bench.restarted(&client), client] {
        assert_eq!(bench.serve(&mut client, NOW_MS).unwrap().snapshot_version, 1);
        assert_eq!(client.target(&path("app/2.json"), NOW_MS), Ok(manifest(2)));
        // The files of the stolen keys never come back in.
        assert_eq!(kind_after(&attacked, &mut bench.restarted(&client)), "threshold");
    }
}

#[test]
fn a_device_long_away_takes_32_roots_a_refresh_and_goes_on_with_the_next() {
    let mut bench = Bench::new();
    for _ in 0..40 {
        bench.rotate(|root| root, &[1, 2]);
    }
    let mut client = bench.client();
    assert_eq!(bench.serve(&mut client, NOW_MS), Err(ClientError::TooManyRoots));
    assert_eq!(client.root_version(), 33);
    let mut client = bench.restarted(&client);
    assert_eq!(client.root_version(), 33);
    assert_eq!(bench.serve(&mut client, NOW_MS).unwrap().root_version, 41);
}

#[test]
fn a_tampered_store_adds_no_trust() {
    let mut bench = Bench::new();
    bench.rotate(|root| root, &[1, 2]);
    let client = bench.refreshed();
    let files = client.metadata_files();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["2.root.json", "timestamp.json", "snapshot.json", "targets.json", "role.app.json"]);
    for (index, (name, bytes)) in files.iter().enumerate() {
        let mut evil = content(bytes);
        evil["expires"] = json!(days(900).to_string());
        if name == "role.app.json" {
            evil["targets"]["app/1.json"]["length"] = 666.into();
        }
        for lie in [forged(&evil, &[30]), b"{}".to_vec(), bytes[..bytes.len() / 2].to_vec(), Vec::new()] {
            let mut tampered = files.clone();
            tampered[index].1 = lie;
            let mut resumed = Client::resume(bench.pinned(), [app()], tampered).unwrap();
            assert!(resumed.target(&path("app/1.json"), NOW_MS).is_ok_and(|info| info == manifest(1)) == (index == 0));
            assert!(bench.serve(&mut resumed, NOW_MS).unwrap().problems.is_empty(), "{name}");
            assert_eq!(resumed.target(&path("app/1.json"), NOW_MS), Ok(manifest(1)), "{name}");
        }
    }
}

#[test]
fn a_refresh_that_breaks_off_keeps_its_floor_and_believes_nothing_half_done() {
    let mut bench = Bench::new();
    let mut client = bench.refreshed();
    let old = bench.clone();
    bench.release("2", 2);
    let newest = bench.files.remove("2.snapshot.json").unwrap();
    assert_eq!(kind_after(&bench, &mut client), "missing");
    assert_eq!(client.target(&path("app/1.json"), NOW_MS).unwrap_err().kind(), "not_refreshed");
    assert_eq!(kind_after(&old, &mut bench.restarted(&client)), "rollback");
    bench.put("2.snapshot.json".into(), &newest);
    for mut client in [bench.restarted(&client), client] {
        assert!(bench.serve(&mut client, NOW_MS).unwrap().problems.is_empty());
        assert_eq!(client.target(&path("app/2.json"), NOW_MS), Ok(manifest(2)));
    }
}

#[test]
fn an_answer_that_nobody_asked_for_or_a_refresh_abandoned_changes_nothing() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.feed(Answer::Bytes(bench.files["timestamp.json"].clone()));
    assert!(matches!(client.next(NOW_MS), Step::Need(request) if request.path == "2.root.json"));
    assert!(matches!(client.next(NOW_MS), Step::Need(request) if request.path == "2.root.json"));
    client.feed(Answer::NotFound);
    assert!(matches!(client.next(NOW_MS), Step::Need(request) if request.path == "timestamp.json"));
    client.abandon();
    assert!(bench.serve(&mut client, NOW_MS).unwrap().problems.is_empty());
}

#[test]
fn a_package_added_later_is_followed_without_a_restart() {
    let mut bench = Bench::new();
    let mut client = bench.refreshed();
    let other = RoleName::parse("@trust").unwrap();
    client.follow(other.clone());
    assert_eq!(problem_after(&bench, &mut client).kind(), "unknown_package");
    bench.targets = bench.targets.next(days(365)).unwrap();
    bench.targets.delegate(other.clone(), signers(&[20], 1)).unwrap();
    bench.publish();
    assert_eq!(problem_after(&bench, &mut client).kind(), "nothing_published");
    let mut role = PackageRole::first(days(180));
    role.add_release(&other, "1", manifest(7)).unwrap();
    bench.packages.insert(other, verified(role, &[20]));
    bench.publish();
    assert!(bench.serve(&mut client, NOW_MS).unwrap().problems.is_empty());
    assert_eq!(client.target(&path("@trust/1.json"), NOW_MS), Ok(manifest(7)));
}

#[test]
fn the_reference_core_reads_every_file_that_the_repository_writes() {
    let bench = Bench::new();
    sigstore_tuf::Metadata::<sigstore_tuf::Root>::from_slice(bench.pinned()).unwrap();
    let timestamp = &bench.files["timestamp.json"];
    let core = sigstore_tuf::Metadata::<sigstore_tuf::Timestamp>::from_slice(timestamp).unwrap();
    let ours = Unverified::<TimestampRole>::parse(timestamp).unwrap();
    assert_eq!(core.signed_canonical(), ours.signed_bytes());
    assert_eq!(core.signed().version, ours.role().version());
}
