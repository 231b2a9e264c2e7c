//! What the server's TUF repository says, verified from the pinned root on: the way in which a device believes it.
//! Never takes the server's word for a release, a publisher or a version.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{PackageName, Version};
use tidegate_domain::time::WallTime;
use tidegate_trust::keys::PublicKey;
use tidegate_trust::tuf::acceptance::reopen_root;
use tidegate_trust::tuf::client::{Answer, Client as Machine, ClientError, Step};
use tidegate_trust::tuf::repository::{PackageRole, RootRole, TargetInfo, TargetsRole};
use tidegate_trust::tuf::{Role, RoleName, TargetPath, Unverified, Verified};

use crate::client::Client;

/// A repository as it stands now, verified.
pub(crate) struct Repository {
    machine: Machine,
    root: Verified<RootRole>,
    targets: Verified<TargetsRole>,
    files: BTreeMap<String, Vec<u8>>,
    now: WallTime,
}

impl Repository {
    /// Fetches and verifies everything up to `packages`, from the root whose digest is `fleet`.
    ///
    /// # Errors
    /// When the server cannot be reached, or anything on the way is not what the keys above it signed.
    pub(crate) fn refresh(
        api: &Client,
        fleet: &Digest,
        packages: &[&PackageName],
        now: WallTime,
    ) -> Result<Repository> {
        let pinned = api
            .metadata("1.root.json", RootRole::BYTES_MAX as u64)?
            .with_context(|| format!("{} has no root 1: it serves no fleet", api.base()))?;
        if Digest::of(&pinned) != *fleet {
            bail!(
                "{} serves fleet {}, expected {fleet}: it is another fleet's server, or not to be trusted",
                api.base(),
                Digest::of(&pinned)
            );
        }
        let names = packages.iter().map(|package| role_name(package)).collect::<Result<Vec<_>>>()?;
        let mut machine = Machine::new(&pinned, names)?;
        loop {
            match machine.next(now.as_ms()) {
                Step::Need(request) => {
                    let file = api.metadata(&request.path, request.bytes_max)?;
                    machine.feed(file.map_or(Answer::NotFound, Answer::Bytes));
                }
                Step::Done(_) => break,
                Step::Refused(error) => return Err(error).context("the repository is not to be trusted"),
            }
        }
        let files: BTreeMap<_, _> = machine.metadata_files().into_iter().collect();
        let root = reopen_root(newest_root(&files, machine.root_version()).unwrap_or(&pinned))?;
        let targets = files.get("targets.json").context("the repository has no targets.json")?;
        let targets = Unverified::<TargetsRole>::parse(targets)?.verify(root.role().targets())?;
        Ok(Repository { machine, root, targets, files, now })
    }

    /// Root's keys, which sign key list and envelope, and how many of them must.
    ///
    /// # Errors
    /// When a key is none that a record can be signed with.
    pub(crate) fn root_keys(&self) -> Result<(Vec<PublicKey>, usize)> {
        let root = self.root.role().root();
        let keys = root.keys().map(|(_, key)| PublicKey::from_bytes(*key.as_bytes()));
        Ok((keys.collect::<std::result::Result<Vec<_>, _>>()?, usize::try_from(root.threshold())?))
    }

    /// The root in force.
    pub(crate) fn root(&self) -> &Verified<RootRole> {
        &self.root
    }

    /// The packages and their publishers.
    pub(crate) fn targets(&self) -> &Verified<TargetsRole> {
        &self.targets
    }

    /// A package's role; none where it has published nothing yet.
    ///
    /// # Errors
    /// When the package is not known, or its role is not what its publishers signed.
    pub(crate) fn package(&self, package: &PackageName) -> Result<Option<Verified<PackageRole>>> {
        let name = role_name(package)?;
        let publishers = self.targets.role().publishers(&name).with_context(|| {
            format!("package {package} is not in this repository; right is a package that `tidegate package add` added")
        })?;
        match self.machine.releases(&name, self.now.as_ms()) {
            Ok(_) => {}
            Err(ClientError::NothingPublished(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let bytes = self.files.get(&format!("role.{name}.json"));
        let bytes = bytes.with_context(|| format!("the role of {package} was not kept"))?;
        Ok(Some(Unverified::<PackageRole>::parse(bytes)?.verify(publishers)?))
    }

    /// The digest of a published release: SHA-256 of its manifest.
    ///
    /// # Errors
    /// When the package or the release is not there, or not to be believed.
    pub(crate) fn release(&self, package: &PackageName, version: &Version) -> Result<TargetInfo> {
        let path = TargetPath::new(&role_name(package)?, version.as_str())?;
        Ok(self.machine.target(&path, self.now.as_ms())?)
    }
}

/// A package's name as the name of its role.
///
/// # Errors
/// When it is the name of a top-level role.
pub(crate) fn role_name(package: &PackageName) -> Result<RoleName> {
    Ok(RoleName::parse(package.as_str())?)
}

fn newest_root(files: &BTreeMap<String, Vec<u8>>, version: u64) -> Option<&Vec<u8>> {
    files.get(&format!("{version}.root.json"))
}
