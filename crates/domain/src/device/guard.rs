//! What the guard decides before each start of a payload: start it, return to the slot behind it, or start nothing.
//!
//! Every start of an unproven release is an attempt, the first included; after it is proven, a start whose predecessor did not
//! end in order is one. No network, no server, no clock: the pointers and the attempts are all it looks at.

use serde::{Deserialize, Serialize};

use super::Pointers;
use crate::digest::Digest;

/// How often a release is started before its device returns.
pub const ATTEMPTS_MAX: u32 = 3;

/// What is remembered between starts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempts {
    /// The slot that they are about.
    pub slot: Digest,
    /// The order that it is tried under; none for a slot that was returned to or came with the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Digest>,
    /// How many there were.
    pub count: u32,
    /// Whether the slot was proven on this device.
    pub proven: bool,
    /// Whether the last run ended because it was told to.
    pub ended_in_order: bool,
    /// The next start belongs to the proof and is no attempt.
    #[serde(default)]
    pub planned: bool,
    /// Every start adds one, so that a watcher sees that there was one.
    pub starts: u64,
    /// The last return, until another release is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<Returned>,
}

/// A return by the guard.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Returned {
    /// The slot that was left.
    pub from: Digest,
    /// The order that it was tried under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Digest>,
    /// How many attempts it had.
    pub attempts: u32,
}

/// All that the guard looks at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GuardFacts {
    /// The pointers.
    pub pointers: Pointers,
    /// What was written at the start before; none at the first.
    pub attempts: Option<Attempts>,
}

/// What the guard does. `attempts` is to be on disk before the payload is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardDecision {
    /// Start this slot.
    Start {
        /// The slot.
        slot: Digest,
        /// Which attempt it is; 0 where the start is none. Above [`ATTEMPTS_MAX`]: nothing is left to return to, and a proven
        /// slot is better than none.
        attempt: u32,
        /// What to write first.
        attempts: Attempts,
    },
    /// Point `current` at this slot, write the attempts, and decide again.
    ReturnTo {
        /// The slot.
        slot: Digest,
        /// What to write after the pointer.
        attempts: Attempts,
    },
    /// There is nothing that may be started.
    NothingToStart,
}

/// Decides.
pub fn decide(facts: &GuardFacts) -> GuardDecision {
    let Some(slot) = facts.pointers.current else {
        return match facts.pointers.fallback {
            Some(fallback) => GuardDecision::ReturnTo { slot: fallback, attempts: facts.fresh(fallback) },
            None => GuardDecision::NothingToStart,
        };
    };
    let held = match &facts.attempts {
        Some(attempts) if attempts.slot == slot => attempts.clone(),
        _ => facts.fresh(slot),
    };
    let proven = held.proven || facts.pointers.is_fallback_or_kept(slot);
    let counts = !(held.planned || proven && held.ended_in_order);
    let attempt = if counts { held.count.saturating_add(1) } else { 0 };
    if attempt > ATTEMPTS_MAX {
        match facts.pointers.behind() {
            Some(behind) => return GuardDecision::ReturnTo { slot: behind, attempts: facts.fresh(behind) },
            None if !proven => return GuardDecision::NothingToStart,
            None => {}
        }
    }
    let count = if counts { attempt } else { held.count };
    let starts = held.starts.saturating_add(1);
    let attempts = Attempts { count, proven, ended_in_order: false, planned: false, starts, ..held };
    GuardDecision::Start { slot, attempt, attempts }
}

impl GuardFacts {
    /// The attempts of a slot that was not started since it became current. Remembers a return that led here.
    fn fresh(&self, slot: Digest) -> Attempts {
        let before = self.attempts.as_ref();
        let left = before.filter(|a| a.slot != slot && a.count > 0);
        let returned = left.map(|a| Returned { from: a.slot, order: a.order, attempts: a.count });
        Attempts {
            slot,
            order: None,
            count: 0,
            proven: self.pointers.is_fallback_or_kept(slot),
            ended_in_order: true,
            planned: false,
            starts: before.map_or(0, |a| a.starts),
            returned: returned.or_else(|| before.and_then(|a| a.returned.clone())),
        }
    }
}

impl Attempts {
    /// What is written when a device takes a release: a new slot, no attempt yet.
    pub fn of_taken(release: Digest, order: Digest, starts: u64) -> Attempts {
        Attempts {
            slot: release,
            order: Some(order),
            count: 0,
            proven: false,
            ended_in_order: true,
            planned: false,
            starts,
            returned: None,
        }
    }

    /// The slot was proven: the attempts that it took are forgotten. Where that is known already, nothing is: whoever says it again
    /// after each restart must not forget the attempts that have come since.
    pub fn mark_proven(&mut self) {
        if !self.proven {
            (self.proven, self.count) = (true, 0);
        }
    }

    /// Whether the guard has left `release`, tried under `order`, given what `current` is now.
    ///
    /// A count of 0 with another `current` means that the release was never started: the take was cut short before the pointer moved.
    pub fn has_left(&self, release: Digest, order: Digest, current: Option<Digest>) -> bool {
        if current == Some(release) {
            return false;
        }
        let by_record = self.returned.as_ref().is_some_and(|r| r.from == release && r.order == Some(order));
        by_record || (self.slot == release && self.order == Some(order) && self.count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(n: u8) -> Digest {
        Digest::of(&[n])
    }

    fn facts(current: u8, fallback: Option<u8>, kept: Option<u8>) -> GuardFacts {
        let pointers = Pointers { current: Some(slot(current)), fallback: fallback.map(slot), kept: kept.map(slot) };
        GuardFacts { pointers, attempts: None }
    }

    /// Starts again and again, as the guard does, until it starts a slot or has none.
    fn start(facts: &mut GuardFacts) -> Option<(Digest, u32)> {
        loop {
            match decide(facts) {
                GuardDecision::Start { slot, attempt, attempts } => {
                    facts.attempts = Some(attempts);
                    return Some((slot, attempt));
                }
                GuardDecision::ReturnTo { slot, attempts } => {
                    facts.pointers.current = Some(slot);
                    facts.attempts = Some(attempts);
                }
                GuardDecision::NothingToStart => return None,
            }
        }
    }

    #[test]
    fn an_unproven_release_gets_three_starts_and_no_fourth() {
        let mut facts = facts(2, Some(1), None);
        facts.attempts = Some(Attempts::of_taken(slot(2), slot(9), 5));
        let starts: Vec<_> = (0..4).filter_map(|_| start(&mut facts)).collect();
        assert_eq!(starts, [(slot(2), 1), (slot(2), 2), (slot(2), 3), (slot(1), 0)]);
        let attempts = facts.attempts.unwrap();
        assert!(attempts.has_left(slot(2), slot(9), facts.pointers.current));
        assert_eq!(attempts.starts, 9);
    }

    #[test]
    fn an_orderly_end_does_not_save_an_unproven_release_from_counting() {
        let mut facts = facts(2, Some(1), None);
        for _ in 0..3 {
            assert_eq!(start(&mut facts).unwrap().0, slot(2));
            facts.attempts.as_mut().unwrap().ended_in_order = true;
        }
        assert_eq!(start(&mut facts).unwrap().0, slot(1));
    }

    #[test]
    fn a_proven_release_counts_only_starts_after_a_disorderly_end() {
        let mut facts = facts(2, Some(1), None);
        start(&mut facts);
        let attempts = facts.attempts.as_mut().unwrap();
        (attempts.proven, attempts.count, attempts.ended_in_order) = (true, 0, true);
        for _ in 0..10 {
            assert_eq!(start(&mut facts), Some((slot(2), 0)));
            facts.attempts.as_mut().unwrap().ended_in_order = true;
        }
        facts.attempts.as_mut().unwrap().ended_in_order = false;
        let starts: Vec<_> = (0..4).filter_map(|_| start(&mut facts)).collect();
        assert_eq!(starts, [(slot(2), 1), (slot(2), 2), (slot(2), 3), (slot(1), 0)]);
    }

    #[test]
    fn a_proven_release_that_is_called_proven_after_every_start_still_counts() {
        let mut facts = facts(2, Some(1), None);
        start(&mut facts);
        facts.attempts.as_mut().unwrap().mark_proven();
        let mut started_and_marked = || {
            let started = start(&mut facts);
            facts.attempts.as_mut().unwrap().mark_proven();
            started
        };
        let starts: Vec<_> = (0..4).filter_map(|_| started_and_marked()).collect();
        assert_eq!(starts, [(slot(2), 1), (slot(2), 2), (slot(2), 3), (slot(1), 0)]);
    }

    #[test]
    fn a_fallback_that_fails_returns_to_the_kept_slot_and_that_one_is_never_given_up() {
        let mut facts = facts(1, Some(1), Some(7));
        let starts: Vec<_> = (0..12).filter_map(|_| start(&mut facts)).collect();
        assert_eq!(starts[..4], [(slot(1), 0), (slot(1), 1), (slot(1), 2), (slot(1), 3)]);
        assert_eq!(starts[4..9], [(slot(7), 0), (slot(7), 1), (slot(7), 2), (slot(7), 3), (slot(7), 4)]);
        assert!(starts[9].1 > ATTEMPTS_MAX);
    }

    #[test]
    fn a_first_release_that_fails_is_not_started_again_where_there_is_nothing_to_return_to() {
        let mut facts = facts(2, None, None);
        let starts: Vec<_> = (0..3).filter_map(|_| start(&mut facts)).collect();
        assert_eq!(starts.len(), 3);
        assert_eq!(start(&mut facts), None);
    }

    #[test]
    fn a_planned_restart_is_no_attempt() {
        let mut facts = facts(2, Some(1), None);
        assert_eq!(start(&mut facts), Some((slot(2), 1)));
        for _ in 0..20 {
            facts.attempts.as_mut().unwrap().planned = true;
            assert_eq!(start(&mut facts), Some((slot(2), 0)));
        }
        assert_eq!(start(&mut facts), Some((slot(2), 2)));
    }

    #[test]
    fn a_take_that_was_cut_short_before_the_pointer_moved_is_no_return() {
        let taken = Attempts::of_taken(slot(2), slot(9), 0);
        assert!(!taken.has_left(slot(2), slot(9), Some(slot(1))));
        let tried = Attempts { count: 3, ..taken };
        assert!(tried.has_left(slot(2), slot(9), Some(slot(1))), "pointer moved, attempts not yet written");
        assert!(!tried.has_left(slot(2), slot(8), Some(slot(1))), "another order");
    }

    #[test]
    fn a_lost_current_pointer_starts_the_fallback() {
        let mut facts =
            GuardFacts { pointers: Pointers { fallback: Some(slot(1)), ..Pointers::default() }, attempts: None };
        assert_eq!(start(&mut facts), Some((slot(1), 0)));
        assert_eq!(decide(&GuardFacts::default()), GuardDecision::NothingToStart);
    }
}
