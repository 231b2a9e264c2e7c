//! A store on trial: asks it as a writer would and says where its answer departs from what is due.

use std::fmt::Debug;

use tidegate_domain::time::{Elapsed, WallTime};

use crate::contract::{Entry, Fence, Head, LeaseAnswer, NewEntry, Reply, Request, Seq, Snapshot, StoreError, Table};

/// A store as the suite sees it: one request in, one answer out.
pub type Perform<'a> = dyn FnMut(Request) -> Result<Reply, StoreError> + 'a;

/// Where a store did something else than the contract says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step}: got {got}, due was {due}")]
pub struct Departure {
    /// What was asked.
    pub step: String,
    /// What the store answered.
    pub got: String,
    /// What the contract says.
    pub due: String,
}

/// What a case comes to.
pub type Outcome = Result<(), Departure>;

/// Puts one promise to the test.
pub(super) type Promise = fn(&mut Trial<'_, '_>) -> Outcome;

/// The time at which cases begin.
pub(super) const T0_MS: u64 = 1_700_000_000_000;
/// The lease that cases ask for.
pub(super) const TTL_MS: u64 = 10_000;

pub(super) struct Trial<'p, 's> {
    perform: &'p mut Perform<'s>,
}

impl<'p, 's> Trial<'p, 's> {
    pub(super) fn of(perform: &'p mut Perform<'s>) -> Trial<'p, 's> {
        Trial { perform }
    }

    pub(super) fn ask(&mut self, request: Request) -> Result<Reply, StoreError> {
        (self.perform)(request)
    }

    /// A request that has to be refused just so, and change nothing that the head shows.
    pub(super) fn refuses(&mut self, step: &str, request: Request, due: &StoreError) -> Outcome {
        let before = self.head(step)?;
        same(step, &self.ask(request), &Err(due.clone()))?;
        same(&format!("{step}, the head afterwards"), &self.head(step)?, &before)
    }

    pub(super) fn acquire(&mut self, holder: &str, at_ms: u64) -> Result<LeaseAnswer, Departure> {
        let reply = self.ask(acquire(holder, at_ms));
        answered(&format!("{holder} asks for the lease at +{at_ms} ms"), reply.and_then(Reply::into_lease))
    }

    pub(super) fn granted(&mut self, holder: &str, at_ms: u64) -> Result<Fence, Departure> {
        match self.acquire(holder, at_ms)? {
            LeaseAnswer::Granted { fence, until } => {
                same("until", &until, &at(at_ms + TTL_MS))?;
                Ok(fence)
            }
            other => Err(departure(&format!("{holder} asks for the lease at +{at_ms} ms"), &other, "a grant")),
        }
    }

    pub(super) fn renew(&mut self, fence: Fence, at_ms: u64) -> Result<LeaseAnswer, StoreError> {
        self.ask(renew(fence, at_ms)).and_then(Reply::into_lease)
    }

    /// Appends and sees to the numbers.
    pub(super) fn append(&mut self, fence: Fence, expected: u64, entries: &[NewEntry]) -> Outcome {
        let due = (Seq::from_u64(expected + 1), Seq::from_u64(expected + entries.len() as u64));
        let reply = self.ask(append(fence, expected, entries)).and_then(Reply::into_appended);
        same(&format!("an append of {} after {expected}", entries.len()), &answered("append", reply)?, &due)
    }

    pub(super) fn read(&mut self, after: u64, limit: u32) -> Result<Vec<Entry>, Departure> {
        let reply = self.ask(Request::Read { after: Seq::from_u64(after), limit });
        answered(&format!("a read of {limit} after {after}"), reply.and_then(Reply::into_entries))
    }

    pub(super) fn find(&mut self, table: Table, keys: &[&str]) -> Result<Vec<Entry>, Departure> {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        answered("finding by keys", self.ask(Request::Find { table, keys }).and_then(Reply::into_entries))
    }

    /// The whole log is exactly this.
    pub(super) fn holds(&mut self, contents: &[NewEntry]) -> Outcome {
        let numbered = contents.iter().cloned().zip(1..);
        let due: Vec<Entry> = numbered.map(|(content, n)| Entry { seq: Seq::from_u64(n), content }).collect();
        same("the last number", &self.head("the head")?.last, &Seq::from_u64(due.len() as u64))?;
        same("the whole log", &self.read(0, 10_000)?, &due)
    }

    pub(super) fn head(&mut self, step: &str) -> Result<Head, Departure> {
        let reply = self.ask(Request::Head).and_then(Reply::into_head);
        answered(&format!("{step}, the head"), reply)
    }

    pub(super) fn snapshot(&mut self) -> Result<Option<Snapshot>, Departure> {
        answered("the snapshot", self.ask(Request::LoadSnapshot).and_then(Reply::into_snapshot))
    }

    pub(super) fn done(&mut self, step: &str, request: Request) -> Outcome {
        same(step, &self.ask(request), &Ok(Reply::Done))
    }
}

pub(super) fn acquire(holder: &str, at_ms: u64) -> Request {
    Request::Acquire { holder: holder.to_owned(), now: at(at_ms), ttl: Elapsed::from_ms(TTL_MS) }
}

pub(super) fn renew(fence: Fence, at_ms: u64) -> Request {
    Request::Renew { fence, now: at(at_ms), ttl: Elapsed::from_ms(TTL_MS) }
}

pub(super) fn append(fence: Fence, expected: u64, entries: &[NewEntry]) -> Request {
    Request::Append { fence, expected: Seq::from_u64(expected), entries: entries.to_vec() }
}

/// An instant this long after the beginning.
pub(super) fn at(ms: u64) -> WallTime {
    WallTime::from_ms(T0_MS + ms)
}

pub(super) fn decision(subject: &str, unique_key: Option<&str>) -> NewEntry {
    entry(Table::Decisions, "order", subject, unique_key, r#"{"step":1}"#)
}

pub(super) fn report(subject: &str, unique_key: Option<&str>) -> NewEntry {
    entry(Table::Reports, "report", subject, unique_key, r#"{"state":"proven"}"#)
}

pub(super) fn entry(table: Table, kind: &str, subject: &str, unique_key: Option<&str>, body: &str) -> NewEntry {
    let unique_key = unique_key.map(str::to_owned);
    let body = body.as_bytes().to_vec();
    NewEntry { table, kind: kind.to_owned(), subject: subject.to_owned(), unique_key, at: at(0), body }
}

pub(super) fn fenced(presented: Fence, latest: Fence) -> StoreError {
    StoreError::Fenced { presented, latest }
}

pub(super) fn same<T: PartialEq + Debug>(step: &str, got: &T, due: &T) -> Outcome {
    if got == due { Ok(()) } else { Err(departure(step, got, &cut(due))) }
}

pub(super) fn answered<T>(step: &str, reply: Result<T, StoreError>) -> Result<T, Departure> {
    reply.map_err(|error| departure(step, &error, "an answer"))
}

pub(super) fn departure(step: &str, got: &impl Debug, due: &str) -> Departure {
    Departure { step: step.to_owned(), got: cut(got), due: due.to_owned() }
}

/// Bodies can be megabytes; what a person reads of them need not.
fn cut(value: &impl Debug) -> String {
    format!("{value:?}").chars().take(2_000).collect()
}
