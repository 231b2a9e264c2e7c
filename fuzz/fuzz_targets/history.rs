//! Histories of servers: what is read is written the same, and whatever folds is replayed without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_control::history::line_of;
use tidegate_domain::policy::Policy;
use tidegate_fuzz::{bounded, repository_file, seed};
use tidegate_sim::compare::trace;
use tidegate_sim::replay::again::again;
use tidegate_sim::replay::{History, Recorded};
use tidegate_sim::scenario::Scenario;
use tidegate_sim::to_the_end;

fuzz_target!(
    init: {
        let text = String::from_utf8(repository_file("scenarios/servers_fail.toml")).unwrap();
        let scenario = Scenario::parse(&text).unwrap().with_devices(200).unwrap();
        let policy = Policy::parse(&String::from_utf8(repository_file("policies/default.toml")).unwrap()).unwrap();
        let mut lines = Vec::new();
        trace(&scenario, &policy, 1, &to_the_end, &mut |line| lines.push(line.to_owned()));
        seed("served", lines.join("\n"));
        seed("begun", lines.get(..60).unwrap_or_default().join("\n"));
    },
    |text: &str| {
        let Ok(history) = bounded(text.len(), || History::read(text.as_bytes())) else { return };
        let written: Vec<String> = history.entries().iter().filter_map(|entry| line_of(entry).ok()).collect();
        let read = History::read(written.join("\n").as_bytes()).expect("what was written can be read");
        assert_eq!(read, history);
        if let Ok(done) = again(&history) {
            assert!(done.same <= done.steps);
        }
        if let Ok(recorded) = Recorded::new(&history, None) {
            assert!(recorded.went.harmed <= recorded.went.exposed);
        }
    }
);
