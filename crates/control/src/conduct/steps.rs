//! What the conduct loop does by itself, now and then: a planning step of every live rollout, and metadata made anew in time.

use std::collections::BTreeMap;

use tidegate_domain::ids::RolloutId;
use tidegate_domain::rollout::fact::Escalation;
use tidegate_domain::time::{Elapsed, WallTime};

use super::fold;
use crate::command::{Command, OnlineSigner, Refusal, plan_step, stage};
use crate::contract::NewEntry;
use crate::presence::Presence;
use crate::state::State;

/// How often metadata are looked at for refreshing.
const REFRESH_EVERY: Elapsed = Elapsed::from_s(60);

/// After so many steps missed in a row, or at its start, a server has been away: devices may have had nobody to talk to.
const STEPS_MISSED_MAX: u64 = 10;

/// Something that people should hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A rollout asks for a person. That it does is recorded.
    Call {
        /// The rollout.
        rollout: RolloutId,
        /// Why.
        why: Escalation,
    },
    /// A rollout takes no step; without a rollout, metadata are not made anew. Said once for each kind of refusal.
    Stuck {
        /// The rollout.
        rollout: Option<RolloutId>,
        /// What is in the way.
        refusal: Refusal,
    },
}

/// When the next steps are due, and what was in the way of the last ones.
#[derive(Debug)]
pub(super) struct Steps {
    every: Elapsed,
    step_at: WallTime,
    refresh_at: WallTime,
    last_at: WallTime,
    serving_since: WallTime,
    in_the_way: BTreeMap<Option<RolloutId>, Refusal>,
}

/// What came of the steps besides entries.
#[derive(Debug, Default)]
pub(super) struct Staged {
    /// To be told once the entries are durable.
    pub(super) calls: Vec<Notice>,
    /// To be told at once.
    pub(super) stuck: Vec<Notice>,
}

impl Steps {
    pub(super) fn new(every: Elapsed) -> Steps {
        Steps {
            every,
            step_at: WallTime::default(),
            refresh_at: WallTime::default(),
            last_at: WallTime::default(),
            serving_since: WallTime::default(),
            in_the_way: BTreeMap::new(),
        }
    }

    /// When the next steps are due.
    pub(super) fn due(&self) -> WallTime {
        self.step_at
    }

    /// Takes the steps that are due: folds them into the state and adds their entries.
    pub(super) fn stage(
        &mut self,
        state: &mut State,
        keys: &dyn OnlineSigner,
        presence: &dyn Presence,
        now: WallTime,
        entries: &mut Vec<NewEntry>,
    ) -> Staged {
        let mut staged = Staged::default();
        if now < self.step_at {
            return staged;
        }
        self.step_at = now.after(self.every);
        if now.since(self.last_at) > self.every.times(STEPS_MISSED_MAX) {
            self.serving_since = now;
        }
        self.last_at = now;
        if now >= self.refresh_at && state.fleet().is_some() {
            self.refresh_at = now.after(REFRESH_EVERY);
            let refreshed =
                stage(state, keys, now, Command::RefreshMetadata).and_then(|made| fold(state, made, entries));
            staged.stuck.extend(self.note(None, refreshed.err()));
        }
        let live = state.rollouts().iter().filter(|(_, course)| course.rollout.needs_steps());
        let live: Vec<RolloutId> = live.map(|(id, _)| id.clone()).collect();
        for rollout in live {
            let stepped = plan_step(state, keys, presence, now, self.serving_since, &rollout)
                .and_then(|planned| fold(state, planned.staged, entries).map(|_| planned.calls));
            let (calls, refusal) = stepped.map_or_else(|refusal| (Vec::new(), Some(refusal)), |calls| (calls, None));
            staged.calls.extend(calls.into_iter().map(|why| Notice::Call { rollout: rollout.clone(), why }));
            staged.stuck.extend(self.note(Some(rollout), refusal));
        }
        staged
    }

    /// Keeps what is in the way, or that nothing is any more; a notice where it is not what was in the way before.
    fn note(&mut self, rollout: Option<RolloutId>, refusal: Option<Refusal>) -> Option<Notice> {
        let Some(refusal) = refusal else {
            self.in_the_way.remove(&rollout);
            return None;
        };
        let before = self.in_the_way.insert(rollout.clone(), refusal.clone());
        before.is_none_or(|before| before.kind != refusal.kind).then_some(Notice::Stuck { rollout, refusal })
    }
}
