//! A device's view of a repository, as a machine without I/O: it names the file that it needs, takes the bytes, and gives a verdict.
//! Follows the client workflow of TUF 1.0.34 section 5 on `sigstore-tuf`'s verification core; the stricter form of
//! our own files is checked before the core sees a byte. It never fetches, stores, sleeps or reads a clock.

mod error;
mod refresh;
mod step;
mod trusted;

use std::collections::BTreeSet;

pub use error::{ClientError, ROOTS_PER_REFRESH_MAX};
pub use step::{Answer, FileRequest, PackageProblem, Refreshed, Step};

use super::names::{RoleName, TargetPath};
use super::repository::TargetInfo;
use refresh::Refresh;
use trusted::Trusted;

/// What a device believes of a repository, and a refresh under way, if there is one.
#[derive(Debug)]
pub struct Client {
    trusted: Trusted,
    packages: BTreeSet<RoleName>,
    refresh: Refresh,
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
            refresh: Refresh::default(),
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
        self.refresh.next(&mut self.trusted, &self.packages, now_ms)
    }

    /// Gives the answer to the last [`Step::Need`]. An answer that nobody asked for is dropped.
    pub fn feed(&mut self, answer: Answer) {
        self.refresh.feed(answer);
    }

    /// Ends the refresh under way, for example because the repository cannot be reached. What was verified stays.
    pub fn abandon(&mut self) {
        self.refresh = Refresh::default();
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
