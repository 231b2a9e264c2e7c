//! A folder says how a fleet should be: the difference is shown, made, and then there is none.

use std::process::Child;

use serde_json::{Value, json};

use crate::processes::{end, start, until};
use crate::{Home, text};

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// A server of its own, and an admin who is logged in.
fn served() -> (Home, Server) {
    let home = Home::new().with("TIDEGATE_KEY_DIR", "fleet/offline");
    let fleet = home.init(&["--publishers", "2"]);
    let up =
        ["up", "--data", "data", "--fleet", "fleet/server", "--listen", "127.0.0.1:0", "--announce", "server.json"];
    let server = Server(start(&home, &up, &home.path("server.log")));
    let announced: Value =
        until("the server", || serde_json::from_slice(&std::fs::read(home.path("server.json")).ok()?).ok());
    let (url, code) = (announced["url"].as_str().unwrap(), announced["login_code"].as_str().unwrap());
    home.json(&["login", url, "--code", code, "--fleet-digest", &fleet]);
    (home, server)
}

const FLEET: &str = r#"
[packages.content]
publishers = ["publisher-1", "publisher-2"]
threshold = 2
[packages.agent]
publishers = ["publisher-1"]
[operators.pipeline]
role = "publisher"
packages = ["content"]
[operators.ada]
role = "approver"
[tokens.lab]
ring = "lab"
devices = 20
expires = "7d"
attributes = { site = ["ams", "fra"] }
"#;
const POLICY: &str = "name = \"content\"\nrings = [{ name = \"lab\", lab = true, soak = \"5min\" }, { name = \"all\", soak = \"5min\" }]\n";
const KEYS: [&str; 5] = ["--targets-key", "targets", "--order-key", "order", "--yes"];

fn diff(home: &Home, more: &[&str]) -> (i32, Vec<String>) {
    let output = home.run(&[&["--json", "diff", "-f", "declared"], more].concat());
    let code = output.status.code().unwrap();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    let change = |change: &Value| change["change"].as_str().unwrap().to_owned();
    (code, value["changes"].as_array().unwrap().iter().map(change).collect())
}

#[test]
fn what_a_folder_says_is_made_so_and_making_it_so_again_changes_nothing() {
    let (home, _server) = served();
    home.write("declared/fleet.toml", FLEET);
    home.write("declared/policies/content.toml", POLICY);
    let (code, changes) = diff(&home, &[]);
    assert_eq!((code, changes.len()), (4, 5), "{changes:?}");
    assert!(changes.iter().all(|change| change.starts_with('+')), "{changes:?}");
    let refused = home.refusal(&["apply", "-f", "declared", "--order-key", "order", "--yes"], 1);
    assert!(refused.contains("--targets-key is missing"), "{refused}");
    assert_eq!(diff(&home, &[]).1.len(), 5, "what is missing is asked for before anything changes");
    let made = home.json(&[&["apply", "-f", "declared"], &KEYS[..]].concat());
    assert_eq!(made["changes"].as_array().unwrap().len(), 5);
    let tokens = made["tokens"].as_object().unwrap();
    assert_eq!(tokens.keys().collect::<Vec<_>>(), ["ada", "pipeline"]);
    assert_eq!(diff(&home, &[]), (0, Vec::new()));
    let again = home.json(&[&["apply", "-f", "declared"], &KEYS[..]].concat());
    assert_eq!(again["changes"], json!([]));
    let packages = home.json(&["package", "list"]);
    let content = packages.as_array().unwrap().iter().find(|package| package["package"] == "content").unwrap();
    assert_eq!((&content["threshold"], &content["publishers"]), (&json!(2), &json!(2)));

    // Another threshold, another policy under the same name, another role; and somebody whom the folder does not know.
    home.json(&["operator", "add", "guest", "--role", "viewer"]);
    home.write(
        "declared/fleet.toml",
        &FLEET.replace("threshold = 2", "threshold = 1").replace("\"approver\"", "\"viewer\""),
    );
    home.write("declared/policies/content.toml", &POLICY.replace("soak = \"5min\" }]", "soak = \"6min\" }]"));
    let (code, changes) = diff(&home, &[]);
    assert_eq!((code, changes.len()), (4, 3), "{changes:?}");
    assert!(
        changes[0].starts_with("~ package   content: 1 of 2 must sign") && changes[0].contains("(now 2 of 2"),
        "{changes:?}"
    );
    assert!(changes[2].contains("ada: viewer (now approver; gets a new token)"), "{changes:?}");
    assert_eq!(diff(&home, &["--prune"]).1.len(), 4);
    let shown = home.run(&["diff", "-f", "declared"]);
    assert!(text(&shown.stdout).contains("not named here, and left alone: operators guest"), "{}", text(&shown.stdout));
    home.json(&[&["apply", "-f", "declared", "--prune"], &KEYS[..]].concat());
    assert_eq!(diff(&home, &["--prune"]), (0, Vec::new()));
    let operators = home.json(&["operator", "list"]).to_string();
    assert!(!operators.contains("guest") && operators.contains("admin"), "{operators}");

    // The rule makes tokens.
    let token =
        ["device", "token", "create", "--key", "enrolment", "--rule", "lab", "-f", "declared", "--out", "lab.token"];
    let token = home.json(&token);
    let body = token["token"].clone();
    assert_eq!((&body["ring"], &body["devices_max"]), (&json!("lab"), &json!(20)));
    assert_eq!(body["attributes"], json!({"site": ["ams", "fra"]}));
}

#[test]
fn a_folder_that_cannot_be_meant_is_refused_with_what_would_be_right() {
    let (home, _server) = served();
    for (fleet, policy, words) in [
        (
            "[packages.x]\npublishers = [\"publisher-1\"]\nthreshold = 2\n",
            POLICY,
            "threshold 2 of 1 publishers; right is 1 to 1",
        ),
        ("[packages.x]\npublishers = [\"nobody\"]\n", POLICY, "packages.x.publishers"),
        ("[package.x]\n", POLICY, "unknown field `package`"),
        ("[operators.a]\nrole = \"king\"\n", POLICY, "unknown variant `king`"),
        (
            "[tokens.a]\nring = \"lba\"\ndevices = 1\nexpires = \"1d\"\n",
            POLICY,
            "no policy here has a ring `lba`; right is one of all, lab",
        ),
        ("", "name = \"x\"\n", "content.toml"),
    ] {
        home.write("declared/fleet.toml", fleet);
        home.write("declared/policies/content.toml", policy);
        let refused = home.refusal(&["diff", "-f", "declared"], 1);
        assert!(refused.contains(words), "{words}: {refused}");
    }
    home.write("declared/fleet.toml", "");
    home.write("declared/policies/content.toml", POLICY);
    home.write("declared/policies/twin.toml", POLICY);
    assert!(home.refusal(&["diff", "-f", "declared"], 1).contains("one file a name"));
    assert!(home.refusal(&["diff", "-f", "nowhere"], 1).contains("nowhere/fleet.toml"));
}

/// The lines of a job's script in the page that explains this to people.
fn script(job: &str) -> String {
    let page = include_str!("../../../../docs/operate/pipeline.md");
    let yaml = page.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let job = yaml.split(&format!("\n{job}:\n")).nth(1).unwrap();
    let script = job.split("  script:\n").nth(1).unwrap();
    let lines = script.lines().take_while(|line| line.starts_with("    - "));
    lines.map(|line| format!("{}\n", &line[6..])).collect()
}

#[test]
fn a_pipeline_and_a_person_publish_together_and_neither_alone() {
    let (home, _server) = served();
    home.write("declared/fleet.toml", FLEET);
    home.write("declared/policies/content.toml", POLICY);
    let made = home.json(&[&["apply", "-f", "declared"], &KEYS[..]].concat());
    let about = home.json(&["status"]);
    let login: Value =
        serde_json::from_slice(&std::fs::read(home.path(".config/tidegate/login.json")).unwrap()).unwrap();
    home.write("runner/content/rules.txt", "rules\n");
    home.write("runner/release.toml", "downtime = \"3s\"\nactivation = { kind = \"supervise\" }\n");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_tidegate")).parent().unwrap();
    let run = |job: &str| {
        let output = std::process::Command::new("sh")
            .args(["-e", "-c", &script(job)])
            .env_clear()
            .env("PATH", format!("{}:{}", program.display(), crate::processes::PATH))
            .env("HOME", home.path("runner"))
            .env("TIDEGATE_TOKEN", made["tokens"]["pipeline"].as_str().unwrap())
            .env("TIDEGATE_SERVER", login["server"].as_str().unwrap())
            .env("TIDEGATE_FLEET", about["fleet"].as_str().unwrap())
            .env("PIPELINE_KEY", home.path("fleet/offline/publisher-1.key"))
            .env("PIPELINE_PASSPHRASE", crate::PASSPHRASE)
            .env("CI_COMMIT_TAG", "1.0.0")
            .current_dir(home.path("runner"))
            .output()
            .unwrap();
        (output.status.code().unwrap(), text(&output.stderr))
    };
    assert_eq!(run("stage").0, 0, "{}", run("stage").1);
    let (code, said) = run("publish");
    assert_eq!(code, 1, "one signature does not suffice: {said}");
    assert!(said.contains("1 valid signature") && said.contains("2 distinct keys"), "{said}");
    home.json(&["release", "sign", "runner/stage", "--key", "publisher-2"]);
    let (code, said) = run("publish");
    assert_eq!(code, 0, "{said}");
    let shown = home.json(&["package", "show", "content"]);
    assert_eq!(shown["releases"][0]["version"], "1.0.0", "{shown}");
}
