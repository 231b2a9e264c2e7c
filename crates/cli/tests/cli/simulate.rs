//! `tidegate simulate` from outside: what it prints, that it can be repeated, and what bad input gets.

use serde_json::Value;

use crate::Home;

/// The suite's table stands in the docs and is reviewed like code: what a change does to it is seen there.
#[test]
fn the_disaster_suite_is_what_the_docs_show() {
    let home = Home::new();
    let shown = home.text(&["simulate", "--suite", "--devices", "10000"]);
    let page = format!(
        "# The disaster suite under each policy\n\nWritten by a test that runs `tidegate simulate --suite --devices 10000`: devices harmed, of \
         10,000, with seed 1. `UPDATE_DOCS=1` writes it anew. What each scenario is stands in [disasters.md](disasters.md). Rules of others \
         are shown with the best of their settings, chosen for each scenario with hindsight; below the table stands each setting that \
         harmed fewer than `default` and reached the fleet no later with a sound release.\n\n```\n{}\n```\n",
        shown.trim_end()
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/simulate/suite.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(kept, page, "docs/simulate/suite.md has drifted: UPDATE_DOCS=1 writes it anew");
}

#[test]
fn a_comparison_says_in_json_what_the_issue_of_it_was_and_the_same_seed_says_the_same() {
    let home = Home::new();
    let args = ["--json", "simulate", "--scenario", "crowdstrike_291", "--devices", "50000", "--seed", "7"];
    let first = home.text(&args);
    assert_eq!(home.text(&[&args[..], &["--threads", "1"]].concat()), first);
    let said: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(
        (&said["scenario"], &said["devices"], &said["seed"]),
        (&"crowdstrike_291".into(), &50_000.into(), &7.into())
    );
    let of = |name: &str| {
        let policies = said["policies"].as_array().unwrap();
        policies.iter().find(|policy| policy["policy"] == name).unwrap_or_else(|| panic!("{name} is missing")).clone()
    };
    let (ours, all) = (of("default"), of("everyone-at-once"));
    assert!(ours["harmed"].as_u64().unwrap() <= 10 && ours["need_hands"] == 0, "{ours}");
    // A device gives up after three starts, each of a boot and up to three minutes; a step later it is halted.
    let gives_up_s = 3.0 * (30.0 + 180.0) + 10.0;
    assert!(ours["halt_s"].as_f64().unwrap() <= gives_up_s && ours["fleet_done_s"].is_number(), "{ours}");
    assert!(all["harmed"].as_u64().unwrap() > 49_000 && all["need_hands"] == all["harmed"], "{all}");
}

#[test]
fn a_report_is_one_page_that_refers_to_nothing_outside_itself() {
    let home = Home::new();
    let dir = home.path("out");
    let scenario = home.write(
        "mine.toml",
        "name = \"mine\"\ntitle = \"<b>mine</b>\"\ndevices = 2000\nhorizon = \"12h\"\n[fault]\nharm = \"crash\"\nhits = [{share = 0.5}]\n",
    );
    let args =
        ["simulate", "--scenario", scenario.to_str().unwrap(), "--policy", "expedited", "--policy", "timed-waves"];
    home.text(&[&args[..], &["--report", dir.to_str().unwrap()]].concat());
    let page = std::fs::read_to_string(dir.join("mine.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 3, "exposure, evidence, frontier");
    assert!(page.contains("&lt;b&gt;mine") && !page.contains("<b>mine"));
    for outside in ["http://", "https://", "src=", "@import", "<script", "NaN"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn a_trace_holds_every_decision_and_many_seeds_give_quantiles() {
    let home = Home::new();
    let (one, other) = (home.path("one"), home.path("other"));
    for file in [&one, &other] {
        let args =
            ["simulate", "--scenario", "sound_release", "--policy", "default", "--trace", file.to_str().unwrap()];
        home.text(&args);
    }
    let lines = std::fs::read_to_string(&one).unwrap();
    assert!(lines.lines().any(|line| line.contains("permit_issued")));
    assert_eq!(lines, std::fs::read_to_string(&other).unwrap());
    // With servers it is their log, which can be replayed.
    let log = home.path("log");
    let args = ["simulate", "--scenario", "servers_fail", "--policy", "default", "--trace", log.to_str().unwrap()];
    home.text(&args);
    let said = home.text(&["simulate", "--replay", log.to_str().unwrap()]);
    assert!(said.contains("all decided the same again"), "{said}");
    let said = home.text(&["--json", "simulate", "--scenario", "sound_release", "--policy", "default", "--runs", "20"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["policies"][0]["runs"], &said["policies"][0]["halted"]), (&20.into(), &0.into()));
}

#[test]
fn what_cannot_be_simulated_is_refused_with_what_would_be_right() {
    let home = Home::new();
    let odd = home
        .write("odd.toml", "name = \"odd\"\ntitle = \"t\"\ndevices = 100\nhorizon = \"1h\"\n[fleet]\nsilence = nan\n");
    let odd = odd.to_str().unwrap();
    let history = home.write("history.jsonl", "{\"seq\":1}\n");
    let empty = home.write("empty.jsonl", "");
    let (history, empty) = (history.to_str().unwrap(), empty.to_str().unwrap());
    for (args, said) in [
        (vec!["--scenario", "nothing"], "tidegate simulate --list"),
        (vec!["--scenario", odd], "`fleet.silence` is NaN: expected 0 to 1"),
        (vec!["--scenario", "sound_release", "--devices", "20"], "more than `fleet.lab`"),
        (vec!["--scenario", "sound_release", "--policy", "nobody"], "everyone-at-once"),
        (vec!["--scenario", "sound_release", "--policy", "timed-waves", "--trace", "t"], "one policy of ours"),
        (vec!["--scenario", "servers_fail", "--devices", "5001"], "at most 5000 where there are `servers`"),
        (vec!["--scenario", "servers_fail", "--policy", "default", "--devices", "40"], "an order under policy default"),
        (vec!["--replay", "nothing.jsonl"], "cannot read the history nothing.jsonl"),
        (vec!["--replay", history], "line 1: missing field `table`"),
        (vec!["--replay", empty, "--policy", "default"], "there is none"),
    ] {
        let error = home.refusal(&[&["simulate"][..], &args].concat(), 1);
        assert!(error.contains(said), "{args:?}: {error}");
    }
}
