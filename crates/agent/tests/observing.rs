//! A device that only observes: it checks what it is offered, says what it would have taken and whether it is well, and starts nothing.

use std::fs;

use serde_json::json;

use crate::bench::{Bench, GOOD};
use crate::fleet::PACKAGE;

/// The bench without a release from the factory, and with what else its device is told.
fn start(bench: &mut Bench, observed: &str) {
    let file = bench.folder.path().join("agent.toml");
    fs::write(&file, format!("observe = true\n[observed]\n{PACKAGE} = {observed}\n")).unwrap();
    bench.without_factory();
    bench.with_flags(&["--config", file.to_str().unwrap()]);
    bench.start();
}

#[test]
fn what_is_offered_is_checked_and_nothing_of_it_is_fetched_or_started() {
    let mut bench = Bench::new();
    let well = bench.folder.path().join("well");
    start(&mut bench, &format!("[{{ kind = \"exec\", command = [\"test\", \"-e\", {:?}], timeout = \"1s\" }}]", well));
    bench.server.wait_for("a check-in", |world| world.said.is_some().then_some(()));
    let said = |bench: &Bench| bench.server.with(|world| world.said.clone().unwrap()["packages"][0].clone());
    assert_eq!(said(&bench)["healthy"], json!(false), "nothing shows that it is well yet");
    fs::write(&well, "").unwrap();
    bench.wait_until("its probe passes", |bench| said(bench)["healthy"] == json!(true));
    bench.offer("1.0.0", GOOD, 1);
    let refused = bench.server.wait_for_report("refused");
    assert_eq!(serde_json::to_value(&refused.observation).unwrap()["reason"], "observes");
    assert!(refused.detail.contains("would have taken 1.0.0"), "{}", refused.detail);
    bench.server.with(|world| assert_eq!((world.goes, world.taken), (0, false)));
    assert_eq!((bench.pointer("current"), said(&bench)["state"].clone()), (None, json!("idle")));
    assert!(fs::read_dir(bench.package().join("slots")).unwrap().next().is_none(), "nothing was fetched");
    bench.stop();
}

#[test]
fn what_would_have_been_refused_says_so() {
    let mut bench = Bench::new();
    start(&mut bench, "[]");
    bench.offer_changed("1.0.0", &[("start", GOOD)], 1, crate::fleet::POLICY, |manifest| {
        manifest["needs"] = json!({"another-machine": 1});
    });
    let refused = bench.server.wait_for_report("refused");
    assert_eq!(serde_json::to_value(&refused.observation).unwrap()["reason"], "needs_unmet");
    bench.stop();
}

#[test]
fn a_device_that_has_taken_releases_cannot_only_observe() {
    let mut bench = Bench::new();
    bench.with_flags(&["--observe"]);
    bench.start();
    bench.wait_until("it gives up", Bench::has_ended);
    assert!(bench.log().contains("`observe` starts none"), "{}", bench.log());
}
