//! P1 and P3 where everybody can see them: the demonstration, with its 60 real devices, held against what it promises.

use std::process::Command;

#[test]
fn the_demonstration_harms_no_more_than_its_first_window_and_nobody_needs_hands() {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(["demo", "--json"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("figure: demo {figures}");
    let number =
        |side: &str, name: &str| figures[side][name].as_f64().unwrap_or_else(|| panic!("{side}.{name}: {figures}"));
    assert_eq!(number("tidegate", "devices"), 60.0);
    assert!(number("tidegate", "harmed") >= 1.0, "the fault is real");
    assert!(number("tidegate", "harmed") <= number("tidegate", "first_window"));
    assert_eq!(number("tidegate", "need_hands"), 0.0);
    assert_eq!(number("tidegate", "back_without_hands"), number("tidegate", "harmed"));
    assert!(number("tidegate", "halt_s") > 0.0);
    assert_eq!(number("everyone_at_once", "devices"), 60.0);
    assert_eq!(number("everyone_at_once", "harmed"), 60.0);
    assert_eq!(number("everyone_at_once", "back_without_hands"), 0.0);
    assert_eq!(number("everyone_at_once", "need_hands"), 60.0);
}
