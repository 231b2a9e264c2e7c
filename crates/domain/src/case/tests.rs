//! A case keeps to the order of its stages and of time, whoever acts, and what it holds is bounded.

use super::*;
use crate::ids::{IncidentId, RolloutId};
use crate::incident::Restoration;

const NOW: WallTime = WallTime::from_ms(100_000);

fn who(name: &str) -> OperatorName {
    name.parse().unwrap()
}

fn incident(state: IncidentState) -> Incident {
    let rollout: RolloutId = "p.1".parse().unwrap();
    Incident {
        id: IncidentId::of(&rollout),
        rollout,
        package: "p".parse().unwrap(),
        version: "1".parse().unwrap(),
        parts: Vec::new(),
        opened_at_ms: WallTime::from_ms(50_000),
        reasons: Vec::new(),
        state,
        devices: Restoration::default(),
        well: BTreeMap::new(),
        words: BTreeMap::new(),
    }
}

fn by_hand() -> Case {
    Case::by_hand("logins fail", None, WallTime::from_ms(10_000), who("ada"), NOW).unwrap()
}

/// Does it where it may be done.
fn tries(case: &mut Case, by: &str, act: Act) -> Result<(), &'static str> {
    case.may(&act, &who(by), NOW).map_err(|refusal| refusal.kind())?;
    case.apply(act, who(by), NOW);
    Ok(())
}

fn reach(stage: Stage, at: u64) -> Act {
    Act::Reach { stage, at_ms: WallTime::from_ms(at) }
}

fn commander(name: &str) -> Act {
    Act::Role { role: Role::Commander, operator: Some(who(name)) }
}

fn cause(mechanism: &str) -> Act {
    let words = || "words".to_owned();
    let mechanism = mechanism.to_owned();
    Act::Explain { cause: Cause { mechanism, trigger: words(), not_caught: words(), contained_by: words() } }
}

fn lesson(blocks: bool) -> Act {
    Act::Lesson { text: "count the fields".to_owned(), owner: None, due_ms: None, blocks }
}

fn done(task: u32) -> Act {
    Act::Done { task, words: "done".to_owned() }
}

#[test]
fn stages_follow_each_other_and_the_order_of_time() {
    let mut case = by_hand();
    assert_eq!(tries(&mut case, "ada", reach(Stage::Contained, 20_000)), Err("not_commander"));
    tries(&mut case, "ada", commander("ada")).unwrap();
    assert_eq!(tries(&mut case, "bob", reach(Stage::Contained, 20_000)), Err("not_commander"));
    for (stage, at) in
        [(Stage::Restored, 20_000), (Stage::Detected, 20_000), (Stage::Contained, 9_999), (Stage::Contained, 100_001)]
    {
        assert_eq!(tries(&mut case, "ada", reach(stage, at)), Err("chronology"), "{stage:?} {at}");
    }
    tries(&mut case, "ada", reach(Stage::Contained, 20_000)).unwrap();
    assert_eq!(tries(&mut case, "ada", reach(Stage::Restored, 19_999)), Err("chronology"));
    tries(&mut case, "ada", reach(Stage::Restored, 20_000)).unwrap();
    let recorded: Vec<_> = case.reached.iter().map(|one| (one.at_ms.as_ms(), one.recorded_at_ms)).collect();
    assert_eq!(recorded, [(10_000, NOW), (20_000, NOW), (20_000, NOW)]);
}

#[test]
fn a_case_is_explained_by_a_cause_and_closed_with_its_work_done_and_something_learnt() {
    let mut case = by_hand();
    tries(&mut case, "ada", commander("ada")).unwrap();
    tries(&mut case, "ada", reach(Stage::Contained, 20_000)).unwrap();
    tries(&mut case, "ada", reach(Stage::Restored, 30_000)).unwrap();
    assert_eq!(tries(&mut case, "ada", reach(Stage::Explained, 40_000)), Err("work_left"));
    assert_eq!(tries(&mut case, "ada", cause(" ")), Err("text"));
    tries(&mut case, "ada", cause("21 fields where 20 were passed")).unwrap();
    tries(&mut case, "ada", reach(Stage::Explained, 40_000)).unwrap();
    let task = Act::Task { text: "call them".to_owned(), owner: None, due_ms: None, customer: None, device: None };
    tries(&mut case, "bob", task).unwrap();
    assert_eq!(tries(&mut case, "ada", reach(Stage::Closed, 50_000)), Err("work_left"), "a task is open");
    assert_eq!(tries(&mut case, "bob", done(2)), Err("unknown_task"));
    tries(&mut case, "bob", Act::Assign { task: 1, owner: Some(who("bob")) }).unwrap();
    tries(&mut case, "bob", done(1)).unwrap();
    assert_eq!(tries(&mut case, "bob", done(1)), Err("unknown_task"), "it is done");
    assert_eq!(tries(&mut case, "ada", reach(Stage::Closed, 50_000)), Err("work_left"), "nothing was learnt");
    tries(&mut case, "ada", lesson(true)).unwrap();
    assert_eq!(case.blocking().map(|(number, _)| number).collect::<Vec<_>>(), [2]);
    tries(&mut case, "ada", reach(Stage::Closed, 50_000)).unwrap();
    assert_eq!(tries(&mut case, "ada", lesson(false)), Err("case_closed"));
    let note = Act::Note { at_ms: NOW, text: "seen again".to_owned() };
    tries(&mut case, "cy", note).unwrap();
    assert_eq!(case.blocking().count(), 1, "a lesson outlives the case");
    tries(&mut case, "cy", done(2)).unwrap();
    assert_eq!(case.blocking().count(), 0);
}

#[test]
fn the_case_of_a_halt_is_contained_and_restored_by_itself_and_goes_back_when_more_is_halted() {
    let mut case = Case::of_halt(&incident(IncidentState::Open));
    assert_eq!(case.stage(), Stage::Contained);
    tries(&mut case, "ada", commander("ada")).unwrap();
    assert_eq!(tries(&mut case, "ada", reach(Stage::Restored, 60_000)), Err("chronology"), "devices say that");
    let restored = incident(IncidentState::Restored { at_ms: WallTime::from_ms(70_000) });
    case.follow(&restored);
    case.follow(&restored);
    assert_eq!(case.reached.len(), 3);
    tries(&mut case, "ada", cause("a division by zero")).unwrap();
    assert_eq!(tries(&mut case, "ada", reach(Stage::Explained, 69_999)), Err("chronology"));
    tries(&mut case, "ada", reach(Stage::Explained, 80_000)).unwrap();
    // Whoever reads a log whose old reports are gone hears of the restoration last, or of nobody who was exposed and so of one at once.
    for at_once in [None, Some(50_000)] {
        let mut pruned = Case { reached: Vec::new(), ..case.clone() };
        pruned.reached = case.reached.iter().filter(|one| one.stage != Stage::Restored).cloned().collect();
        if let Some(at) = at_once {
            pruned.follow(&incident(IncidentState::Restored { at_ms: WallTime::from_ms(at) }));
        }
        pruned.follow(&restored);
        assert_eq!(pruned, case);
    }
    case.follow(&incident(IncidentState::Open));
    assert_eq!(case.stage(), Stage::Explained);
    case.reopen();
    assert_eq!(case.stage(), Stage::Contained);
}

#[test]
fn what_has_not_happened_is_not_written_down_and_a_case_is_bounded() {
    let to_come = WallTime::from_ms(100_001);
    assert!(Case::by_hand("x", None, to_come, who("ada"), NOW).is_err());
    assert!(Case::by_hand(" ", None, NOW, who("ada"), NOW).is_err());
    let mut case = by_hand();
    let note = |at_ms, chars| Act::Note { at_ms, text: "x".repeat(chars) };
    assert_eq!(tries(&mut case, "ada", note(to_come, 1)), Err("chronology"));
    assert_eq!(tries(&mut case, "ada", note(NOW, TEXT_CHARS_MAX + 1)), Err("text"));
    for _ in 0..NOTES_MAX {
        tries(&mut case, "ada", note(NOW, 1)).unwrap();
    }
    assert_eq!(tries(&mut case, "ada", note(NOW, 1)), Err("case_full"));
}

#[test]
fn the_first_instruction_that_fits_a_device_counts() {
    let mut case = by_hand();
    for (select, text) in [("os == \"windows\"", "press F8"), ("true", "pull the plug")] {
        let act = Act::Instruct { select: select.parse().unwrap(), text: text.to_owned() };
        tries(&mut case, "ada", act).unwrap();
    }
    let of = |os: &str| {
        let named: BTreeMap<AttributeName, AttributeValue> =
            [("os".parse().unwrap(), os.parse().unwrap()), (CUSTOMER.parse().unwrap(), "acme".parse().unwrap())].into();
        Attributes::try_from(named).unwrap()
    };
    assert_eq!(case.instruction_for(&of("windows")).unwrap().text, "press F8");
    assert_eq!(case.instruction_for(&of("linux")).unwrap().text, "pull the plug");
    assert_eq!(customer_of(&of("linux")).unwrap().as_str(), "acme");
    assert_eq!(customer_of(&Attributes::default()), None);
}
