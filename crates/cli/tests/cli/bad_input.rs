//! Bad input for every verb: exit code 1 (2 for usage), one line that names what is wrong and what would be right, nothing written.

use std::fs;

use crate::Home;
use crate::fake_server::FakeServer;

/// Arguments, exit code, and what the line must say.
type Case = (&'static [&'static str], i32, &'static [&'static str]);

const USAGE: &[Case] = &[
    (&["frobnicate"], 2, &["frobnicate"]),
    (&["trust", "init"], 2, &["--dir"]),
    (&["trust", "init", "--dir", "d", "--root-keys", "x"], 2, &["--root-keys", "x"]),
    (&["trust", "init", "--dir", "d", "--scrypt-log-n", "30"], 2, &["30", "14"]),
    (&["device", "token", "create", "--key", "k", "--out", "o", "--ring", "Lab"], 2, &["Lab", "a-z"]),
    (&["device", "token", "create", "--key", "k", "--out", "o", "--attr", "os"], 2, &["os", "NAME=VALUE"]),
    (&["device", "token", "create", "--key", "k", "--out", "o", "--expires", "soon"], 2, &["soon", "14d"]),
    (&["device", "token", "create", "--key", "k", "--out", "o", "--devices", "-1"], 2, &["-1"]),
    (&["package", "add", "../etc", "--publisher-key", "k", "--targets-key", "t"], 2, &["../etc", "a-z"]),
    (&["package", "add", "content", "--targets-key", "t"], 2, &["--publisher-key"]),
    (&["package", "show", "A"], 2, &["\"A\"", "a-z"]),
    (&["release", "stage", "content", "V1!", "--files", "f", "--manifest", "m", "--out", "o"], 2, &["V1!", "a-z"]),
    (&["release", "sign", "stage"], 2, &["--key"]),
    (&["release", "publish"], 2, &["STAGE"]),
    (&["policy", "check"], 2, &["FILE"]),
    (&["policy", "check", "p", "--fleet", "--envelope", "e"], 2, &["--fleet", "--envelope"]),
    (&["policy", "check", "p", "--devices", "0"], 2, &["--devices", "1"]),
    (&["policy", "check", "p", "--devices", "9", "--label", "lab"], 2, &["lab", "RING=N"]),
    (&["policy", "apply", "p"], 2, &["--key"]),
    (&["rollout", "start", "content", "1", "--policy", "default", "--key", "k"], 2, &["default", "NAME@sha256"]),
    (&["rollout", "start", "content", "1", "--policy", "p@sha256:00", "--key", "k"], 2, &["sha256:00", "64 digits"]),
    (&["rollout", "watch", "Content"], 2, &["Content", "sensor-content.7"]),
    (&["rollout", "pause", "content.1"], 2, &["--reason"]),
    (&["rollout", "halt", "content.1"], 2, &["--reason"]),
    (&["fleet", "show", "/etc"], 2, &["/etc", "a-z"]),
    (&["incident", "show", "!"], 2, &["!", "inc-"]),
    (&["operator", "add", "ada", "--role", "king"], 2, &["king", "admin"]),
    (&["operator", "remove", "A B"], 2, &["A B", "a-z"]),
    (&["login", "http://127.0.0.1:1"], 2, &["--code"]),
    (&["up", "--log-format", "xml"], 2, &["xml", "json"]),
    (&["completions", "cobol"], 2, &["cobol", "bash"]),
    (&["status", "--fleet-digest", "1234"], 2, &["1234", "sha256:"]),
    (&["status", "--passphrase-env", "A", "--passphrase-file", "b"], 2, &["--passphrase-env", "--passphrase-file"]),
];

const WITHOUT_SERVER: &[Case] = &[
    (&["trust", "init", "--dir", "d", "--root-keys", "0"], 1, &["--root-keys 0", "1 to 16"]),
    (&["trust", "init", "--dir", "d", "--root-threshold", "2"], 1, &["--root-threshold 2", "1 to 1"]),
    (&["trust", "init", "--dir", "d", "--publishers", "99"], 1, &["--publishers 99", "1 to 16"]),
    (&["trust", "init", "--dir", "d", "--envelope", "none.toml"], 1, &["none.toml"]),
    (&["trust", "init", "--dir", "d", "--envelope", "weak.toml"], 1, &["growth_max", "danger"]),
    (&["trust", "init", "--dir", "d", "--passphrase-env", "SHORT"], 1, &["5 characters", "12"]),
    (&["trust", "init", "--dir", "d", "--passphrase-env", "UNSET"], 1, &["UNSET", "not set"]),
    (&["trust", "init", "--dir", "full"], 1, &["full", "not empty"]),
    (&["policy", "check", "none.toml"], 1, &["none.toml"]),
    (&["policy", "check", "broken.toml"], 1, &["broken.toml", "line 1"]),
    (&["policy", "check", "unknown.toml"], 1, &["unknown.toml", "frobnicate"]),
    (&["policy", "check", "greedy.toml"], 1, &["window.growth", "9", "at most 3"]),
    (&["policy", "check", "good.toml", "--envelope", "weak.toml"], 1, &["growth_max", "danger"]),
    (&["policy", "check", "full"], 1, &["full", "regular file"]),
    (&["policy", "check", "binary"], 1, &["binary", "UTF-8"]),
    (&["policy", "check", "good.toml", "--devices", "9", "--label", "lab=3"], 1, &["--label lab", "no such ring"]),
    (&["policy", "apply", "none.toml", "--key", "k"], 1, &["none.toml"]),
    (&["release", "sign", "full", "--key", "k"], 1, &["stage.json"]),
    (&["release", "publish", "full"], 1, &["stage.json"]),
    (
        &["release", "stage", "c", "1", "--files", "full", "--manifest", "broken.toml", "--out", "o"],
        1,
        &["broken.toml"],
    ),
    (&["fleet", "list", "--select", "os = linux"], 1, &["column 4", "=="]),
    (&["rollout", "pause", "content.1", "--reason", ""], 1, &["--reason", "1 to 500"]),
    (&["rollout", "watch", "content.1", "--every", "1ms"], 1, &["--every 1ms", "100ms"]),
    (&["status"], 1, &["no server is set", "--server"]),
    (&["status", "--server", "http://tidegate.example"], 1, &["not logged in"]),
    (&["login", "http://tidegate.example", "--code", "c"], 1, &["tidegate.example", "https://HOST:PORT"]),
    (&["login", "http://127.0.0.1:1", "--code", ""], 1, &["--code", "tidegate up"]),
    (&["login", "http://127.0.0.1:1", "--code", "c"], 1, &["no answer from http://127.0.0.1:1"]),
    (&["store", "rebuild", "--data", "full"], 1, &["tidegate.db", "there is no store"]),
    (&["up"], 1, &["--fleet is missing", "trust init"]),
    (&["up", "--fleet", "f", "--listen", "here"], 1, &["--listen here", "127.0.0.1:7440"]),
    (&["up", "--fleet", "f", "--tls-cert", "c"], 1, &["--tls-cert", "--tls-key"]),
    (&["status", "--config", "none.toml"], 1, &["none.toml"]),
    (&["status", "--config", "unknown.toml"], 1, &["unknown.toml"]),
];

const TOKEN: &[&str] = &["device", "token", "create", "--out", "o"];

fn home() -> Home {
    let home = Home::new().with("SHORT", "short");
    home.write("weak.toml", "name = \"weak\"\ngrowth_max = 9\n");
    home.write("full/file", "");
    home.write("broken.toml", "name = = 1\n");
    home.write("unknown.toml", "name = \"p\"\nfrobnicate = 1\nrings = []\n");
    home.write("greedy.toml", "name = \"p\"\nrings = [{ name = \"all\", soak = \"5min\" }]\n[window]\ngrowth = 9\n");
    home.write("good.toml", "name = \"p\"\nrings = [{ name = \"all\", soak = \"5min\" }]\n");
    fs::write(home.path("binary"), [0xff, 0xfe, 0]).unwrap();
    home
}

fn names(home: &Home) -> Vec<String> {
    let entries = fs::read_dir(home.path("")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn refuse(home: &Home, cases: &[Case]) {
    let before = names(home);
    for (args, exit, says) in cases {
        let line = home.refusal(args, *exit);
        for part in *says {
            assert!(line.contains(part), "{args:?} should say {part:?}: {line}");
        }
    }
    assert_eq!(names(home), before, "bad input wrote something");
}

#[test]
fn wrong_usage_gets_exit_code_2_and_one_line() {
    refuse(&home(), USAGE);
}

#[test]
fn bad_values_and_files_get_exit_code_1_and_one_line() {
    refuse(&home(), WITHOUT_SERVER);
}

#[test]
fn a_key_or_token_that_cannot_be_right_is_refused() {
    let home = home();
    let fleet = home.init(&[]);
    let home = home.with("TIDEGATE_FLEET", &fleet).with("WRONG", "wrong horse battery staple");
    let endpoint = ["--endpoint", "https://tidegate.example"];
    let cases: [(&[&str], &[&str]); 9] = [
        (&["--key", "none.key"], &["none.key"]),
        (&["--key", "weak.toml"], &["weak.toml", "not a Tidegate key file"]),
        (&["--key", "pkcs11:token=x"], &["module-path is missing"]),
        (&["--key", "fleet/server/gate.key"], &["gate.key", "credential"]),
        (&["--key", "fleet/offline/enrolment.key", "--passphrase-env", "WRONG"], &["enrolment.key", "passphrase"]),
        (&["--key", "fleet/offline/enrolment.key", "--devices", "0"], &["--devices 0", "1 to"]),
        (&["--key", "fleet/offline/enrolment.key", "--expires", "9999d"], &["9999d", "366d"]),
        (&["--key", "fleet/offline/enrolment.key", "--endpoint", "http://tidegate.example"], &["plain HTTP"]),
        (&["--key", "fleet/offline/enrolment.key", "--out", "weak.toml"], &["weak.toml"]),
    ];
    let before = names(&home);
    for (args, says) in cases {
        let token = if args.contains(&"--out") { &TOKEN[..3] } else { TOKEN };
        let line = home.refusal(&[token, args, &endpoint].concat(), 1);
        assert!(says.iter().all(|part| line.contains(part)), "{args:?}: {line}");
    }
    let line = home.refusal(&[TOKEN, &["--key", "fleet/offline/enrolment.key"]].concat(), 1);
    assert!(line.contains("--endpoint") && line.contains("1 to 16"), "{line}");
    assert_eq!(names(&home), before, "bad input wrote something");
}

#[test]
fn what_the_server_refuses_is_said_in_its_own_words() {
    let home = home();
    let fleet = home.init(&[]);
    let server = FakeServer::start(&home.path("fleet/server"));
    let home = home.with("TIDEGATE_SERVER", &server.url()).with("TIDEGATE_FLEET", &fleet);
    let wrong = home.with("TIDEGATE_TOKEN", "nobody");
    assert!(wrong.refusal(&["status"], 1).contains("unauthorised"));
    let home = wrong.with("TIDEGATE_TOKEN", FakeServer::TOKEN);
    let digest = format!("sha256:{}", "0".repeat(64));
    let policy = format!("p@{digest}");
    let unknown: [&[&str]; 11] = [
        &["package", "show", "nothing"],
        &["policy", "show", &policy],
        &["rollout", "status", "nothing.1"],
        &["rollout", "watch", "nothing.1"],
        &["rollout", "pause", "nothing.1", "--reason", "r"],
        &["rollout", "resume", "nothing.1", "--reason", "r"],
        &["rollout", "halt", "nothing.1", "--reason", "r"],
        &["fleet", "show", "nothing"],
        &["incident", "show", "inc-nothing.1"],
        &["operator", "remove", "nobody"],
        &["login", &server.url(), "--code", "wrong"],
    ];
    for args in unknown {
        let line = home.refusal(args, 1);
        assert!(line.contains("there is no") && line.contains("not_found"), "{args:?}: {line}");
    }
    assert!(home.refusal(&["policy", "show", "nothing"], 1).contains("no policy nothing"));
    let args = ["rollout", "start", "content", "1", "--policy", &policy, "--key", "fleet/offline/order.key"];
    assert!(home.refusal(&args, 1).contains("content"));
    let out = ["release", "stage", "c", "1", "--files", "full", "--manifest", "m.toml", "--out", "o"];
    home.write("m.toml", "downtime = \"3s\"\nactivation = { kind = \"supervise\" }\n");
    assert!(home.refusal(&out, 1).contains("package c is not in this repository"));
    let add = ["package", "add", "c", "--publisher-key", "fleet/offline/targets.key", "--targets-key"];
    let line = home.refusal(&[&add[..], &["fleet/offline/targets.key"]].concat(), 1);
    assert!(line.contains("a key of the role targets"), "{line}");
    let add = ["package", "add", "c", "--publisher-key", "fleet/offline/publisher-1.key", "--targets-key"];
    let line = home.refusal(&[&add[..], &["fleet/offline/order.key"]].concat(), 1);
    assert!(line.contains("--targets-key"), "{line}");
    let other = home.with("TIDEGATE_FLEET", &digest);
    let line = other.refusal(&[&add[..], &["fleet/offline/targets.key"]].concat(), 1);
    assert!(line.contains("serves fleet") && line.contains(&digest), "{line}");
}
