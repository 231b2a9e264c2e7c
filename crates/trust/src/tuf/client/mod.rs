//! A device's view of a repository, as a machine without I/O: it names the file that it needs, takes the bytes, and gives a verdict.
//! Follows the client workflow of TUF 1.0.34 section 5 on `sigstore-tuf`'s verification core; the stricter form of
//! our own files is checked before the core sees a byte. It never fetches, stores, sleeps or reads a clock.

mod error;
mod refresh;
mod trusted;

use std::collections::BTreeSet;

pub use error::ClientError;

use super::names::{RoleName, TargetPath};
use super::repository::TargetInfo;
use refresh::Phase;
use trusted::Trusted;

/// The most new roots taken in one refresh (5.3.3). More are taken by refreshing again.
pub const ROOTS_PER_REFRESH_MAX: u32 = 32;

/// What a device believes of a repository, and a refresh under way, if there is one.
#[derive(Debug)]
pub struct Client {
    trusted: Trusted,
    packages: BTreeSet<RoleName>,
    phase: Phase,
    wanted: Option<FileRequest>,
    answer: Option<Answer>,
}

/// A file to fetch from the repository's metadata folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRequest {
    /// Its name there, for example `timestamp.json` or `7.sensor-content.json`.
    pub path: String,
    /// Stop reading after this many bytes: a longer file is refused whatever it says.
    pub bytes_max: u64,
}

/// What came of fetching a file. (When nothing came, [`Client::abandon`] the refresh.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The file.
    Bytes(Vec<u8>),
    /// The repository says that there is no such file.
    NotFound,
}

/// What a refresh needs or came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Fetch this file, then [`Client::feed`] it.
    Need(FileRequest),
    /// The refresh is done. Store [`Client::metadata_files`].
    Done(Refreshed),
    /// The refresh ended. What was verified before it ended stays; store [`Client::metadata_files`] here too.
    Refused(ClientError),
}

/// A refresh that reached the newest timestamp, snapshot and targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refreshed {
    /// The version of root now trusted.
    pub root_version: u64,
    /// The version of the timestamp now trusted.
    pub timestamp_version: u64,
    /// The version of the snapshot now trusted.
    pub snapshot_version: u64,
    /// Packages whose own file was refused or is not there yet. One package's trouble does not hold up another.
    pub problems: Vec<PackageProblem>,
}

/// Why nothing of a package can be believed at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageProblem {
    /// The package.
    pub package: RoleName,
    /// What is wrong.
    pub error: ClientError,
}

impl Client {
    /// Starts from a pinned root, for these packages.
    ///
    /// # Errors
    /// When the root has not the right form or is not signed by a threshold of its own keys.
    pub fn new(pinned_root: &[u8], packages: impl IntoIterator<Item = RoleName>) -> Result<Client, ClientError> {
        Ok(Client {
            trusted: Trusted::pinned(pinned_root)?,
            packages: packages.into_iter().collect(),
            phase: Phase::Idle,
            wanted: None,
            answer: None,
        })
    }

    /// Starts from a pinned root and the files that [`Self::metadata_files`] gave before.
    ///
    /// Every file is verified again from the pinned root; one that does not hold is passed over, so a tampered store
    /// can take protection against rollback away but never add trust. Expired files still count against rollback.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn resume(
        pinned_root: &[u8],
        packages: impl IntoIterator<Item = RoleName>,
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<Client, ClientError> {
        let mut client = Client::new(pinned_root, packages)?;
        client.trusted.take_stored(files.into_iter().collect(), &client.packages);
        Ok(client)
    }

    /// What the refresh needs next, or what it came to. Starts a refresh if none is under way.
    ///
    /// Without an answer fed in between, it asks for the same file again. `now_ms` is Unix time in milliseconds.
    pub fn next(&mut self, now_ms: u64) -> Step {
        self.advance(now_ms)
    }

    /// Gives the answer to the last [`Step::Need`]. An answer that nobody asked for is dropped.
    pub fn feed(&mut self, answer: Answer) {
        if self.wanted.is_some() {
            self.answer = Some(answer);
        }
    }

    /// Ends the refresh under way, for example because the repository cannot be reached. What was verified stays.
    pub fn abandon(&mut self) {
        (self.phase, self.wanted, self.answer) = (Phase::Idle, None, None);
    }

    /// Adds a package to those that a refresh fetches.
    pub fn follow(&mut self, package: RoleName) {
        self.packages.insert(package);
    }

    /// What is known of a release's manifest, if every file on the way to it is verified, fits and has not expired.
    ///
    /// # Errors
    /// When no refresh got so far, a file has expired, or there is no such package or release.
    pub fn target(&self, path: &TargetPath, now_ms: u64) -> Result<TargetInfo, ClientError> {
        self.trusted.target(path, now_ms)
    }

    /// The releases of a package, under the same conditions as [`Self::target`].
    ///
    /// # Errors
    /// As for [`Self::target`].
    pub fn releases(&self, package: &RoleName, now_ms: u64) -> Result<Vec<(TargetPath, TargetInfo)>, ClientError> {
        let file = self.trusted.package(package, now_ms)?;
        Ok(file.releases().map(|(path, info)| (path.clone(), *info)).collect())
    }

    /// The version of root now trusted.
    pub fn root_version(&self) -> u64 {
        self.trusted.root_version()
    }

    /// The verified files to keep, by name, for [`Self::resume`]. They replace whatever was kept under these names.
    pub fn metadata_files(&self) -> Vec<(String, Vec<u8>)> {
        self.trusted.files()
    }
}
