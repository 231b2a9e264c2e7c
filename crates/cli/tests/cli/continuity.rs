//! What the console's page of continuity declares: with the server killed, payloads run and come back, a bad release goes by itself, and what
//! devices said meanwhile arrives when the server is back; a halt that was acknowledged stands.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

use crate::Home;
use crate::pilot::{BROAD, Device, Kind, LAB, Pilot};
use crate::processes::within;

/// Well for a second and a half after it was unpacked where it lacks the file `well`: longer than a take, shorter than a proof.
const MANIFEST: &str = "downtime = \"1s\"\nactivation = { kind = \"supervise\" }\n\
    [[probes]]\nkind = \"exec\"\ntimeout = \"1s\"\ncommand = [\"sh\", \"-c\", \"test -e $TIDEGATE_SLOT/well || \
    test $(($(date +%s%3N) - $(date -r $TIDEGATE_SLOT +%s%3N))) -lt 1500 || { echo the tide is out >&2; exit 1; }\"]\n";
const LIMIT: Duration = Duration::from_secs(40);

fn set_up(_: &Home, data: &Path, _: u8) -> Vec<String> {
    let pid = data.join("payload.pid");
    ["sh", "-c", &format!("echo $$ > {}; exec sleep 600", pid.display())].map(str::to_owned).to_vec()
}

fn payload(device: &Device) -> Option<Pid> {
    let pid = fs::read_to_string(device.data.join("payload.pid")).ok()?;
    Pid::from_raw(pid.trim().parse().ok()?).filter(|pid| test_kill_process(*pid).is_ok())
}

fn current(device: &Device) -> String {
    fs::read_to_string(device.data.join("packages/gatehouse/current")).unwrap_or_default()
}

#[test]
fn with_the_server_killed_payloads_go_on_a_bad_release_goes_and_nothing_that_was_said_is_lost() {
    let mut pilot =
        Pilot::start(Kind { package: "gatehouse", manifest: MANIFEST.to_owned(), set_up }, &[("well", "1\n")]);
    let (good, over) = pilot.roll_out("1.1.0", &[("well", "2\n")]);
    pilot.assert_completed(&over, &good);
    let (_, halted) = pilot.order("1.2.0", &[("well", "3\n")]);
    pilot.home.json(&["rollout", "halt", &halted, "--reason", "before the server dies"]);
    let (_, rollout) = pilot.order("1.3.0", &[("sick", "1\n")]);
    let hex = good.trim_start_matches("sha256:").to_owned();
    let took = within(LIMIT, || pilot.of(&LAB).all(|device| !current(device).contains(&hex)).then_some(()));
    assert!(took.is_some(), "the lab did not take it: {}", pilot.logs());
    pilot.kill_server();

    // The bad release goes by itself.
    let back = within(LIMIT, || pilot.of(&LAB).all(|device| current(device).contains(&hex)).then_some(()));
    assert!(back.is_some(), "the lab is not back: {}", pilot.logs());
    // A payload that dies comes back, and the others never noticed.
    for device in pilot.of(&BROAD) {
        let died = payload(device).unwrap_or_else(|| panic!("{} does not run", device.name));
        kill_process(died, Signal::KILL).unwrap();
        let again = within(LIMIT, || payload(device).filter(|pid| *pid != died));
        assert!(again.is_some(), "{} does not run again: {}", device.name, device.log());
    }

    pilot.start_server();
    // What was said meanwhile arrives: the rollout halts on it, and its incident is restored.
    let mut over = Value::Null;
    // Devices that could not reach it try again ever more rarely.
    let ended = within(Duration::from_secs(150), || {
        over = pilot.home.json(&["rollout", "status", &rollout]);
        over["ended_at_ms"].as_u64()
    });
    assert!(ended.is_some(), "{rollout} goes on: {over}\n{}", pilot.logs());
    pilot.assert_halted_and_restored(&over, &good);
    let stands = pilot.home.json(&["rollout", "status", &halted]);
    assert_eq!(stands["report"]["phase"], "halted", "a halt that was acknowledged stands: {stands}");
}
