//! The machine's edges, by the promise that each guards.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

pub(super) fn digest(n: u8) -> Digest {
    Digest::of(&[n])
}

pub(super) fn trial(n: u8) -> Trial {
    Trial {
        rollout: format!("p.{n}").parse().unwrap(),
        order: digest(100 + n),
        permit: digest(200),
        release: digest(n),
        version: "1".parse().unwrap(),
        prove_for: Elapsed::from_s(4),
        prove_restarts: 0,
        downtime: Elapsed::from_s(3),
        contact_deadline: None,
    }
}

pub(super) fn tick(s: u64) -> Event {
    Event::Tick { passed: Elapsed::from_s(s), in_contact: true }
}

fn silent(s: u64) -> Event {
    Event::Tick { passed: Elapsed::from_s(s), in_contact: false }
}

fn run(machine: &mut Machine, events: &[Event]) -> Vec<Effect> {
    let mut effects = Vec::new();
    for event in events {
        let step = machine.step(event).unwrap();
        *machine = step.machine;
        effects.extend(step.effects);
    }
    effects
}

fn observations(effects: &[Effect]) -> Vec<&'static str> {
    let word = |effect: &Effect| match effect {
        Effect::Report { observation, .. } => Some(observation.word()),
        _ => None,
    };
    effects.iter().filter_map(word).collect()
}

fn taken(trial: Trial) -> Machine {
    let mut machine = Machine::new(Elapsed::from_s(600));
    run(
        &mut machine,
        &[Event::Offered(Box::new(trial)), Event::Fetched, Event::GoGiven, Event::Started { attempt: 1 }],
    );
    machine
}

#[test]
fn a_good_release_is_proven_by_health_over_time_and_said_so() {
    let mut machine = taken(trial(1));
    let effects = run(&mut machine, &[Event::Healthy, tick(2), tick(1), tick(1)]);
    assert_eq!(observations(&effects), ["healthy", "proven"]);
    assert!(effects.contains(&Effect::MarkProven { release: digest(1) }));
    assert_eq!(machine.state.word(), "proven");
    assert_eq!(machine.age, Elapsed::from_s(4));
}

#[test]
fn one_tick_counts_at_most_so_much() {
    let mut machine = taken(Trial { prove_for: Elapsed::from_s(60), ..trial(1) });
    run(&mut machine, &[Event::Healthy, tick(100_000)]);
    assert_eq!(machine.state.word(), "proving");
}

#[test]
fn the_pointer_moves_only_after_the_go_and_after_the_payload_stopped() {
    let mut machine = Machine::new(Elapsed::ZERO);
    let before = run(&mut machine, &[Event::Offered(Box::new(trial(1))), Event::Fetched]);
    assert_eq!(before, [Effect::Fetch, Effect::AskGo]);
    let after = run(&mut machine, &[Event::GoGiven]);
    let point = Effect::PointCurrent { release: digest(1), order: digest(101) };
    assert_eq!(after, [Effect::StopPayload, point, Effect::StartPayload]);
}

#[test]
fn silence_of_the_server_pauses_the_proof() {
    let mut machine = taken(trial(1));
    run(&mut machine, &[Event::Healthy, silent(5), silent(5), tick(3)]);
    assert_eq!(machine.state.word(), "proving");
    run(&mut machine, &[tick(1)]);
    assert_eq!(machine.state.word(), "proven");
}

#[test]
fn a_single_missed_probe_is_forgiven_and_three_in_a_row_are_not() {
    let mut machine = taken(trial(1));
    let miss = || Event::ProbeFailed { detail: String::new() };
    run(&mut machine, &[Event::Healthy, miss(), miss(), Event::Healthy, miss(), miss()]);
    assert_eq!(machine.state.word(), "proving");
    let effects = run(&mut machine, &[miss()]);
    assert_eq!(observations(&effects), ["failed"]);
    assert!(effects.contains(&Effect::PointBack { from: digest(1) }));
    assert_eq!(observations(&run(&mut machine, &[Event::Started { attempt: 0 }, Event::Healthy])), ["returned"]);
}

#[test]
fn a_payload_that_is_never_healthy_is_left_after_its_downtime() {
    let mut machine = taken(trial(1));
    let effects = run(&mut machine, &[tick(1), tick(1), tick(1)]);
    assert_eq!(observations(&effects), ["failed"]);
    assert_eq!(machine.state.word(), "reverting");
}

#[test]
fn a_crash_while_proving_starts_the_proof_over_and_the_guard_ends_it() {
    let mut machine = taken(trial(1));
    let exit = Event::Exited { detail: String::new() };
    run(&mut machine, &[Event::Healthy, tick(3), exit, Event::Started { attempt: 2 }, Event::Healthy, tick(3)]);
    assert_eq!(machine.state.word(), "proving", "three seconds before the crash do not count");
    let effects = run(&mut machine, &[Event::ReturnedByGuard { attempt: 3 }]);
    let failed = Observation::Failed { reason: FailureReason::Crashed, attempt: 3 };
    let detail = "attempts used up".to_owned();
    assert_eq!(effects, [Effect::Report { order: Some(digest(101)), observation: failed, detail }]);
    assert_eq!(observations(&run(&mut machine, &[Event::Exhausted])), ["needs_hands"]);
    assert_eq!(observations(&run(&mut machine, &[Event::Exhausted])), Vec::<&str>::new());
    assert_eq!(observations(&run(&mut machine, &[Event::Healthy])), ["returned"]);
}

#[test]
fn a_proof_with_restarts_makes_them_and_counts_them() {
    let mut machine = taken(Trial { prove_restarts: 2, prove_for: Elapsed::from_s(6), ..trial(1) });
    let mut restarts = 0;
    run(&mut machine, &[Event::Healthy]);
    for _ in 0..12 {
        let effects = run(&mut machine, &[tick(1)]);
        if effects.contains(&Effect::RestartPayload) {
            restarts += 1;
            run(&mut machine, &[tick(1), Event::Started { attempt: 0 }, Event::Healthy]);
        }
    }
    assert_eq!((restarts, machine.state.word()), (2, "proven"));
}

#[test]
fn a_halt_before_the_take_stops_it_and_after_the_take_does_not() {
    let halt = Event::Halted { order: digest(101) };
    let mut machine = Machine::new(Elapsed::ZERO);
    run(&mut machine, &[Event::Offered(Box::new(trial(1))), Event::Fetched]);
    assert_eq!(observations(&run(&mut machine, std::slice::from_ref(&halt))), ["refused"]);
    assert_eq!(machine.state.word(), "idle");
    assert!(machine.step(&Event::GoGiven).is_err(), "a go that comes after the halt does nothing");
    let mut machine = taken(trial(1));
    assert!(run(&mut machine, &[halt]).is_empty());
    assert_eq!(machine.state.word(), "activating");
}

#[test]
fn the_fallback_moves_on_a_fleet_proven_record_for_what_was_proven_here_and_only_then() {
    let record = Event::FleetProven { order: digest(101), release: digest(1) };
    let mut machine = taken(trial(1));
    assert!(run(&mut machine, &[Event::Healthy, record.clone()]).is_empty() || machine.proven.is_none());
    run(&mut machine, &[tick(4)]);
    let other = Event::FleetProven { order: digest(102), release: digest(1) };
    assert!(run(&mut machine, &[other]).is_empty());
    assert_eq!(run(&mut machine, std::slice::from_ref(&record)), [Effect::AdvanceFallback { release: digest(1) }]);
    assert!(run(&mut machine, &[record]).is_empty());
}

#[test]
fn contact_lost_by_a_network_release_returns_once_and_is_its_fault_only_if_the_fallback_has_contact() {
    let network = || Trial { contact_deadline: Some(Elapsed::from_s(8)), ..trial(1) };
    let lose = [Event::Healthy, silent(5), silent(5)];
    let mut machine = taken(network());
    let effects = run(&mut machine, &lose);
    assert_eq!(observations(&effects), ["healthy"], "nobody can hear it; it is said once the fallback has contact");
    assert!(effects.contains(&Effect::PointBack { from: digest(1) }));
    assert_eq!(observations(&run(&mut machine, &[Event::Healthy, silent(5), tick(1)])), ["failed", "returned"]);
    let mut machine = taken(network());
    run(&mut machine, &lose);
    let both = run(&mut machine, &[Event::Healthy, silent(5), silent(5), silent(5), tick(1)]);
    assert_eq!(observations(&both), ["contact_lost_both"]);
    let mut machine = taken(trial(1));
    run(&mut machine, &[Event::Healthy, silent(5), silent(5), silent(5)]);
    assert_eq!(machine.state.word(), "proving", "another release only waits");
}

#[test]
fn a_server_ordered_return_reaches_only_the_order_that_it_names() {
    let mut machine = taken(trial(1));
    assert!(run(&mut machine, &[Event::RevertOrdered { order: digest(102) }]).is_empty());
    run(&mut machine, &[Event::Healthy, tick(4), Event::RevertOrdered { order: digest(101) }]);
    assert_eq!(machine.state.word(), "reverting");
}

#[test]
fn attempts_are_forgotten_only_after_a_full_time_of_good_health() {
    let mut machine = taken(trial(1));
    run(&mut machine, &[Event::Healthy, tick(4), Event::Started { attempt: 1 }, Event::Healthy, tick(3)]);
    run(&mut machine, &[Event::Exited { detail: String::new() }, Event::Started { attempt: 2 }, Event::Healthy]);
    assert!(run(&mut machine, &[tick(3)]).is_empty());
    assert_eq!(run(&mut machine, &[tick(1)]), [Effect::ResetAttempts]);
}

#[test]
fn a_refusal_leaves_what_was_proven_where_it_was() {
    let mut machine = taken(trial(1));
    run(&mut machine, &[Event::Healthy, tick(4), Event::Offered(Box::new(trial(2)))]);
    let refused = Event::Refused { order: digest(102), reason: RefusalReason::DiskFull, detail: String::new() };
    assert_eq!(observations(&run(&mut machine, &[refused])), ["refused"]);
    assert_eq!(machine.state.trial().unwrap().order, digest(101));
}

#[test]
fn a_machine_survives_the_trip_to_disk() {
    for machine in [Machine::new(Elapsed::from_s(1)), taken(trial(1))] {
        let text = serde_json::to_string(&machine).unwrap();
        assert_eq!(serde_json::from_str::<Machine>(&text).unwrap(), machine);
        assert!(serde_json::from_str::<Machine>(&text.replacen('{', "{\"later\":1,", 1)).is_err());
    }
}
