//! Settings, help and completions as people meet them.

use crate::{Home, text};

#[test]
fn flags_outrank_the_environment_and_that_outranks_the_file() {
    let home = Home::new();
    home.write(".config/tidegate/config.toml", "server = \"http://127.0.0.1:1\"\n");
    let home = home.with("TIDEGATE_TOKEN", "t");
    assert!(home.refusal(&["status"], 1).contains("http://127.0.0.1:1:"));
    let home = home.with("TIDEGATE_SERVER", "http://127.0.0.1:2");
    assert!(home.refusal(&["status"], 1).contains("http://127.0.0.1:2:"));
    assert!(home.refusal(&["status", "--server", "http://127.0.0.1:3"], 1).contains("http://127.0.0.1:3:"));
    let other = home.write("other.toml", "server = \"http://127.0.0.1:4\"\n");
    let home = Home::new().with("TIDEGATE_TOKEN", "t").with("TIDEGATE_CONFIG", &other.display().to_string());
    assert!(home.refusal(&["status"], 1).contains("http://127.0.0.1:4:"));
}

#[test]
fn a_token_file_that_others_can_read_is_refused() {
    let home = Home::new();
    home.write("token", "t\n");
    let line = home.refusal(&["status", "--server", "http://127.0.0.1:1", "--token-file", "token"], 1);
    assert!(line.contains("chmod 600"), "{line}");
}

#[test]
fn completions_are_made_for_every_shell() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = home.text(&["completions", shell]);
        assert!(script.contains("rollout") && script.contains("completions"), "{shell}");
    }
}

#[test]
fn help_teaches_by_examples() {
    let home = Home::new();
    let groups: [&[&str]; 14] = [
        &[],
        &["trust", "init"],
        &["device", "token", "create"],
        &["package", "add"],
        &["release", "stage"],
        &["release", "sign"],
        &["release", "publish"],
        &["policy", "check"],
        &["rollout", "start"],
        &["fleet"],
        &["incident"],
        &["operator"],
        &["login"],
        &["completions"],
    ];
    for group in groups {
        let shown = home.text(&[group, &["--help"]].concat());
        assert!(shown.contains("xamples") || shown.contains("tidegate trust init"), "{group:?}");
    }
    let nothing = home.run(&[]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(text(&nothing.stderr).contains("Usage"));
}

#[test]
fn the_example_payload_and_the_naive_updater_are_roles_of_the_command() {
    let home = Home::new();
    for role in ["sensor", "naive-updater"] {
        let output = home.run(&[role, "--help"]);
        assert!(output.status.success(), "{role}");
        assert!(text(&output.stdout).contains("tidegate-"), "{role}");
    }
}
