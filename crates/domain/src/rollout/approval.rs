//! What people let open of a ring, where its policy asks them.

use serde::{Deserialize, Serialize};

use super::fact::Escalation;
use super::{Phase, Rollout};
use crate::time::WallTime;

/// What a person let open of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Given {
    /// The most places.
    pub(crate) places: u32,
    /// When the ring must have been reached.
    pub(crate) until: Option<WallTime>,
    /// The last addendum at the time: who came by a later one was not among those places.
    pub(crate) addenda: u32,
}

impl Rollout {
    /// Whether this ring may open as far as people are asked: its policy asks nobody, or somebody let all of its places open, and the ring is
    /// reached or the approval still holds.
    pub fn is_approved(&self, ring: u8, now: WallTime) -> bool {
        let places = self.rings.get(usize::from(ring)).map_or(0, |tally| tally.places);
        self.given(ring, now).is_some_and(|given| given.places >= places)
    }

    /// What people let open of a ring: all where its policy asks nobody, none where somebody has still to be asked.
    pub(crate) fn given(&self, ring: u8, now: WallTime) -> Option<Given> {
        let asks = self.policy.rings.get(usize::from(ring)).is_some_and(|rule| rule.approve.is_some());
        if !asks {
            return Some(Given { places: u32::MAX, until: None, addenda: u32::MAX });
        }
        let holds = |given: &&Given| ring <= self.ring || given.until.is_none_or(|until| now < until);
        self.approved.get(&ring).filter(holds).copied()
    }

    /// Why a person was called last, until somebody has looked.
    pub fn calls_for(&self) -> Option<Escalation> {
        self.escalated.filter(|_| self.phase == Phase::Running)
    }
}
