//! The three pointers of a package and how they move. They name slots; whether a slot's files are there is the caller's business.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Which slot runs, which one is returned to, and which one was returned to before that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Pointers {
    /// What runs.
    pub current: Option<Digest>,
    /// What a device returns to. Moves only on a fleet-proven record.
    pub fallback: Option<Digest>,
    /// The fallback before this one.
    pub kept: Option<Digest>,
}

impl Pointers {
    /// The slot behind the one that runs: the fallback; the kept slot where the fallback itself runs; none behind the kept slot.
    pub fn behind(&self) -> Option<Digest> {
        match self.current {
            current if current.is_some() && current == self.fallback => self.kept.filter(|kept| Some(*kept) != current),
            current if current.is_some() && current == self.kept => None,
            _ => self.fallback,
        }
    }

    /// Whether a slot was proven by the whole fleet, as fallback and kept slot were.
    pub fn is_fallback_or_kept(&self, slot: Digest) -> bool {
        self.fallback == Some(slot) || self.kept == Some(slot)
    }

    /// The pointers once `release` is the fallback; unchanged where it is already.
    #[must_use]
    pub fn advanced(self, release: Digest) -> Pointers {
        if self.fallback == Some(release) {
            return self;
        }
        Pointers { current: self.current, fallback: Some(release), kept: self.fallback }
    }

    /// All slots that must not be deleted.
    pub fn named(&self) -> impl Iterator<Item = Digest> {
        [self.current, self.fallback, self.kept].into_iter().flatten()
    }
}
