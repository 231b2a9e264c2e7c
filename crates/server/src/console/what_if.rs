//! How a rollout would have gone under other policies, by its own reports: the log is read, and the simulator replays it.

use std::io::BufReader;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Html;
use tidegate_console::what_if::{self as page, WhatIf, Would};
use tidegate_control::contract::{Request, Seq, bounds::READ_ENTRIES_MAX};
use tidegate_control::history::line_of;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::RolloutId;
use tidegate_domain::policy::Policy;
use tidegate_sim::catalogue;
use tidegate_sim::replay::{History, Recorded, replay};

use super::signing_in::SignedIn;
use super::sorry::Sorry;
use crate::app::App;

/// The longest log that is replayed here, in entries; longer ones are for the command line.
const ENTRIES_MAX: u64 = 200_000;
/// The most policies that are tried.
const POLICIES_MAX: usize = 8;
const SEED: u64 = 1;

/// The page: what came of it, or that it is being worked out.
pub(super) async fn what_if(
    State(app): State<Arc<App>>,
    who: SignedIn,
    Path(rollout): Path<String>,
) -> Result<Html<String>, Sorry> {
    let id: RolloutId = rollout.parse().map_err(|_| Sorry::Unknown("rollout"))?;
    let (last, policies) = {
        let state = super::state(&app)?;
        if !state.rollouts().contains_key(&id) {
            return Err(Sorry::Unknown("rollout"));
        }
        let mut applied: Vec<_> = state.policies().values().collect();
        applied.sort_by_key(|one| std::cmp::Reverse(one.applied_at_ms));
        let shipped = ["default", "expedited"].into_iter().filter_map(|name| catalogue::policy(name)?.ok());
        let mut policies: Vec<Policy> = applied.into_iter().map(|one| one.policy.clone()).chain(shipped).collect();
        let mut seen = Vec::new();
        policies.retain(|policy| {
            let is_new = !seen.contains(&policy.name);
            seen.push(policy.name.clone());
            is_new
        });
        policies.truncate(POLICIES_MAX);
        (state.last(), policies)
    };
    let key = Digest::of(format!("{id} {}", last.as_u64() / 1_000).as_bytes());
    let (of, name) = (app.clone(), id.clone());
    let runtime = tokio::runtime::Handle::current();
    let made = app.shops.what_ifs.ask(&who.name, key, move || {
        if last.as_u64() > ENTRIES_MAX {
            return Err(format!("The log has {} entries: more than are replayed here.", last.as_u64()));
        }
        runtime.block_on(history(&of, last)).and_then(|history| replayed(&history, &name, &policies))
    });
    let made = made.await;
    Ok(Html(page::page(&id, made.as_deref(), who.viewer())))
}

async fn history(app: &App, last: Seq) -> Result<History, String> {
    let (mut text, mut after) = (Vec::new(), Seq::ZERO);
    while after < last {
        let read =
            app.log.perform(Request::Read { after, limit: READ_ENTRIES_MAX }).await.map_err(|e| e.to_string())?;
        let entries = read.into_entries().map_err(|e| e.to_string())?;
        let Some(end) = entries.last().map(|entry| entry.seq) else { break };
        for entry in entries.iter().filter(|entry| entry.seq <= last) {
            text.extend(line_of(entry).map_err(|e| e.to_string())?.bytes());
            text.push(b'\n');
        }
        after = end;
    }
    History::read(BufReader::new(text.as_slice())).map_err(|e| e.to_string())
}

fn replayed(history: &History, rollout: &RolloutId, policies: &[Policy]) -> Result<WhatIf, String> {
    let recorded = Recorded::new(history, Some(rollout.as_str())).map_err(|e| e.to_string())?;
    let went = &recorded.went;
    let would = policies.iter().map(|policy| {
        let replayed = replay(&recorded, policy, SEED);
        Would {
            policy: replayed.policy,
            exposed: replayed.exposed,
            harmed: replayed.harmed,
            by_another: replayed.by_another,
            halted_after_s: replayed.halted_after_s,
            completed_after_s: replayed.completed_after_s,
            reasons: replayed.halt_reasons,
            notes: replayed.notes,
        }
    });
    Ok(WhatIf {
        policy: recorded.policy.name.to_string(),
        exposed: went.exposed,
        harmed: went.harmed,
        halted_after_s: went.halted_after.map(|after| after.as_ms() as f64 / 1_000.0),
        completed_after_s: went.completed_after.map(|after| after.as_ms() as f64 / 1_000.0),
        would: would.collect(),
    })
}
