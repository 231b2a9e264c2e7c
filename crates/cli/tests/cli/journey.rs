//! The way of a release from nothing to a running rollout, by the commands that a person types.

use std::fs;

use serde_json::{Value, json};
use tidegate_domain::digest::Digest;
use tidegate_domain::time::Elapsed;
use tidegate_trust::keys::Scope;
use tidegate_trust::records::{Halt, KeyList, Order};
use tidegate_trust::signed::Unverified;

use crate::fake_server::FakeServer;
use crate::{Home, mode, text};

const POLICY: &str = "name = \"default\"\nrings = [{ name = \"all\", soak = \"5min\" }]\n";

/// A fleet with a server, logged in, and the package `content` with two publishers who both must sign.
fn fleet() -> (Home, FakeServer, String) {
    let home = Home::new();
    let fleet = home.init(&["--publishers", "2"]);
    let server = FakeServer::start(&home.path("fleet/server"));
    let home = home.with("TIDEGATE_KEY_DIR", "fleet/offline");
    let login = home.json(&["login", &server.url(), "--code", FakeServer::CODE, "--fleet-digest", &fleet]);
    assert_eq!(login["fleet"], fleet.as_str());
    let publishers = ["--publisher-key", "publisher-1", "--publisher-key", "publisher-2", "--threshold", "2"];
    let added = home.json(&[&["package", "add", "content"], &publishers[..], &["--targets-key", "targets"]].concat());
    assert_eq!((&added["targets_version"], &added["replaced"]), (&json!(2), &json!(false)));
    (home, server, fleet)
}

fn stage(home: &Home, version: &str) -> Value {
    home.write("build/templates.json", &format!("{{\"version\": \"{version}\"}}"));
    home.write("build/lib/rules.bin", "rules");
    let manifest = "downtime = \"3s\"\nactivation = { kind = \"supervise\" }\n\
                    [[probes]]\nkind = \"health_file\"\npath = \"health.json\"\nfresh = \"2s\"\n[needs]\nengine = 7\n";
    home.write("release.toml", manifest);
    let args =
        ["release", "stage", "content", version, "--files", "build", "--manifest", "release.toml", "--out", version];
    home.json(&args)
}

fn publish(home: &Home, version: &str) -> Value {
    stage(home, version);
    for key in ["publisher-1", "publisher-2"] {
        home.json(&["release", "sign", version, "--key", key]);
    }
    home.json(&["release", "publish", version])
}

#[test]
fn login_stores_the_token_for_its_owner_and_its_server_only() {
    let (home, server, fleet) = fleet();
    assert_eq!(mode(&home.path(".config/tidegate/login.json")), 0o600);
    let shown = home.json(&["status"]);
    assert_eq!(shown["fleet"], fleet.as_str());
    assert!(!home.text(&["login", &server.url(), "--code", FakeServer::CODE]).contains(FakeServer::TOKEN));
    let line = home.refusal(&["status", "--server", "http://127.0.0.1:9"], 1);
    assert!(line.contains("is not sent to http://127.0.0.1:9"), "{line}");
    let wrong = format!("sha256:{}", "0".repeat(64));
    let line = home.refusal(&["login", &server.url(), "--code", FakeServer::CODE, "--fleet-digest", &wrong], 1);
    assert!(line.contains("nothing was stored"), "{line}");
}

#[test]
fn a_release_is_published_when_enough_publishers_have_signed_what_they_saw() {
    let (home, server, _) = fleet();
    let staged = stage(&home, "1.0.0");
    assert_eq!(staged["files"].as_array().unwrap().len(), 2);
    let line = home.refusal(&["release", "publish", "1.0.0"], 1);
    assert!(line.contains("0 valid signatures") && line.contains("2 distinct keys"), "{line}");
    assert!(home.refusal(&["release", "sign", "1.0.0", "--key", "order"], 1).contains("no publisher of content"));
    let seen = home.run(&["release", "sign", "1.0.0", "--key", "publisher-1"]);
    assert!(seen.status.success());
    for part in ["templates.json", "lib/rules.bin", staged["release"].as_str().unwrap()] {
        assert!(text(&seen.stderr).contains(part), "{part}");
    }
    let once_more = home.json(&["release", "sign", "1.0.0", "--key", "publisher-1"]);
    assert_eq!(once_more["signatures"], 1, "one publisher counts once");
    assert_eq!(home.json(&["release", "sign", "1.0.0", "--key", "publisher-2"])["signatures"], 2);
    let published = home.json(&["release", "publish", "1.0.0"]);
    assert_eq!(published["artifacts_sent"], 3);
    assert_eq!(server.artifacts().len(), 3);
    let again = home.json(&["release", "publish", "1.0.0"]);
    assert_eq!((&again["artifacts_sent"], &again["artifacts_skipped"]), (&json!(0), &json!(3)));
    let next = publish(&home, "1.1.0");
    assert_eq!((&next["artifacts_sent"], &next["artifacts_skipped"]), (&json!(2), &json!(1)));
    let args = ["release", "stage", "content", "1.0.0", "--files", "build", "--manifest", "release.toml", "--out", "x"];
    assert!(home.refusal(&args, 1).contains("published already"));
}

#[test]
fn a_stage_that_was_changed_on_its_way_is_not_signed() {
    let (home, _server, _) = fleet();
    stage(&home, "1.0.0");
    let sign = ["release", "sign", "1.0.0", "--key", "publisher-1"];
    let changes: [(&str, &str); 3] =
        [("files/templates.json", "templates.json"), ("manifest.json", "manifest"), ("stage.json", "stage")];
    for (name, says) in changes {
        let path = home.path("1.0.0").join(name);
        let right = fs::read(&path).unwrap();
        fs::write(&path, b"{}").unwrap();
        let line = home.refusal(&sign, 1);
        assert!(line.contains(says), "{name}: {line}");
        fs::write(&path, right).unwrap();
    }
    home.json(&sign);
}

#[test]
fn files_that_cannot_be_part_of_a_release_are_named() {
    let (home, _server, _) = fleet();
    home.write("release.toml", "downtime = \"3s\"\nactivation = { kind = \"supervise\" }\n");
    let args = |files: &'static str| {
        ["release", "stage", "content", "1", "--files", files, "--manifest", "release.toml", "--out", "out"]
    };
    home.write("hidden/.secret", "");
    assert!(home.refusal(&args("hidden"), 1).contains(".secret"));
    fs::create_dir(home.path("empty")).unwrap();
    assert!(home.refusal(&args("empty"), 1).contains("holds no file"));
    fs::create_dir(home.path("linked")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", home.path("linked/passwd")).unwrap();
    assert!(home.refusal(&args("linked"), 1).contains("no links"));
    assert!(home.refusal(&args("nowhere"), 1).contains("nowhere"));
    assert!(!home.path("out").exists());
}

#[test]
fn an_order_is_signed_only_if_it_says_what_was_asked() {
    let (home, server, fleet) = fleet();
    let release = publish(&home, "1.0.0")["release"].clone();
    home.write("default.toml", POLICY);
    let policy = format!("default@{}", Digest::of(POLICY.as_bytes()));
    let check = home.run(&["policy", "check", "default.toml", "--fleet"]);
    assert_eq!(check.status.code(), Some(1), "nobody has enrolled here");
    assert!(text(&check.stdout).contains("PROBLEM  the fleet has no devices"), "{}", text(&check.stdout));
    assert_eq!(home.json(&["policy", "apply", "default.toml", "--key", "order"])["policy"], policy.as_str());
    assert!(home.text(&["policy", "show", "default"]).contains(POLICY));
    assert!(home.text(&["policy", "list"]).contains(&policy));
    server.show_rollout(vec![rollout("running", 0)]);
    let start = ["rollout", "start", "content", "1.0.0", "--policy", &policy, "--key", "order"];
    assert_eq!(home.json(&start)["rollout"], "content.1");
    let order = &server.started()[0]["order"];
    assert_eq!(order["body"]["release"], release);
    assert_eq!(order["body"]["fleet"], fleet.as_str());
    assert_eq!(order["signatures"].as_array().unwrap().len(), 1);
    server.change_drafts("release", json!(Digest::of(b"another")));
    let line = home.refusal(&start, 1);
    assert!(line.contains("`release`") && line.contains("not signed"), "{line}");
    assert_eq!(server.started().len(), 1);
}

#[test]
fn an_order_that_goes_on_after_a_halt_is_countersigned_in_a_file_and_then_sent() {
    let (home, server, _) = fleet();
    publish(&home, "1.0.0");
    home.write("default.toml", POLICY);
    let policy = format!("default@{}", Digest::of(POLICY.as_bytes()));
    home.json(&["policy", "apply", "default.toml", "--key", "order"]);
    server.show_rollout(vec![rollout("running", 0)]);
    let start = ["rollout", "start", "content", "1.0.0", "--policy", &policy, "--key", "order"];
    for (more, says) in
        [(&["--resume"][..], "--out"), (&["--without", "d1"], "--resume"), (&["--out", "o"], "--resume")]
    {
        assert!(home.refusal(&[&start[..], more].concat(), 2).contains(says), "{more:?}");
    }
    let resume = [&start[..], &["--resume", "--without", "d1", "--out", "go-on.json", "--yes"]].concat();
    let wrote = home.run(&resume);
    let says = text(&wrote.stdout);
    assert!(says.contains("nothing has started yet") && says.contains("2 approvers"), "{says}");
    assert!(text(&wrote.stderr).contains("without        d1"), "{}", text(&wrote.stderr));
    assert!(server.started().is_empty());
    assert!(home.refusal(&resume, 1).contains("not overwritten"));
    for approver in ["approver-1", "approver-2"] {
        home.json(&["rollout", "countersign", "go-on.json", "--key", approver, "--yes"]);
    }
    assert_eq!(home.json(&["rollout", "send", "go-on.json"])["rollout"], "content.1");
    let order: Unverified<Order> = serde_json::from_value(server.started()[0]["order"].clone()).unwrap();
    let list: Unverified<KeyList> =
        serde_json::from_slice(&fs::read(home.path("fleet/server/fleet/key-list.json")).unwrap()).unwrap();
    let list = list.danger_unchecked_body().unwrap();
    let order = list.verify_order(order, 2, list.issued_at_ms.after(Elapsed::from_s(60))).unwrap();
    assert_eq!(order.body().resumes.as_ref().unwrap().without, ["d1".parse().unwrap()].into());

    // A server that leaves out somebody else than was asked, or nobody, gets no signature.
    for without in [json!(["d2"]), json!([])] {
        server.change_drafts("resumes", json!({"halted": "content.0", "without": without}));
        let again = [&start[..], &["--resume", "--without", "d1", "--out", "other.json"]].concat();
        assert!(home.refusal(&again, 1).contains("`resumes`"));
    }
    home.write("nonsense.json", "{}");
    for verb in
        [&["rollout", "send", "nonsense.json"][..], &["rollout", "countersign", "nonsense.json", "--key", "approver-1"]]
    {
        assert!(home.refusal(verb, 1).contains("nonsense.json is no order"), "{verb:?}");
    }
}

#[test]
fn a_watched_rollout_ends_with_its_own_exit_code() {
    let (home, server, _) = fleet();
    let watch = ["rollout", "watch", "content.1", "--every", "100ms"];
    let course = |end: &str| vec![rollout("running", 0), rollout("running", 0), rollout("running", 1), rollout(end, 1)];
    server.show_rollout(course("completed"));
    let output = home.run(&watch);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout).lines().count(), 3, "a line a change: {}", text(&output.stdout));
    server.show_rollout(course("halted"));
    let output = home.run(&[&["--json"], &watch[..]].concat());
    assert_eq!(output.status.code(), Some(3));
    let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2]["report"]["phase"], "halted");
    assert!(home.text(&["rollout", "status", "content.1"]).contains("all devices"));
    for verb in ["pause", "resume", "halt"] {
        home.json(&["rollout", verb, "content.1", "--reason", "a reason"]);
    }
}

#[test]
fn a_halt_key_halts_without_a_login() {
    let home = Home::new();
    let fleet = home.init(&[]);
    let server = FakeServer::start(&home.path("fleet/server"));
    let home = home.with("TIDEGATE_KEY_DIR", "fleet/offline").with("TIDEGATE_FLEET", &fleet);
    let halt = ["rollout", "halt", "content.1", "--reason", "wrong build", "--key", "halt"];
    let url = server.url();
    let sent = [&halt[..], &["--server", &url]].concat();
    assert_eq!(home.json(&sent), json!({"rollout": "content.1", "recorded": true}));
    let record = server.started()[0]["halt"].clone();
    assert_eq!(record["body"]["order"], json!(Digest::of(b"o")));
    assert_eq!((&record["body"]["fleet"], &record["body"]["reasons"]), (&json!(fleet), &json!(["wrong build"])));
    let list: Unverified<KeyList> =
        serde_json::from_slice(&fs::read(home.path("fleet/server/fleet/key-list.json")).unwrap()).unwrap();
    let (list, record) = (list.danger_unchecked_body().unwrap(), serde_json::from_value::<Unverified<Halt>>(record));
    list.verify(record.unwrap(), &[Scope::Halt], list.issued_at_ms.after(Elapsed::from_s(60))).unwrap();

    // With the server out of reach: into a file, by the order's digest.
    let order = Digest::of(b"o").to_string();
    let away = [&halt[..], &["--order", &order, "--out", "halt.json"]].concat();
    home.json(&away);
    let kept: Value = serde_json::from_slice(&fs::read(home.path("halt.json")).unwrap()).unwrap();
    assert_eq!(kept["halt"]["body"]["order"], json!(order));
    assert!(home.refusal(&away, 1).contains("not overwritten"));
    assert!(home.refusal(&[&sent[..], &["--fleet-digest", &order]].concat(), 1).contains("nothing was signed"));
}

#[test]
fn lists_are_tables_for_people_and_json_for_programs() {
    let (home, _server, _) = fleet();
    for args in
        [["rollout", "list"], ["fleet", "list"], ["incident", "list"], ["operator", "list"], ["package", "list"]]
    {
        assert_eq!(home.json(&args), json!([]));
        assert!(!home.text(&args).is_empty());
    }
    assert_eq!(home.json(&["fleet", "list", "--select", "os == \"linux\" && !(site in [\"ams\"])"]), json!([]));
}

fn rollout(phase: &str, proven: u32) -> Value {
    json!({
        "rollout": "content.1", "package": "content", "version": "1.0.0", "release": Digest::of(b"r"),
        "policy": Digest::of(b"p"), "policy_name": "default", "order": Digest::of(b"o"), "started_at_ms": 1, "first_take_at_ms": null,
        "ended_at_ms": null, "first_window": 3, "permit_step": 1, "p4": "not in force", "reasons": ["soaking"],
        "report": {
            "rollout": "content.1", "at_ms": 1, "phase": phase, "ring": "all", "verdict": {"verdict": "pass"},
            "rings": [{"name": "all", "places": 12, "opened": 3, "taken": 3, "proven": proven, "failed": 0, "silent": 0,
                       "reached_at_ms": 1}],
            "windows": [{"scope": scope(), "unproven": 3, "bound": 3}], "ln_evidence": 0.0, "ln_halt": 6.9
        }
    })
}

fn scope() -> Value {
    serde_json::to_value(tidegate_domain::rollout::scope::ScopeName::All).unwrap()
}
