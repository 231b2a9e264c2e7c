//! A second real payload of another kind: rules for Debian's `yara`, which a scanner on each device reads.
//!
//! A rule that does not compile ends the scanner; one that finds something in files that are known to be good is a false alarm, and that
//! is what takes down scanners' customers.

use std::fs;
use std::path::Path;

use crate::Home;
use crate::pilot::{Kind, Pilot};
use crate::processes::is_there;

/// Scans files that are known to be good again and again, and says how many rules find something in them.
const SCANNER: &str = r#"use strict; use Socket; my ($folder) = @ARGV;
socket(my $socket, PF_UNIX, SOCK_DGRAM, 0) or die;
while (1) {
    my @alarms = `yara -w -r $ENV{TIDEGATE_SLOT}/rules.yar $folder`;
    die "yara refuses the rules\n" if $?;
    my $said = "READY=1\nWATCHDOG=1\nX_TIDEGATE_NUMBER=false_alarms " . @alarms;
    send($socket, $said, 0, pack_sockaddr_un($ENV{NOTIFY_SOCKET}));
    select(undef, undef, undef, 0.2);
}
"#;
const MANIFEST: &str = "\
downtime = \"3s\"
activation = { kind = \"supervise\" }
[[probes]]
kind = \"notify\"
watchdog = \"5s\"
[[probes]]
kind = \"number\"
name = \"false_alarms\"
at_most = 0
fresh = \"5s\"
";

fn set_up(_: &Home, data: &Path, _: u8) -> Vec<String> {
    let good = data.join("known-good");
    fs::create_dir_all(&good).unwrap();
    fs::write(good.join("letter.txt"), "The tide turns at four, bring the boats in.\n").unwrap();
    fs::write(good.join("table.csv"), "gate,state\nnorth,shut\n").unwrap();
    let scanner = data.join("scanner.pl");
    fs::write(&scanner, SCANNER).unwrap();
    ["perl".to_owned(), scanner.display().to_string(), good.display().to_string()].to_vec()
}

fn rule(name: &str, condition: &str) -> String {
    format!("rule {name} {{ strings: $a = \"X5O!P%@AP\" condition: {condition} }}\n")
}

#[test]
fn rules_that_do_not_compile_and_rules_that_cry_wolf_go_back() {
    if !is_there("yara", "yara") {
        return;
    }
    let old = rule("eicar", "$a");
    let pilot = Pilot::start(Kind { package: "rules", manifest: MANIFEST.to_owned(), set_up }, &[("rules.yar", &old)]);
    let new = format!("{old}{}", rule("eicar_at_the_start", "$a at 0"));
    let (good, over) = pilot.roll_out("1.1.0", &[("rules.yar", &new)]);
    pilot.assert_completed(&over, &good);

    let (_, over) = pilot.roll_out("1.2.0", &[("rules.yar", &rule("broken", "$a and"))]);
    pilot.assert_halted_and_restored(&over, &good);

    let (_, over) = pilot.roll_out("1.3.0", &[("rules.yar", &rule("wolf", "not $a"))]);
    pilot.assert_halted_and_restored(&over, &good);
    let shown = pilot.home.text(&["incident", "show", &format!("inc-{}", over["rollout"].as_str().unwrap())]);
    assert!(shown.contains("number false_alarms is 2"), "{shown}");
}
