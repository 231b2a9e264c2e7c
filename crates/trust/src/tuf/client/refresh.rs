//! The refresh, one file after another: roots, timestamp, snapshot, targets, then each package's role.
//! Asks for no file that it holds already, and for none without an upper bound on its length.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sigstore_tuf::Role as _;

use super::error::{ClientError, ROOTS_PER_REFRESH_MAX};
use super::step::{Answer, FileRequest, PackageProblem, Refreshed, Step};
use super::trusted::Trusted;
use crate::tuf::names::RoleName;
use crate::tuf::repository::{PackageRole, Pin, RootRole, SnapshotRole, TargetsRole, TimestampRole};
use crate::tuf::signing::{Role, Verified};

/// A refresh under way, if there is one.
#[derive(Debug, Default)]
pub(super) struct Refresh {
    phase: Phase,
    wanted: Option<FileRequest>,
    answer: Option<Answer>,
}

/// Where a refresh stands.
#[derive(Debug, Default)]
enum Phase {
    /// No refresh is under way.
    #[default]
    Idle,
    /// Looking for a newer root; so many were taken.
    Roots { taken: u32 },
    /// Waiting for the timestamp.
    Timestamp,
    /// Waiting for the snapshot that it names.
    Snapshot,
    /// Waiting for the targets that the snapshot names.
    Targets,
    /// Going through the packages; the last of `waiting` is next.
    Packages { waiting: Vec<RoleName>, problems: Vec<PackageProblem> },
}

enum Progress {
    Need(FileRequest),
    Go(Phase),
    Done(Refreshed),
}

impl Refresh {
    /// Takes an answer, if a file was asked for.
    pub(super) fn feed(&mut self, answer: Answer) {
        if self.wanted.is_some() {
            self.answer = Some(answer);
        }
    }

    /// Goes on until a file is needed or the refresh has ended.
    pub(super) fn next(&mut self, trusted: &mut Trusted, packages: &BTreeSet<RoleName>, now_ms: u64) -> Step {
        // A time that cannot be written is past every expiry.
        let now = i64::try_from(now_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let now = now.unwrap_or(Timestamp::MAX);
        loop {
            let answer = self.answer.take();
            let progress = match std::mem::replace(&mut self.phase, Phase::Idle) {
                Phase::Idle => Ok(Progress::Go(Phase::Roots { taken: 0 })),
                Phase::Roots { taken } => self.roots(trusted, taken, answer, now),
                Phase::Timestamp => self.timestamp(trusted, answer, now),
                Phase::Snapshot => self.snapshot(trusted, answer, now),
                Phase::Targets => self.targets(trusted, packages, answer, now),
                Phase::Packages { waiting, problems } => Ok(self.packages(trusted, (waiting, problems), answer, now)),
            };
            match progress {
                Ok(Progress::Need(request)) => {
                    self.wanted = Some(request.clone());
                    return Step::Need(request);
                }
                Ok(Progress::Go(phase)) => (self.phase, self.wanted) = (phase, None),
                Ok(Progress::Done(refreshed)) => {
                    *self = Refresh::default();
                    return Step::Done(refreshed);
                }
                Err(error) => {
                    *self = Refresh::default();
                    return Step::Refused(error);
                }
            }
        }
    }

    /// 5.3: up the chain of roots until there is no next one.
    fn roots(
        &mut self,
        trusted: &mut Trusted,
        taken: u32,
        answer: Option<Answer>,
        now: Timestamp,
    ) -> Result<Progress, ClientError> {
        match answer {
            None => {
                self.phase = Phase::Roots { taken };
                let path = format!("{}.root.json", trusted.root_version().saturating_add(1));
                Ok(Progress::Need(FileRequest { path, bytes_max: RootRole::BYTES_MAX as u64 }))
            }
            Some(Answer::NotFound) => {
                trusted.take_up_again();
                trusted.core.check_root_expired(now).map_err(|error| ClientError::from_core("root", error))?;
                Ok(Progress::Go(Phase::Timestamp))
            }
            Some(_) if taken == ROOTS_PER_REFRESH_MAX => Err(ClientError::TooManyRoots),
            Some(answer) => {
                let (path, bytes) = self.fetched(answer)?;
                trusted.accept_root(&path, &bytes)?;
                Ok(Progress::Go(Phase::Roots { taken: taken + 1 }))
            }
        }
    }

    /// 5.4.
    fn timestamp(
        &mut self,
        trusted: &mut Trusted,
        answer: Option<Answer>,
        now: Timestamp,
    ) -> Result<Progress, ClientError> {
        let Some(answer) = answer else {
            self.phase = Phase::Timestamp;
            let path = "timestamp.json".to_owned();
            return Ok(Progress::Need(FileRequest { path, bytes_max: TimestampRole::BYTES_MAX as u64 }));
        };
        let (path, bytes) = self.fetched(answer)?;
        trusted.accept_timestamp(&bytes, now)?;
        // The copy that stays when the version is the same may have expired since.
        trusted.core.check_timestamp_expired(now).map_err(|error| ClientError::from_core(&path, error))?;
        Ok(Progress::Go(Phase::Snapshot))
    }

    /// 5.5.
    fn snapshot(
        &mut self,
        trusted: &mut Trusted,
        answer: Option<Answer>,
        now: Timestamp,
    ) -> Result<Progress, ClientError> {
        let timestamp = trusted.timestamp.as_ref().map(Verified::role);
        let pin = *timestamp.map(TimestampRole::snapshot).ok_or_else(|| lacking("timestamp"))?;
        let Some(answer) = answer else {
            // The core may hold another one than we do, or none, when it could not load a stored file.
            let held = trusted.core.snapshot().filter(|_| fitting(trusted.snapshot.as_ref(), &pin).is_some());
            if held.is_some_and(|held| held.version == pin.version && !held.is_expired(now)) {
                return Ok(Progress::Go(Phase::Targets));
            }
            self.phase = Phase::Snapshot;
            return Ok(Progress::Need(pinned_file::<SnapshotRole>("snapshot", &pin)));
        };
        let (path, bytes) = self.fetched(answer)?;
        trusted.accept_snapshot(&path, &bytes, now)?;
        Ok(Progress::Go(Phase::Targets))
    }

    /// 5.6.1 to 5.6.5.
    fn targets(
        &mut self,
        trusted: &mut Trusted,
        packages: &BTreeSet<RoleName>,
        answer: Option<Answer>,
        now: Timestamp,
    ) -> Result<Progress, ClientError> {
        let snapshot = trusted.snapshot.as_ref().map(Verified::role);
        let pin = *snapshot.map(SnapshotRole::targets).ok_or_else(|| lacking("snapshot"))?;
        match answer {
            Some(answer) => {
                let (path, bytes) = self.fetched(answer)?;
                trusted.accept_targets(&path, &bytes, now)?;
            }
            None => {
                let request = pinned_file::<TargetsRole>("targets", &pin);
                let held = fitting(trusted.targets.as_ref(), &pin);
                let held = held.is_some_and(|bytes| trusted.accept_targets(&request.path, &bytes, now).is_ok());
                if !held {
                    self.phase = Phase::Targets;
                    return Ok(Progress::Need(request));
                }
            }
        }
        let waiting = packages.iter().rev().cloned().collect();
        Ok(Progress::Go(Phase::Packages { waiting, problems: Vec::new() }))
    }

    /// 5.6.7, without a search: a package's role has its name, and only it may list the package's releases.
    fn packages(
        &mut self,
        trusted: &mut Trusted,
        (mut waiting, mut problems): (Vec<RoleName>, Vec<PackageProblem>),
        answer: Option<Answer>,
        now: Timestamp,
    ) -> Progress {
        let Some(package) = waiting.pop() else {
            return Progress::Done(Refreshed {
                root_version: trusted.root_version(),
                timestamp_version: trusted.timestamp.as_ref().map_or(0, |file| file.role().version()),
                snapshot_version: trusted.snapshot.as_ref().map_or(0, |file| file.role().version()),
                problems,
            });
        };
        match self.package(trusted, &package, answer, now) {
            Ok(Some(request)) => {
                waiting.push(package);
                self.phase = Phase::Packages { waiting, problems };
                return Progress::Need(request);
            }
            Ok(None) => {}
            Err(error) => problems.push(PackageProblem { package, error }),
        }
        Progress::Go(Phase::Packages { waiting, problems })
    }

    fn package(
        &mut self,
        trusted: &mut Trusted,
        package: &RoleName,
        answer: Option<Answer>,
        now: Timestamp,
    ) -> Result<Option<FileRequest>, ClientError> {
        trusted.publishers(package)?;
        let snapshot = trusted.snapshot.as_ref().map(Verified::role).ok_or_else(|| lacking("snapshot"))?;
        let pin = *snapshot.package(package).ok_or_else(|| ClientError::NothingPublished(package.clone()))?;
        if let Some(answer) = answer {
            let (path, bytes) = self.fetched(answer)?;
            trusted.accept_package(package, &path, &bytes, now)?;
            return Ok(None);
        }
        let request = pinned_file::<PackageRole>(package.as_str(), &pin);
        let held = fitting(trusted.packages.get(package), &pin);
        let held = held.is_some_and(|bytes| trusted.accept_package(package, &request.path, &bytes, now).is_ok());
        Ok((!held).then_some(request))
    }

    /// The file that was asked for, if it came and is not too long.
    fn fetched(&mut self, answer: Answer) -> Result<(String, Vec<u8>), ClientError> {
        let FileRequest { path, bytes_max } = self.wanted.take().ok_or_else(|| lacking("file"))?;
        match answer {
            Answer::NotFound => Err(ClientError::Missing { file: path }),
            Answer::Bytes(bytes) if bytes.len() as u64 > bytes_max => {
                Err(ClientError::TooLarge { file: path, bytes_max })
            }
            Answer::Bytes(bytes) => Ok((path, bytes)),
        }
    }
}

/// The file of this pin under its versioned name, bounded by what the pin says and by what its role may have.
fn pinned_file<R: Role>(role: &str, pin: &Pin) -> FileRequest {
    FileRequest { path: format!("{}.{role}.json", pin.version), bytes_max: pin.length.min(R::BYTES_MAX as u64) }
}

/// The bytes of a held file, if it is the one that the pin names.
fn fitting<R: Role>(held: Option<&Verified<R>>, pin: &Pin) -> Option<Vec<u8>> {
    held.filter(|file| Pin::of(file) == *pin).map(|file| file.bytes().to_vec())
}

fn lacking(role: &str) -> ClientError {
    ClientError::NotRefreshed { role: role.into() }
}
