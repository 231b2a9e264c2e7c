//! What the command makes without a server: fleets and tokens. Everything that it made is verified as a device would.

use std::fs;

use serde_json::Value;
use tidegate_domain::digest::Digest;
use tidegate_domain::time::WallTime;
use tidegate_keyring::{Credential, KeyFile, Secret, Signer, TokenKey};
use tidegate_trust::keys::{PublicKey, Scope};
use tidegate_trust::records::{EnrolmentToken, EnvelopeRecord, KeyList};
use tidegate_trust::signed::Unverified;
use tidegate_trust::tuf::acceptance::{accept_first_root, accept_targets};

use crate::{Home, PASSPHRASE, mode};

fn now() -> WallTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    WallTime::from_ms(u64::try_from(since.as_millis()).unwrap())
}

fn root_keys(home: &Home) -> (Digest, Vec<PublicKey>, usize) {
    let bytes = fs::read(home.path("fleet/server/fleet/1.root.json")).unwrap();
    let root = accept_first_root(&bytes, now().as_ms()).unwrap();
    let signers = root.role().root();
    let keys = signers.keys().map(|(_, key)| PublicKey::from_bytes(*key.as_bytes()).unwrap()).collect();
    (Digest::of(&bytes), keys, usize::try_from(signers.threshold()).unwrap())
}

fn key_list(home: &Home) -> KeyList {
    let (fleet, keys, threshold) = root_keys(home);
    let bytes = fs::read(home.path("fleet/server/fleet/key-list.json")).unwrap();
    let list = Unverified::<KeyList>::parse(&bytes).unwrap().verify(fleet, keys, threshold).unwrap();
    list.body().check().unwrap();
    list.body().clone()
}

#[test]
fn everything_that_trust_init_makes_verifies() {
    let home = Home::new();
    let fleet = home.init(&["--root-keys", "3", "--root-threshold", "2", "--publishers", "2"]);
    let (digest, keys, threshold) = root_keys(&home);
    assert_eq!((digest.to_string(), keys.len(), threshold), (fleet.clone(), 3, 2));
    let root = fs::read(home.path("fleet/server/fleet/1.root.json")).unwrap();
    let root = accept_first_root(&root, now().as_ms()).unwrap();
    let targets = fs::read(home.path("fleet/server/fleet/1.targets.json")).unwrap();
    accept_targets(&root, None, &targets, now().as_ms()).unwrap();
    let envelope = fs::read(home.path("fleet/server/fleet/envelope.json")).unwrap();
    let envelope = Unverified::<EnvelopeRecord>::parse(&envelope).unwrap();
    envelope.verify(digest, keys.clone(), threshold).unwrap();
    let list = key_list(&home);
    for scope in [Scope::Order, Scope::Gate, Scope::Enrolment, Scope::Halt] {
        assert_eq!(list.keys_for(scope, now()).count(), 1, "{scope:?}");
    }
    assert_eq!(list.keys_for(Scope::Approve, now()).count(), 3);
    let about: Value = serde_json::from_slice(&fs::read(home.path("fleet/fleet.json")).unwrap()).unwrap();
    assert_eq!(about["fleet"], fleet.as_str());
}

#[test]
fn the_server_gets_no_key_that_signs_releases_orders_or_tokens() {
    let home = Home::new();
    home.init(&[]);
    let names = |folder: &str| {
        let mut names: Vec<String> = fs::read_dir(home.path(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("fleet"), ["fleet.json", "offline", "server"]);
    let offline = [
        "approver-1.key",
        "approver-2.key",
        "approver-3.key",
        "enrolment.key",
        "halt.key",
        "order.key",
        "publisher-1.key",
        "root-1.key",
        "targets.key",
    ];
    assert_eq!(names("fleet/offline"), offline);
    assert_eq!(names("fleet/server"), ["credential", "fleet", "gate.key", "snapshot.key", "timestamp.key"]);
    assert_eq!(names("fleet/server/fleet"), ["1.root.json", "1.targets.json", "envelope.json", "key-list.json"]);
    assert_eq!(mode(&home.path("fleet/server/credential")), 0o600);
    assert_eq!(mode(&home.path("fleet/offline")), 0o700);
    let secret = Secret::Credential(Credential::read(&home.path("fleet/server/credential")).unwrap());
    let gate = KeyFile::read(&home.path("fleet/server/gate.key")).unwrap().unlock(&secret).unwrap();
    let gate = PublicKey::from_bytes(gate.public_key()).unwrap();
    assert_eq!(key_list(&home).keys_for(Scope::Gate, now()).collect::<Vec<_>>(), [gate]);
    let secret = Secret::Passphrase(PASSPHRASE.into());
    KeyFile::read(&home.path("fleet/offline/root-1.key")).unwrap().unlock(&secret).unwrap();
}

#[test]
fn trust_init_says_what_to_take_offline() {
    let home = Home::new();
    let shown = home.text(&["trust", "init", "--dir", "fleet", "--scrypt-log-n", "14"]);
    assert!(shown.contains("Take offline: fleet/offline"), "{shown}");
    assert!(shown.contains("sha256:"), "{shown}");
    home.refusal(&["trust", "init", "--dir", "fleet", "--scrypt-log-n", "14"], 1);
}

#[test]
fn a_token_verifies_against_the_key_list_and_carries_its_key() {
    let home = Home::new();
    let fleet = home.init(&[]);
    let home = home.with("TIDEGATE_FLEET", &fleet).with("TIDEGATE_KEY_DIR", "fleet/offline");
    let endpoint = "https://tidegate.example:7440";
    let args = ["device", "token", "create", "--key", "enrolment", "--ring", "canary", "--attr", "os=linux,windows"];
    let more =
        ["--attr", "site=ams", "--devices", "200", "--expires", "30d", "--endpoint", endpoint, "--out", "t.json"];
    let answer = home.json(&[&args[..], &more[..]].concat());
    assert_eq!(mode(&home.path("t.json")), 0o600);
    let file: Value = serde_json::from_slice(&fs::read(home.path("t.json")).unwrap()).unwrap();
    let token: Unverified<EnrolmentToken> = serde_json::from_value(file["token"].clone()).unwrap();
    assert_eq!(answer["digest"], token.digest().to_string());
    let token = key_list(&home).verify(token, &[Scope::Enrolment], now()).unwrap();
    let body = token.body();
    assert_eq!((body.devices_max, body.ring.as_ref().unwrap().as_str()), (200, "canary"));
    assert_eq!(body.attributes.len(), 2);
    assert_eq!(body.endpoints, [endpoint]);
    let key = TokenKey::from_hex(&file["secret_key"].as_str().unwrap().into()).unwrap();
    assert_eq!(&key.public_key(), body.public_key.as_bytes());
    // Never over another, and never by a key that is for something else without devices refusing it.
    home.refusal(&[&args[..], &more[..]].concat(), 1);
}

#[test]
fn a_policy_check_says_how_it_would_go_and_ends_badly_where_it_could_not() {
    let home = Home::new();
    let all = "name = \"p\"\nrings = [{ name = \"all\", soak = \"5min\" }]\n";
    home.write("good.toml", all);
    home.write("lab.toml", "name = \"p\"\n[[rings]]\nname = \"lab\"\nlab = true\nsoak = \"5min\"\n[[rings]]\nname = \"all\"\nsoak = \"0s\"\n");
    let digest = Digest::of(all.as_bytes());
    assert_eq!(home.json(&["policy", "check", "good.toml"])["policy"], format!("p@{digest}"));
    let check = home.run(&["--json", "policy", "check", "lab.toml", "--devices", "10000"]);
    assert_eq!(check.status.code(), Some(1), "a lab without devices shows nothing");
    let answer: Value = serde_json::from_slice(&check.stdout).unwrap();
    assert!(answer["problems"].to_string().contains("ring `lab` has no devices"), "{answer}");
    let answer = home.run(&["--json", "policy", "check", "lab.toml", "--devices", "10000", "--label", "lab=20"]);
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(answer["forecast"]["devices"], 10_000);
    assert!(answer["forecast"]["first_window"].as_u64().unwrap() > 0, "{answer}");
    home.write("deaf.toml", &format!("{all}[gate]\ntolerate_hard = 0.99\n"));
    home.write("danger.toml", "name = \"danger\"\ntolerate_max = 1.0\n");
    let deaf = ["policy", "check", "deaf.toml", "--devices", "10000", "--envelope", "danger.toml"];
    let shown = home.run(&deaf);
    assert_eq!(shown.status.code(), Some(1), "a gate that nothing reaches");
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("`gate.tolerate_hard` is 0.99; 0.66 would do"), "{shown}");
    assert!(shown.contains("all: evidence halts it, 3 exposed"), "what stops silence: {shown}");
}
