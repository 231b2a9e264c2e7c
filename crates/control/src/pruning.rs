//! Which reports may go: those of rollouts that concern no device any more, except for what each device said last.
//!
//! A survey reads the log once and says which rollouts may be concluded. A pruning reads it again: it takes the content of reports away as it
//! goes, folds what is left beside the whole, and in the end holds both against each other. Nothing may be pruned that changes what is known.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_domain::ids::{DeviceId, PackageName, RolloutId};
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_trust::records::{GoRequest, Report};

use crate::conclusion::Conclusion;
use crate::contract::{Entry, NewEntry, Seq, Table};
use crate::decision::{Decision, REPORT, TAKE};
use crate::state::{FoldError, Kept, State, held_in, trouble};

/// The first reading of a log.
#[derive(Debug, Default)]
pub struct Survey {
    state: State,
    last: LastWords,
}

/// What each device said last, by the numbers of the entries.
#[derive(Debug, Default)]
struct LastWords {
    of_device: BTreeMap<DeviceId, Seq>,
    of_package: BTreeMap<(DeviceId, PackageName), Seq>,
    of_trouble: BTreeMap<(DeviceId, PackageName), Seq>,
}

/// The second reading of a log.
#[derive(Debug)]
pub struct Pruning {
    plan: Plan,
    whole: State,
    left: State,
    reports: Vec<Seq>,
    bytes: u64,
    heard_otherwise: BTreeSet<String>,
}

/// What is looked for.
#[derive(Debug)]
struct Plan {
    before: WallTime,
    /// Entries that stay.
    stay: BTreeSet<Seq>,
    /// Devices of which everything stays.
    stay_whole: BTreeSet<String>,
    concluded: BTreeMap<RolloutId, Conclusion>,
    /// These, and those that were concluded before.
    gone: BTreeSet<RolloutId>,
    kept: Vec<Kept>,
}

/// What a second reading found.
#[derive(Debug)]
pub enum Found {
    /// What may go.
    Prunable(Prunable),
    /// That some devices' words must stay for their later ones to be heard alike: the log is to be read once more.
    Again(Box<Pruning>),
}

/// What may go.
#[derive(Debug, Clone, PartialEq)]
pub struct Prunable {
    /// The log's last entry.
    pub last: Seq,
    /// Rollouts to conclude first; those that were before are not among them.
    pub concluded: BTreeMap<RolloutId, Conclusion>,
    /// Rollouts that stay, and why.
    pub kept: Vec<Kept>,
    /// The reports whose content may go, in the order of their numbers.
    pub reports: Vec<Seq>,
    /// The bytes of their bodies.
    pub bytes: u64,
}

/// Why nothing may be pruned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PruningError {
    /// The log cannot be folded.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// What is left would say something else.
    #[error("without the reports the log would say something else: nothing was pruned; this is a fault of Tidegate")]
    Differs,
}

impl Survey {
    /// Reads the next entry.
    ///
    /// # Errors
    /// When it cannot be folded.
    pub fn read(&mut self, entry: &Entry) -> Result<(), FoldError> {
        self.state.apply(entry)?;
        self.last.note(entry).map_err(|problem| FoldError::of_body(entry, problem))
    }

    /// How to read the log again: rollouts and reports go that are older than `age`.
    pub fn pruning(self, now: WallTime, age: Elapsed) -> Pruning {
        let (concluded, kept) = self.state.conclusions(now, age);
        Pruning::of(Plan {
            before: WallTime::from_ms(now.as_ms().saturating_sub(age.as_ms())),
            stay: self.last.into_numbers(),
            stay_whole: BTreeSet::new(),
            gone: concluded.keys().chain(self.state.concluded().keys()).cloned().collect(),
            concluded,
            kept,
        })
    }
}

impl LastWords {
    fn note(&mut self, entry: &Entry) -> Result<(), String> {
        let (seq, body) = (entry.seq, &entry.content.body);
        match (entry.content.table, entry.content.kind.as_str()) {
            (Table::Reports, TAKE) => drop(self.of_device.insert(held_in::<GoRequest>(body)?.device, seq)),
            (Table::Reports, REPORT) => {
                let report = held_in::<Report>(body)?;
                let of = (report.device.clone(), report.package.clone());
                if trouble(&report, entry.content.at).is_some() {
                    self.of_trouble.insert(of.clone(), seq);
                }
                self.of_package.insert(of, seq);
                self.of_device.insert(report.device, seq);
            }
            _ => {}
        }
        Ok(())
    }

    fn into_numbers(self) -> BTreeSet<Seq> {
        let of_packages = self.of_package.into_values().chain(self.of_trouble.into_values());
        self.of_device.into_values().chain(of_packages).collect()
    }
}

impl Pruning {
    fn of(plan: Plan) -> Pruning {
        Pruning {
            plan,
            whole: State::default(),
            left: State::default(),
            reports: Vec::new(),
            bytes: 0,
            heard_otherwise: BTreeSet::new(),
        }
    }

    /// Reads the next entry again.
    ///
    /// # Errors
    /// When it cannot be folded.
    pub fn read(&mut self, entry: &Entry) -> Result<(), FoldError> {
        let Entry { seq, content } = entry;
        let is_word = content.table == Table::Reports && [TAKE, REPORT].contains(&content.kind.as_str());
        let goes = is_word && {
            let told = |state: &State| -> Result<Vec<RolloutId>, FoldError> {
                let told = state.told(entry).map_err(|problem| FoldError::of_body(entry, problem))?;
                Ok(told.into_iter().filter(|id| !self.plan.gone.contains(id)).collect())
            };
            let concerned = told(&self.whole)?;
            if concerned != told(&self.left)? {
                self.heard_otherwise.insert(content.subject.clone());
            }
            concerned.is_empty() && self.plan.lets_go(entry)
        };
        self.whole.apply(entry)?;
        if goes {
            self.reports.push(*seq);
            self.bytes += content.body.len() as u64;
            return self.left.apply(&Entry { seq: *seq, content: NewEntry::pruned(content.at) });
        }
        self.left.apply(entry)
    }

    /// What may go, once the whole log was read again.
    ///
    /// # Errors
    /// [`PruningError::Differs`] where what is left and the conclusions say something else than the whole and the conclusions.
    pub fn finish(mut self) -> Result<Found, PruningError> {
        if !self.heard_otherwise.is_empty() {
            // Where all of them stay whole already, another reading would find the same again.
            if self.heard_otherwise.is_subset(&self.plan.stay_whole) {
                return Err(PruningError::Differs);
            }
            self.plan.stay_whole.append(&mut self.heard_otherwise);
            return Ok(Found::Again(Box::new(Pruning::of(self.plan))));
        }
        let Pruning { plan: Plan { concluded, kept, .. }, mut whole, mut left, reports, bytes, .. } = self;
        for state in [&mut whole, &mut left] {
            concluded.iter().for_each(|(id, conclusion)| state.conclude(id.clone(), conclusion.clone()));
        }
        if whole != left {
            return Err(PruningError::Differs);
        }
        Ok(Found::Prunable(Prunable { last: whole.last(), concluded, kept, reports, bytes }))
    }
}

impl Plan {
    /// Whether a word may go, as far as its age and its device are concerned.
    fn lets_go(&self, entry: &Entry) -> bool {
        entry.content.at < self.before
            && !self.stay.contains(&entry.seq)
            && !self.stay_whole.contains(&entry.content.subject)
    }
}

impl Prunable {
    /// The entries that conclude the rollouts. They are appended before anything is pruned.
    ///
    /// # Errors
    /// When they cannot be written as JSON, which is a fault of the code.
    pub fn entries(&self, now: WallTime) -> Result<Vec<NewEntry>, serde_json::Error> {
        let decision = |(rollout, conclusion): (&RolloutId, &Conclusion)| {
            let conclusion = Box::new(conclusion.clone());
            Decision::Concluded { rollout: rollout.clone(), conclusion }.to_entry(now)
        };
        self.concluded.iter().map(decision).collect()
    }
}
