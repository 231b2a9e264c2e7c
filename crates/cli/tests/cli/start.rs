//! The first pages that a newcomer follows do what they say.

use std::process::{Command, Stdio};

use crate::{Home, text};

/// The blocks of a language in a page, one after the other.
fn blocks(page: &str, language: &str) -> String {
    let fence = format!("```{language}\n");
    let blocks = page.split(&fence).skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap_or_default().to_owned() + "\n").collect()
}

#[test]
fn the_ten_minute_start_works_from_top_to_bottom() {
    let home = Home::new();
    let script = blocks(include_str!("../../../../docs/start.md"), "sh");
    // Whatever goes wrong, what was started ends.
    let script = format!("set -eu\ntrap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n{script}\nwait\n");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_tidegate")).parent().unwrap();
    let output = Command::new("timeout")
        .args(["120", "bash", "-c", &script])
        .env_clear()
        .env("PATH", format!("{}:{}", program.display(), crate::processes::PATH))
        .env("HOME", home.path(""))
        .current_dir(home.path(""))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    for words in ["completed", "halted, exit code 3", "1 (1 back without hands)", "need hands  0", "the tide is out"] {
        let log = || std::fs::read_to_string(home.path("agent.log")).unwrap_or_default();
        let said = out.contains(words) || log().contains(words);
        assert!(said, "{words:?} is not said: {out}\n{err}\n{}", log());
    }
}

#[test]
fn every_policy_of_the_cookbook_is_accepted_for_the_fleet_that_it_is_for() {
    let home = Home::new();
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");
    let (folder, envelope) = (format!("{policies}/cookbook"), format!("{policies}/danger-few-devices-envelope.toml"));
    let large = ["--devices", "100000", "--label", "lab=40"];
    let small = ["--devices", "8", "--label", "lab=2", "--envelope", &envelope];
    let page = include_str!("../../../../docs/policies.md");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let (file, name) = (path.to_str().unwrap(), path.file_name().unwrap().to_str().unwrap());
        let fleet = if name == "few-devices.toml" { &small[..] } else { &large[..] };
        let shown = home.text(&[&["policy", "check", file], fleet].concat());
        assert!(!shown.contains("PROBLEM"), "{name}: {shown}");
        assert!(page.contains(&format!("policies/cookbook/{name}")), "{name} is in the cookbook");
        count += 1;
    }
    assert_eq!(count, 4);
}
