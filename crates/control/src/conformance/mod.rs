//! What every store has to do, as named cases and random schedules that any store can be put through.
//!
//! A store joins by passing: each case on a new store of its own, and [`compare`] against the model over many seeds.
//! Cases never panic; they hand back where the store departed from the contract.

mod bounds;
mod lease;
mod log;
mod pruning;
mod schedule;
mod snapshot;
mod trial;

pub use schedule::compare;
pub use trial::{Departure, Outcome, Perform};
use trial::{Promise, Trial};

/// One promise of the contract and how to put it to the test.
#[derive(Clone, Copy)]
pub struct Case {
    /// The promise, as a sentence.
    pub name: &'static str,
    run: Promise,
}

impl Case {
    /// Puts a store to the test; it has to be new.
    ///
    /// # Errors
    /// Where it departs from the promise.
    pub fn run(&self, store: &mut Perform<'_>) -> Outcome {
        (self.run)(&mut Trial::of(store))
    }
}

/// Every case.
pub fn cases() -> impl Iterator<Item = Case> {
    let all = [log::CASES, lease::CASES, pruning::CASES, snapshot::CASES, bounds::CASES];
    all.into_iter().flatten().map(|&(name, run)| Case { name, run })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::contract::{Reply, Request, StoreEpoch, StoreError};
    use crate::model_store::ModelStore;

    const EPOCH: StoreEpoch = StoreEpoch::from_bytes([1; 16]);

    #[test]
    fn the_model_keeps_every_promise() {
        for case in cases() {
            let mut model = ModelStore::new(EPOCH);
            let outcome = case.run(&mut |request| model.perform(request));
            assert_eq!(outcome, Ok(()), "{}", case.name);
        }
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Defect {
        None,
        ForgetsTheFence,
        ForgetsTheEnd,
        LosesTheFirstEntry,
        AppendsInPieces,
    }

    fn with_defect(defect: Defect, model: &mut ModelStore, request: Request) -> Result<Reply, StoreError> {
        let head = model.perform(Request::Head)?.into_head()?;
        match (defect, request) {
            (Defect::ForgetsTheFence, Request::Append { fence, expected, entries }) => {
                let fence = head.lease.map_or(fence, |lease| lease.fence);
                model.perform(Request::Append { fence, expected, entries })
            }
            (Defect::ForgetsTheEnd, Request::Append { fence, entries, .. }) => {
                model.perform(Request::Append { fence, expected: head.last, entries })
            }
            (Defect::LosesTheFirstEntry, request @ Request::Read { .. }) => {
                let entries = model.perform(request)?.into_entries()?;
                Ok(Reply::Entries(entries.into_iter().skip(1).collect()))
            }
            (Defect::AppendsInPieces, Request::Append { fence, expected, mut entries }) if entries.len() > 2 => {
                let rest = entries.split_off(1);
                let (first, next) = model.perform(Request::Append { fence, expected, entries })?.into_appended()?;
                let rest = model.perform(Request::Append { fence, expected: next, entries: rest })?;
                Ok(Reply::Appended { first, last: rest.into_appended()?.1 })
            }
            (_, request) => model.perform(request),
        }
    }

    #[test]
    fn a_store_with_a_defect_does_not_pass() {
        use Defect::{AppendsInPieces, ForgetsTheEnd, ForgetsTheFence, LosesTheFirstEntry};
        for defect in [Defect::None, ForgetsTheFence, ForgetsTheEnd, LosesTheFirstEntry, AppendsInPieces] {
            let passes = |case: Case| {
                let mut model = ModelStore::new(EPOCH);
                case.run(&mut |request| with_defect(defect, &mut model, request)).is_ok()
            };
            assert_eq!(cases().all(passes), defect == Defect::None, "{defect:?}");
        }
    }

    #[test]
    fn a_schedule_is_alike_on_two_models_and_tells_two_epochs_apart() {
        let mut one = ModelStore::new(EPOCH);
        let mut two = ModelStore::new(EPOCH);
        assert_eq!(compare(7, 2_000, &mut |r| one.perform(r), &mut |r| two.perform(r)), Ok(()));
        let appended = one.perform(Request::Head).unwrap().into_head().unwrap().last.as_u64();
        assert!(appended > 500, "a schedule that appends only {appended} entries tests little");
        let mut other = ModelStore::new(StoreEpoch::from_bytes([2; 16]));
        let mut one = ModelStore::new(EPOCH);
        assert!(compare(7, 40, &mut |r| one.perform(r), &mut |r| other.perform(r)).is_err());
    }
}
