//! A person watches a rollout in a real browser: signs in by a link, sees a good release spread, and a bad one halt, without reloading.

use crate::browser::{Browser, ENTER};
use crate::pictures::{gatehouse, pictures};
use crate::pilot::{LAB, POLICY, Pilot};
use crate::processes::{is_there, until};
use crate::text;

#[test]
fn a_person_watches_a_rollout_from_start_to_halt() {
    if !is_there("chromium", "chromium") || !is_there("chromedriver", "chromium-driver") {
        return;
    }
    let pilot = Pilot::start(gatehouse(), &[("well", "1\n")]);
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
    browser.wait_for("This signs nobody in");
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
        "2 took the release, 2 harmed: 2 of these well again (2 without hands), 0 need hands",
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
    phone.resize((390, 1800));
    let wide = phone.eval("document.documentElement.scrollWidth <= document.documentElement.clientWidth");
    assert_eq!(wide, true, "a phone scrolls in one direction only");
    phone.picture(&pictures().join("rollout-phone.png"));
}

/// A browser that is signed in by a link, and where the server is.
fn signed_in(pilot: &Pilot) -> (Browser, String) {
    let link = pilot.home.json(&["console"])["url"].as_str().unwrap().to_owned();
    let browser = Browser::start(&pilot.home.path("profile"), (1280, 1600));
    browser.open(&link);
    browser.press("Sign this browser in");
    (browser, link.split("/console/").next().unwrap().to_owned())
}

/// What this form's field is, by the form's act.
fn field(act: &str, name: &str) -> String {
    format!("//form[input[@name='act' and @value='{act}']]//*[@name='{name}']")
}

#[test]
fn a_person_halts_by_one_click_and_works_the_incident_to_its_closure() {
    if !is_there("chromium", "chromium") || !is_there("chromedriver", "chromium-driver") {
        return;
    }
    let pilot = Pilot::start(gatehouse(), &[("well", "1\n")]);
    let (browser, base) = signed_in(&pilot);
    let (_, rollout) = pilot.order("1.1.0", &[("well", "2\n")]);
    browser.open(&format!("{base}/console/rollouts/{rollout}"));
    browser.wait_for("Halting ends this rollout for good");
    browser.press("Halt");
    browser.wait_for("halted");
    let over = pilot.over(&rollout, || {});
    assert_eq!(over["report"]["phase"], "halted");
    let reasons = over["reasons"].to_string();
    assert!(reasons.contains("from the console") && reasons.contains("admin"), "{reasons}");

    browser.open(&format!("{base}/console/incidents/inc-{rollout}"));
    browser.wait_for("gatehouse 1.1.0 was halted");
    browser.wait_for("Live.");
    browser.eval("window.opened = 1");
    let send = |act: &str, press: &str| {
        browser.click(&format!("//form[input[@name='act' and @value='{act}']]//button[normalize-space()='{press}']"));
    };
    let unfold = |title: &str| browser.click(&format!("//summary[normalize-space()='{title}']"));
    // What is being written stays while the page above changes.
    unfold("Write into the timeline");
    browser.fill(&field("note", "text"), "Looked at it with two pairs of eyes");
    pilot.home.json(&["incident", "note", &format!("inc-{rollout}"), "From the command line"]);
    browser.wait_for("From the command line");
    assert_eq!(browser.eval("window.opened"), 1, "the page was never loaded anew");
    let typed = browser.eval("document.querySelector('form:has([value=note]) textarea').value");
    assert_eq!(typed, "Looked at it with two pairs of eyes");
    browser.fill(&field("note", "at"), "20min ago");
    send("note", "Write");
    browser.wait_for("Looked at it with two pairs of eyes");
    browser.wait_for("20min later");
    // Nobody leads yet, so nobody says that it is explained.
    browser.wait_for("Next: explained");
    browser.wait_for("the commander says when a stage is reached");
    unfold("Take or give a role");
    send("role", "Give");
    browser.wait_for("commander: admin");
    browser.wait_for("nobody has said why it happened");
    // What was not done comes back as it was written, and says why.
    unfold("Write into the timeline");
    browser.fill(&field("note", "text"), "At a time that nobody can read");
    browser.fill(&field("note", "at"), "soon");
    send("note", "Write");
    browser.wait_for("`at` is \"soon\"");
    let kept = browser.eval("document.querySelector('form:has([value=note]) textarea').value");
    assert_eq!(kept, "At a time that nobody can read");
    browser.open(&format!("{base}/console/incidents/inc-{rollout}"));
    for (name, text) in [
        ("mechanism", "Nothing broke: a person halted it to try the desk"),
        ("trigger", "A click"),
        ("not_caught", "There was nothing to catch"),
        ("contained_by", "The window"),
    ] {
        browser.fill(&field("explain", name), text);
    }
    send("explain", "Say so");
    browser.wait_for("Nothing broke: a person halted it");
    send("reach", "It is explained");
    browser.wait_for("Next: closed");
    unfold("Add a lesson");
    browser.fill(&field("lesson", "text"), "Halting is one click");
    browser.click(&field("lesson", "blocks"));
    send("lesson", "Add");
    browser.wait_for("blocks releases");
    send("reach", "It is closed");
    until("it is closed", || {
        let stage = browser.eval("document.querySelector('li[aria-current=step] strong').textContent");
        (stage == "closed").then_some(())
    });
    let shown = pilot.home.json(&["incident", "show", &format!("inc-{rollout}")]);
    assert_eq!(shown["stage"], "closed", "{shown}");
    let refused = pilot.home.run(&[
        "rollout",
        "start",
        "gatehouse",
        "1.1.0",
        "--policy",
        &pilot.policy,
        "--key",
        "order",
        "--yes",
    ]);
    assert!(text(&refused.stderr).contains("lesson 1 of inc-"), "{refused:?}");

    // A policy with an error in it says where while it is written.
    browser.open(&format!("{base}/console/policies/editor"));
    browser.wait_for("How it would go on this fleet");
    browser.fill("//textarea[@id='text']", "name = \"p\"\nrings = [{name = \"broad\", soak = \"1 fortnight\"}]");
    browser.wait_for("is not an amount of time");
    browser.fill("//textarea[@id='text']", "name = \"p\"\nrings = [{name = \"broad\", soak = \"1h\"}]");
    browser.wait_for("soaks 1h");
    browser.press("Simulate");
    browser.wait_for("A sound release reached 95 in 100 of the devices");
    assert_eq!(
        browser.complaints().iter().filter(|one| !one.contains("status of 4")).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
}

#[test]
fn a_second_person_approves_a_ring_with_the_key_that_her_browser_holds() {
    if !is_there("chromium", "chromium") || !is_there("chromedriver", "chromium-driver") {
        return;
    }
    let mut pilot = Pilot::start(gatehouse(), &[("well", "1\n")]);
    let asking = POLICY.replace("name = \"broad\"", "name = \"broad\"\napprove = \"approver\"");
    pilot.apply_policy(&asking.replace("name = \"pilot\"", "name = \"asking\""));
    let grace =
        pilot.home.json(&["operator", "add", "grace", "--role", "approver"])["token"].as_str().unwrap().to_owned();
    let link = pilot.home.json(&["console"])["url"].as_str().unwrap().to_owned();
    let base = link.split("/console/").next().unwrap().to_owned();
    let browser = Browser::start(&pilot.home.path("profile"), (1280, 1600));
    browser.open(&format!("{base}/console/"));
    browser.fill("//input[@name='token']", &grace);
    browser.press("Sign in");
    browser.wait_for("Overview");
    browser.wait_for("grace");
    browser.complaints();
    browser.open(&format!("{base}/console/trust"));
    browser.press("Make a key");
    browser.wait_for("Its public half");
    let half = browser.eval("document.querySelector('[data-public]').textContent").as_str().unwrap().to_owned();
    assert_eq!(half.len(), 64, "{half}");

    let (good, rollout) = pilot.order("1.1.0", &[("well", "2\n")]);
    browser.open(&format!("{base}/console/rollouts/{rollout}"));
    until("the lab has passed", || {
        let shown = pilot.home.json(&["rollout", "status", &rollout]);
        shown["reasons"].to_string().contains("opens when an operator").then_some(())
    });
    let approve = || {
        browser.open(&format!("{base}/console/rollouts/{rollout}"));
        browser.wait_for("Ring broad waits for an approval");
        browser.click("//a[normalize-space()='with the key that a browser holds']");
        browser.wait_for("up to 4 places");
        let signed = browser.eval("document.querySelector('[data-signed]').textContent");
        assert!(signed.as_str().unwrap().contains("\"ring\": \"broad\""), "{signed}");
        browser.fill("//form[@id='approval']//input[@name='reason']", "the lab was fine");
        browser.press("Sign and approve");
    };
    // A key that root's people have not listed approves nothing.
    approve();
    browser.wait_for("This was not done");
    let add = [
        "trust",
        "key",
        "add",
        &half,
        "--holder",
        "grace's browser",
        "--scope",
        "approve",
        "--root-key",
        "root-1",
        "--yes",
    ];
    let listed = pilot.home.json(&add);
    assert_eq!(listed["version"], 2, "{listed}");
    browser.complaints();
    approve();
    let over = pilot.over(&rollout, || {});
    pilot.assert_completed(&over, &good);
    browser.wait_for("completed");
    let log = pilot.home.json(&["log", "--what", "approved"]).to_string();
    assert!(log.contains("grace") && log.contains("the lab was fine"), "{log}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    // The key can be taken out again.
    let id = pilot.home.json(&["trust", "key", "list"])["keys"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(id["holder"], "grace's browser", "{id}");
}

#[test]
fn people_find_the_device_that_needs_hands_are_told_what_to_do_there_and_see_it_well_again() {
    if !is_there("chromium", "chromium") || !is_there("chromedriver", "chromium-driver") {
        return;
    }
    let pilot = Pilot::start(gatehouse(), &[("well", "1\n")]);
    let (browser, base) = signed_in(&pilot);
    let (_, rollout) = pilot.order("1.1.0", &[("jam", "1\n")]);
    pilot.over(&rollout, || {});
    let incident = format!("/console/incidents/inc-{rollout}");
    browser.open(&format!("{base}{incident}"));
    browser.eval("window.opened = 1");
    browser.wait_for("1 device needs hands");
    browser.wait_for("Next: restored");
    assert_eq!(browser.eval("window.opened"), 1, "the page was never loaded anew");

    browser.open(&format!("{base}{incident}/hands"));
    browser.wait_for("the wheel is jammed");
    browser.wait_for("nothing is said yet");
    let whose = browser.eval("document.querySelector('table').textContent");
    assert!(whose.as_str().unwrap().contains("lab-1harbour"), "{whose}");
    browser.click("//summary[normalize-space()='What to do at devices that need hands']");
    browser.fill(&field("instruct", "select"), "customer == \"harbour\"");
    browser.fill(&field("instruct", "text"), "1. Turn the wheel\n2. Remove the file jammed");
    browser.press("Add");
    browser.wait_for("2. Remove the file jammed");
    let csv = browser.eval_later(&format!(
        "const done = arguments[arguments.length - 1]; fetch('{incident}/hands.csv').then((got) => got.text()).then(done)"
    ));
    for part in ["\"lab-1\"", "\"harbour\"", "the wheel is jammed", "2. Remove the file jammed"] {
        assert!(csv.as_str().unwrap().contains(part), "{part}: {csv}");
    }
    browser.open(&format!("{base}{incident}/sheet"));
    browser.wait_for("Done by");

    // The customer's own page and queue.
    browser.open(&format!("{base}{incident}"));
    browser.click("//summary[normalize-space()='Whom to speak to']");
    browser.fill(&field("contact", "customer"), "harbour");
    browser.fill(&field("contact", "text"), "Jo, at the desk until six");
    browser.click("//form[input[@name='act' and @value='contact']]//button[normalize-space()='Keep']");
    browser.open(&format!("{base}{incident}/customers/harbour"));
    browser.wait_for("Jo, at the desk until six");
    browser.wait_for("0 of 1");
    browser.fill(&field("task", "text"), "Send somebody to the lock");
    browser.press("Add");
    browser.open(&format!("{base}{incident}/customers/harbour"));
    browser.wait_for("Send somebody to the lock");
    browser.open(&format!("{base}{incident}/customers/canal"));
    browser.wait_for("1 of 1");
    assert!(!browser.text().contains("Send somebody"), "a queue is one customer's");

    // Somebody goes there.
    std::fs::remove_file(pilot.of(&["lab-1"]).next().unwrap().data.join("jammed")).unwrap();
    browser.open(&format!("{base}{incident}"));
    browser.eval("window.opened = 2");
    browser.wait_for("Next: explained");
    assert!(!browser.text().contains("device needs hands"), "{}", browser.text());
    assert_eq!(browser.eval("window.opened"), 2, "the page was never loaded anew");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn the_keyboard_alone_signs_in_halts_and_works_on_the_incident() {
    if !is_there("chromium", "chromium") || !is_there("chromedriver", "chromium-driver") {
        return;
    }
    let pilot = Pilot::start(gatehouse(), &[("well", "1\n")]);
    let link = pilot.home.json(&["console"])["url"].as_str().unwrap().to_owned();
    let browser = Browser::start(&pilot.home.path("profile"), (1280, 1600));
    browser.open(&link);
    browser.wait_for("Sign in to Tidegate as admin");
    browser.key(ENTER);
    browser.wait_for("There is none yet");
    browser.tab_to("To the content");
    let (_, rollout) = pilot.order("1.1.0", &[("well", "2\n")]);
    browser.tab_to("Rollouts");
    browser.key(ENTER);
    browser.wait_for("gatehouse 1.1.0");
    browser.tab_to(&rollout);
    browser.key(ENTER);
    browser.wait_for("Halting ends this rollout for good");
    // The page changes all the while, and the focus stays.
    browser.tab_to("Halt");
    browser.key(ENTER);
    browser.wait_for("halted");
    browser.tab_to(&format!("inc-{rollout}"));
    browser.key(ENTER);
    browser.wait_for("gatehouse 1.1.0 was halted");
    browser.tab_to("Take or give a role");
    browser.key(ENTER);
    browser.tab_to("Give");
    browser.key(ENTER);
    browser.wait_for("commander: admin");
}
