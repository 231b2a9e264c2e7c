//! An incident on its pages: what people and devices say stays text, both kinds of time are told, and a curve stays bounded.

use tidegate_domain::case::{Act, Cause};
use tidegate_domain::ids::OperatorName;

use super::*;

const HOSTILE: &str = "\"><script>alert(1)</script>";

fn at(ms: u64) -> WallTime {
    WallTime::from_ms(ms)
}

fn hit(device: &str, state: &str, well: Option<u64>) -> HitDevice {
    HitDevice {
        device: device.parse().unwrap(),
        customer: Some("acme".parse().unwrap()),
        state: state.to_owned(),
        taken_at_ms: at(1_000),
        well_at_ms: well.map(at),
        words: HOSTILE.to_owned(),
        attributes: vec![("site".to_owned(), HOSTILE.to_owned())],
        instruction: (state == "needs_hands").then(|| format!("Press F8 {HOSTILE}")),
    }
}

fn view() -> IncidentPage {
    let ada: OperatorName = "ada".parse().unwrap();
    let mut case = Case::by_hand(HOSTILE, Some("p".parse().unwrap()), at(1_000), ada.clone(), at(2_000)).unwrap();
    let words = || HOSTILE.to_owned();
    let cause = Cause { mechanism: words(), trigger: words(), not_caught: words(), contained_by: words() };
    for act in [
        Act::Note { at_ms: at(1_500), text: words() },
        Act::Task {
            text: words(),
            owner: None,
            due_ms: Some(at(1)),
            customer: Some("acme".parse().unwrap()),
            device: None,
        },
        Act::Lesson { text: words(), owner: Some(ada.clone()), due_ms: None, blocks: true },
        Act::Contact { customer: "acme".parse().unwrap(), text: words() },
        Act::Explain { cause },
    ] {
        case.apply(act, ada.clone(), at(200_000));
    }
    IncidentPage {
        incident: "inc-p.1".parse().unwrap(),
        case,
        halt: Some(HaltPart {
            rollout: "p.1".parse().unwrap(),
            version: "1".parse().unwrap(),
            parts: vec![words()],
            reasons: vec![words()],
            suspects: vec![words()],
            devices: Restoration {
                exposed: 3,
                harmed: 2,
                healed: 1,
                restored: 1,
                back_without_hands: 1,
                needs_hands: 1,
            },
            well_at_ms: vec![at(3_000)],
        }),
        customers: vec![Customer {
            name: Some("acme".parse().unwrap()),
            exposed: 3,
            restored: 1,
            need_hands: 1,
            waiting: 1,
            contact: Some(words()),
        }],
        devices: vec![hit("a", "needs_hands", None), hit("b", "returned", Some(3_000)), hit("c", "failed", None)],
        events: vec![(at(1_000), words())],
        now_ms: at(300_000),
        operators: vec![words()],
        problem: Some(crate::Written {
            act: "note".to_owned(),
            problem: words(),
            fields: [("text".to_owned(), words())].into(),
        }),
    }
}

#[test]
fn whatever_people_and_devices_say_stays_text_on_every_page_of_an_incident() {
    let (view, ada) = (view(), Viewer { name: HOSTILE });
    let acme = "acme".parse().unwrap();
    let pages = [
        page(&view, ada),
        part(&view, ada),
        customer_page(&view, &acme, ada).unwrap(),
        hands_page(&view, Some(&acme), ada),
        hands_sheet(&view, None),
        crate::incidents::page(
            &[crate::incidents::IncidentRow {
                incident: view.incident.clone(),
                title: HOSTILE.to_owned(),
                stage: Stage::Detected,
                commander: None,
                opened_at_ms: at(0),
                exposed: 1,
                restored: 0,
                need_hands: 1,
            }],
            0,
            view.problem.as_ref(),
            ada,
        ),
    ];
    for shown in pages {
        assert!(!shown.contains("<script>alert"), "{shown}");
        assert!(shown.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{shown}");
    }
}

#[test]
fn a_note_says_when_it_happened_and_how_much_later_it_was_written_down() {
    let shown = page(&view(), Viewer { name: "ada" });
    assert!(shown.contains("1970-01-01 00:00:01 UTC") && shown.contains("(3min18s later)"), "{shown}");
    assert!(shown.contains("(late)"), "a task past its due time");
    assert!(shown.contains("blocks releases"), "{shown}");
}

#[test]
fn hands_are_named_with_their_instruction_and_the_others_are_not() {
    let view = view();
    let shown = hands_sheet(&view, None);
    assert!(shown.contains("Press F8") && shown.matches("article").count() == 2, "{shown}");
    assert!(hands_page(&view, Some(&"blue".parse().unwrap()), Viewer { name: "ada" }).contains("None."));
    assert!(customer_page(&view, &"blue".parse().unwrap(), Viewer { name: "ada" }).is_none());
}

#[test]
fn the_course_of_a_restoration_climbs_to_the_share_that_is_well() {
    let points = well_over_time(&[at(150), at(200)], 4, at(100), at(300));
    assert_eq!(points, [(0.0, 0.0), (0.25, 0.0), (0.25, 0.25), (0.5, 0.25), (0.5, 0.5), (1.0, 0.5)]);
    let many: Vec<WallTime> = (0..10_000).map(at).collect();
    let points = well_over_time(&many, 10_000, at(0), at(10_000));
    assert!(points.len() < 1_000 && points.last() == Some(&(1.0, 1.0)), "bounded: {}", points.len());
    assert_eq!(well_over_time(&[], 0, at(5), at(5)), [(0.0, 0.0), (1.0, 0.0)]);
}
