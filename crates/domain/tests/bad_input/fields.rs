//! Every number of a policy and of an envelope, with what is no number, negative or beyond all bounds in its place: refused, by the field.

use serde_json::Value;
use tidegate_domain::envelope::Envelope;
use tidegate_domain::policy::Policy;

/// Sections and fields of a policy that hold a share, a count or a time, as TOML writes them.
const SHARES: [&str; 13] = [
    "window.unproven_share_max",
    "gate.alpha",
    "gate.lab_share",
    "gate.beta",
    "gate.tolerate_hard",
    "gate.tolerate_silent",
    "gate.base_rate",
    "gate.base_rate_silent",
    "holdback.share",
    "rings.share",
    "rings.proven_share_min",
    "rings.clear_hard",
    "rings.clear_silent",
];
const COUNTS: [&str; 7] = [
    "window.initial_all",
    "window.initial_value",
    "window.initial_stratum",
    "window.growth",
    "prove.restarts",
    "gate.proven_min_per_stratum",
    "gate.quarantine_max",
];
const TIMES: [&str; 7] = [
    "prove.for",
    "pace.check_in",
    "pace.take_within",
    "pace.recently_seen",
    "pace.order_life",
    "holdback.for",
    "rings.soak",
];

/// A policy with one field set, each field on a line of its own.
fn policy_with(path: &str, value: &str) -> String {
    let (section, field) = path.split_once('.').unwrap();
    let soak = if path == "rings.soak" { "" } else { "soak = \"1h\"\n" };
    let ring = format!("[[rings]]\nname = \"all\"\n{soak}");
    match section {
        "rings" => format!("name = \"p\"\n{ring}{field} = {value}\n"),
        _ => format!("name = \"p\"\n{ring}[{section}]\n{field} = {value}\n"),
    }
}

/// The paths of all numbers and times in a value, without list indices.
fn numbers(value: &Value, path: &str, found: &mut Vec<String>) {
    let is_time = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                numbers(field, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| numbers(item, path, found)),
        Value::Number(_) => found.push(path.to_owned()),
        Value::String(text) if is_time(text) => found.push(path.to_owned()),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[test]
fn the_tables_name_every_number_of_a_policy() {
    let text =
        "name = \"p\"\n[[rings]]\nname = \"all\"\nsoak = \"1h\"\nproven_share_min = 0.9\n[holdback]\nfor = \"1d\"\n";
    let mut found = Vec::new();
    numbers(&serde_json::to_value(Policy::parse(text).unwrap()).unwrap(), "", &mut found);
    let mut named: Vec<&str> = SHARES.into_iter().chain(COUNTS).chain(TIMES).collect();
    found.sort_unstable();
    named.sort_unstable();
    assert_eq!(found, named, "a field came or went: it belongs into a table here");
}

#[test]
fn every_number_of_a_policy_refuses_what_is_none_and_names_its_field() {
    let no_numbers = ["nan", "+nan", "-nan", "inf", "+inf", "-inf", "-1", "-0.5", "1e400", "\"0.5\"", "true"];
    let of_shares = no_numbers.into_iter().chain(["2.0"]);
    let of_counts = no_numbers.into_iter().chain(["1.5", "4294967296", "9223372036854775807", "-9223372036854775808"]);
    let of_times =
        no_numbers.into_iter().chain(["10", "\"-4s\"", "\"nan\"", "\"inf\"", "\"99999999999999999999d\"", "\"400d\""]);
    let tables: [(&[&str], Vec<&str>); 3] =
        [(&SHARES, of_shares.collect()), (&COUNTS, of_counts.collect()), (&TIMES, of_times.collect())];
    for (paths, values) in tables {
        for path in paths {
            for value in &values {
                let text = policy_with(path, value);
                let Err(error) = Policy::parse(&text) else { panic!("taken:\n{text}") };
                let (error, field) = (error.to_string(), path.rsplit('.').next().unwrap());
                assert!(error.contains(field), "{path} = {value}: {error}");
            }
        }
    }
}

#[test]
fn every_number_of_an_envelope_refuses_what_is_none_and_names_its_field() {
    let mut found = Vec::new();
    let envelope = Envelope::parse("name = \"danger\"").unwrap();
    numbers(&serde_json::to_value(&envelope).unwrap(), "", &mut found);
    assert_eq!(found.len(), 15, "{found:?}");
    for field in found {
        for value in ["nan", "inf", "-inf", "-1", "1e400", "true", "\"-4s\""] {
            let text = format!("name = \"danger\"\n{field} = {value}\n");
            let Err(error) = Envelope::parse(&text) else { panic!("taken:\n{text}") };
            assert!(error.to_string().contains(&field), "{field} = {value}: {error}");
        }
    }
}
