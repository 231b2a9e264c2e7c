//! The store of simulated servers: the contract's model, and what befalls those who ask it.

use tidegate_control::contract::{Entry, Reply, Request, Seq, StoreError, bounds::READ_ENTRIES_MAX};
use tidegate_control::model_store::ModelStore;

use crate::chance::{Seed, Stream};
use crate::scenario::Servers;

/// A store that several servers share.
pub(super) struct Shared {
    store: ModelStore,
    seed: Seed,
    faults: Servers,
    asked: u64,
    /// While the fleet is founded nothing goes wrong.
    pub(super) calm: bool,
}

/// How a request ended for the server that made it.
pub(super) enum Ended {
    /// With this reply.
    Replied(Result<Reply, StoreError>),
    /// The server died, before the store did it or after.
    Died,
    /// The server stalls for so long before its request gets through, in milliseconds. It is to be put again then.
    Stalled(Request, u64),
}

/// How long a server stalls, in milliseconds: longer than a lease lasts, and not.
const STALLS_MS: (u64, u64) = (2_000, 60_000);

impl Shared {
    pub(super) fn new(store: ModelStore, seed: Seed, faults: Servers) -> Shared {
        Shared { store, seed, faults, asked: 0, calm: true }
    }

    /// Asks as a server.
    pub(super) fn ask(&mut self, server: u32, request: Request) -> Ended {
        if self.calm {
            return self.perform(request);
        }
        self.asked += 1;
        let number = self.asked * 8 + 5;
        if self.seed.share(Stream::Server, server, number) < self.faults.stall {
            return Ended::Stalled(request, self.seed.between(Stream::Server, server, number + 1, STALLS_MS));
        }
        let drawn = |number: u64| self.seed.share(Stream::Server, server, self.asked * 8 + number);
        let (dies, first) = (drawn(0) < self.faults.crash, drawn(1) < 0.5);
        if dies && first {
            return Ended::Died;
        }
        let (lost, stale) = (drawn(2) < self.faults.lost, drawn(3) < self.faults.stale);
        let behind = 1 + (drawn(4) * 20.0) as u64;
        let unavailable = |why: &str| StoreError::Unavailable { retryable: true, why: why.to_owned() };
        if lost && first {
            return Ended::Replied(Err(unavailable("the request was lost")));
        }
        let reads = matches!(request, Request::Read { .. });
        let reply = self.store.perform(request);
        if dies {
            return Ended::Died;
        }
        if lost {
            return Ended::Replied(Err(unavailable("the reply was lost")));
        }
        Ended::Replied(if reads && stale { reply.map(|reply| self.as_it_was(reply, behind)) } else { reply })
    }

    /// Does what a server asked for before it stalled.
    pub(super) fn perform(&mut self, request: Request) -> Ended {
        Ended::Replied(self.store.perform(request))
    }

    /// A read that was answered by a copy which lacks the newest entries.
    fn as_it_was(&self, reply: Reply, behind: u64) -> Reply {
        match reply {
            Reply::Entries(mut entries) => {
                let last = self.last().as_u64().saturating_sub(behind);
                entries.retain(|entry| entry.seq.as_u64() <= last);
                Reply::Entries(entries)
            }
            other => other,
        }
    }

    /// What is recorded after an entry: the truth, without faults.
    pub(super) fn after(&mut self, after: Seq) -> Vec<Entry> {
        let read = self.store.perform(Request::Read { after, limit: READ_ENTRIES_MAX });
        read.and_then(Reply::into_entries).unwrap_or_default()
    }

    /// The last entry.
    pub(super) fn last(&self) -> Seq {
        self.store.last()
    }
}
