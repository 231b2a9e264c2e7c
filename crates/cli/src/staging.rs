//! A stage: a folder that holds a release on its way to being published. It travels from publisher to publisher; each looks
//! at `files/`, checks and signs. `manifest.json` names the files, `role.json` is the package's next role, `stage.json` the publishers.
//! Never signs anything whose files, manifest and role do not fit each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{ContractName, PackageName, Version};
use tidegate_domain::release::{Activation, FileEntry, MANIFEST_BYTES_MAX, Manifest, Probe, SlotPath, WatchedNumber};
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_keyring::Signer;
use tidegate_trust::tuf::repository::{PackageRole, TargetInfo};
use tidegate_trust::tuf::{Expiry, Role, Signers, TargetPath, TufKey, Unsigned, Unverified, Verified};

use crate::durable_file::{self, Readers};
use crate::repository::role_name;
use crate::signing::sign_metadata;

const FILES_MAX: usize = 4_096;
const DEPTH_MAX: usize = 32;

/// What a person writes about a release; files, package and version are added to it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Template {
    activation: Activation,
    downtime: Elapsed,
    #[serde(default)]
    probes: Vec<Probe>,
    #[serde(default)]
    numbers: Vec<WatchedNumber>,
    #[serde(default)]
    needs: BTreeMap<ContractName, u64>,
    #[serde(default)]
    offers: BTreeMap<ContractName, u64>,
    #[serde(default)]
    network: bool,
    #[serde(default)]
    contact_deadline: Option<Elapsed>,
    /// Files that may be executed, besides those whose mode says so.
    #[serde(default)]
    executable: BTreeSet<SlotPath>,
    #[serde(default)]
    ext: BTreeMap<String, serde_json::Value>,
}

/// What is to be staged.
pub(crate) struct StagePlan<'a> {
    /// The package.
    pub(crate) package: PackageName,
    /// The version.
    pub(crate) version: Version,
    /// The folder with the files.
    pub(crate) files: &'a Path,
    /// What a person wrote.
    pub(crate) template: Template,
    /// When.
    pub(crate) now: WallTime,
    /// How long the package's role is good.
    pub(crate) life: Elapsed,
}

/// A stage on disk, checked: files, manifest and role fit each other.
pub(crate) struct Stage {
    folder: PathBuf,
    /// The release.
    pub(crate) manifest: Manifest,
    /// The manifest's bytes, which the role names.
    pub(crate) manifest_bytes: Vec<u8>,
    /// Who publishes the package.
    pub(crate) publishers: Signers,
    /// The role, as signed so far.
    pub(crate) role: Unsigned<PackageRole>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StageFile {
    package: PackageName,
    version: Version,
    threshold: u32,
    publishers: Vec<String>,
}

impl Template {
    /// Reads what a person wrote: JSON where the file's name ends so, else TOML.
    ///
    /// # Errors
    /// Names the file and the place in it.
    pub(crate) fn read(path: &Path) -> Result<Template> {
        let text = durable_file::read_text(path, MANIFEST_BYTES_MAX as u64)?;
        let json = path.extension().is_some_and(|extension| extension == "json");
        let template = if json {
            serde_json::from_str(&text).map_err(anyhow::Error::new)
        } else {
            toml::from_str(&text).map_err(anyhow::Error::new)
        };
        template.with_context(|| path.display().to_string())
    }

    /// What the demo builds in this process.
    ///
    /// # Errors
    /// When the text is no template.
    pub(crate) fn parse_toml(text: &str) -> Result<Template> {
        Ok(toml::from_str(text)?)
    }
}

impl Stage {
    /// Makes a stage in `folder`, which must not be there yet: copies the files, makes the manifest, and the role after `current`.
    ///
    /// # Errors
    /// When a file cannot be part of a release, the release is listed already, or the folder cannot be written.
    pub(crate) fn make(
        folder: &Path,
        plan: StagePlan<'_>,
        publishers: &Signers,
        current: Option<&Verified<PackageRole>>,
    ) -> Result<Stage> {
        if folder.exists() {
            bail!("{} exists already; right is a folder that is not there yet", folder.display());
        }
        let made = Stage::write(folder, plan, publishers, current);
        if made.is_err() {
            let _ = fs::remove_dir_all(folder);
        }
        made?;
        Stage::read(folder)
    }

    fn write(
        folder: &Path,
        plan: StagePlan<'_>,
        publishers: &Signers,
        current: Option<&Verified<PackageRole>>,
    ) -> Result<()> {
        let files = copy_files(plan.files, &folder.join("files"), &plan.template.executable)?;
        let manifest = manifest_of(&plan, files)?;
        let bytes = serde_json::to_vec_pretty(&manifest)?;
        Manifest::parse(&bytes)?;
        let expires = Expiry::from_ms(plan.now.after(plan.life).as_ms())?;
        let mut role = match current {
            Some(current) => current.role().next(expires)?,
            None => PackageRole::first(expires),
        };
        let name = role_name(&plan.package)?;
        let path = TargetPath::new(&name, plan.version.as_str())?;
        if role.release(&path).is_some() {
            bail!(
                "{} {} is published already; releases never change, right is a new version",
                plan.package,
                plan.version
            );
        }
        role.add_release(&name, plan.version.as_str(), target_of(&bytes))?;
        let about = StageFile {
            package: plan.package,
            version: plan.version,
            threshold: publishers.threshold(),
            publishers: publishers.keys().map(|(_, key)| hex::encode(key.as_bytes())).collect(),
        };
        let files = [
            ("manifest.json", bytes),
            ("role.json", Unsigned::new(role)?.to_bytes()),
            ("stage.json", serde_json::to_vec_pretty(&about)?),
        ];
        for (name, bytes) in files {
            durable_file::create(&folder.join(name), &bytes, Readers::Anybody)?;
        }
        Ok(())
    }

    /// Reads a stage that came from anywhere, and checks all of it.
    ///
    /// # Errors
    /// When something is missing, or files, manifest and role do not fit each other.
    pub(crate) fn read(folder: &Path) -> Result<Stage> {
        let about: StageFile = serde_json::from_slice(&durable_file::read(&folder.join("stage.json"), 64 * 1024)?)
            .with_context(|| format!("{} is not a stage that `release stage` made", folder.display()))?;
        let publishers = publishers_of(&about)?;
        let manifest_bytes = durable_file::read(&folder.join("manifest.json"), MANIFEST_BYTES_MAX as u64)?;
        let manifest = Manifest::parse(&manifest_bytes)?;
        if (&manifest.package, &manifest.version) != (&about.package, &about.version) {
            bail!(
                "manifest.json is of {} {}, stage.json of {} {}",
                manifest.package,
                manifest.version,
                about.package,
                about.version
            );
        }
        let role = Unverified::<PackageRole>::parse(&durable_file::read(
            &folder.join("role.json"),
            PackageRole::BYTES_MAX as u64,
        )?)?;
        let path = TargetPath::new(&role_name(&about.package)?, about.version.as_str())?;
        if role.role().release(&path) != Some(&target_of(&manifest_bytes)) {
            bail!("role.json does not name this manifest.json as {path}: one of them was changed");
        }
        let keys: Vec<TufKey> = publishers.keys().map(|(_, key)| *key).collect();
        let role = role.sign_on(&keys)?;
        let stage = Stage { folder: folder.to_owned(), manifest, manifest_bytes, publishers, role };
        for file in &stage.manifest.files {
            stage.check_file(file)?;
        }
        Ok(stage)
    }

    /// The release's name: SHA-256 of its manifest.
    pub(crate) fn release(&self) -> Digest {
        Digest::of(&self.manifest_bytes)
    }

    /// Where a file of the release lies.
    pub(crate) fn path_of(&self, file: &FileEntry) -> PathBuf {
        self.folder.join("files").join(file.path.as_str())
    }

    /// How many of the publishers have signed.
    pub(crate) fn signatures(&self) -> usize {
        self.role.signed_by().count()
    }

    /// Adds a publisher's signature and keeps it on disk.
    ///
    /// # Errors
    /// When the key is not one of the package's publishers, does not sign, or the file cannot be written.
    pub(crate) fn sign(&mut self, signer: &dyn Signer) -> Result<()> {
        self.check_publisher(signer.public_key())?;
        sign_metadata(&mut self.role, signer)?;
        durable_file::replace(&self.folder.join("role.json"), &self.role.to_bytes(), Readers::Anybody)
    }

    /// Refuses a key that is not one of the package's publishers.
    ///
    /// # Errors
    /// Names the keys that are.
    pub(crate) fn check_publisher(&self, public_key: [u8; 32]) -> Result<()> {
        let key = TufKey::from_bytes(public_key)?;
        if self.publishers.key(&key.id()).is_none() {
            let right: Vec<String> = self.publishers.keys().map(|(_, key)| hex::encode(key.as_bytes())).collect();
            bail!(
                "key {} is no publisher of {}; right is one of {}",
                hex::encode(key.as_bytes()),
                self.manifest.package,
                right.join(", ")
            );
        }
        Ok(())
    }

    /// The role, if enough publishers have signed.
    ///
    /// # Errors
    /// Says how many more are needed.
    pub(crate) fn finished_role(&self) -> Result<Verified<PackageRole>> {
        let finished = self.role.clone().finish(&self.publishers);
        finished.with_context(|| format!("{} {}", self.manifest.package, self.manifest.version))
    }

    fn check_file(&self, file: &FileEntry) -> Result<()> {
        let path = self.path_of(file);
        let (sha256, size) = digest_file(&path)?;
        if (sha256, size) != (file.sha256, file.size) {
            bail!("{}: {size} bytes, {sha256}; the manifest says {} bytes, {}", path.display(), file.size, file.sha256);
        }
        Ok(())
    }
}

fn manifest_of(plan: &StagePlan<'_>, files: Vec<FileEntry>) -> Result<Manifest> {
    let template = plan.template.clone();
    let manifest = Manifest {
        package: plan.package.clone(),
        version: plan.version.clone(),
        files,
        needs: template.needs,
        offers: template.offers,
        activation: template.activation,
        probes: template.probes,
        numbers: template.numbers,
        downtime: template.downtime,
        network: template.network,
        contact_deadline: template.contact_deadline,
        ext: template.ext,
    };
    manifest.check()?;
    Ok(manifest)
}

fn publishers_of(about: &StageFile) -> Result<Signers> {
    let mut keys = Vec::new();
    for text in &about.publishers {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .with_context(|| format!("stage.json: publisher {text:?}: right is 64 hexadecimal digits"))?;
        keys.push(TufKey::from_bytes(bytes)?);
    }
    Ok(Signers::new(keys, about.threshold)?)
}

fn target_of(manifest: &[u8]) -> TargetInfo {
    TargetInfo { length: manifest.len() as u64, sha256: *Digest::of(manifest).as_bytes() }
}

/// Copies every file below `from` and says what it copied, in the order of the paths.
fn copy_files(from: &Path, to: &Path, executable: &BTreeSet<SlotPath>) -> Result<Vec<FileEntry>> {
    let mut found = BTreeMap::new();
    walk(from, "", 0, &mut found)?;
    if found.is_empty() {
        bail!("--files {}: it holds no file; right is a folder with the release's files", from.display());
    }
    if let Some(path) = executable.iter().find(|path| !found.contains_key(*path)) {
        bail!("executable: {path} is not among the files in {}", from.display());
    }
    let mut files = Vec::with_capacity(found.len());
    for (path, source) in found {
        let target = to.join(path.as_str());
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        let executable = executable.contains(&path) || may_execute(&source)?;
        fs::copy(&source, &target)
            .with_context(|| format!("cannot copy {} to {}", source.display(), target.display()))?;
        // Of the copy: that is what will be signed and sent.
        let (sha256, size) = digest_file(&target)?;
        files.push(FileEntry { path, sha256, size, executable });
    }
    Ok(files)
}

fn walk(folder: &Path, prefix: &str, depth: usize, found: &mut BTreeMap<SlotPath, PathBuf>) -> Result<()> {
    if depth > DEPTH_MAX {
        bail!("{}: folders nested deeper than {DEPTH_MAX}", folder.display());
    }
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))? {
        let entry = entry.with_context(|| format!("cannot read the folder {}", folder.display()))?;
        let shown = entry.path();
        let name = entry.file_name().into_string();
        let name = name.map_err(|_| anyhow::anyhow!("{}: its name is not UTF-8", shown.display()))?;
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        let kind = entry.file_type().with_context(|| format!("cannot read {}", shown.display()))?;
        if kind.is_dir() {
            walk(&shown, &path, depth + 1, found)?;
        } else if kind.is_file() {
            let path: SlotPath = path.parse().with_context(|| shown.display().to_string())?;
            found.insert(path, shown);
        } else {
            bail!("{}: neither file nor folder; a release holds plain files only, no links", shown.display());
        }
        if found.len() > FILES_MAX {
            bail!("{}: more than {FILES_MAX} files; right is at most {FILES_MAX}", folder.display());
        }
    }
    Ok(())
}

/// Digest and size of a file, read in pieces.
fn digest_file(path: &Path) -> Result<(Digest, u64)> {
    let reading = || format!("cannot read {}", path.display());
    let mut file = fs::File::open(path).with_context(reading)?;
    let mut hasher = Sha256::new();
    let mut size = 0_u64;
    let mut piece = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut piece).with_context(reading)?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok((Digest::from_bytes(hasher.finalize().into()), size));
        };
        hasher.update(bytes);
        size = size.saturating_add(bytes.len() as u64);
    }
}

#[cfg(unix)]
fn may_execute(path: &Path) -> Result<bool> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0)
}

/// There is no such mode here: the template's `executable` says it.
#[cfg(not(unix))]
fn may_execute(_path: &Path) -> Result<bool> {
    Ok(false)
}
