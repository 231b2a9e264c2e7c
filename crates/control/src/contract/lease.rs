//! The lease: at most one writer at a time, told apart by a fence that only rises.
//!
//! Every store keeps one [`LeaseRecord`] and lets it decide, inside the transaction of the write. Safety rests on the
//! fence alone; the times only say how long a writer that fell silent keeps others waiting.

use tidegate_domain::time::{Elapsed, WallTime};

use super::error::StoreError;
use super::record::Fence;

/// Who writes, and how long others wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The fence that its writes present.
    pub fence: Fence,
    /// The holder's name for itself.
    pub holder: String,
    /// From here on another holder may take over.
    pub until: WallTime,
}

/// The answer to a wish for the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseAnswer {
    /// The asker holds it.
    Granted {
        /// To present with every write.
        fence: Fence,
        /// Until when nobody else gets it; renew in good time.
        until: WallTime,
    },
    /// Another holds it.
    HeldBy {
        /// Who.
        holder: String,
        /// Ask again then.
        until: WallTime,
    },
}

/// What a store keeps of the lease: one row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaseRecord {
    /// The highest fence ever given; zero before the first.
    pub fence: Fence,
    /// Who holds it; nobody before the first grant and after a release.
    pub holder: Option<String>,
    /// The holder's time when it last acquired or renewed, or the time of an asker whose clock was behind that.
    pub renewed: WallTime,
    /// From here on another holder may take over.
    pub until: WallTime,
}

impl LeaseRecord {
    /// Gives the lease to `holder` if it is free, expired or its own: a process that was killed and started again need
    /// not wait for itself. Every grant has a new fence. An asker whose clock is behind the last renewal waits one whole
    /// lease by its own clock, so that a clock that was once far ahead cannot block takeovers for long.
    pub fn acquire(&mut self, holder: &str, now: WallTime, ttl: Elapsed) -> LeaseAnswer {
        if let Some(other) = self.holder.as_deref().filter(|other| *other != holder && now < self.until) {
            let answer = |until| LeaseAnswer::HeldBy { holder: other.to_owned(), until };
            if now >= self.renewed {
                return answer(self.until);
            }
            let until = now.after(self.until.since(self.renewed));
            let answer = answer(until);
            (self.renewed, self.until) = (now, until);
            return answer;
        }
        // 2^64 grants do not happen: one a nanosecond takes 584 years.
        self.fence = Fence::from_u64(self.fence.as_u64().saturating_add(1));
        self.holder = Some(holder.to_owned());
        self.extend(now, ttl)
    }

    /// Keeps the lease for another `ttl` from `now`; also after it expired, as long as nobody took it.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when `fence` does not hold the lease.
    pub fn renew(&mut self, fence: Fence, now: WallTime, ttl: Elapsed) -> Result<LeaseAnswer, StoreError> {
        self.admit(fence)?;
        Ok(self.extend(now, ttl))
    }

    /// Frees the lease; again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when `fence` is not the latest.
    pub fn release(&mut self, fence: Fence) -> Result<(), StoreError> {
        if fence != self.fence || fence == Fence::ZERO {
            return Err(self.fenced(fence));
        }
        self.holder = None;
        Ok(())
    }

    /// Whether a write with `fence` may be done.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when it may not.
    pub fn admit(&self, fence: Fence) -> Result<(), StoreError> {
        if fence == self.fence && self.holder.is_some() { Ok(()) } else { Err(self.fenced(fence)) }
    }

    /// Who holds it, expired or not.
    pub fn held(&self) -> Option<Lease> {
        let holder = self.holder.clone()?;
        Some(Lease { fence: self.fence, holder, until: self.until })
    }

    fn extend(&mut self, now: WallTime, ttl: Elapsed) -> LeaseAnswer {
        (self.renewed, self.until) = (now, now.after(ttl));
        LeaseAnswer::Granted { fence: self.fence, until: self.until }
    }

    fn fenced(&self, presented: Fence) -> StoreError {
        StoreError::Fenced { presented, latest: self.fence }
    }
}
