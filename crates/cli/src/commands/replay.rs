//! `tidegate simulate --replay`: a recorded history, step by step again, and through other policies.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use tidegate_domain::policy::Policy;
use tidegate_sim::replay::again::{Again, again};
use tidegate_sim::replay::{History, Recorded, Replayed, replay};
use tidegate_sim::report::lasting;

use crate::output::{Answer, facts, table};

/// What is to be replayed.
pub(super) struct Replay<'a> {
    /// The history, as `tidegate store export` writes it.
    pub(super) file: &'a Path,
    /// Which rollout; the last one that was started unless one is named.
    pub(super) rollout: Option<&'a str>,
    /// Policies to put it through; none: only the recorded steps again.
    pub(super) policies: Vec<Policy>,
    /// For devices whose fate is not on record.
    pub(super) seed: u64,
}

/// Replays.
///
/// # Errors
/// When the history cannot be read, holds no such rollout, or its steps come out otherwise.
pub(super) fn run(asked: &Replay<'_>) -> Result<Answer> {
    let name = asked.file.display();
    let file = File::open(asked.file).with_context(|| format!("cannot read the history {name}"))?;
    let history = History::read(BufReader::new(file)).with_context(|| format!("history {name}"))?;
    let again = again(&history).with_context(|| format!("history {name}"))?;
    if asked.policies.is_empty() {
        return the_same(&again);
    }
    let recorded = Recorded::new(&history, asked.rollout).with_context(|| format!("history {name}"))?;
    let mut rows = vec![replay(&recorded, &recorded.policy, asked.seed)];
    rows.extend(asked.policies.iter().map(|policy| replay(&recorded, policy, asked.seed)));
    through(&recorded, &again, &rows)
}

fn the_same(again: &Again) -> Result<Answer> {
    if let Some(first) = again.different.first() {
        bail!(
            "{} of {} steps come out otherwise; the first is entry {} of rollout {}:\n  recorded: {}\n  now:      {}",
            again.steps - again.same,
            again.steps,
            first.entry,
            first.rollout,
            serde_json::to_string(&first.recorded)?,
            serde_json::to_string(&first.now)?
        );
    }
    let mut lines = vec![
        ("entries", again.entries.to_string()),
        ("planner's steps", format!("{}, all decided the same again", again.steps)),
        ("people's steps", again.by_people.to_string()),
    ];
    if again.without_serving_since > 0 {
        lines.push(("taken as served throughout", format!("{} steps of an older server", again.without_serving_since)));
    }
    Answer::new(again, facts(&lines))
}

fn through(recorded: &Recorded, again: &Again, replayed: &[Replayed]) -> Result<Answer> {
    let mut rows =
        table(&["Policy", "Exposed", "Harmed", "By another", "Halted after", "Completed after", "Why, and with what"]);
    let time = |seconds: Option<f64>| seconds.map_or_else(|| "never".to_owned(), lasting);
    let went = &recorded.went;
    rows.add_row([
        "as recorded".to_owned(),
        went.exposed.to_string(),
        went.harmed.to_string(),
        "-".to_owned(),
        time(went.halted_after.map(|after| after.as_ms() as f64 / 1e3)),
        time(went.completed_after.map(|after| after.as_ms() as f64 / 1e3)),
        went.halt_reasons.join("; "),
    ]);
    for one in replayed {
        let mut why: Vec<String> = one.halt_reasons.first().cloned().into_iter().collect();
        if let more @ 1.. = one.halt_reasons.len().saturating_sub(1) {
            why.push(format!("and {more} more reasons"));
        }
        why.extend(one.called.iter().map(|why| format!("a person is called: {why}")));
        why.extend(one.notes.iter().cloned());
        rows.add_row([
            one.policy.clone(),
            one.exposed.to_string(),
            one.harmed.to_string(),
            one.by_another.to_string(),
            time(one.halted_after_s),
            time(one.completed_after_s),
            why.join("; "),
        ]);
    }
    let text = format!(
        "Rollout {} of {} devices, each doing after its go what it did on record.\nBY ANOTHER counts those that never took it then and do as one of \
         their stratum did.\n\n{rows}",
        recorded.rollout,
        recorded.devices()
    );
    let json = json!({
        "rollout": recorded.rollout,
        "devices": recorded.devices(),
        "steps": again.steps,
        "steps_decided_the_same": again.same,
        "recorded": {
            "exposed": went.exposed,
            "harmed": went.harmed,
            "halted_after_s": went.halted_after.map(|after| after.as_ms() as f64 / 1e3),
            "completed_after_s": went.completed_after.map(|after| after.as_ms() as f64 / 1e3),
            "halt_reasons": went.halt_reasons,
        },
        "policies": replayed,
    });
    Answer::new(json, text)
}
