//! What a refresh asks for, what it is answered, and what it comes to.
//! Data only: nothing here decides.

use super::error::ClientError;
use crate::tuf::names::RoleName;

/// A file to fetch from the repository's metadata folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRequest {
    /// Its name there, for example `timestamp.json` or `7.sensor-content.json`.
    pub path: String,
    /// Stop reading after this many bytes: a longer file is refused whatever it says.
    pub bytes_max: u64,
}

/// What came of fetching a file. (When nothing came, [`super::Client::abandon`] the refresh.)
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
    /// Fetch this file, then [`super::Client::feed`] it.
    Need(FileRequest),
    /// The refresh is done. Store [`super::Client::metadata_files`].
    Done(Refreshed),
    /// The refresh ended. What was verified before it ended stays; store [`super::Client::metadata_files`] here too.
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
