//! A person watches a rollout in a real browser: signs in by a link, sees a good release spread, and a bad one halt, without reloading.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Home;
use crate::browser::Browser;
use crate::pilot::{Kind, LAB, Pilot};
use crate::processes::is_there;

const MANIFEST: &str = "downtime = \"3s\"\nactivation = { kind = \"supervise\" }\n\
    [[probes]]\nkind = \"exec\"\ntimeout = \"1s\"\ncommand = [\"sh\", \"-c\", \"test -e $TIDEGATE_SLOT/well || { echo the tide is out >&2; exit 1; }\"]\n";

fn set_up(_: &Home, _: &Path, _: u8) -> Vec<String> {
    ["sleep", "600"].map(str::to_owned).to_vec()
}

/// Where pictures go, for people to look at.
fn pictures() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_person_watches_a_rollout_from_start_to_halt() {
    if !is_there("chromium", "chromium") || !is_there("chromedriver", "chromium-driver") {
        return;
    }
    let pilot = Pilot::start(Kind { package: "gatehouse", manifest: MANIFEST.to_owned(), set_up }, &[("well", "1\n")]);
    let link = pilot.home.json(&["console"])["url"].as_str().unwrap().to_owned();
    let base = link.split("/console/").next().unwrap().to_owned();
    let browser = Browser::start(&pilot.home.path("profile"), (1280, 1600));
    browser.open(&format!("{base}/console/"));
    browser.wait_for("tidegate console");
    assert_eq!(browser.complaints().len(), 1, "the answer 401 and nothing else");
    browser.open(&link);
    browser.press("Sign this browser in");
    browser.wait_for("There is none yet");
    browser.press("Sign out");
    browser.wait_for("Sign in");
    browser.open(&link);
    browser.press("Sign this browser in");
    browser.wait_for("This link signs nobody in");
    browser.complaints();
    browser.open(pilot.home.json(&["console"])["url"].as_str().unwrap());
    browser.press("Sign this browser in");

    let (good, rollout) = pilot.order("1.1.0", &[("well", "2\n")]);
    browser.open(&format!("{base}/console/rollouts/{rollout}"));
    browser.wait_for("gatehouse 1.1.0");
    browser.wait_for("Live.");
    browser.eval("window.opened = 1");
    let over = pilot.over(&rollout, || {});
    pilot.assert_completed(&over, &good);
    browser.wait_for("completed");
    browser.wait_for("2 of 2 proven");
    assert_eq!(browser.eval("window.opened"), 1, "the page was never loaded anew");
    assert_eq!(browser.eval("document.querySelectorAll('svg.ring').length"), 2, "a ring each");
    let times = browser.eval("document.querySelector('time').textContent.includes('UTC')");
    assert_eq!(times, false, "times are the reader's");

    let (_, rollout) = pilot.order("1.2.0", &[("sick", "1\n")]);
    browser.open(&format!("{base}/console/rollouts/{rollout}"));
    browser.eval("window.opened = 2");
    browser.wait_for("halted");
    let over = pilot.over(&rollout, || {});
    pilot.assert_halted_and_restored(&over, &good);
    browser.wait_for("is restored.");
    browser.wait_for("the tide is out");
    let seen = browser.text();
    for word in LAB.into_iter().chain([
        "hard failures fill all 2 places",
        "2 took the release, 2 harmed, 2 well again (2 without hands), 0 need hands",
    ]) {
        assert!(seen.contains(word), "{word}: {seen}");
    }
    assert_eq!(browser.eval("window.opened"), 2, "the page was never loaded anew");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        browser.picture(&pictures().join(format!("rollout-{scheme}.png")));
    }
    browser.open(&format!("{base}/console/"));
    browser.wait_for("gatehouse 1.2.0");
    browser.picture(&pictures().join("rollouts-dark.png"));
    let phone = Browser::start(&pilot.home.path("phone"), (390, 1800));
    phone.open(pilot.home.json(&["console"])["url"].as_str().unwrap());
    phone.press("Sign this browser in");
    phone.wait_for("gatehouse 1.2.0");
    phone.open(&format!("{base}/console/rollouts/{rollout}"));
    phone.wait_for("the tide is out");
    let wide = phone.eval("document.documentElement.scrollWidth <= document.documentElement.clientWidth");
    assert_eq!(wide, true, "a phone scrolls in one direction only");
    phone.picture(&pictures().join("rollout-phone.png"));
}
