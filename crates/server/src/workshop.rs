//! What takes longer than a page may: worked out apart, one thing at a time, and kept for a while. A page asks, waits a moment, and looks
//! again if it is not there yet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_console::policies::{HeldAgainst, Preview};
use tidegate_console::what_if::WhatIf;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::OperatorName;
use tokio::sync::{Semaphore, watch};

/// How long a page waits.
const PATIENCE: Duration = Duration::from_millis(60);
/// How much waits for its turn, in all and of one operator. Whoever asks for more asks again later.
const WAITING_MAX: usize = 16;
const WAITING_OF_ONE_MAX: usize = 2;
/// How much is kept, and for how long.
const KEPT_MAX: usize = 64;
const KEPT_FOR: Duration = Duration::from_secs(120);

/// What the console's pages have worked out.
#[derive(Debug, Default)]
pub(crate) struct Shops {
    /// What policies would do on this fleet.
    pub(crate) held: Workshop<Option<HeldAgainst>>,
    /// What simulated fleets made of a policy, with its text.
    pub(crate) previews: Workshop<(String, Preview)>,
    /// How rollouts would have gone under other policies.
    pub(crate) what_ifs: Workshop<Result<WhatIf, String>>,
}

/// A place where one thing is worked out at a time.
#[derive(Debug)]
pub(crate) struct Workshop<T> {
    held: Mutex<BTreeMap<Digest, Piece<T>>>,
    bench: Arc<Semaphore>,
}

#[derive(Debug)]
struct Piece<T> {
    who: OperatorName,
    begun: Instant,
    done: watch::Receiver<Option<Arc<T>>>,
}

impl<T> Default for Workshop<T> {
    fn default() -> Workshop<T> {
        Workshop { held: Mutex::default(), bench: Arc::new(Semaphore::new(1)) }
    }
}

impl<T: Send + Sync + 'static> Workshop<T> {
    /// What comes of this, if it is there within a moment; begins the work where nobody has, and not too much waits. `key` names it.
    pub(crate) async fn ask(
        &self,
        who: &OperatorName,
        key: Digest,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<Arc<T>> {
        let known =
            self.held().get(&key).filter(|piece| piece.begun.elapsed() < KEPT_FOR).map(|piece| piece.done.clone());
        let mut done = match known {
            Some(done) => done,
            None => self.begin(who, key, work)?,
        };
        let done = tokio::time::timeout(PATIENCE, done.wait_for(Option::is_some)).await;
        done.ok()?.ok()?.clone()
    }

    /// What comes of something that was begun, if it is there within a moment; none where nothing of that name was begun lately.
    pub(crate) async fn look(&self, key: &Digest) -> Option<Option<Arc<T>>> {
        let mut done = self.held().get(key).map(|piece| piece.done.clone())?;
        let done = tokio::time::timeout(PATIENCE, done.wait_for(Option::is_some)).await;
        Some(done.ok().and_then(Result::ok).and_then(|done| done.clone()))
    }

    fn begin(
        &self,
        who: &OperatorName,
        key: Digest,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<watch::Receiver<Option<Arc<T>>>> {
        let mut held = self.held();
        let waits = |piece: &&Piece<T>| piece.done.borrow().is_none() && piece.done.has_changed().is_ok();
        let waiting = held.values().filter(waits).count();
        let of_the_same = held.values().filter(waits).filter(|piece| piece.who == *who).count();
        if waiting >= WAITING_MAX || of_the_same >= WAITING_OF_ONE_MAX {
            return None;
        }
        let (told, done) = watch::channel(None);
        let bench = self.bench.clone();
        tokio::spawn(async move {
            let Ok(_place) = bench.acquire_owned().await else { return };
            if let Ok(made) = tokio::task::spawn_blocking(work).await {
                told.send_replace(Some(Arc::new(made)));
            }
        });
        held.retain(|_, piece| waits(&&*piece) || piece.begun.elapsed() < KEPT_FOR);
        if held.len() >= KEPT_MAX
            && let Some(oldest) = held.iter().min_by_key(|(_, piece)| piece.begun).map(|(key, _)| *key)
        {
            held.remove(&oldest);
        }
        held.insert(key, Piece { who: who.clone(), begun: Instant::now(), done: done.clone() });
        Some(done)
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Digest, Piece<T>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_thing_is_worked_out_once_and_whoever_asks_too_early_asks_again() {
        let (shop, count) = (Workshop::default(), Arc::new(AtomicU32::new(0)));
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let counted = count.clone();
        let key = Digest::of(b"slow");
        let (ada, other) = ("ada".parse().unwrap(), "other".parse().unwrap());
        let early = shop.ask(&ada, key, move || {
            wait.recv().ok();
            counted.fetch_add(1, Ordering::Relaxed)
        });
        assert!(early.await.is_none(), "it is not there yet");
        shop.ask(&ada, Digest::of(b"second"), || 8).await;
        assert!(shop.ask(&ada, Digest::of(b"third"), || 9).await.is_none());
        assert!(shop.look(&Digest::of(b"third")).await.is_none(), "one has no more than two things waiting");
        shop.ask(&other, Digest::of(b"third"), || 9).await;
        assert!(shop.look(&Digest::of(b"third")).await.is_some(), "another has its own");
        go.send(()).unwrap();
        let mut found = None;
        while found.is_none() {
            found = shop.ask(&ada, key, || panic!("it is being worked out")).await;
        }
        assert_eq!((found.as_deref(), count.load(Ordering::Relaxed)), (Some(&0), 1));
        for other in 0..=KEPT_MAX {
            shop.ask(&ada, Digest::of(other.to_string().as_bytes()), || 7).await;
        }
        assert!(shop.held().len() <= KEPT_MAX, "bounded");
    }
}
