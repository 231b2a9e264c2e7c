//! Long random schedules of requests, asked of two stores that have to answer alike.
//!
//! A schedule follows from its seed alone. It keeps close to what the stores hold, so that most requests get past the
//! first check and the rest are wrong in one thing only.

use tidegate_domain::time::{Elapsed, WallTime};

use super::trial::{Outcome, Perform, T0_MS, entry, same};
use crate::contract::{Fence, LeaseAnswer, NewEntry, Reply, Request, Seq, Snapshot, StoreEpoch, StoreError, Table};

/// Asks both stores, which have to be new and of one epoch, the same `steps` requests that follow from `seed`, and
/// compares every answer. Use the model as one of them.
///
/// # Errors
/// Where `store` departs from `model`; the step names the seed.
pub fn compare(seed: u64, steps: u32, model: &mut Perform<'_>, store: &mut Perform<'_>) -> Outcome {
    let mut schedule = Schedule { chance: seed, now_ms: T0_MS, last: 0, fences: vec![Fence::ZERO] };
    for step in 0..steps {
        let request = schedule.next_request();
        let due = model(request.clone());
        let got = store(request.clone());
        same(&format!("seed {seed}, step {step}, {}", name(&request)), &got, &due)?;
        schedule.learn(&due);
    }
    for request in [Request::Head, Request::LoadSnapshot] {
        same(&format!("seed {seed}, at the end, {}", name(&request)), &store(request.clone()), &model(request))?;
    }
    let mut after = 0;
    while after < schedule.last {
        let request = Request::Read { after: Seq::from_u64(after), limit: 1_000 };
        let due = model(request.clone());
        same(&format!("seed {seed}, at the end, a read after {after}"), &store(request), &due)?;
        after += 1_000;
    }
    Ok(())
}

struct Schedule {
    chance: u64,
    now_ms: u64,
    last: u64,
    fences: Vec<Fence>,
}

impl Schedule {
    fn next_request(&mut self) -> Request {
        self.now_ms = if self.one_in(12) { self.now_ms - self.below(30_000) } else { self.now_ms + self.below(2_000) };
        let now = WallTime::from_ms(self.now_ms);
        let ttl = Elapsed::from_ms(1 + self.below(6_000));
        match self.below(20) {
            0..=2 => Request::Acquire { holder: format!("holder-{}", self.below(3)), now, ttl },
            3 => Request::Renew { fence: self.fence(), now, ttl },
            4 if self.one_in(3) => Request::Release { fence: self.fence() },
            5 => Request::Head,
            6 => Request::LoadSnapshot,
            7 => Request::SaveSnapshot { fence: self.fence(), snapshot: self.snapshot() },
            8 => Request::Read { after: Seq::from_u64(self.below(self.last + 3)), limit: self.below(40) as u32 },
            10 if self.one_in(3) => Request::Prune { fence: self.fence(), reports: self.numbers() },
            11 if self.one_in(3) => {
                let key = |n: u64| format!("device-{}/{}", n % 50, n % 400);
                let keys = (0..self.below(12) + 1).map(|_| key(self.next())).collect();
                let table = if self.one_in(2) { Table::Decisions } else { Table::Reports };
                Request::Find { table, keys }
            }
            9 if self.one_in(3) => {
                let epoch = StoreEpoch::from_bytes(u128::from(self.next()).to_be_bytes());
                Request::NewEpoch { fence: self.fence(), epoch }
            }
            _ => Request::Append { fence: self.fence(), expected: self.expected(), entries: self.entries() },
        }
    }

    fn learn(&mut self, reply: &Result<Reply, StoreError>) {
        match reply {
            Ok(Reply::Lease(LeaseAnswer::Granted { fence, .. })) if !self.fences.contains(fence) => {
                self.fences.push(*fence);
            }
            Ok(Reply::Appended { last, .. }) => self.last = last.as_u64(),
            _ => {}
        }
    }

    /// Mostly the latest, sometimes one that is spent or was never given.
    fn fence(&mut self) -> Fence {
        let back = if self.one_in(8) { self.below(3) as usize } else { 0 };
        let known = self.fences.iter().rev().nth(back).copied().unwrap_or_default();
        if self.one_in(40) { Fence::from_u64(known.as_u64() + 1) } else { known }
    }

    fn expected(&mut self) -> Seq {
        let off = if self.one_in(10) { self.below(4) } else { 1 };
        Seq::from_u64((self.last + off).saturating_sub(1))
    }

    fn snapshot(&mut self) -> Snapshot {
        let seq = Seq::from_u64(self.below(self.last + 2));
        let bytes = (0..self.below(64)).map(|_| self.next() as u8).collect();
        Snapshot { seq, format: self.below(3) as u32, bytes }
    }

    /// Mostly few enough that all of them can be reports.
    fn numbers(&mut self) -> Vec<Seq> {
        (0..self.below(3)).map(|_| Seq::from_u64(1 + self.below(self.last + 1))).collect()
    }

    fn entries(&mut self) -> Vec<NewEntry> {
        let count = if self.one_in(30) { 0 } else { 1 + self.below(12) };
        (0..count).map(|_| self.entry()).collect()
    }

    fn entry(&mut self) -> NewEntry {
        let table = if self.one_in(3) { Table::Decisions } else { Table::Reports };
        let subject = format!("device-{}", self.below(50));
        // Few enough keys that some are met again, many enough that most appends pass.
        let key = self.one_in(2).then(|| format!("{subject}/{}", self.below(400)));
        let body = format!("{{\"n\" : [{}, \"\\u{:04x}\u{2028}é\"]}}", self.next(), self.below(0x1_0000));
        let body = if self.one_in(200) { "{".to_owned() } else { body };
        let row = entry(table, "report", &subject, key.as_deref(), &body);
        NewEntry { at: WallTime::from_ms(self.now_ms), ..row }
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// `SplitMix64` (Steele, Lea, Flood 2014): a counter and a mixing function, the same on every machine.
    fn next(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

fn name(request: &Request) -> String {
    let text = format!("{request:?}");
    text.chars().take(200).collect()
}
