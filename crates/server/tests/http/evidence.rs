//! Whose word counts for a release, and orders that no evidence could carry through.

use serde_json::json;
use tidegate_control::decision::Decision;
use tidegate_control::history::HistoryReader;
use tidegate_control::state::State;
use tidegate_domain::digest::Digest;
use tidegate_domain::observation::{FailureReason, Observation};
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::place::Stage;
use tidegate_trust::records::Report;
use tidegate_trust::signed::Unverified;
use ureq::http::Method;

use crate::fleet::{Api, Fleet, OTHER, PACKAGE, Reply, Running, http_agent, request, signed, until};
use crate::played::{FAST_POLICY, Player, twelve};

fn draft(api: &Api, version: &str, policy: &Digest) -> Reply {
    api.post("/rollouts/draft", &json!({"package": PACKAGE, "version": version, "policy": policy}))
}

fn enrolled(fleet: &Fleet, base: &str) -> Vec<Player> {
    let mut players = twelve(fleet, base);
    assert!(players.iter_mut().all(Player::enrol));
    players.iter_mut().for_each(|player| drop(player.play().unwrap()));
    players
}

/// A fleet of twelve enrolled devices, its server, and a policy that is applied.
fn ready() -> (Fleet, Running, Api, Digest, Vec<Player>) {
    let fleet = Fleet::found();
    let running = fleet.start();
    let api = running.admin();
    let policy = fleet.apply_policy(&api, FAST_POLICY);
    let players = enrolled(&fleet, &running.base);
    (fleet, running, api, policy, players)
}

#[test]
fn devices_enrolled_after_a_release_was_published_cannot_carry_it_alone() {
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let api = running.admin();
    let policy = fleet.apply_policy(&api, FAST_POLICY);
    fleet.publish(&api, "1.0.0", "good");
    enrolled(&fleet, &running.base);
    let reply = draft(&api, "1.0.0", &policy);
    assert_eq!((reply.status, reply.kind().as_str()), (409, "no_evidence"), "{reply:?}");
    fleet.publish(&api, "1.0.1", "better");
    assert_eq!(draft(&api, "1.0.1", &policy).status, 200, "for what is published now their word counts");
    running.stop();
}

#[test]
fn an_order_that_could_pass_on_no_report_is_refused_with_what_would_do() {
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let api = running.admin();
    enrolled(&fleet, &running.base);
    fleet.publish(&api, "1.0.0", "good");
    let fine = fleet.apply_policy(&api, &FAST_POLICY.replace("clear_hard = 0.9", "clear_hard = 0.0005"));
    let seq = api.seq();
    let reply = draft(&api, "1.0.0", &fine);
    assert_eq!((reply.status, reply.kind().as_str()), (409, "cannot_pass"), "{reply:?}");
    let detail = reply.json()["detail"].as_str().unwrap().to_owned();
    for words in ["ring `broad`", "10 places", "0.0005", "even if none fails", "would do"] {
        assert!(detail.contains(words), "{detail}");
    }
    assert_eq!(api.seq(), seq, "nothing was recorded");
    let hasty = fleet.apply_policy(&api, &FAST_POLICY.replace("take_within = \"20s\"", "take_within = \"300ms\""));
    let reply = draft(&api, "1.0.0", &hasty);
    assert_eq!((reply.status, reply.kind().as_str()), (409, "cannot_pass"), "{reply:?}");
    assert!(reply.json()["detail"].as_str().unwrap().contains("pace.take_within"), "{reply:?}");
    let coarse = fleet.apply_policy(&api, FAST_POLICY);
    assert_eq!(draft(&api, "1.0.0", &coarse).status, 200);
    running.stop();
}

#[test]
fn a_lab_that_falls_silent_calls_a_person_once_and_halts_nothing_by_itself() {
    let (mut fleet, running, api, policy, mut players) = ready();
    fleet.publish(&api, "1.0.0", "good");
    let rollout = format!("/rollouts/{}", fleet.start_rollout(&api, "1.0.0", &policy));
    let calls = || {
        let text = request(&http_agent(), Method::GET, &format!("{}/metrics", running.base), &[], b"").unwrap().body;
        let text = String::from_utf8(text).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("tidegate_operator_calls_total ")).unwrap();
        line.parse::<u64>().unwrap()
    };
    assert_eq!(calls(), 0);
    // Whoever takes it is never heard of again.
    until("a person is called", || {
        for player in players.iter_mut().filter(|player| player.takes.is_empty()) {
            player.prove_for = std::time::Duration::from_secs(3_600);
            player.play().unwrap();
        }
        (calls() > 0).then_some(())
    });
    let shown = api.get(&rollout);
    assert_eq!(shown["report"]["phase"], "running", "{shown}");
    assert!(shown["reasons"][0].as_str().unwrap().starts_with("needs a person"), "{shown}");
    let seq = api.seq();
    until("further steps were taken", || {
        players.iter_mut().filter(|player| player.takes.is_empty()).for_each(|player| drop(player.play()));
        (api.seq() == seq && calls() == 1).then_some(())
    });
    running.stop();
}

/// What the controls of a rollout had said when each of their bands entered, over all of its blocks: healthy in it, and all of them.
fn heard_of_controls(fleet: &Fleet, rollout: &str) -> (u32, u32) {
    let mut lines = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tidegate_server::export(&fleet.data(), &mut lines, &|_, _| {})).unwrap();
    let (mut reader, mut state, mut healthy, mut all) = (HistoryReader::default(), State::default(), 0, 0);
    for line in String::from_utf8(lines).unwrap().lines() {
        let entry = reader.read(line).unwrap();
        if let Ok(Decision::Step { rollout: of, facts, .. }) = serde_json::from_slice(&entry.content.body)
            && of.as_str() == rollout
        {
            for fact in &facts {
                let Fact::BandEntered { block, band, .. } = fact else { continue };
                let course = &state.rollouts()[&of].rollout;
                for control in course.blocks().get(*block).into_iter().flat_map(|block| &block.controls) {
                    let Some((_, place)) = course.place(*control) else { continue };
                    let Stage::Control { seen, .. } = &place.stage else { continue };
                    all += 1;
                    healthy += u32::from(seen.healthy[usize::from(*band) - 1]);
                }
            }
        }
        state.apply(&entry).unwrap();
    }
    (healthy, all)
}

/// Plays until the rollout is complete; `before` is done to a player before each turn.
fn complete(api: &Api, players: &mut [Player], rollout: &str, before: impl Fn(&mut Player)) {
    until("the rollout is complete", || {
        // As often as their policy says: a server remembers two check-ins of a device.
        std::thread::sleep(std::time::Duration::from_millis(150));
        for player in players.iter_mut() {
            before(player);
            player.play().unwrap();
        }
        (api.get(&format!("/rollouts/{rollout}"))["report"]["phase"] == "completed").then_some(())
    });
}

#[test]
fn a_number_that_a_release_declares_is_shown_with_it_and_without_it() {
    let (mut fleet, running, api, policy, mut players) = ready();
    fleet.declares = vec![json!({"name": "latency", "at_most": 100})];
    fleet.publish(&api, "1.0.0", "good");
    let rollout = fleet.start_rollout(&api, "1.0.0", &policy);
    complete(&api, &mut players, &rollout, |player| {
        // Who runs the release is slower by 5.
        let thousandths = if player.active.is_some() { 25_000 } else { 20_000 };
        player.numbers = [("latency".parse().unwrap(), thousandths)].into();
    });
    let number = api.get(&format!("/rollouts/{rollout}"))["report"]["numbers"][0].clone();
    assert_eq!((&number["name"], &number["treated"]["mean"]), (&json!("latency"), &json!(25.0)), "{number}");
    assert_eq!(number["control"]["mean"], 20.0, "{number}");
    let devices = number["treated"]["devices"].as_u64().unwrap();
    assert!((2..=12).contains(&devices), "each counts once: {number}");
    let (low, high) = (number["treated"]["interval"][0].as_f64().unwrap(), number["treated"]["interval"][1].as_f64());
    assert!(low < 25.0 && high > Some(25.0), "{number}");
    running.stop();
}

#[test]
fn the_same_files_under_another_version_go_on_where_they_stood() {
    let (mut fleet, running, api, policy, mut players) = ready();
    fleet.publish(&api, "1.0.0", "the same");
    let first = fleet.start_rollout(&api, "1.0.0", &policy);
    complete(&api, &mut players, &first, |_| {});
    let learnt = api.get(&format!("/rollouts/{first}"))["report"]["ln_evidence"].as_f64().unwrap();
    assert_ne!(learnt, 0.0);
    fleet.publish(&api, "1.0.1", "another");
    let other = fleet.start_rollout(&api, "1.0.1", &policy);
    assert_eq!(api.get(&format!("/rollouts/{other}")).get("goes_on_from"), None);
    complete(&api, &mut players, &other, |_| {});
    fleet.publish(&api, "1.0.2", "the same");
    let again = api.get(&format!("/rollouts/{}", fleet.start_rollout(&api, "1.0.2", &policy)));
    assert_eq!(again["goes_on_from"], first.as_str(), "{again}");
    let now = again["report"]["ln_evidence"].as_f64().unwrap();
    assert!((now - learnt).abs() < 1e-9, "{now}, after {learnt}");
    running.stop();
}

#[test]
fn a_control_that_runs_what_an_earlier_order_brought_is_heard() {
    let (mut fleet, running, api, policy, mut players) = ready();
    let mut heard = Vec::new();
    for version in ["1.0.0", "1.0.1"] {
        fleet.publish(&api, version, version);
        let rollout = fleet.start_rollout(&api, version, &policy);
        complete(&api, &mut players, &rollout, |_| {});
        heard.push(rollout);
    }
    running.stop();
    for rollout in heard {
        let (healthy, all) = heard_of_controls(&fleet, &rollout);
        assert!(all > 0 && healthy * 2 > all, "{rollout}: {healthy} of {all} bands of controls were heard of");
    }
}

/// What the server makes of a device's place in the first rollout: whether a failure was seen on it, and whether the release failed there.
fn seen_on(running: &Running, player: &Player) -> (bool, bool) {
    let state = running.server.as_ref().unwrap().app().desk.state().unwrap();
    let course = &state.rollouts()[&"sensor-content.1".parse().unwrap()];
    match &course.rollout.place_of(&player.id.parse().unwrap()).unwrap().2.stage {
        Stage::Taken(taken) => (taken.seen.elsewhere != [false; 2], taken.failed.is_some()),
        other => panic!("{other:?}"),
    }
}

/// Says that the second package failed.
fn fails_elsewhere(player: &mut Player) {
    let observation = Observation::Failed { reason: FailureReason::ProbeFailed, attempt: 3 };
    player.last_seq += 1;
    let said = player.signed_report(player.last_seq, None, observation, 0).danger_unchecked_body().unwrap();
    let report = Unverified::draft(&Report { package: OTHER.parse().unwrap(), ..said }).unwrap();
    player.outbox.push(signed(report, &player.key));
    player.play().unwrap();
}

#[test]
fn another_package_that_fails_speaks_against_what_the_device_took_last_unless_it_has_a_rollout_of_its_own() {
    let (mut fleet, running, api, policy, mut players) = ready();
    players.iter_mut().for_each(|player| player.runs_both = true);
    fleet.publish(&api, "1.0.0", "good");
    fleet.start_rollout(&api, "1.0.0", &policy);
    let lab: Vec<usize> = until("the lab has taken it", || {
        players.iter_mut().filter(|player| player.active.is_none()).for_each(|player| drop(player.play().unwrap()));
        let took = players.iter().enumerate().filter(|(_, player)| player.active.is_some());
        let took: Vec<usize> = took.map(|(at, _)| at).collect();
        (took.len() == 2).then_some(took)
    });
    fails_elsewhere(&mut players[lab[0]]);
    assert_eq!(seen_on(&running, &players[lab[0]]), (true, false), "the release itself is well there");

    (fleet.package, fleet.role) = (OTHER, None);
    fleet.publish(&api, "7.0", "also good");
    fleet.start_rollout(&api, "7.0", &policy);
    fails_elsewhere(&mut players[lab[1]]);
    assert_eq!(seen_on(&running, &players[lab[1]]), (false, false), "a rollout of its own may explain it");
    running.stop();
}
