//! Every page of the console, in both themes, on a desk and on a phone: it fits, it is light, the browser complains of nothing, and axe-core
//! finds no serious violation. Each is kept as a picture for people to look at (`cargo xtask screenshots`).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::Home;
use crate::browser::Browser;
use crate::pilot::{Kind, Pilot};
use crate::processes::{is_there, within};

const MANIFEST: &str = "downtime = \"3s\"\nactivation = { kind = \"supervise\" }\n\
    [[probes]]\nkind = \"exec\"\ntimeout = \"1s\"\ncommand = [\"sh\", \"-c\", \"test -e $TIDEGATE_SLOT/well || { echo the tide is out >&2; exit 1; }\"]\n";
/// The most that a page weighs without pictures, in bytes.
const PAGE_BYTES_MAX: u64 = 200 << 10;

/// The first device is older than the others: a release with the file `jam` leaves it with something that nothing starts any more.
fn set_up(_: &Home, data: &Path, number: u8) -> Vec<String> {
    let old = "test ! -e $1/jam || touch $2/jammed; test ! -e $2/jammed || { echo the wheel is jammed >&2; exit 1; }; exec sleep 600";
    match number {
        1 => ["sh", "-c", old, "sh", "{slot}", data.to_str().unwrap()].map(str::to_owned).to_vec(),
        _ => ["sleep", "600"].map(str::to_owned).to_vec(),
    }
}

/// A payload that is well where its release brings the file `well`.
pub(crate) fn gatehouse() -> Kind {
    Kind { package: "gatehouse", manifest: MANIFEST.to_owned(), set_up }
}

/// Where pictures go, for people to look at.
pub(crate) fn pictures() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// axe-core, where the lane `python-tools` put it.
fn axe() -> Option<String> {
    let lib = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?.join("python/lib");
    let python = fs::read_dir(lib).ok()?.next()?.ok()?.path();
    fs::read_to_string(python.join("site-packages/axe_playwright_python/axe.min.js")).ok()
}

/// A pilot with something on every page: a good release everywhere, a bad one that halted and left a device that needs hands, its incident as
/// people work on it.
fn worked_pilot() -> (Pilot, String) {
    let pilot = Pilot::start(gatehouse(), &[("well", "1\n")]);
    let (_, over) = pilot.roll_out("1.1.0", &[("well", "2\n")]);
    assert_eq!(over["report"]["phase"], "completed", "{over}");
    let (_, rollout) = pilot.order("1.2.0", &[("jam", "1\n")]);
    pilot.over(&rollout, || {});
    let incident = format!("inc-{rollout}");
    // What it returns to fails too, and is tried for a while before somebody is asked for.
    let mut shown = Value::Null;
    let stuck = within(Duration::from_secs(90), || {
        shown = pilot.home.json(&["incident", "show", &incident]);
        (shown["back_without_hands"] == 1 && shown["need_hands"] == 1).then_some(())
    });
    assert!(stuck.is_some(), "{shown}: {}", pilot.logs());
    for act in [
        &["role", &incident, "commander", "admin"][..],
        &["note", &incident, "Support has twelve calls from the harbour", "--at", "20min"],
        &[
            "task",
            &incident,
            "Send somebody to the north lock",
            "--customer",
            "harbour",
            "--owner",
            "admin",
            "--due",
            "4h",
        ],
        &["task", &incident, "Call the harbour master", "--due", "1s"],
        &["contact", &incident, "harbour", "Jo, at the desk until six"],
        &["instruct", &incident, "Turn the wheel by hand, then remove the file jammed", "--select", "true"],
        &["lesson", &incident, "The pipeline starts every release once before it is signed", "--blocks"],
        &["done", &incident, "1", "She is there"],
    ] {
        pilot.home.json(&[&["incident"], act].concat());
    }
    (pilot, rollout)
}

/// The pages by name.
fn pages(rollout: &str, digest: &str) -> Vec<(&'static str, String)> {
    let incident = format!("/console/incidents/inc-{rollout}");
    let mut pages: Vec<(&'static str, String)> = vec![
        ("overview", "/console/".to_owned()),
        ("rollouts", "/console/rollouts".to_owned()),
        ("rollout", format!("/console/rollouts/{rollout}")),
        ("what-if", format!("/console/rollouts/{rollout}/what-if")),
        ("fleet", "/console/fleet".to_owned()),
        ("search", "/console/fleet?select=lab".to_owned()),
        ("device", "/console/devices/lab-1".to_owned()),
        ("releases", "/console/releases".to_owned()),
        ("release", "/console/releases/gatehouse/1.2.0".to_owned()),
        ("policies", "/console/policies".to_owned()),
        ("policy", format!("/console/policies/{digest}")),
        ("editor", "/console/policies/editor".to_owned()),
        ("incidents", "/console/incidents".to_owned()),
        ("incident", incident.clone()),
        ("customer", format!("{incident}/customers/harbour")),
        ("hands", format!("{incident}/hands")),
        ("sheet", format!("{incident}/sheet")),
        ("trust", "/console/trust".to_owned()),
        ("log", "/console/log".to_owned()),
        ("continuity", "/console/continuity".to_owned()),
    ];
    pages.push(("unknown", "/console/nothing".to_owned()));
    pages
}

/// What axe-core calls serious or worse on the page that is open.
fn violations(browser: &Browser, axe: &str) -> Vec<String> {
    let script = format!(
        "{axe};\nconst done = arguments[arguments.length - 1];\naxe.run(document, {{runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']}})\
         .then((found) => done(JSON.stringify(found.violations.map((one) => [one.impact, one.id, one.nodes.map((node) => node.html + ' ' + node.failureSummary)]))), \
         (error) => done(JSON.stringify([['serious', String(error), []]])));"
    );
    let found = browser.eval_later(&script);
    let found: Vec<Value> = serde_json::from_str(found.as_str().unwrap_or_else(|| panic!("{found}"))).unwrap();
    let serious = found.iter().filter(|one| one[0] == "serious" || one[0] == "critical");
    serious.map(|one| format!("{}: {} {}", one[0], one[1], one[2])).collect()
}

#[test]
fn every_page_fits_a_desk_and_a_phone_and_everybody_can_use_it() {
    if !is_there("chromium", "chromium") || !is_there("chromedriver", "chromium-driver") {
        return;
    }
    let axe = axe();
    if axe.is_none() {
        println!("skipped: axe-core is not there; `cargo xtask test --lane python-tools` puts it in its place");
    }
    let (pilot, rollout) = worked_pilot();
    let link = pilot.home.json(&["console"])["url"].as_str().unwrap().to_owned();
    let base = link.split("/console/").next().unwrap().to_owned();
    let digest = pilot.home.json(&["policy", "list"])[0]["digest"].as_str().unwrap().to_owned();
    let browser = Browser::start(&pilot.home.path("profile"), (1280, 900));
    let mut bad: Vec<String> = Vec::new();
    let mut look = |name: &str, url: &str, complains: bool| {
        for (width, size) in [("desk", (1280, 900)), ("phone", (390, 844))] {
            browser.resize(size);
            for scheme in ["light", "dark"] {
                browser.prefer(scheme);
                browser.open(url);
                if name == "what-if" {
                    browser.wait_for("as it was");
                }
                let fits = browser.eval("document.documentElement.scrollWidth <= document.documentElement.clientWidth");
                if fits != true {
                    bad.push(format!("{name} on a {width} scrolls to the side"));
                }
                if let Some(axe) = &axe {
                    let found = violations(&browser, axe);
                    bad.extend(found.into_iter().map(|one| format!("{name} {width} {scheme}: {one}")));
                }
                browser.picture(&pictures().join(format!("{name}-{width}-{scheme}.png")));
            }
        }
        let weight = browser.eval("performance.getEntriesByType('navigation')[0].decodedBodySize").as_u64().unwrap();
        if weight > PAGE_BYTES_MAX {
            bad.push(format!("{name} weighs {weight} bytes"));
        }
        let complaints = browser.complaints();
        if !complains && !complaints.is_empty() {
            bad.push(format!("{name}: {complaints:?}"));
        }
    };
    look("nobody", &format!("{base}/console/"), true);
    look("enter", &link, false);
    browser.press("Sign this browser in");
    browser.wait_for("Overview");
    for (name, path) in pages(&rollout, &digest) {
        look(name, &format!("{base}{path}"), name == "unknown");
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
